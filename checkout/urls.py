from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from checkout import views
from checkout.webhooks import receive_at

# dj-stripe's own address, by the names that it looks for
djstripe_urls = (
    [path("webhook/<uuid:uuid>/", receive_at, name="djstripe_webhook_by_uuid")],
    "djstripe",
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("checkout/", views.checkout, name="page_checkout"),
    path("checkout/part/<slug:name>/", views.part, name="page_checkout_part"),
    path("checkout/accept-prices/", views.accept, name="page_checkout_accept"),
    path("account/addresses/", views.addresses, name="page_addresses"),
    path("account/addresses/<uuid:address_id>/", views.address, name="page_address"),
    path("orders/<str:number>/edit-in-cart/", views.edit_unpaid, name="page_order_edit_in_cart"),
    path("orders/<str:number>/reorder/", views.reorder, name="page_reorder"),
    path("orders/<str:number>/pay/", views.pay_order, name="page_order_pay"),
    path("checkout/express/paypal/", views.express_paypal_back, name="page_express_back"),
    path("checkout/express/paypal/begin/", views.express_paypal, name="page_express_paypal"),
    path("checkout/pay/", views.pay, name="page_checkout_pay"),
    path("checkout/pay/<uuid:payment_id>/", views.payment, name="page_pay"),
    path("checkout/pay/<uuid:payment_id>/simulate/", views.simulate, name="page_simulate"),
    path("checkout/pay/<uuid:payment_id>/complete/", views.complete, name="page_pay_complete"),
    path("checkout/pay/<uuid:payment_id>/cancel/", views.cancel, name="page_pay_cancel"),
    path("stripe/", include(djstripe_urls, namespace="djstripe")),
]
