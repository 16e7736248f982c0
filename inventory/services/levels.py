"""Stock levels and holds in memory, and which level serves a demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from config.platform.models import new_id
from inventory.models import Reservation
from inventory.services.claims import Claim

ACTIVE = Reservation.Status.ACTIVE.value
EXPIRED = Reservation.Status.EXPIRED.value
COMPLETED = Reservation.Status.COMPLETED.value
CANCELLED = Reservation.Status.CANCELLED.value
_CLAIM = ("cart_id", "line_id", "order_id", "order_line_id")
OWNERSHIP = (*_CLAIM, "holder", "address", "started_at", "expires_at")


@dataclass(slots=True, kw_only=True)
class Level:
    """One stock level under lock. `rank` orders warehouses; a level that is not `usable` serves nobody new."""

    id: UUID
    variant_id: UUID
    sku: str
    on_backorder: bool
    warehouse: str
    rank: tuple[int, str]
    usable: bool
    available: int
    reserved: int
    backordered: int
    backorder_limit: int | None
    reorder_level: int
    is_low: bool
    is_awaited: bool
    before: tuple[int, int, int] = (0, 0, 0)

    @property
    def total(self) -> int:
        return self.available + self.reserved

    @property
    def backorder_room(self) -> int | None:
        """How many more units may be promised beyond stock; None is without limit."""
        if not self.on_backorder or not self.usable:
            return 0
        return (
            None
            if self.backorder_limit is None
            else max(self.backorder_limit - self.backordered, 0)
        )

    @property
    def figures(self) -> tuple[int, int, int]:
        return self.available, self.reserved, self.backordered


@dataclass(slots=True, kw_only=True)
class HeldUnits:
    """One reservation row of the books. `quantity` units are taken from stock, `backordered` are owed."""

    id: UUID
    stock_level_id: UUID
    cart_id: UUID | None
    line_id: UUID | None
    order_id: UUID | None
    order_line_id: UUID | None
    holder: str
    address: str
    quantity: int
    backordered: int
    status: str
    started_at: datetime
    expires_at: datetime
    is_new: bool = False
    is_touched: bool = False
    before: tuple[Claim, int] | None = None  # whose how many units were when the books were opened

    @property
    def units(self) -> int:
        return self.quantity + self.backordered

    @property
    def claim(self) -> Claim | None:
        return Claim.of(**{name: getattr(self, name) for name in _CLAIM})

    @classmethod
    def template(
        cls,
        *,
        line_id: UUID | None,
        holder: str,
        address: str,
        started_at: datetime,
        expires_at: datetime,
        cart_id: UUID | None = None,
        order_id: UUID | None = None,
        order_line_id: UUID | None = None,
    ) -> HeldUnits:
        """Return whose a hold shall be and until when, without units."""
        return cls(
            id=new_id(),
            stock_level_id=new_id(),
            cart_id=cart_id,
            line_id=line_id,
            order_id=order_id,
            order_line_id=order_line_id,
            holder=holder,
            address=address,
            quantity=0,
            backordered=0,
            status=ACTIVE,
            started_at=started_at,
            expires_at=expires_at,
            is_new=True,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a demand: so many units from one level, so many owed by it."""

    level: Level
    quantity: int
    backordered: int


def allocate(levels: Sequence[Level], quantity: int) -> list[Part] | None:
    """
    Return which levels serve `quantity` units, or None if they cannot.

    One warehouse that can serve all of it comes first, so that an order is one parcel; else units are taken by
    rank, and what then is missing is promised beyond stock where the policy allows it.
    """
    ranked = sorted((level for level in levels if level.usable), key=lambda level: level.rank)
    for level in ranked:
        if level.available >= quantity:
            return [Part(level, quantity, 0)]
    taken = {level.id: 0 for level in ranked}
    owed = dict(taken)
    rest = quantity
    for level in ranked:
        taken[level.id] = min(level.available, rest)
        rest -= taken[level.id]
    for level in ranked:
        room = level.backorder_room
        owed[level.id] = rest if room is None else min(room, rest)
        rest -= owed[level.id]
    if rest:
        return None
    return [
        Part(level, taken[level.id], owed[level.id])
        for level in ranked
        if taken[level.id] or owed[level.id]
    ]
