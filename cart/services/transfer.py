"""Bringing lines from elsewhere into a cart: what came, what was joined, what did not fit, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from cart.models import CartLine
from cart.selectors.state import ACTIVE, NEXT, Facts, Line
from cart.services import texts
from cart.services.change import Change, new_line
from cart.services.lines import refusal_of
from inventory import services as inventory
from pricing.money import format_amount

KEPT, COMBINED, CAPPED, MOVED_TO_NEXT, DROPPED = (
    "kept",
    "combined",
    "capped",
    "moved_to_next",
    "dropped",
)


@dataclass(slots=True, kw_only=True)
class Row:
    """What became of one line. `old_price` is what it cost where it came from, `own_price` where it went."""

    sku: str
    name: str
    action: str
    quantity: int
    reason: str = ""
    item_id: UUID | None = None
    requested: int = 0
    old_price: Decimal | None = None
    own_price: Decimal | None = None
    unit_price: Decimal | None = None

    def to_json(self, currency: str) -> dict[str, Any]:
        def money(amount: Decimal | None) -> str | None:
            return None if amount is None else format_amount(amount, currency)

        return {
            "sku": self.sku,
            "name": self.name,
            "action": self.action,
            "quantity": self.quantity,
            "requested": self.requested,
            "reason": self.reason,
            "itemId": str(self.item_id) if self.item_id else None,
            "oldPrice": money(self.old_price),
            "ownPrice": money(self.own_price),
            "unitPrice": money(self.unit_price),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A line as it was elsewhere. What is held for `order_line_id` becomes the cart's."""

    variant_id: UUID
    sku: str
    name: str
    quantity: int
    price: Decimal | None = None
    note: str = ""
    customization: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    order_line_id: UUID | None = None


def sources_of(lines: Sequence[CartLine]) -> list[Source]:
    """Return stored lines as sources; they need their variant and product."""
    return [
        Source(
            variant_id=line.variant_id,
            sku=line.variant.sku,
            name=line.product.name,
            quantity=line.quantity,
            price=line.price_when_added,
            note=line.note,
            customization=line.customization,
            metadata=line.metadata,
        )
        for line in lines
    ]


def bring(change: Change, sources: Sequence[Source]) -> list[Row]:
    """
    Put lines from elsewhere into the active list, at today's prices, and hold them as far as stock goes.

    The facts of their variants must have been read with the cart. Nothing is refused: the report says what became of
    each line.
    """
    facts = {known.variant_id: known for known in change.candidates}
    rows: list[Row] = []
    placed: dict[UUID, Row] = {}
    before: dict[UUID, int] = {}
    held: dict[UUID, tuple[UUID, UUID]] = {}
    for source in sources:
        known = facts.get(source.variant_id)
        row = Row(
            sku=source.sku,
            name=source.name,
            action=KEPT,
            quantity=source.quantity,
            requested=source.quantity,
            old_price=source.price,
        )
        rows.append(row)
        line = _place(change, source, known, row, before)
        if line is not None:
            row.item_id, row.unit_price = line.id, line.facts.price
            placed[line.id] = row
            if source.order_line_id is not None:
                held[source.order_line_id] = (line.id, change.head.id)
    if change.holds_at_once:
        inventory.hand_back(actor=change.actor, line_map=held, now=change.now)
    settle_short(change, placed, before)
    return rows


def _place(
    change: Change, source: Source, facts: Facts | None, row: Row, before: dict[UUID, int]
) -> Line | None:
    if (reason := unbuyable(change, facts)) is not None or facts is None:
        row.action, row.quantity, row.reason = DROPPED, 0, reason or "PRODUCT_NOT_FOUND"
        return None
    hash_ = texts.hash_of(source.customization)
    there = [
        line
        for line in change.in_list(ACTIVE)
        if line.key[1:] == (facts.variant_id, hash_, None, 0)
    ]
    if there:
        line = there[0]
        before.setdefault(line.id, line.quantity)
        row.own_price = line.price_when_added
        wanted = line.quantity + source.quantity
        change.edit(line)
        line.quantity = min(wanted, settings.CART_MAX_QUANTITY_PER_LINE)
        row.action, row.quantity = COMBINED, line.quantity
        if line.quantity < wanted:
            row.action, row.reason = CAPPED, "CART_LIMIT_EXCEEDED"
        return line
    if not has_room(change):
        row.action, row.quantity, row.reason = DROPPED, 0, "CART_LIMIT_EXCEEDED"
        return None
    return change.insert(
        new_line(
            facts=facts,
            list_=ACTIVE,
            quantity=min(source.quantity, settings.CART_MAX_QUANTITY_PER_LINE),
            now=change.now,
            note=source.note,
            customization=source.customization,
            customization_hash=hash_,
            metadata=source.metadata,
        )
    )


def unbuyable(change: Change, facts: Facts | None) -> str | None:
    """Return the code of the reason why this cannot be bought at all, stock aside."""
    if facts is None:
        return "PRODUCT_NOT_FOUND"
    refused = refusal_of(facts, change.actor)
    if refused is not None:
        return refused.code
    return None if facts.price is not None else "PRICE_MISSING"


def has_room(change: Change) -> bool:
    return len(change.lines) < change.head.policy.max_cart_items_per_user


def settle_short(change: Change, placed: Mapping[UUID, Row], before: Mapping[UUID, int]) -> None:
    """
    Settle the holds of lines that came in; what is short is lowered to what is there, or waits for the next purchase.

    A line that was in the cart before never becomes smaller than it was (`before`).
    """
    optional = set(placed)
    for _attempt in range(2):
        short = [
            item
            for item in change.settle(optional=optional, refuse=False)
            if item.line_id in placed
        ]
        if not short:
            return
        for shortage in short:
            line, row = change.line(shortage.line_id), placed[shortage.line_id]
            least = before.get(line.id, 0)
            lowered = max(min(shortage.available, line.quantity - 1), least)
            row.reason = "ITEM_OUT_OF_STOCK"
            if _attempt == 0 and lowered >= 1:
                # What was here before keeps its own hold; only what came in is cut.
                change.edit(line, hold=lowered > least)
                line.quantity = lowered
                row.action, row.quantity = CAPPED, lowered
                continue
            if least:
                line.quantity = least
                row.action, row.quantity = CAPPED, least
                continue
            _wait(change, line, row)


def _wait(change: Change, line: Line, row: Row) -> None:
    twin = change.twin(line, NEXT)
    row.action, row.quantity = MOVED_TO_NEXT, row.requested or line.quantity
    if twin is not None:
        change.edit(twin, hold=False)
        twin.quantity = min(twin.quantity + row.quantity, settings.CART_MAX_QUANTITY_PER_LINE)
        row.item_id = twin.id
        change.remove(line)
        return
    change.edit(line, hold=False)
    line.list, line.quantity = NEXT, min(row.quantity, settings.CART_MAX_QUANTITY_PER_LINE)
    line.hold, line.promised_price, line.copy = None, None, 0


def render(rows: Sequence[Row], currency: str) -> list[dict[str, Any]]:
    return [row.to_json(currency) for row in rows]
