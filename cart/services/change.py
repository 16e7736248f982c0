"""
One change of one cart: lock, look, change in memory, hold, price, write.

Every verb opens a `Change`, edits lines through it and commits. So each write locks the cart first, holds change in the
same transaction as their lines, the version rises by one, and the number of statements does not depend on the number of
lines: lock, read, two for the stock, one to write it all, one for the outbox.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import transaction

from cart.errors import CartConflict, CartLimitExceeded, CartLocked, ItemNotFound
from cart.models import Cart, CartPolicy
from cart.rendering import render_cart
from cart.selectors.state import ACTIVE, Facts, Head, Line, find_head, load_lines
from cart.selectors.views import (
    ITEM_EXPIRED,
    CartView,
    Judged,
    Warning,
    basket_of,
    judge,
    key_of,
    present,
    stored_quote,
)
from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError
from config.platform.events import Event
from config.platform.models import new_id
from config.platform.prepared import prepared_cursor
from inventory import services as inventory
from inventory.errors import HoldFailed, InsufficientStock
from inventory.selectors import SHOWN_AT_MOST
from inventory.services import Demand, HoldLimits, Shortage, shortage_text
from pricing import services as pricing
from pricing.engine import Quote
from pricing.money import format_amount
from pricing.outside import asking

# Holds younger than this are not renewed by activity elsewhere in the cart: it would only cost locks.
RENEW_AFTER = timedelta(minutes=1)


P = ParamSpec("P")
T = TypeVar("T")


def changing(verb: Callable[P, T]) -> Callable[P, T]:
    """Run a verb in a transaction of its own, which is given up and begun anew where an outside engine must be asked."""
    return asking(transaction.atomic(verb))


class Change:
    """A locked cart and what is about to become of it. Made by `open_cart`."""

    def __init__(
        self, *, actor: Actor, head: Head, lines: list[Line], facts: list[Facts], now: datetime
    ) -> None:
        self.actor = actor
        self.head = head
        self.lines = lines
        self.candidates = facts
        self.now = now
        self.version = head.version + 1
        self.warnings: list[Warning] = []
        self.events: list[Event] = []
        self.next_purchase_activated = False
        self.message: str | None = None
        self._before: dict[UUID, dict[str, Any] | None] = {}
        self._dirty: dict[UUID, Line] = {}
        self._removed: dict[UUID, Line] = {}
        self._codes_before = list(head.codes)
        self._unsettled: set[UUID] = set()

    # --- looking ---

    def line(self, line_id: UUID) -> Line:
        """
        Return a line by its id; by that of its product or variant where only one line has it.

        :raises ItemNotFound: if the cart has no such line
        """
        for line in self.lines:
            if line.id == line_id:
                return line
        others = [
            line for line in self.lines if line_id in (line.variant_id, line.facts.product_id)
        ]
        if len(others) == 1:
            return others[0]
        raise ItemNotFound

    def in_list(self, list_: str) -> list[Line]:
        return [line for line in self.lines if line.list == list_]

    def twin(self, line: Line, list_: str) -> Line | None:
        """Return the line of `list_` that `line` would become one with, if it moved there."""
        alike = [
            other
            for other in self.lines
            if other.list == list_ and other.id != line.id and other.key[1:4] == line.key[1:4]
        ]
        return min(alike, key=lambda other: other.copy, default=None)

    def free_copy(self, *, like: Line, list_: str) -> int:
        """Return the lowest copy number that no line like this has in `list_`."""
        taken = {
            other.copy
            for other in self.lines
            if other.list == list_ and other.id != like.id and other.key[1:4] == like.key[1:4]
        }
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def check_room(self) -> None:
        """:raises CartLimitExceeded: if the cart has as many lines as it may"""
        most = self.head.policy.max_cart_items_per_user
        if len(self.lines) >= most:
            raise CartLimitExceeded(
                f"A cart has at most {most} lines.", extra={"limit": most, "lines": len(self.lines)}
            )

    # --- editing ---

    def edit(self, line: Line, *, hold: bool = True) -> Line:
        """Note that a line changes; with `hold`, what it holds is settled anew. Call before changing it."""
        if line.id not in self._before:
            self._before[line.id] = snapshot(line)
        line.changed_version = self.version
        self._dirty[line.id] = line
        if hold:
            self._unsettled.add(line.id)
        return line

    def insert(self, line: Line) -> Line:
        self._before.setdefault(line.id, None)
        line.changed_version = self.version
        self.lines.append(line)
        self._dirty[line.id] = line
        self._unsettled.add(line.id)
        return line

    def remove(self, line: Line) -> None:
        if line.id not in self._before:
            self._before[line.id] = snapshot(line)
        self.lines.remove(line)
        self._dirty.pop(line.id, None)
        self._unsettled.discard(line.id)
        self._removed[line.id] = line

    def forget(self, line: Line) -> None:
        """Take a line that this change inserted out again, as if it had never been."""
        self.lines.remove(line)
        self._dirty.pop(line.id, None)
        self._before.pop(line.id, None)
        self._unsettled.discard(line.id)

    def adopt(self, line: Line) -> None:
        """Take a line over from another cart, with its id; its hold is moved by the caller."""
        self._before[line.id] = None
        line.changed_version = self.version
        self.lines.append(line)
        self._dirty[line.id] = line
        self._unsettled.add(line.id)

    def say(self, warning: str, message: str, line: Line | None = None, **extra: Any) -> None:
        self.warnings.append(Warning(warning, line.id if line else None, message, extra))

    # --- holds ---

    @property
    def holds_at_once(self) -> bool:
        return self.head.policy.hold_start == CartPolicy.HoldStart.ADD

    @property
    def limits(self) -> HoldLimits:
        policy = self.head.policy
        if self.actor.sees_everything:
            return HoldLimits(cap=policy.hold_cap)
        return HoldLimits(
            units_per_customer=policy.max_held_units_per_customer,
            units_per_address=policy.max_held_units_per_address if self.actor.address else None,
            cap=policy.hold_cap,
        )

    def settle(
        self,
        *,
        optional: Collection[UUID] = (),
        at_once: Collection[UUID] = (),
        every_line: bool = False,
        refuse: bool = True,
    ) -> list[Shortage]:
        """
        Make the holds agree with the lines: taken, changed, released and renewed in one go.

        Lines are served in their order, those named `optional` last; their shortages are returned. With `every_line`
        all active lines are held, whatever the policy, as at checkout; with `at_once` those named are. Without `refuse` no shortage is an error.

        :raises InsufficientStock: if a line cannot be served and was not to be when it was looked at
        :raises HoldFailed: if it could then, or `every_line` was asked for
        :raises HoldLimitExceeded: if this would be more than one customer may hold
        """
        wanted: list[Line] = []
        demands: list[Demand] = [
            Demand(line.id, line.variant_id, 0)
            for line in self._removed.values()
            if line.hold is not None and line.hold.quantity
        ]
        checked: list[Line] = []
        for line in sorted(self.lines, key=lambda line: line.id in optional):
            live = line.held(self.now)
            if line.list != ACTIVE:
                if line.hold is not None and line.hold.quantity and line.id in self._dirty:
                    demands.append(Demand(line.id, line.variant_id, 0))
                    wanted.append(line)
            elif (
                every_line
                or line.id in at_once
                or (line.id in self._unsettled and (self.holds_at_once or live))
            ):
                demands.append(Demand(line.id, line.variant_id, line.quantity))
                wanted.append(line)
            elif line.id in self._unsettled:
                checked.append(line)
            elif live and self._wants_renewal(line):
                demands.append(Demand(line.id, line.variant_id, line.quantity))
                wanted.append(line)
        self._unsettled.clear()
        shortages = self._reserve(demands, wanted) + self._look(checked)
        fatal = [short for short in shortages if short.line_id not in optional] if refuse else []
        if fatal:
            raise self._refusal(fatal, at_checkout=every_line)
        return shortages

    def let_go(self, line: Line) -> None:
        """Note that what a line held is free again."""
        units = line.held(self.now) - (line.hold.backordered if line.hold is not None else 0)
        line.hold, line.promised_price = None, None
        self._take({line.variant_id: -max(units, 0)})

    def _take(self, taken: dict[UUID, int]) -> None:
        for line in self.lines:
            if units := taken.get(line.variant_id):
                line.facts = dataclasses.replace(line.facts, free=max(line.facts.free - units, 0))

    def _wants_renewal(self, line: Line) -> bool:
        hold, policy = line.hold, self.head.policy
        if hold is None or hold.expires_at is None or hold.started_at is None:
            return False
        until = min(self.now + policy.hold_life, hold.started_at + policy.hold_cap)
        return until - hold.expires_at > RENEW_AFTER

    def _reserve(self, demands: list[Demand], wanted: list[Line]) -> list[Shortage]:
        if not demands:
            return []
        results = inventory.reserve(
            actor=self.actor,
            cart_id=self.head.id,
            demands=demands,
            expires_at=self.now + self.head.policy.hold_life,
            now=self.now,
            all_or_none=False,
            limits=self.limits,
        )
        by_line = {line.id: line for line in wanted}
        taken: dict[UUID, int] = {}
        shortages = []
        for result in results:
            line = by_line.get(result.line_id) or self._removed[result.line_id]
            if isinstance(result, Shortage):
                shortages.append(result)
                continue
            before = line.held(self.now)
            if result.expires_at is None and result.quantity:
                continue  # holds are switched off: it was only looked at
            units = result.quantity - result.backordered
            if before and line.hold is not None:
                units -= line.hold.quantity - line.hold.backordered
            taken[line.variant_id] = taken.get(line.variant_id, 0) + units
            if not result.quantity:
                line.hold, line.promised_price = None, None
                continue
            line.hold = result
            if not before or line.promised_price is None:
                if line.id not in self._dirty:
                    self.edit(line, hold=False)
                line.promised_price = line.facts.price
        self._take(taken)
        return shortages

    def _look(self, lines: list[Line]) -> list[Shortage]:
        """Check lines that hold nothing yet against what is free, without keeping it."""
        asked: dict[UUID, int] = {}
        shortages = []
        for line in lines:
            facts = line.facts
            others = asked.get(facts.variant_id, 0)
            if facts.backorder or others + line.quantity <= facts.free:
                asked[facts.variant_id] = others + line.quantity
            else:
                shortages.append(
                    Shortage(
                        line.id,
                        facts.variant_id,
                        facts.sku,
                        line.quantity,
                        max(facts.free - others, 0),
                    )
                )
        return shortages

    def _refusal(self, short: Sequence[Shortage], *, at_checkout: bool) -> ApplicationError:
        """Plainly not there is 400; a hold that was lost in a race, or fails at checkout, is 409."""
        lines = {line.id: line for line in self.lines}
        lost = all(
            lines[item.line_id].held(self.now) + lines[item.line_id].facts.free >= item.requested
            for item in short
        )
        error: type[ApplicationError] = HoldFailed if at_checkout or lost else InsufficientStock
        first = short[0]
        left = [min(max(item.available, 0), SHOWN_AT_MOST) for item in short]
        texts = [shortage_text(item) for item in short]
        several = at_checkout or len(short) > 1
        return error(
            texts[0]
            if len(short) == 1
            else f"{len(short)} items are not there in the quantity you want.",
            errors=[
                FieldError(
                    f"items.{index}.quantity" if several else "quantity",
                    "ITEM_OUT_OF_STOCK" if several else error.code,
                    text,
                )
                for index, text in enumerate(texts)
            ],
            extra={
                "sku": first.sku,
                "requested": first.requested,
                "available": left[0],
                "lines": [
                    {
                        "itemId": str(item.line_id),
                        "sku": item.sku,
                        "requested": item.requested,
                        "available": units,
                    }
                    for item, units in zip(short, left, strict=True)
                ],
            },
        )

    # --- price ---

    def judged(self) -> list[Judged]:
        self.lines.sort(key=lambda line: (line.added_at, line.id))
        return judge(head=self.head, lines=self.lines, now=self.now)

    def priced(self) -> tuple[list[Judged], Quote, str]:
        judged = self.judged()
        basket = basket_of(head=self.head, judged=judged)
        key = key_of(head=self.head, basket=basket)
        quote = stored_quote(head=self.head, key=key, now=self.now) or pricing.quote(
            actor=self.actor, basket=basket, now=self.now, revision=self.head.revision
        )
        return judged, quote, key

    def view(self) -> CartView:
        """Return the cart as it is now, nothing written."""
        judged, quote, _ = self.priced()
        return present(
            head=self.head, judged=judged, quote=quote, now=self.now, warnings=self.warnings
        )

    def conflict(self, detail: str | None = None) -> CartConflict:
        return CartConflict(detail, extra={"cart": render_cart(self.view())})

    # --- writing ---

    @property
    def is_changed(self) -> bool:
        return bool(self._dirty or self._removed)

    def changes(self) -> dict[str, Any]:
        """Return what became of each line and of the codes: [before, after], by which a version can be restored."""
        after = {line.id: snapshot(line) for line in self.lines if line.id in self._before}
        found: dict[str, Any] = {
            "lines": {
                str(line_id): [before, after.get(line_id)]
                for line_id, before in self._before.items()
                if before != after.get(line_id)
            }
        }
        if self._codes_before != self.head.codes:
            found["codes"] = [self._codes_before, self.head.codes]
        return found

    def commit(self, event: str, *events: Event, summary: str = "") -> CartView:
        """Price and write the cart, its lines and its log, announce, and return the view."""
        head = self.head
        head.version = self.version
        head.last_activity_at = head.updated_at = self.now
        head.expires_at = self.now + timedelta(days=head.policy.cart_expiration_days)
        if head.status == Cart.Status.ABANDONED:
            head.status, head.abandoned_at = Cart.Status.ACTIVE.value, None
        judged, quote, key = self.priced()
        head.quote, head.quote_key = {**quote.to_json(), "id": quote.id}, key
        head.grand_total = quote.totals.grand_total
        view = present(
            head=head,
            judged=judged,
            quote=quote,
            now=self.now,
            warnings=self.warnings,
            next_purchase_activated=self.next_purchase_activated,
            message=self.message,
        )
        head.item_count = view.totals.item_count
        _write(self, event, summary)
        outbox.publish(*self.events, *events, actor=self.actor, now=self.now)
        return view

    def money(self, amount: Decimal) -> str:
        return format_amount(amount, self.head.currency)

    def announce(self, event: type[Event], **fields: Any) -> None:
        """Publish `event` about this cart with the commit."""
        self.events.append(
            event(
                aggregate_id=self.head.id,
                cart_version=self.version,  # type: ignore[call-arg]
                user_id=str(self.head.user_id) if self.head.user_id else None,
                **fields,
            )
        )


def open_cart(
    *,
    actor: Actor,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
    skus: Iterable[str] = (),
    variant_ids: Iterable[UUID] = (),
    product_ids: Iterable[UUID] = (),
) -> Change:
    """
    Lock the caller's cart and read it, with the facts of the variants named: two statements.

    Lines whose own time is over are dropped, with a notice. `expected` is the version the caller has seen.

    :raises CartNotFound: if there is none for this caller
    :raises CartExpired: if its life is over
    :raises CartMerged: if it was merged into an account's cart
    :raises CartLocked: while it is being paid
    :raises CartConflict: if the version seen is not the current one
    """
    flags.refresh()
    head = find_head(actor=actor, now=now, cart_id=cart_id, lock=True)
    if head.checkout_id is not None:
        raise CartLocked
    lines, facts = load_lines(
        head=head, now=now, skus=skus, variant_ids=variant_ids, product_ids=product_ids
    )
    change = Change(actor=actor, head=head, lines=lines, facts=facts, now=now)
    for line in [line for line in lines if line.expires_at is not None and line.expires_at <= now]:
        change.remove(line)
        change.say(
            ITEM_EXPIRED, f"{line.facts.name} was taken out: its time was over.", sku=line.facts.sku
        )
    if expected is not None and expected != head.version:
        raise change.conflict()
    return change


def snapshot(line: Line) -> dict[str, Any]:
    """Return the line as the log keeps it."""
    kept: dict[str, Any] = {
        "list": line.list,
        "variantId": str(line.variant_id),
        "sku": line.facts.sku,
        "quantity": line.quantity,
        "priceWhenAdded": str(line.price_when_added),
        "addedAt": line.added_at.isoformat(),
    }
    if line.note:
        kept["note"] = line.note
    if line.customization:
        kept["customization"] = line.customization
    if line.metadata:
        kept["metadata"] = line.metadata
    if line.copy:
        kept["copy"] = line.copy
    if line.group_id is not None:
        kept["bundleId"], kept["groupId"] = str(line.bundle_id), str(line.group_id)
    return kept


_LINES = """
    lines AS (
        INSERT INTO cart_items AS line (
            id, cart_id, list, product_id, variant_id, quantity, price_when_added, promised_price, accepted_price, note, customization,
            customization_hash, metadata, bundle_id, group_id, copy, changed_version, expires_at, added_at, updated_at)
        SELECT new.id, %(cart)s, new.list, new.product_id, new.variant_id, new.quantity, new.price_when_added,
               new.promised_price, new.accepted_price, new.note, new.customization, new.customization_hash, new.metadata, new.bundle_id,
               new.group_id, new.copy, %(version)s, new.expires_at, new.added_at, %(now)s
          FROM jsonb_to_recordset(%(lines)s::jsonb) AS new (
               id uuid, list text, product_id uuid, variant_id uuid, quantity int, price_when_added numeric,
               promised_price numeric, accepted_price numeric, note text, customization jsonb, customization_hash text, metadata jsonb,
               bundle_id uuid, group_id uuid, copy int, expires_at timestamptz, added_at timestamptz)
        ON CONFLICT (id) DO UPDATE SET
            cart_id = excluded.cart_id, list = excluded.list, quantity = excluded.quantity,
            price_when_added = excluded.price_when_added, promised_price = excluded.promised_price,
            accepted_price = excluded.accepted_price, note = excluded.note, customization = excluded.customization,
            customization_hash = excluded.customization_hash, metadata = excluded.metadata,
            bundle_id = excluded.bundle_id, group_id = excluded.group_id, copy = excluded.copy,
            changed_version = excluded.changed_version, expires_at = excluded.expires_at,
            added_at = excluded.added_at, updated_at = excluded.updated_at
    ),
