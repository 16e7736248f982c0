"""Checkout and payment over HTTP: parse, one domain call, render."""

from __future__ import annotations

from decimal import Decimal

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import selectors, services
from checkout.api import serializers
from checkout.gateway import methods
from checkout.rendering import render_checkout, render_payment
from checkout.services import Delivery, Outcome
from config.platform.errors import FieldError, ValidationFailed
from config.platform.http.authentication import Anyone, Known, Staff
from config.platform.http.context import actor_of
from config.platform.http.links import KnownOrLinked, LinkQuery, link_of
from config.platform.http.views import ApiView, ApiViewSet
from orders import selectors as orders
from orders.models import Order
from orders.rendering import moment, render_order
from orders.services import Units
from pricing.money import parse_amount


class CheckoutViewSet(ApiViewSet):
    """One attempt to buy a cart, step by step."""

    limits = {"initialize": "checkout", "payment": "payment"}
    idempotency_required = {"payment", "complete"}

    def initialize(self, request: Request) -> Response:
        """Begin to buy the caller's cart, or continue; every active line is held, or none."""
        body = serializers.Initialize.read(request)
        view = services.initialize(actor=actor_of(request), now=timezone.now(), **body)
        return Response(render_checkout(view), status=201)

    def retrieve(self, request: Request, checkout_id) -> Response:
        """Return a checkout with its current price and what is still missing."""
        view = selectors.view(actor=actor_of(request), checkout_id=checkout_id, now=timezone.now())
        return Response(render_checkout(view))

    def update(self, request: Request, checkout_id) -> Response:
        """Store what the customer has filled in, and price anew."""
        view = services.update(
            actor=actor_of(request),
            checkout_id=checkout_id,
            changes=serializers.Update.read(request),
            now=timezone.now(),
        )
        return Response(render_checkout(view))

    def status(self, request: Request, checkout_id) -> Response:
        """Return in short where a checkout stands, and the seconds left."""
        now = timezone.now()
        checkout = selectors.find(actor=actor_of(request), checkout_id=checkout_id)
        order: Order | None = checkout.order
        left = int((checkout.expires_at - now).total_seconds())
        return Response(
            {
                "id": str(checkout.id),
                "status": checkout.status_at(now),
                "secondsLeft": max(left, 0) if checkout.is_waiting else 0,
                "expiresAt": moment(checkout.expires_at),
                "orderId": str(order.id) if order else None,
                "orderNumber": order.number if order else None,
                "orderStatus": order.status if order else None,
                "paymentStatus": order.payment_status if order else None,
            }
        )

    def validate(self, request: Request, checkout_id) -> Response:
        """List what keeps this checkout from being placed."""
        serializers.Nothing.read(request)
        view = services.validate(
            actor=actor_of(request), checkout_id=checkout_id, now=timezone.now()
        )
        problems = [
            {"code": requirement.code, "field": requirement.field}
            for requirement in view.requirements
        ]
        return Response(
            {
                "valid": not problems,
                "problems": problems,
                "requirements": problems,
                "quoteId": view.quote.id,
            }
        )

    def calculate(self, request: Request, checkout_id) -> Response:
        """Price the checkout anew."""
        serializers.Nothing.read(request)
        view = services.calculate(
            actor=actor_of(request), checkout_id=checkout_id, now=timezone.now()
        )
        return Response(render_checkout(view))

    def payment(self, request: Request, checkout_id) -> Response:
        """Place the order if that is not done, and open the payment of exactly its total."""
        body = serializers.Pay.read(request)
        order, payment = services.pay(
            actor=actor_of(request), checkout_id=checkout_id, now=timezone.now(), **body
        )
        return Response(
            {
                "order": {
                    "id": str(order.id),
                    "number": order.number,
                    "status": order.status,
                    "paymentStatus": order.payment_status,
                },
                "payment": render_payment(payment) if payment else None,
            }
        )

    def complete(self, request: Request, checkout_id) -> Response:
        """Settle the payment and confirm the order."""
        body = serializers.Complete.read(request)
        order = services.complete(
            actor=actor_of(request), checkout_id=checkout_id, now=timezone.now(), **body
        )
        return Response(render_order(order, staff=actor_of(request).is_staff))

    def cancel(self, request: Request, checkout_id) -> Response:
        """Give the checkout up; the cart stays, or gets its lines back."""
        serializers.Nothing.read(request)
        actor, now = actor_of(request), timezone.now()
        services.cancel(actor=actor, checkout_id=checkout_id, now=now)
        return Response(
            render_checkout(selectors.view(actor=actor, checkout_id=checkout_id, now=now))
        )


