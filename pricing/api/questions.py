"""What would this cost, and can it be had."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import Anyone, ApiView, actor_of
from pricing import engine, selectors, services
from pricing.api import serializers
from pricing.api.base import currency_of
from pricing.errors import DiscountExpired, DiscountInvalid, DiscountLimitReached


class Question(ApiView):
    """A POST that changes nothing, open to everybody."""

    permission_classes = [Anyone]


@extend_schema(tags=["products"])
class ValidateView(Question):
    @extend_schema(request=serializers.ValidateInput, responses=serializers.OfferOutput)
    def post(self, request: Request) -> Response:
        """Say whether a variant may go into a cart in this quantity, and why not."""
        given = serializers.ValidateInput.read(request)
        currency = currency_of(request, given)
        [offer] = selectors.offers(
            actor=actor_of(request), wanted=serializers.wanted([given]), currency=currency
        )
        return Response(serializers.offer_json(offer, currency))


@extend_schema(tags=["products"])
class ValidateBulkView(Question):
    limits = {"post": "bulk"}

    @extend_schema(request=serializers.ItemsInput, responses=serializers.OffersOutput)
    def post(self, request: Request) -> Response:
        """The same for many lines, each judged by itself."""
        given = serializers.ItemsInput.read(request)
        currency = currency_of(request, given)
        offers = selectors.offers(
            actor=actor_of(request), wanted=serializers.wanted(given["items"]), currency=currency
        )
        return Response(
            {
                "valid": all(offer.is_valid for offer in offers),
                "results": [serializers.offer_json(offer, currency) for offer in offers],
            }
        )


def _quote(request: Request, given: dict[str, Any], **asked: Any) -> engine.Quote:
    actor = actor_of(request)
    basket = selectors.basket_of(
        actor=actor,
        wanted=serializers.wanted(given["items"]),
        currency=currency_of(request, given),
        **asked,
    )
    return services.quote(actor=actor, basket=basket, now=timezone.now())


@extend_schema(tags=["checkout"])
class DiscountValidateView(Question):
    limits = {"post": "apply_discount"}

    @extend_schema(request=serializers.DiscountInput, responses=serializers.DiscountOutput)
    def post(self, request: Request) -> Response:
        """
        Say whether a code would take effect, without applying it.

        Without `items` only the code itself is judged: that it exists, its time and its limits.
        """
        given = serializers.DiscountInput.read(request)
        actor = actor_of(request)
        currency = currency_of(request, given)
        basket = selectors.basket_of(
            actor=actor, wanted=serializers.wanted(given.get("items", ())), currency=currency
        )
        answer: dict[str, Any] = {
            "valid": True, "code": given["code"], "reason": None, "errorCode": None, "message": None,
            "amount": None, "currency": currency,
        }  # fmt: skip
        now = timezone.now()
        try:
            answer["code"] = code = services.check_code(
                actor=actor, code=given["code"], basket=basket, now=now
            )
        except (DiscountInvalid, DiscountExpired, DiscountLimitReached) as refused:
            answer["code"] = refused.extra.get("code", given["code"])
            if given.get("items") or refused.extra["reason"] not in engine.ABOUT_THE_BASKET:
                answer |= {
                    "valid": False,
                    "reason": refused.extra["reason"],
                    "errorCode": refused.code,
                    "message": refused.detail,
                }
            return Response(answer)
        quote = services.quote(
            actor=actor, basket=dataclasses.replace(basket, codes=(code,)), now=now
        )
        answer["amount"] = quote.format(
            sum(
                (item.amount for item in quote.discounts if item.code == code),
                quote.totals.subtotal * 0,
            )
        )
        return Response(answer)
