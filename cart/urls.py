from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from cart.views import basket

urlpatterns: list[URLPattern | URLResolver] = [
    path("preferences/", basket.preferences, name="page_preferences"),
    path("cart/", basket.cart, name="page_cart"),
    path("cart/contents/", basket.contents, name="page_cart_contents"),
    path("cart/state/", basket.state, name="page_cart_state"),
    path("cart/add/", basket.add, name="page_cart_add"),
    path("cart/add-bundle/", basket.add_bundle, name="page_cart_bundle"),
    path("cart/lines/<uuid:line_id>/", basket.line, name="page_cart_line"),
    path("cart/undo/", basket.undo, name="page_cart_undo"),
    path("cart/clear/", basket.clear, name="page_cart_clear"),
    path("cart/code/", basket.code, name="page_cart_code"),
    path("cart/estimate/", basket.estimate, name="page_cart_estimate"),
    path("cart/recover/<str:token>/", basket.recover, name="page_cart_recover"),
]
