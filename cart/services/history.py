"""Going back: a version of this cart, a cart of the past, what an order was for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cart import selectors
from cart.errors import CartNotFound
from cart.events import ItemsChanged
from cart.models import Cart, CartEvent, CartLine
from cart.selectors.state import ACTIVE, Line, load_lines
from cart.selectors.views import CartView
from cart.services import texts
from cart.services.carts import ensure_for_write
from cart.services.change import Change, changing, new_line, open_cart, snapshot
from cart.services.codes import MOST_CODES
from cart.services.transfer import Row, Source, bring, render, settle_short, sources_of, unbuyable
from config.platform.actor import Actor


@dataclass(frozen=True, slots=True)
class Brought:
    """A cart after lines were brought in, and what became of each."""

    view: CartView
    report: list[dict[str, Any]]


@changing
def re_add(*, actor: Actor, cart_id: UUID, now: datetime) -> Brought:
    """
    Put what was in a cart of the past into the caller's cart, at today's prices.

    :raises CartNotFound: if it is not theirs
    """
    cart = selectors.find(actor=actor, cart_id=cart_id)
    return _bring_lines(actor=actor, cart=cart, event="cart.re_added", now=now)


@changing
def bring_in(
    *,
    actor: Actor,
    sources: Sequence[Source],
    event: str,
    codes: Sequence[str] = (),
    now: datetime,
) -> Brought:
    """
    Put lines from anywhere into the caller's cart, at today's prices; what does not fit is reported, not refused.

    `codes` are put on the cart too, as far as it takes more.

    Each row of the report also says how many units it `added` to the cart.

    :raises CartNotFound, CartExpired, CartMerged: if a guest's token opens no cart
    """
    change = ensure_for_write(
        actor=actor, now=now, variant_ids={source.variant_id for source in sources}
    )
    before = {line.id: line.quantity for line in change.in_list(ACTIVE)}
    rows = bring(change, sources)
    known = change.head.codes
    change.head.codes = [*known, *(code for code in codes if code not in known)][:MOST_CODES]
    if any(row.item_id for row in rows):
        change.announce(ItemsChanged, line_ids=[str(row.item_id) for row in rows if row.item_id])
        view = change.commit(event, summary=f"{len(rows)}")
    else:
        view = change.view()
    after = {line.id: line.quantity for line in change.in_list(ACTIVE)}
    report = render(rows, view.currency)
    for row, told in zip(rows, report, strict=True):
        own = after.get(row.item_id, 0) if row.item_id else 0
        told["added"] = own - before.get(row.item_id, 0) if row.item_id and own else 0
    return Brought(view, report)


def _bring_lines(*, actor: Actor, cart: Cart, event: str, now: datetime) -> Brought:
    lines = list(
        CartLine.objects.filter(cart=cart, list=ACTIVE)
        .select_related("variant", "product")
        .order_by("added_at", "id")
    )
    sources = sources_of(lines)
    change = ensure_for_write(
        actor=actor, now=now, variant_ids={source.variant_id for source in sources}
    )
    if change.head.id == cart.id or not sources:
        return Brought(change.view(), [])
    rows = bring(change, sources)
    change.announce(ItemsChanged, line_ids=[str(row.item_id) for row in rows if row.item_id])
    view = change.commit(event, summary=f"{len(rows)}")
    return Brought(view, render(rows, view.currency))


@changing
def restore_version(
    *,
    actor: Actor,
    version: int,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> Brought:
    """
    Bring the lines and codes back to what they were at an earlier version, at today's prices and stock.

    Works from the log: what happened since is undone, newest first. What is no longer sold stays out, what is short
    is lowered.

    :raises CartNotFound: if the cart never had this version
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    if not 1 <= version <= change.head.version:
        raise CartNotFound("The cart never had this version.")
    lines, codes = _at_version(change, version)
    current = {str(line.id): line for line in change.lines}
    same = {id for id, kept in lines.items() if id in current and snapshot(current[id]) == kept}
    gone = [line for id, line in current.items() if id not in same]
    for line in gone:
        change.remove(line)
    wanted = {id: kept for id, kept in lines.items() if id not in same}
    rows = _insert_kept(change, wanted, gone)
    change.head.codes = codes
    change.announce(ItemsChanged, line_ids=[str(row.item_id) for row in rows if row.item_id])
    view = change.commit("cart.version_restored", summary=str(version))
    return Brought(view, render(rows, view.currency))


def _at_version(change: Change, version: int) -> tuple[dict[str, dict[str, Any]], list[str]]:
    lines = {str(line.id): snapshot(line) for line in change.lines}
    codes = change.head.codes
    events = CartEvent.objects.filter(cart_id=change.head.id, version__gt=version)
    for changes in events.order_by("-version", "-id").values_list("changes", flat=True):
        for line_id, (before, _after) in changes.get("lines", {}).items():
            if before is None:
                lines.pop(line_id, None)
            else:
                lines[line_id] = before
        codes = changes.get("codes", [codes])[0]
    return lines, codes


def _insert_kept(change: Change, wanted: dict[str, dict[str, Any]], gone: list[Line]) -> list[Row]:
    """Insert lines as the log keeps them; their variants are read where the cart does not know them."""
    facts = {line.variant_id: line.facts for line in gone}
    ids = {UUID(kept["variantId"]) for kept in wanted.values()}
    if ids:
        _lines, found = load_lines(head=change.head, now=change.now, variant_ids=ids)
        facts |= {known.variant_id: known for known in found}
    rows, placed = [], {}
    for kept in sorted(wanted.values(), key=lambda kept: kept["addedAt"]):
        known = facts.get(UUID(kept["variantId"]))
        row = Row(
            sku=kept["sku"],
            name=known.name if known else kept["sku"],
            action="kept",
            quantity=kept["quantity"],
            requested=kept["quantity"],
        )
        rows.append(row)
        reason = unbuyable(change, known)
        if known is None or (reason is not None and kept["list"] == ACTIVE):
            row.action, row.quantity, row.reason = "dropped", 0, reason or "PRODUCT_NOT_FOUND"
            continue
        customization = kept.get("customization", {})
        line = new_line(
            facts=known,
            list_=kept["list"],
            quantity=kept["quantity"],
            now=change.now,
            note=kept.get("note", ""),
            customization=customization,
            customization_hash=texts.hash_of(customization),
            metadata=kept.get("metadata", {}),
            bundle_id=UUID(kept["bundleId"]) if kept.get("bundleId") else None,
            group_id=UUID(kept["groupId"]) if kept.get("groupId") else None,
            copy=kept.get("copy", 0),
        )
        line.added_at = datetime.fromisoformat(kept["addedAt"])
        change.insert(line)
        row.item_id, row.unit_price = line.id, known.price
        if line.list == ACTIVE:
            placed[line.id] = row
    settle_short(change, placed, {})
    return rows
