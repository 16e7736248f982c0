"""Holds that staff let go, with a reason that stays."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from config.platform import audit
from config.platform.actor import Actor
from inventory.events import Why
from inventory.services.books import Books
from inventory.services.demands import variants_where
from inventory.services.levels import CANCELLED

_CHOSEN = "r.status = 'ACTIVE' AND r.company_id = %(company)s AND r.id = ANY(%(chosen)s)"


@transaction.atomic
def release_holds(
    *, actor: Actor, reservation_ids: Collection[UUID], reason: str = "", now: datetime
) -> int:
    """
    Return the units of these holds to the shelf at once, whoever they were kept for; return how many holds still lived.

    An audit entry for each says whose it was. Ids of other companies, and holds that ended meanwhile, are passed over.
    """
    books = Books.open(
        company_id=actor.company_id,
        variants=variants_where(_CHOSEN),
        holds=_CHOSEN,
        chosen=list(reservation_ids),
        now=now,
    )
    released = list(books.holds.values())
    for hold in released:
        books.give_back(hold)
        books.close(hold, CANCELLED)
    if not released:
        return 0
    audit.record_each(
        actor=actor,
        action="hold.released",
        object_type="reservation",
        changes=[
            (
                hold.id,
                {
                    "sku": books.levels[hold.stock_level_id].sku,
                    "quantity": hold.quantity,
                    "backordered": hold.backordered,
                    "cart": hold.cart_id,
                    "order": hold.order_id,
                    "status": "ACTIVE",
                },
                {"status": CANCELLED},
            )
            for hold in released
        ],
        reason=reason,
        now=now,
    )
    books.write(actor=actor, now=now, why=Why.STAFF)
    return len(released)
