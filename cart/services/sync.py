"""Changes that were queued while a client was away, applied in one go; each once, conflicts told apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from cart.events import ItemsChanged
from cart.models import CartMetadata
from cart.selectors.state import ACTIVE, Line
from cart.selectors.views import CartView, LineView, basket_of
from cart.services import texts
from cart.services.carts import ensure_for_write
from cart.services.change import Change, changing
from cart.services.lines import (
    LISTS,
    NewItem,
    check_quantity,
    clean,
    move,
    put,
    require_price,
    require_sold,
)
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from inventory.errors import InsufficientStock
from pricing import services as pricing

MOST_OPERATIONS = 100
APPLIED, DUPLICATE, CONFLICT = "applied", "duplicate", "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One queued change; `id` is the client's own and makes it happen once.

    `refusal` is why it must not be tried, where that is known before.
    """

    id: str
    op: str
    sku: str | None = None
    item_id: UUID | None = None
    quantity: int | None = None
    list: str | None = None
    note: str | None = None
    code: str | None = None
    refusal: ApplicationError | None = None


@dataclass(frozen=True, slots=True)
class OperationResult:
    """`item` is the line a conflict is about, as it was found."""

    id: str
    status: str
    code: str | None = None
    message: str = ""
    item_id: UUID | None = None
    item: LineView | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    view: CartView
    results: list[OperationResult]


@changing
def sync(
    *, actor: Actor, base_version: int, operations: Sequence[Operation], now: datetime
) -> Synced:
    """
    Apply queued changes in their order. `add` is a delta and always tried; `set`, `remove`, `move` and `note` on a
    line that has changed since `base_version` are conflicts, and so is whatever the shop refuses now.

    An operation seen before is a duplicate and does nothing. At most one new version comes of it all.

    :raises FeatureDisabled: while syncing is switched off
    :raises ValidationFailed: if an operation is malformed; nothing is written
    """
    flags.require("CART_SYNC_ENABLED")
    _check(operations)
    change = ensure_for_write(
        actor=actor,
        now=now,
        skus={operation.sku for operation in operations if operation.op == "add" and operation.sku},
    )
    seen = _seen(change, operations)
    results = []
    applied: list[str] = []
    # What others changed meanwhile stays theirs, whatever this client adds to it first.
    stale = {line.id for line in change.lines if line.changed_version > base_version}
    for operation in operations:
        if operation.id in seen:
            results.append(OperationResult(operation.id, DUPLICATE))
            continue
        seen.add(operation.id)
        try:
            line = _apply(change, operation, stale)
        except _Stale as refused:
            results.append(
                _conflict(
                    change, operation, "CART_CONFLICT", "The line has changed.", refused.line_id
                )
            )
        except ApplicationError as error:
            results.append(
                _conflict(change, operation, error.code, str(error.detail), operation.item_id)
            )
        else:
            applied.append(operation.id)
            results.append(
                OperationResult(
                    operation.id, APPLIED, item_id=line.id if line is not None else None
                )
            )
    if not applied:
        return Synced(change.view(), results)
    change.settle(refuse=False)
    change.announce(ItemsChanged, line_ids=[str(line.id) for line in change.lines])
    view = change.commit("cart.synced", summary=f"{len(applied)} operations")
    _remember(change, applied)
    return Synced(view, results)


def _conflict(
    change: Change, operation: Operation, code: str, message: str, line_id: UUID | None
) -> OperationResult:
    """Say why an operation was not done, with the line as it was found."""
    found = None
    if line_id is not None:
        found = next((line for line in change.view().lines if line.id == line_id), None)
    return OperationResult(operation.id, CONFLICT, code, message, line_id, found)


class _Stale(Exception):
    def __init__(self, line_id: UUID) -> None:
        self.line_id = line_id