class PaymentViewSet(ApiViewSet):
    """Payments of the caller's orders; capture and refund by staff."""

    limits = {"intent": "payment", "add": "payment"}
    idempotency_required = {"intent", "capture", "refund", "refund_items"}
    staff_only = frozenset({"capture", "refund", "refund_items"})
    rights = {
        "capture": "checkout.change_payment",
        **dict.fromkeys(("refund", "refund_items"), "checkout.add_refund"),
    }

    def get_permissions(self):
        if self.action in {"by_order", "add"}:
            return [KnownOrLinked()]
        return [Staff()] if self.action in self.staff_only else [Known()]

    def intent(self, request: Request) -> Response:
        """Open a payment for an order by its amount."""
        body = serializers.Intent.read(request)
        actor = actor_of(request)
        payment = services.open_intent(
            actor=actor,
            order_id=orders.find_id(actor=actor, reference=body["order_id"]),
            amount=_amount(body["amount"], body["currency"]),
            currency=body["currency"],
            method=body["method"],
            now=timezone.now(),
        )
        return Response(render_payment(payment), status=201)

    @extend_schema(parameters=[LinkQuery])
    def add(self, request: Request, reference: str) -> Response:
        """
        Open another payment for an order, after one that failed.

        `?token=` from the mail of a guest's order lets its reader pay too.
        """
        body = serializers.AddPayment.read(request)
        owner, order = self._owner(request, reference)
        payment = services.start_payment(
            actor=owner,
            order_id=order.id,
            method=body["method"],
            now=timezone.now(),
        )
        return Response(render_payment(payment), status=201)

    def capture(self, request: Request) -> Response:
        """Collect an authorised payment; staff only."""
        body = serializers.Capture.read(request)
        payment = selectors.find_payment(actor=actor_of(request), payment_id=body["payment_id"])
        payment = services.capture(
            actor=actor_of(request),
            payment_id=payment.id,
            amount=_amount(body["amount"], payment.currency) if "amount" in body else None,
            now=timezone.now(),
        )
        return Response(render_payment(payment))

    def refund(self, request: Request) -> Response:
        """Refund a payment, whole or in part; staff only."""
        body = serializers.RefundInput.read(request)
        payment = selectors.find_payment(actor=actor_of(request), payment_id=body["payment_id"])
        payment = services.refund_payment(
            actor=actor_of(request),
            payment_id=payment.id,
            amount=_amount(body["amount"], payment.currency) if "amount" in body else None,
            reason=body["reason"],
            now=timezone.now(),
        )
        return Response(render_payment(payment), status=201)

    def refund_items(self, request: Request, reference: str) -> Response:
        """Refund units of an order and a part of its shipping; staff only."""
        body = serializers.RefundItems.read(request)
        actor = actor_of(request)
        order = orders.find(actor=actor, reference=reference)
        services.refund_units(
            actor=actor,
            order_id=order.id,
            units=[Units(item["item_id"], item["quantity"]) for item in body["items"]],
            shipping=_amount(body["shipping"], order.currency, "shipping", free=bool(body["items"]))
            if "shipping" in body
            else Decimal(0),
            reason=body["reason"],
            now=timezone.now(),
        )
        return Response(render_order(orders.find(actor=actor, reference=reference), staff=True))

    def retrieve(self, request: Request, payment_id) -> Response:
        """Return a payment."""
        return Response(
            render_payment(selectors.find_payment(actor=actor_of(request), payment_id=payment_id))
        )

    @extend_schema(parameters=[LinkQuery])
    def by_order(self, request: Request, reference: str) -> Response:
        """List the payments of an order, newest first; `?token=` from the mail of a guest's order opens them too."""
        owner, order = self._owner(request, reference)
        return Response(
            {
                "results": [
                    render_payment(payment)
                    for payment in selectors.payments_of(actor=owner, order_id=order.id)
                ],
                "next": None,
                "previous": None,
            }
        )

    def _owner(self, request: Request, reference: str):
        return orders.find_as_owner(
            actor=actor_of(request), reference=reference, token=link_of(request)
        )

    def simulate(self, request: Request, payment_id) -> Response:
        """Let the `test` provider, its customer or bank do something, and tell us."""
        body = serializers.Simulate.read(request)
        payment = services.simulate(
            actor=actor_of(request),
            payment_id=payment_id,
            outcome=Outcome(body["outcome"]),
            delivery=Delivery(body["delivery"]),
            now=timezone.now(),
        )
        return Response(render_payment(payment))


class HealthView(ApiView):
    """The checkout part of the health report (CHK-08)."""

    permission_classes = [Anyone]

    def get(self, request: Request) -> Response:
        """Say how one can pay; how much waits is for staff."""
        actor = actor_of(request)
        waiting = selectors.health(actor=actor, now=timezone.now())
        told = {"status": "ok", "paymentMethods": [method.id for method in methods()]}
        return Response(told | (waiting if actor.is_staff else {}))


def _amount(text: str, currency: str, field: str = "amount", *, free: bool = False) -> Decimal:
    """Return an amount that was sent; nothing is one where it is `free`."""
    try:
        amount = parse_amount(text, currency)
    except ValueError as problem:
        raise ValidationFailed(errors=[FieldError(field, "invalid", str(problem))]) from None
    if amount < 0 or not (amount or free):
        raise ValidationFailed(
            errors=[FieldError(field, "min_value", "This must be more than nothing.")]
        )
    return amount
