"""What time does to carts, in sets: abandoned, moved to the next purchase, expired, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import PROTECT, Min, Q

from cart.events import CartAbandoned, CartExpired, CartUpdated
from cart.models import Cart, CartPolicy, CartSession
from config.platform import outbox
from config.platform.actor import Actor
from config.platform.events import Event
from inventory import services as inventory
from inventory.models import Reservation

KEEP_ABANDONED = timedelta(days=90)  # RET-02
KEEP_EXPIRED = timedelta(days=90)

# Chosen and locked at once; carts somebody is working on are left for the next run.
_MARK = """
    WITH due AS (
        SELECT cart.id FROM carts cart
          LEFT JOIN cart_policies policy ON policy.company_id = cart.company_id
         WHERE cart.status = 'ACTIVE' AND cart.checkout_id IS NULL
           AND cart.last_activity_at < %(latest)s
           AND cart.last_activity_at < %(now)s - COALESCE(
               policy.abandonment_threshold_minutes * interval '1 minute', %(threshold)s)
           AND cart.expires_at > %(now)s
           AND EXISTS (SELECT 1 FROM cart_items line WHERE line.cart_id = cart.id AND line.list = 'active')
         ORDER BY cart.last_activity_at
         LIMIT %(limit)s
           FOR NO KEY UPDATE OF cart SKIP LOCKED
    ), marked AS (
        UPDATE carts SET status = 'ABANDONED', version = carts.version + 1, abandoned_at = %(now)s,
               abandonment_cycle = carts.abandonment_cycle + 1, notifications_sent = 0, dismissed_at = NULL,
               next_notification_at = %(now)s, updated_at = %(now)s
          FROM due WHERE carts.id = due.id
        RETURNING carts.id, carts.company_id, carts.user_id, carts.version
    ), noted AS (
        INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
        SELECT gen_random_uuid(), marked.id, marked.version, 'cart.abandoned', 'system', '', '{}', %(now)s FROM marked
    )
    SELECT id, company_id, user_id, version FROM marked
"""
_EXPIRE = """
    WITH due AS (
        SELECT cart.id FROM carts cart
         WHERE cart.status = 'ACTIVE' AND cart.expires_at <= %(now)s AND cart.checkout_id IS NULL
         ORDER BY cart.expires_at
         LIMIT %(limit)s
           FOR NO KEY UPDATE SKIP LOCKED
    ), marked AS (
        UPDATE carts SET status = 'EXPIRED', version = carts.version + 1, updated_at = %(now)s
          FROM due WHERE carts.id = due.id
        RETURNING carts.id, carts.company_id, carts.user_id, carts.version
    ), noted AS (
        INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
        SELECT gen_random_uuid(), marked.id, marked.version, 'cart.expired', 'system', '', '{}', %(now)s FROM marked
    )
    SELECT id, company_id, user_id, version FROM marked
"""
_MOVE = """
    WITH due AS (
        SELECT cart.id FROM carts cart
          LEFT JOIN cart_policies policy ON policy.company_id = cart.company_id
         WHERE cart.status = 'ABANDONED' AND cart.user_id IS NOT NULL AND cart.checkout_id IS NULL
           AND cart.abandoned_at <= %(now)s
               - COALESCE(policy.abandonment_move_to_next_purchase_days, 7) * interval '1 day'
         ORDER BY cart.abandoned_at
         LIMIT %(limit)s
           FOR NO KEY UPDATE OF cart SKIP LOCKED
    ), moving AS (
        SELECT line.id, line.cart_id, line.quantity, twin.id AS twin_id
          FROM cart_items line
          JOIN due ON due.id = line.cart_id
          LEFT JOIN cart_items twin
            ON twin.cart_id = line.cart_id AND twin.list = 'next' AND twin.variant_id = line.variant_id
           AND twin.customization_hash = line.customization_hash AND twin.copy = line.copy
           AND twin.group_id IS NOT DISTINCT FROM line.group_id
         WHERE line.list = 'active'
    ), grown AS (
        UPDATE cart_items SET quantity = LEAST(cart_items.quantity + moving.quantity, %(most)s), updated_at = %(now)s
          FROM moving WHERE cart_items.id = moving.twin_id
    ), joined AS (
        DELETE FROM cart_items USING moving WHERE cart_items.id = moving.id AND moving.twin_id IS NOT NULL
    ), moved AS (
        UPDATE cart_items SET list = 'next', promised_price = NULL, updated_at = %(now)s
          FROM moving WHERE cart_items.id = moving.id AND moving.twin_id IS NULL
    ), marked AS (
        UPDATE carts SET status = 'ACTIVE', version = carts.version + 1, abandoned_at = NULL, notifications_sent = 0,
               next_notification_at = NULL, dismissed_at = NULL, item_count = 0, grand_total = 0, quote = NULL,
               quote_key = '', last_activity_at = %(now)s, updated_at = %(now)s,
               expires_at = GREATEST(carts.expires_at, %(now)s + interval '30 days')
          FROM due WHERE carts.id = due.id
        RETURNING carts.id, carts.company_id, carts.user_id, carts.version
    ), noted AS (
        INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
        SELECT gen_random_uuid(), marked.id, marked.version, 'cart.moved_to_next_purchase', 'system', '', '{}',
               %(now)s FROM marked
    )
    SELECT id, company_id, user_id, version FROM marked
