from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from checkout import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("checkout/", views.checkout, name="page_checkout"),
    path("checkout/part/<slug:name>/", views.part, name="page_checkout_part"),
    path("account/addresses/", views.addresses, name="page_addresses"),
    path("account/addresses/<uuid:address_id>/", views.address, name="page_address"),
    path("orders/<str:number>/reorder/", views.reorder, name="page_reorder"),
    path("checkout/pay/", views.pay, name="page_checkout_pay"),
    path("checkout/pay/<uuid:payment_id>/", views.payment, name="page_pay"),
    path("checkout/pay/<uuid:payment_id>/simulate/", views.simulate, name="page_simulate"),
    path("checkout/pay/<uuid:payment_id>/complete/", views.complete, name="page_pay_complete"),
    path("checkout/pay/<uuid:payment_id>/cancel/", views.cancel, name="page_pay_cancel"),
]
