"""Whose units are kept aside, before and after a change: what `inventory.reserved` and `inventory.released` tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from inventory.events import HoldExpired, StockReleased, StockReserved, Why


class Claim(NamedTuple):
    """Who has units kept aside: a line of an order, else of a cart, else a request or a hold of no cart."""

    cart_id: UUID | None
    order_id: UUID | None
    line_id: UUID

    @classmethod
    def of(
        cls,
        *,
        cart_id: UUID | None,
        line_id: UUID | None,
        order_id: UUID | None,
        order_line_id: UUID | None,
    ) -> Claim | None:
        own = order_line_id or line_id
        return Claim(cart_id, order_id, own) if own else None


@dataclass(slots=True)
class _Part:
    """What a change means for one variant of one claim."""

    before: int = 0
    after: int = 0
    taken_over: int = 0
    sku: str = ""


class _Holder(NamedTuple):
    cart_id: UUID | None
    order_id: UUID | None
    line_id: UUID | None  # of what belongs to no cart and no order

    @classmethod
    def of(cls, claim: Claim) -> _Holder:
        alone = claim.cart_id is None and claim.order_id is None
        return cls(claim.cart_id, claim.order_id, claim.line_id if alone else None)


@dataclass(slots=True)
class Change:
    """
    The units each claim gained and lost in one change; `became` says which claim was handed to which.

    Rows of one line on several shelves are one claim, so that moving a line's units between shelves is no news.
    """

    became: Mapping[Claim, Claim]
    _parts: dict[tuple[Claim, UUID], _Part] = field(default_factory=dict)
    _lapsed: dict[tuple[Claim, UUID], _Part] = field(default_factory=dict)

    def lapse(self, claim: Claim, variant_id: UUID, sku: str, units: int) -> None:
        """Note units whose time ran out."""
        part = self._lapsed.setdefault((claim, variant_id), _Part(sku=sku))
        part.before += units

    def lose(self, claim: Claim, variant_id: UUID, sku: str, units: int) -> None:
        """Note what a claim had before the change."""
        heir = self.became.get(claim, claim)
        part = self._parts.setdefault((heir, variant_id), _Part(sku=sku))
        if heir == claim:
            part.before += units
        else:
            part.taken_over += units

    def gain(self, claim: Claim, variant_id: UUID, sku: str, units: int) -> None:
        """Note what a claim has after the change."""
        part = self._parts.setdefault((claim, variant_id), _Part(sku=sku))
        part.after += units

    def events(self, why: Why | None) -> list[StockReserved | StockReleased]:
        """
        Return one announcement per holder of what it gained, and per holder and reason of what it let go.

        Without `why` a line that keeps some of its units was reduced, and one that keeps none removed.
        """
        gained: dict[_Holder, list[dict[str, object]]] = {}
        freed: dict[tuple[_Holder, Why], list[dict[str, object]]] = {}
        for (claim, variant_id), part in self._parts.items():
            more = part.after - part.before
            if more > 0:
                taken_over = min(part.taken_over, more)
                line = _line(claim, variant_id, part.sku, more)
                gained.setdefault(_Holder.of(claim), []).append({**line, "taken_over": taken_over})
            less = part.before + part.taken_over - part.after
            if less > 0:
                reason = why or (Why.REDUCED if part.after else Why.REMOVED)
                freed.setdefault((_Holder.of(claim), reason), []).append(
                    _line(claim, variant_id, part.sku, less)
                )
        for (claim, variant_id), part in self._lapsed.items():
            freed.setdefault((_Holder.of(claim), Why.EXPIRED), []).append(
                _line(claim, variant_id, part.sku, part.before)
            )
        events: list[StockReserved | StockReleased] = [
            StockReleased(**_about(holder, lines), reason=reason.value)
            for (holder, reason), lines in freed.items()
        ]
        events += [StockReserved(**_about(holder, lines)) for holder, lines in gained.items()]
        return events


def _line(claim: Claim, variant_id: UUID, sku: str, units: int) -> dict[str, object]:
    return {
        "line_id": str(claim.line_id),
        "variant_id": str(variant_id),
        "sku": sku,
        "quantity": units,
    }


def _about(holder: _Holder, lines: list[dict[str, object]]) -> dict[str, Any]:
    return {
        "aggregate_id": holder.order_id or holder.cart_id or holder.line_id,
        "cart_id": str(holder.cart_id) if holder.cart_id else None,
        "order_id": str(holder.order_id) if holder.order_id else None,
        "lines": lines,
    }


def expiries(
    lapsed: Iterable[tuple[UUID | None, UUID | None, UUID | None]],
) -> list[HoldExpired]:
    """Return one announcement per cart and order for (cart, order, line) whose time ran out."""
    lines: dict[tuple[UUID | None, UUID | None], list[str]] = {}
    for cart_id, order_id, line_id in lapsed:
        lines.setdefault((cart_id, order_id), []).append(str(line_id))
    return [
        HoldExpired(
            aggregate_id=aggregate_id,
            line_ids=list(dict.fromkeys(line_ids)),
            order_id=str(order_id) if order_id else None,
        )
        for (cart_id, order_id), line_ids in lines.items()
        if (aggregate_id := cart_id or order_id)
    ]
