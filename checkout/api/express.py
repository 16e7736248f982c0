"""Buying from the cart with a wallet. What is not offered here says so; the standard checkout always is."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import services
from checkout.api.serializers import Nothing
from checkout.rendering import render_apple_pay, render_google_pay
from checkout.services import express
from config.platform.http.authentication import Anyone
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.views import ApiViewSet
from orders.rendering import render_order
from pricing.money import format_amount


class Approved(Input):
    """`quoteId` accepts the total that it names, where it is another than the one approved at PayPal."""

    order_id = serializers.RegexField(r"^[A-Za-z0-9-]{1,64}\Z", max_length=64)
    quote_id = serializers.CharField(max_length=64, required=False, default="")


class Sheet(Input):
    """`validationUrl`: as the device got it from Apple (`event.validationURL`)."""

    validation_url = serializers.CharField(max_length=300)


class BegunOutput(serializers.Serializer):
    orderId = serializers.CharField(help_text="PayPal's.")
    approveUrl = serializers.CharField(help_text="Where the customer approves it.")
    checkoutId = serializers.UUIDField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    quoteId = serializers.CharField()


class SheetOutput(serializers.Serializer):
    checkoutId = serializers.UUIDField()
    quoteId = serializers.CharField()
    environment = serializers.ChoiceField(choices=["TEST", "PRODUCTION"])
    paymentDataRequest = serializers.DictField(help_text="Google's, for loadPaymentData().")


class AppleSheetOutput(serializers.Serializer):
    checkoutId = serializers.UUIDField()
    quoteId = serializers.CharField()
    merchantSession = serializers.DictField(help_text="Apple's, for completeMerchantValidation().")
    paymentRequest = serializers.DictField(help_text="Apple's ApplePayPaymentRequest.")


class ExpressViewSet(ApiViewSet):
    """One address for each wallet (EXP-01…03). Switch first: who is switched off need not sign in to learn it."""

    permission_classes = [Anyone]
    limits = {
        "apple_pay_session": "checkout",
        "google_pay_session": "checkout",
        "paypal_create_order": "payment",
        "paypal_capture": "payment",
    }

    @extend_schema(request=Sheet, responses=AppleSheetOutput)
    def apple_pay_session(self, request: Request) -> Response:
        """Hold what is in the caller's cart, and return Apple's session with what Apple Pay's sheet shows."""
        express.require("apple-pay")
        body = Sheet.read(request)
        session, view = services.begin_apple_pay(
            actor=actor_of(request), now=timezone.now(), **body
        )
        return Response(render_apple_pay(session, view))

    @extend_schema(request=Nothing, responses=SheetOutput)
    def google_pay_session(self, request: Request) -> Response:
        """Hold what is in the caller's cart, and return what Google Pay's sheet is opened with."""
        express.require("google-pay")
        Nothing.read(request)
        view = services.begin_google_pay(actor=actor_of(request), now=timezone.now())
        return Response(render_google_pay(view))

    @extend_schema(request=Nothing, responses={201: BegunOutput})
    def paypal_create_order(self, request: Request) -> Response:
        """Hold what is in the caller's cart, and make the PayPal order that the customer approves."""
        express.require("paypal")
        Nothing.read(request)
        begun = services.begin_paypal(actor=actor_of(request), now=timezone.now())
        quote = begun.view.quote
        return Response(
            {
                "orderId": begun.order_id,
                "approveUrl": begun.approve_url,
                "checkoutId": str(begun.view.checkout.id),
                "amount": format_amount(begun.amount, quote.currency),
                "currency": quote.currency,
                "quoteId": quote.id,
            },
            status=201,
        )

    def paypal_capture(self, request: Request) -> Response:
        """
        Place and pay the order that the customer has approved at PayPal; address and e-mail come from there.

        Where the total has become another, it answers 409 `PRICE_CHANGED`: show the new one, and send its `quoteId`.
        """
        express.require("paypal")
        body = Approved.read(request)
        actor = actor_of(request)
        order = services.capture_paypal(actor=actor, now=timezone.now(), **body)
        return Response(render_order(order, staff=actor.is_staff))
