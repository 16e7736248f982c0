from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from cart import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("preferences/", views.preferences, name="page_preferences"),
    path("cart/", views.cart, name="page_cart"),
    path("cart/contents/", views.contents, name="page_cart_contents"),
    path("cart/state/", views.state, name="page_cart_state"),
    path("cart/add/", views.add, name="page_cart_add"),
    path("cart/add-bundle/", views.add_bundle, name="page_cart_bundle"),
    path("cart/lines/<uuid:line_id>/", views.line, name="page_cart_line"),
    path("cart/undo/", views.undo, name="page_cart_undo"),
    path("cart/clear/", views.clear, name="page_cart_clear"),
    path("cart/code/", views.code, name="page_cart_code"),
    path("cart/estimate/", views.estimate, name="page_cart_estimate"),
    path("cart/recover/<str:token>/", views.recover, name="page_cart_recover"),
]
