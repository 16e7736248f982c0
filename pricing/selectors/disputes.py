"""Price disputes, and the history of a price around an order."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from config.platform.actor import Actor
from pricing.errors import DisputeNotFound
from pricing.models import PriceChange, PriceDispute


def disputes(*, actor: Actor) -> QuerySet[PriceDispute]:
    """Return the disputes of the caller's company, the newest first; who may see which is decided by `orders`."""
    return PriceDispute.objects.filter(company_id=actor.company_id).order_by("-opened_at", "-id")


def find_dispute(*, actor: Actor, dispute_id: UUID) -> PriceDispute:
    """
    Return a dispute of the caller's company.

    :raises DisputeNotFound: if there is none
    """
    found = disputes(actor=actor).filter(pk=dispute_id).first()
    if found is None:
        raise DisputeNotFound
    return found


def price_history_of(dispute: PriceDispute) -> QuerySet[PriceChange]:
    """Return how the price of the disputed variant changed, in its currency: what staff need to decide, newest first."""
    return PriceChange.objects.filter(
        variant=dispute.variant_id, currency=dispute.currency
    ).order_by("-changed_at", "-id")