"""


@transaction.atomic
def mark_abandoned(*, now: datetime, limit: int = 2_000) -> int:
    """
    Mark carts with something in them that nobody has touched for longer than the policy's threshold.

    Returns how many, at most `limit`; call again until it is fewer. Their first reminder is due at once; whether it
    goes out is decided then.
    """
    threshold = settings.CART_ABANDONMENT_THRESHOLD
    shortest = CartPolicy.objects.aggregate(least=Min("abandonment_threshold_minutes"))["least"]
    soonest = threshold if shortest is None else min(threshold, timedelta(minutes=shortest))
    # A bound of its own lets the index find the rows; it holds for every company.
    values = {"now": now, "limit": limit, "threshold": threshold, "latest": now - soonest}
    marked = _run(_MARK, values)
    return _announce(marked, CartAbandoned, now=now)


@transaction.atomic
def expire_due(*, now: datetime, limit: int = 2_000) -> int:
    """Close active carts whose life is over and release what they hold; returns how many, at most `limit`."""
    marked = _run(_EXPIRE, {"now": now, "limit": limit})
    _release(marked, now=now)
    return _announce(marked, CartExpired, now=now)


@transaction.atomic
def move_abandoned_to_next(*, now: datetime, limit: int = 2_000) -> int:
    """
    Keep what known customers abandoned a week ago for their next purchase; their carts are active and empty again.

    Returns how many carts, at most `limit`.
    """
    values = {"now": now, "limit": limit, "most": settings.CART_MAX_QUANTITY_PER_LINE}
    marked = _run(_MOVE, values)
    _release(marked, now=now)
    return _announce(marked, CartUpdated, now=now)


@transaction.atomic
def delete_old(*, now: datetime, limit: int = 1_000) -> int:
    """
    Delete carts that were abandoned or expired three months ago, and sessions without a cart; returns how many carts.

    A cart that something refers to, such as a checkout, is kept by it.
    """
    old = Cart.objects.filter(
        Q(status=Cart.Status.ABANDONED, abandoned_at__lt=now - KEEP_ABANDONED)
        | Q(status=Cart.Status.EXPIRED, updated_at__lt=now - KEEP_EXPIRED)
    )
    for relation in Cart._meta.related_objects:
        if relation.on_delete is PROTECT:
            old = old.filter(**{relation.field.related_query_name(): None})
    chosen = list(old.for_update(skip_locked=True).values_list("id", flat=True)[:limit])
    deleted = Cart.objects.filter(id__in=chosen).delete()[1].get("cart.Cart", 0)
    CartSession.objects.filter(expires_at__lt=now - KEEP_EXPIRED, carts=None).delete()
    return deleted


def _run(sql: str, values: dict[str, Any]) -> list[tuple[UUID, UUID, UUID | None, int]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _release(marked: list[tuple[UUID, UUID, UUID | None, int]], *, now: datetime) -> None:
    """Release what closed carts still hold; after days of silence that is next to nothing."""
    held = (
        Reservation.objects.filter(
            cart_id__in=[row[0] for row in marked],
            status=Reservation.Status.ACTIVE,
            order_line_id__isnull=True,
        )
        .order_by("cart_id")
        .values_list("cart_id", "company_id")
        .distinct()
    )
    for cart_id, company_id in held:
        assert cart_id is not None
        inventory.release_cart(actor=Actor.system(company_id), cart_id=cart_id, now=now)


def _announce(
    marked: list[tuple[UUID, UUID, UUID | None, int]], event: type[Event], *, now: datetime
) -> int:
    for company_id in dict.fromkeys(row[1] for row in marked):
        outbox.publish(
            *(
                event(
                    aggregate_id=cart_id,
                    cart_version=version,  # type: ignore[call-arg]
                    user_id=str(user_id) if user_id else None,
                )
                for cart_id, company, user_id, version in marked
                if company == company_id
            ),
            actor=Actor.system(company_id),
            now=now,
        )
    return len(marked)
