"""Points of customers: their own, and what staff give or take."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform import flags
from config.platform.http import ApiView, Input, SignedIn, Staff, actor_of, page, timestamp
from pricing import selectors, services
from pricing.api.serializers import ListOutput
from pricing.models import LoyaltyEntry, LoyaltyTier
from pricing.money import format_amount

LATEST = 10


class TierOutput(serializers.Serializer):
    name = serializers.CharField()
    fromPoints = serializers.IntegerField()
    bonusPercent = serializers.IntegerField()


class NextTierOutput(TierOutput):
    pointsToGo = serializers.IntegerField()


class EntryOutput(serializers.Serializer):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=LoyaltyEntry.Kind.choices)
    points = serializers.IntegerField(
        help_text="Signed: what was spent, taken or ran out is negative."
    )
    balance = serializers.IntegerField()
    orderId = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()
    at = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField(allow_null=True)


class LoyaltyOutput(serializers.Serializer):
    """`worth` is what the balance takes off goods in `currency`, the only one in which points are spent."""

    balance = serializers.IntegerField()
    worth = serializers.CharField()
    currency = serializers.CharField()
    pointValue = serializers.CharField()
    pointsPerUnit = serializers.CharField()
    yearPoints = serializers.IntegerField(help_text="Earned within the last 365 days.")
    tier = TierOutput(allow_null=True)
    nextTier = NextTierOutput(allow_null=True)
    nextExpiryAt = serializers.DateTimeField(allow_null=True)
    entries = EntryOutput(many=True, help_text="The latest, newest first.")


class EntryListOutput(ListOutput):
    results = EntryOutput(many=True)


class AdjustInput(Input):
    """Negative `points` are taken."""

    user_id = serializers.UUIDField()
    points = serializers.IntegerField(min_value=-1_000_000_000, max_value=1_000_000_000)
    reason = serializers.CharField(max_length=200)


def entry_json(entry: LoyaltyEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "points": entry.points,
        "balance": entry.balance,
        "orderId": entry.order_id,
        "reason": entry.reason,
        "at": timestamp(entry.at),
        "expiresAt": timestamp(entry.expires_at) if entry.expires_at else None,
    }


def _tier(tier: LoyaltyTier | None, **more: int) -> dict[str, Any] | None:
    if tier is None:
        return None
    return {
        "name": tier.name,
        "fromPoints": tier.from_points,
        "bonusPercent": tier.bonus_percent,
        **more,
    }


@extend_schema(tags=["loyalty"])
class LoyaltyView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(responses=LoyaltyOutput)
    def get(self, request: Request) -> Response:
        """Tell the caller's points, what they are worth, the tier, and the latest entries."""
        actor = actor_of(request)
        assert actor.user_id is not None  # who is signed in has an account
        found = selectors.loyalty_of(actor=actor, now=timezone.now())
        entries = selectors.loyalty_entries(actor=actor, user_id=actor.user_id)[:LATEST]
        return Response(
            {
                "balance": found.balance,
                "worth": format_amount(found.worth, found.currency),
                "currency": found.currency,
                "pointValue": f"{found.point_value.normalize():f}",
                "pointsPerUnit": f"{found.points_per_unit.normalize():f}",
                "yearPoints": found.year_points,
                "tier": _tier(found.tier),
                "nextTier": _tier(found.next_tier, pointsToGo=found.points_to_go),
                "nextExpiryAt": timestamp(found.ending_at) if found.ending_at else None,
                "entries": [entry_json(entry) for entry in entries],
            }
        )


@extend_schema(tags=["loyalty"])
class EntriesView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(operation_id="loyalty_entries_list", responses=EntryListOutput)
    def get(self, request: Request) -> Response:
        """List all changes of the caller's points, newest first."""
        flags.require(selectors.LOYALTY_FLAG)
        actor = actor_of(request)
        assert actor.user_id is not None
        rows = selectors.loyalty_entries(actor=actor, user_id=actor.user_id)
        return Response(page(rows, request, render=entry_json))


@extend_schema(tags=["loyalty"])
class AdjustView(ApiView):
    permission_classes = [Staff]
    rights = {"post": "pricing.change_loyaltyaccount"}

    @extend_schema(request=AdjustInput, responses={201: EntryOutput})
    def post(self, request: Request) -> Response:
        """Give a customer points or take some, with the reason that the customer reads. Staff only."""
        flags.require(selectors.LOYALTY_FLAG)
        given = AdjustInput.read(request)
        entry = services.adjust_points(actor=actor_of(request), now=timezone.now(), **given)
        return Response(entry_json(entry), status=201)