"""
_WRITE = """
    WITH {lines} cart AS (
        UPDATE carts
           SET status = %(status)s, version = %(version)s, currency = %(currency)s, codes = %(codes)s, points = %(points)s,
               destination = %(destination)s, email = %(email)s, metadata = %(metadata)s, quote = %(quote)s,
               quote_key = %(quote_key)s, item_count = %(item_count)s, grand_total = %(grand_total)s,
               last_activity_at = %(now)s, updated_at = %(now)s, expires_at = %(expires_at)s,
               recovered_at = %(recovered_at)s, abandoned_at = %(abandoned_at)s,
               dismissed_at = NULL, notifications_sent = 0, next_notification_at = NULL
         WHERE id = %(cart)s
    )
    INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
    VALUES (%(event_id)s, %(cart)s, %(version)s, %(event)s, %(actor)s, %(summary)s, %(changes)s, %(now)s)
"""


def _write(change: Change, event: str, summary: str) -> None:
    """Write the lines, the cart and its log in one statement; a second one only to delete lines."""
    head = change.head
    dirty = [line for line in change.lines if line.id in change._dirty]
    values: dict[str, Any] = {
        "cart": head.id,
        "now": change.now,
        "version": head.version,
        "status": str(head.status),
        "currency": head.currency,
        "codes": json.dumps(head.codes),
        "points": head.points,
        "destination": json.dumps(head.destination),
        "email": head.email,
        "metadata": json.dumps(head.metadata),
        "quote": json.dumps(head.quote),
        "quote_key": head.quote_key,
        "item_count": head.item_count,
        "grand_total": head.grand_total,
        "expires_at": head.expires_at,
        "recovered_at": head.recovered_at,
        "abandoned_at": head.abandoned_at,
        "event_id": new_id(),
        "event": event,
        "actor": change.actor.label[:80],
        "summary": summary[:300],
        "changes": json.dumps(change.changes()),
    }
    if dirty:
        values["lines"] = json.dumps([_row(line) for line in dirty], default=str)
    with prepared_cursor() as cursor:
        if change._removed:
            # By itself: within one statement a new line could meet the old one that it replaces.
            cursor.execute(
                "DELETE FROM cart_items WHERE cart_id = %s AND id = ANY(%s)",
                [head.id, list(change._removed)],
            )
        cursor.execute(_WRITE.format(lines=_LINES if dirty else ""), values)


def _row(line: Line) -> dict[str, Any]:
    return {
        "id": line.id,
        "list": line.list,
        "product_id": line.facts.product_id,
        "variant_id": line.variant_id,
        "quantity": line.quantity,
        "price_when_added": line.price_when_added,
        "promised_price": line.promised_price,
        "accepted_price": line.accepted_price,
        "note": line.note,
        "customization": line.customization,
        "customization_hash": line.customization_hash,
        "metadata": line.metadata,
        "bundle_id": line.bundle_id,
        "group_id": line.group_id,
        "copy": line.copy,
        "expires_at": line.expires_at,
        "added_at": line.added_at,
    }


def new_line(
    *,
    facts: Facts,
    list_: str,
    quantity: int,
    now: datetime,
    note: str = "",
    customization: dict[str, Any] | None = None,
    customization_hash: str = "",
    metadata: dict[str, Any] | None = None,
    bundle_id: UUID | None = None,
    group_id: UUID | None = None,
    copy: int = 0,
) -> Line:
    """
    Return a line that is in no cart yet, at today's price.

    Where an outside engine asks more than the public price, that is what the customer has seen, so the cart says it.
    """
    return Line(
        id=new_id(),
        list=list_,
        facts=facts,
        quantity=quantity,
        price_when_added=facts.ladder.advertised if facts.ladder is not None else Decimal(0),
        promised_price=None,
        note=note,
        customization=customization or {},
        customization_hash=customization_hash,
        metadata=metadata or {},
        bundle_id=bundle_id,
        group_id=group_id,
        copy=copy,
        added_at=now,
    )
