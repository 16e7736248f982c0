"""Whom news about a thing concerns: customers who have it in a cart, on a list or on their wishlist."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from cart.models import Cart, CartLine, Wish
from inventory.models import Reservation


def list_keepers_of(
    *, variant_ids: Collection[UUID], added_by: datetime | None = None
) -> set[UUID]:
    """Return the accounts that have any of these in an open cart, in any list, put there until `added_by`: one statement."""
    lines = CartLine.objects.filter(
        variant_id__in=variant_ids, cart__status__in=Cart.OPEN, cart__user_id__isnull=False
    )
    if added_by is not None:
        lines = lines.filter(added_at__lte=added_by)
    return _known(lines.values_list("cart__user_id", flat=True))


def aside_keepers_of(
    *,
    variant_ids: Collection[UUID],
    added_by: datetime | None = None,
    user_ids: Collection[UUID] | None = None,
) -> set[tuple[UUID, UUID]]:
    """
    Return who keeps which of these for later or for next time in an open cart, put there until `added_by`: one statement.

    Who has it on their wishlist too is left out: wishes have news of their own.
    """
    lines = CartLine.objects.filter(
        variant_id__in=variant_ids,
        list__in=[CartLine.List.SAVED, CartLine.List.NEXT],
        cart__status__in=Cart.OPEN,
        cart__user_id__isnull=False,
    ).exclude(
        Exists(
            Wish.objects.filter(
                variant_id=OuterRef("variant_id"), wishlist__user_id=OuterRef("cart__user_id")
            )
        )
    )
    if added_by is not None:
        lines = lines.filter(added_at__lte=added_by)
    if user_ids is not None:
        lines = lines.filter(cart__user_id__in=user_ids)
    return {
        (user_id, variant_id)
        for user_id, variant_id in lines.values_list("cart__user_id", "variant_id")
        if user_id is not None
    }


def keepers_of(*, variant_ids: Collection[UUID]) -> set[UUID]:
    """Return the accounts that have any of these in an open cart or on their wishlist: two statements."""
    wishes = Wish.objects.filter(variant_id__in=variant_ids, wishlist__user_id__isnull=False)
    return list_keepers_of(variant_ids=variant_ids) | _known(
        wishes.values_list("wishlist__user_id", flat=True)
    )


def unheld_buyers_of(*, variant_id: UUID, now: datetime) -> set[UUID]:
    """Return the accounts that have a variant in their active list and hold none of it: one statement."""
    held = Reservation.objects.filter(
        line_id=OuterRef("pk"), status=Reservation.Status.ACTIVE, expires_at__gt=now
    )
    lines = CartLine.objects.filter(
        ~Exists(held),
        variant_id=variant_id,
        list=CartLine.List.ACTIVE,
        cart__status__in=Cart.OPEN,
        cart__user_id__isnull=False,
    )
    return _known(lines.values_list("cart__user_id", flat=True))


def _known(user_ids: Iterable[UUID | None]) -> set[UUID]:
    return {user_id for user_id in user_ids if user_id is not None}
