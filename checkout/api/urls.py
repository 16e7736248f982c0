from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from checkout.api import estimates
from checkout.api.addresses import AddressViewSet, EditInCartView, ReorderView
from checkout.api.express import ExpressViewSet
from checkout.api.reconciliation import FindingViewSet, RunViewSet
from checkout.api.refunds import RefundViewSet
from checkout.api.views import CheckoutViewSet, HealthView, PaymentViewSet
from checkout.webhooks import receive


def _checkout(**actions: str):
    return CheckoutViewSet.as_view(dict(actions))


def _payment(**actions: str):
    return PaymentViewSet.as_view(dict(actions))


def _address(**actions: str):
    return AddressViewSet.as_view(dict(actions))


def _express(**actions: str):
    return ExpressViewSet.as_view(dict(actions))


urlpatterns: list[URLPattern | URLResolver] = [
    path("cart/express/apple-pay/session", _express(post="apple_pay_session")),
    path("cart/express/google-pay/session", _express(post="google_pay_session")),
    path("cart/express/paypal/create-order", _express(post="paypal_create_order")),
    path("cart/express/paypal/capture", _express(post="paypal_capture")),
    path("checkout/initialize", _checkout(post="initialize")),
    path("checkout/health", HealthView.as_view()),
    path("checkout/tax/calculate", estimates.TaxCalculateView.as_view()),
    path("checkout/shipping/options", estimates.ShippingOptionsView.as_view()),
    path("checkout/shipping/calculate", estimates.ShippingCalculateView.as_view()),
    path("checkout/<uuid:checkout_id>", _checkout(get="retrieve", patch="update")),
    path("checkout/<uuid:checkout_id>/status", _checkout(get="status")),
    path("checkout/<uuid:checkout_id>/validate", _checkout(post="validate")),
    path("checkout/<uuid:checkout_id>/calculate", _checkout(post="calculate")),
    path("checkout/<uuid:checkout_id>/payment", _checkout(post="payment")),
    path("checkout/<uuid:checkout_id>/complete", _checkout(post="complete")),
    path("checkout/<uuid:checkout_id>/cancel", _checkout(post="cancel")),
    path("payments/intent", _payment(post="intent")),
    path("payments/capture", _payment(post="capture")),
    path("payments/refund", _payment(post="refund")),
    path("payments/order/<str:reference>", _payment(get="by_order")),
    path("payments/reconciliation/runs", RunViewSet.as_view({"get": "list", "post": "create"})),
    path("payments/reconciliation/runs/<uuid:run_id>", RunViewSet.as_view({"get": "retrieve"})),
    path("payments/reconciliation/findings", FindingViewSet.as_view({"get": "list"})),
    path(
        "payments/reconciliation/findings/<uuid:finding_id>",
        FindingViewSet.as_view({"get": "retrieve"}),
    ),
    path(
        "payments/reconciliation/findings/<uuid:finding_id>/fix",
        FindingViewSet.as_view({"post": "fix"}),
    ),
    path(
        "payments/reconciliation/findings/<uuid:finding_id>/explain",
        FindingViewSet.as_view({"post": "explain"}),
    ),
    path("payments/<uuid:payment_id>", _payment(get="retrieve")),
    path("payments/<uuid:payment_id>/simulate", _payment(post="simulate")),
    path("orders/<str:reference>/payments", _payment(get="by_order", post="add")),
    path("orders/<str:reference>/refund-items", _payment(post="refund_items")),
    path("orders/<str:reference>/refunds", RefundViewSet.as_view({"get": "list"})),
    path(
        "orders/<str:reference>/refunds/<uuid:refund_id>/retry",
        RefundViewSet.as_view({"post": "retry"}),
    ),
    path(
        "orders/<str:reference>/refunds/<uuid:refund_id>/pay-outside",
        RefundViewSet.as_view({"post": "pay_outside"}),
    ),
    path("orders/<str:reference>/edit-in-cart", EditInCartView.as_view()),
    path("orders/<str:reference>/reorder", ReorderView.as_view()),
    path("addresses", _address(get="list", post="create")),
    path(
        "addresses/<uuid:address_id>",
        _address(get="retrieve", patch="update", delete="destroy"),
    ),
    path("webhooks/<slug:provider>", receive),
]
