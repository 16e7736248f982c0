"""What is asked of stock and how it is refused: the words that all services about holds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import connection, transaction

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError
from inventory import selectors
from inventory.events import Why
from inventory.models import Variant
from inventory.services.books import Books
from inventory.services.levels import CANCELLED, HeldUnits

P = ParamSpec("P")
R = TypeVar("R")

OF_LINES = "r.status = 'ACTIVE' AND r.line_id = ANY(%(lines)s) AND r.order_line_id IS NULL"


@dataclass(frozen=True, slots=True)
class Demand:
    """So many units of a variant for a line: a cart line's id while it is a cart, the order line's afterwards."""

    line_id: UUID
    variant_id: UUID
    quantity: int

    def __post_init__(self) -> None:
        if self.quantity < 0:  # it would put units on the shelf that do not exist
            raise ValueError("a demand cannot be negative")


@dataclass(frozen=True, slots=True)
class Shortage:
    """A demand that cannot be met. `available` is what this line could hold at most, its own units among them."""

    line_id: UUID
    variant_id: UUID
    sku: str
    requested: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLimits:
    """Ceilings that stop one visitor from emptying the shelves; `cap` bounds a hold's whole life, renewals included."""

    units_per_customer: int | None = None
    units_per_address: int | None = None
    cap: timedelta | None = None


def joined(service: Callable[P, R]) -> Callable[P, R]:
    """
    Run in the caller's transaction, or in one of its own where there is none.

    Unlike `atomic` it sets no savepoint, which would cost two round trips on the busiest path of the shop. Only for
    services that refuse before their first write: then there is nothing that a savepoint would undo.
    """

    @wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return service(*args, **kwargs)
        with transaction.atomic():
            return service(*args, **kwargs)

    return run


def refusal(
    error: type[ApplicationError], short: Sequence[Shortage], lines: Sequence[UUID]
) -> ApplicationError:
    """Return `error` with every line that could not be served; `lines` gives the order in which they were asked."""
    first = short[0]
    place = {line_id: index for index, line_id in enumerate(lines)}
    return error(
        shortage_text(first)
        if len(short) == 1
        else f"{len(short)} items are not there in the quantity you want.",
        errors=[
            FieldError(
                field=f"items.{place[shortage.line_id]}.quantity" if len(lines) > 1 else "quantity",
                code=error.code,
                message=shortage_text(shortage),
            )
            for shortage in short
        ],
        extra={
            "sku": first.sku,
            "requested": first.requested,
            "available": min(first.available, selectors.SHOWN_AT_MOST),
            "lines": [
                {
                    "itemId": str(shortage.line_id),
                    "sku": shortage.sku,
                    "requested": shortage.requested,
                    "available": min(shortage.available, selectors.SHOWN_AT_MOST),
                }
                for shortage in short
            ],
        },
    )


def shortage_text(shortage: Shortage) -> str:
    """Return in words how much is left, or beyond what customers may know only that it is less than they want."""
    if shortage.available <= 0:
        return f"{shortage.sku} is out of stock."
    if shortage.available > selectors.SHOWN_AT_MOST:
        return f"There are fewer than {shortage.requested} of {shortage.sku}."
    return f"Only {shortage.available} left of {shortage.sku}."


def short_of(books: Books, demand: Demand, held: Sequence[HeldUnits]) -> Shortage:
    levels = books.of_variant(demand.variant_id)
    sku = levels[0].sku if levels else sku_of(demand.variant_id)
    available = books.could_serve(held, demand.variant_id)
    return Shortage(demand.line_id, demand.variant_id, sku, demand.quantity, available)


def sku_of(variant_id: UUID) -> str:
    return Variant.objects.filter(id=variant_id).values_list("sku", flat=True).first() or ""


def by_line(holds: Iterable[HeldUnits]) -> dict[UUID, list[HeldUnits]]:
    lines: dict[UUID, list[HeldUnits]] = {}
    for hold in holds:
        if hold.line_id is not None:
            lines.setdefault(hold.line_id, []).append(hold)
    return lines


def decreases_first(
    demands: Sequence[Demand], own: Mapping[UUID, Sequence[HeldUnits]]
) -> list[Demand]:
    """Order demands so that units one line gives up are there for another that wants more."""
    return sorted(
        demands,
        key=lambda demand: (
            demand.quantity > sum(hold.units for hold in own.get(demand.line_id, ()))
        ),
    )


def variants_where(condition: str) -> str:
    return f"IN (SELECT r.variant_id FROM stock_reservations r WHERE {condition})"  # noqa: S608


def variants_where_or_beside(condition: str) -> str:
    """Return what `variants_where` does, and the variants of the array `beside`."""
    found = f"SELECT r.variant_id FROM stock_reservations r WHERE {condition}"  # noqa: S608
    return f"IN ({found} UNION ALL SELECT unnest(%(beside)s::uuid[]))"


def close_all(condition: str, *, why: Why, actor: Actor, now: datetime, **values: Any) -> int:
    """Close the holds matching a condition and return their units to the shelf; return how many."""
    books = Books.open(
        company_id=actor.company_id,
        variants=variants_where(condition),
        holds=condition,
        now=now,
        **values,
    )
    closed = list(books.holds.values())
    for hold in closed:
        books.give_back(hold)
        books.close(hold, CANCELLED)
    books.write(actor=actor, now=now, why=why)
    return len(closed)