def _apply(change: Change, operation: Operation, stale: set[UUID]) -> Line | None:
    line: Line | None = None
    if operation.refusal is not None:
        raise operation.refusal
    if operation.op == "add":
        item = clean(
            NewItem(
                sku=operation.sku, quantity=operation.quantity or 1, list=operation.list or ACTIVE
            )
        )
        existed = {each.id: each.quantity for each in change.lines}
        line = put(change, item)
        try:
            require_price(line.facts)
            change.settle()
        except ApplicationError:
            _revert(change, line, existed.get(line.id))
            raise
    elif operation.op in {"set", "remove", "move", "note"}:
        assert operation.item_id is not None
        line = change.line(operation.item_id)
        if line.id in stale:
            raise _Stale(line.id)
        line = _edit(change, operation, line)
    elif operation.op == "discount":
        basket = basket_of(head=change.head, judged=change.judged())
        code = pricing.check_code(
            actor=change.actor, code=operation.code or "", basket=basket, now=change.now
        )
        if code not in change.head.codes:
            change.head.codes = [*change.head.codes, code]
    elif operation.op == "clear":
        for each in change.in_list(ACTIVE):
            change.remove(each)
        change.settle(refuse=False)
    return line


def _edit(change: Change, operation: Operation, line: Line) -> Line:
    if operation.op == "set":
        quantity = operation.quantity or 0
        check_quantity(quantity)
        before = line.quantity
        change.edit(line)
        line.quantity = quantity
        try:
            change.settle()
        except ApplicationError:
            line.quantity = before
            raise
        return line
    if operation.op == "remove":
        change.remove(line)
        change.settle(refuse=False)
        return line
    if operation.op == "move":
        to = operation.list or ACTIVE
        if to == line.list:
            return line
        former = line.list
        if to == ACTIVE:
            require_sold(line.facts, change.actor)
            require_price(line.facts)
        twin = change.twin(line, to)
        units = line.facts.free + (twin.held(change.now) if twin else 0)
        wanted = line.quantity + (twin.quantity if twin else 0)
        if to == ACTIVE and not line.facts.backorder and wanted > units:
            raise InsufficientStock(f"{line.facts.sku} is out of stock.", extra={"from": former})
        moved = move(change, line, to)
        change.settle(refuse=False)
        return moved
    change.edit(line, hold=False)
    line.note = texts.plain_note(operation.note or "")
    return line


def _revert(change: Change, line: Line, quantity: int | None) -> None:
    if quantity is None:
        change.forget(line)
    else:
        line.quantity = quantity


_NEEDS: dict[str, tuple[str, ...]] = {
    "add": ("sku",),
    "set": ("item_id", "quantity"),
    "remove": ("item_id",),
    "move": ("item_id", "list"),
    "note": ("item_id", "note"),
    "discount": ("code",),
    "clear": (),
}
_NAMES = {"item_id": "itemId"}


def _check(operations: Sequence[Operation]) -> None:
    errors = []
    if len(operations) > MOST_OPERATIONS:
        errors.append(
            FieldError("operations", "max_length", f"At most {MOST_OPERATIONS} are possible.")
        )
    for index, operation in enumerate(operations[:MOST_OPERATIONS]):
        path = f"operations.{index}"
        if not 1 <= len(operation.id) <= 64:
            errors.append(FieldError(f"{path}.id", "invalid", "1 to 64 characters are needed."))
        if operation.op not in _NEEDS:
            errors.append(FieldError(f"{path}.op", "invalid", "There is no such operation."))
            continue
        errors += [
            FieldError(f"{path}.{_NAMES.get(name, name)}", "required", "This field is required.")
            for name in _NEEDS[operation.op]
            if getattr(operation, name) is None
        ]
        if operation.list is not None and operation.list not in LISTS:
            errors.append(FieldError(f"{path}.list", "invalid", "There is no such list."))
    if errors:
        raise ValidationFailed(errors=errors)


def _seen(change: Change, operations: Sequence[Operation]) -> set[str]:
    keys = [_key(operation.id) for operation in operations]
    found = CartMetadata.objects.filter(cart_id=change.head.id, key__in=keys)
    return {key.removeprefix("op:") for key in found.values_list("key", flat=True)}


def _remember(change: Change, ids: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cart_metadata (cart_id, key, value, created_at)"
            " SELECT %s, unnest(%s::text[]), %s::jsonb, %s ON CONFLICT DO NOTHING",
            [
                change.head.id,
                [_key(id) for id in ids],
                json.dumps({"version": change.version}),
                change.now,
            ],
        )


def _key(operation_id: str) -> str:
    return f"op:{operation_id}"
