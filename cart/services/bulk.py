"""Many lines at once: one lock, one look, one hold, one write, and an answer for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cart.errors import CartLimitExceeded
from cart.events import ItemsChanged
from cart.selectors.state import Line
from cart.selectors.views import CartView
from cart.services.carts import ensure_for_write
from cart.services.change import Change, changing, open_cart
from cart.services.lines import NewItem, check_quantity, clean, put, require_price, warn_of_prices
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from inventory.errors import InsufficientStock
from inventory.selectors import SHOWN_AT_MOST
from inventory.services import Shortage, shortage_text

MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row; `error` is None where it was done."""

    index: int
    item_id: UUID | None
    error: ApplicationError | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    view: CartView
    results: list[RowResult]


@changing
def add_lines(
    *,
    actor: Actor,
    items: Sequence[NewItem],
    now: datetime,
    atomic: bool = False,
    ignored: Sequence[str] = (),
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> BulkResult:
    """
    Add many items. Demand is summed per variant; when stock is short, rows are served in order.

    :raises ValidationFailed: with `atomic`, if any row fails, naming each by its index; nothing is written
    :raises CartLimitExceeded: if there are more rows than one call may have
    """
    _check_size(items)
    change = ensure_for_write(
        actor=actor,
        now=now,
        cart_id=cart_id,
        expected=expected,
        skus={item.sku for item in items if item.sku is not None},
        variant_ids={item.variant_id for item in items if item.variant_id is not None},
        product_ids={
            item.product_id
            for item in items
            if item.product_id is not None and item.sku is None and item.variant_id is None
        },
    )

    def work(item: NewItem) -> Line:
        item = clean(item)
        line = put(change, item)
        if line.facts.price is None:
            _undo(change, line, item.quantity)
            require_price(line.facts)
        return line

    outcome = _run(change, items, work)
    amounts = [item.quantity for item in items]
    _settle(change, outcome, amounts)
    if ignored:
        warn_of_prices(change, ignored)
    return _finish(change, outcome, atomic=atomic, event="cart.items_added")


@changing
def change_lines(
    *,
    actor: Actor,
    quantities: Sequence[tuple[UUID, int]],
    now: datetime,
    atomic: bool = False,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> BulkResult:
    """
    Set the quantities of many lines.

    :raises ValidationFailed: with `atomic`, if any row fails, naming each by its index; nothing is written
    """
    _check_size(quantities)
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    grown: list[int] = []

    def work(row: tuple[UUID, int]) -> Line:
        line_id, quantity = row
        check_quantity(quantity)
        line = change.line(line_id)
        change.edit(line)
        grown[-1] = quantity - line.quantity
        line.quantity = quantity
        return line

    def counted(row: tuple[UUID, int]) -> Line:
        grown.append(0)
        return work(row)

    outcome = _run(change, quantities, counted)
    _settle(change, outcome, grown)
    return _finish(change, outcome, atomic=atomic, event="cart.items_updated")


@changing
def remove_lines(
    *,
    actor: Actor,
    line_ids: Sequence[UUID],
    now: datetime,
    atomic: bool = False,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> BulkResult:
    """
    Take many lines out.

    :raises ValidationFailed: with `atomic`, if any row fails, naming each by its index; nothing is written
    """
    _check_size(line_ids)
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)

    def work(line_id: UUID) -> Line:
        line = change.line(line_id)
        change.remove(line)
        return line

    outcome = _run(change, line_ids, work)
    change.settle(refuse=False)
    return _finish(change, outcome, atomic=atomic, event="cart.items_removed", rows="itemIds")


# --- the parts ------------------------------------------------------------------------------------


def _check_size(rows: Sequence[Any]) -> None:
    if not 1 <= len(rows) <= MOST_ROWS:
        text = f"1 to {MOST_ROWS} rows are possible in one call."
        raise CartLimitExceeded(
            text,
            errors=[FieldError("items", "CART_LIMIT_EXCEEDED", text)],
            extra={"limit": MOST_ROWS},
        )


def _run(
    change: Change, rows: Sequence[Any], work: Callable[[Any], Line]
) -> list[Line | ApplicationError]:
    outcome: list[Line | ApplicationError] = []
    for row in rows:
        try:
            outcome.append(work(row))
        except ApplicationError as error:
            outcome.append(error)
    return outcome


def _settle(change: Change, outcome: list[Line | ApplicationError], amounts: Sequence[int]) -> None:
    """
    Hold what the rows ask for; where stock is short, rows are served in order as far as it goes.
    """
    optional = {line.id for line in outcome if isinstance(line, Line)}
    while True:
        found = change.settle(optional=optional, refuse=False)
        short = [shortage for shortage in found if shortage.line_id in optional]
        if not short:
            return
        for shortage in short:
            _serve_in_order(change, outcome, amounts, shortage)


def _serve_in_order(
    change: Change,
    outcome: list[Line | ApplicationError],
    amounts: Sequence[int],
    shortage: Shortage,
) -> None:
    """Give a line that is short as much as there is, row by row; a row that does not fit is refused as a whole."""
    line = change.line(shortage.line_id)
    rows = [index for index, made in enumerate(outcome) if made is line]
    quantity = line.quantity - sum(amounts[index] for index in rows)
    for index in rows:
        if quantity + amounts[index] <= shortage.available:
            quantity += amounts[index]
        else:
            outcome[index] = _out_of_stock(shortage)
    if quantity:
        change.edit(line)
        line.quantity = quantity
    else:
        change.forget(line)


def _undo(change: Change, line: Line, amount: int) -> None:
    """Take a row's units out of its line again; a line that only this call made goes."""
    change.edit(line)
    if line.quantity - amount >= 1:
        line.quantity -= amount
    else:
        change.forget(line)


def _out_of_stock(shortage: Shortage) -> InsufficientStock:
    left = min(max(shortage.available, 0), SHOWN_AT_MOST)
    return InsufficientStock(
        shortage_text(shortage),
        extra={"sku": shortage.sku, "requested": shortage.requested, "available": left},
    )


def _finish(
    change: Change,
    outcome: list[Line | ApplicationError],
    *,
    atomic: bool,
    event: str,
    rows: str = "items",
) -> BulkResult:
    results = [
        RowResult(index, None, made)
        if isinstance(made, ApplicationError)
        else RowResult(index, made.id)
        for index, made in enumerate(outcome)
    ]
    failed = [result for result in results if result.error is not None]
    if failed and atomic:
        raise ValidationFailed(
            f"{len(failed)} of {len(results)} rows were refused, so nothing was changed.",
            errors=[_row_error(result, rows) for result in failed],
        )
    if len(failed) == len(results):
        return BulkResult(change.view(), results)
    changed = list(dict.fromkeys(str(result.item_id) for result in results if result.item_id))
    change.announce(ItemsChanged, line_ids=changed)
    return BulkResult(change.commit(event, summary=f"{len(changed)} lines"), results)


def _row_error(result: RowResult, rows: str) -> FieldError:
    error = result.error
    assert error is not None
    if rows == "itemIds":  # such a row is an id and has no fields
        return FieldError(f"{rows}.{result.index}", error.code, error.detail)
    if error.errors and error.code == "VALIDATION_ERROR":
        first = error.errors[0]
        return FieldError(f"{rows}.{result.index}.{first.field}", first.code, first.message)
    fields = {
        "ITEM_OUT_OF_STOCK": "quantity",
        "CART_LIMIT_EXCEEDED": "quantity",
        "ITEM_NOT_FOUND": "itemId",
    }
    return FieldError(
        f"{rows}.{result.index}.{fields.get(error.code, 'sku')}", error.code, error.detail
    )
