"""Abandoned carts: noticed, reminded of, and brought back by a link that can be used once and opens nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from cart import tokens
from cart.errors import (
    CartExpired,
    CartMerged,
    CartNotFound,
    NobodyToRemind,
    NotAbandoned,
    RecoveryTokenExpired,
    RecoveryTokenInvalid,
)
from cart.events import CartRecovered, RecoveryDue
from cart.models import Cart, CartLine, RecoveryAttempt
from cart.selectors.carts import view
from cart.selectors.state import ACTIVE
from cart.selectors.views import CartView
from cart.services.carts import create, holder_of
from cart.services.change import Change, changing, open_cart
from cart.services.transfer import bring, render, sources_of
from config.platform import audit, flags, outbox
from config.platform.actor import Actor
from config.platform.errors import Forbidden
from config.platform.events import Event
from config.platform.models import new_id

RECOVERY_FLAG = "CART_RECOVERY_ENABLED"  # CFG-09


# --- reminders ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Due:
    """A cart whose owner may be reminded, with what decides about it."""

    id: UUID
    company_id: UUID
    user_id: UUID | None
    version: int
    cycle: int
    sent: int
    email: str
    worth_it: bool
    bought_since: bool
    most: int
    interval: timedelta
    by_mail: bool

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Due:
        """Return a row of `_DUE`, in which the interval is a number of hours."""
        *facts, hours, by_mail = row
        return cls(*facts, interval=timedelta(hours=hours), by_mail=by_mail)  # type: ignore[misc]


_DUE = """
    SELECT cart.id, cart.company_id, cart.user_id, cart.version, cart.abandonment_cycle, cart.notifications_sent,
           COALESCE(owner.email, cart.email, ''),
           cart.grand_total >= COALESCE(policy.minimum_order_value_for_abandonment, 10),
           EXISTS (SELECT 1 FROM carts bought
                    WHERE bought.company_id = cart.company_id AND bought.status = 'CONVERTED'
                      AND bought.converted_at >= cart.abandoned_at AND bought.id <> cart.id
                      AND ((cart.user_id IS NOT NULL AND bought.user_id = cart.user_id)
                           OR (cart.session_id IS NOT NULL AND bought.session_id = cart.session_id)
                           OR (cart.email <> '' AND lower(bought.email) = lower(cart.email)))),
           COALESCE(policy.max_abandonment_notifications, 3),
           COALESCE(policy.abandonment_notification_interval_hours, 24),
           COALESCE(policy.abandonment_email_enabled, true)
      FROM carts cart
      LEFT JOIN users owner ON owner.id = cart.user_id AND owner.is_active
      LEFT JOIN cart_policies policy ON policy.company_id = cart.company_id
     WHERE cart.status = 'ABANDONED' AND {where}
       FOR NO KEY UPDATE OF cart {skip}
"""
_IS_DUE = (
    "cart.dismissed_at IS NULL AND cart.next_notification_at <= %(now)s"
    " ORDER BY cart.next_notification_at, cart.id LIMIT %(limit)s"
)


def _due(where: str, skip: str, values: dict[str, Any]) -> list[_Due]:
    # The lock comes last in SQL and the limit before it, so the rows are chosen and locked in one statement.
    with connection.cursor() as cursor:
        cursor.execute(_DUE.format(where=where, skip=skip), values)
        return [_Due.of(row) for row in cursor.fetchall()]


@transaction.atomic
def send_due_recoveries(*, now: datetime, limit: int = 500) -> int:
    """
    Announce reminders that are due, of up to `limit` carts, and return how many; 0 when none is left.

    Each cart is looked at again under lock: still abandoned, worth it, reachable, nothing bought since, below the cap.
    One that will not be reminded leaves the queue. At most one reminder per (cart, cycle, stage), whatever happens.
    """
    if not flags.is_enabled(RECOVERY_FLAG):
        return 0
    while due := _due(_IS_DUE, "SKIP LOCKED", {"now": now, "limit": limit}):
        if sent := _send_wanted(due, now=now):
            return sent
    return 0


def _send_wanted(due: Sequence[_Due], *, now: datetime) -> int:
    """Remind of those carts that are still worth it; the others leave the queue."""
    wanted = [
        cart
        for cart in due
        if cart.by_mail
        and cart.worth_it
        and cart.email
        and not cart.bought_since
        and cart.sent < cart.most
    ]
    sent = _send(wanted, sent_by="", now=now)
    out = {cart.id for cart in due} - {cart.id for cart in wanted}
    if out:
        Cart.objects.filter(id__in=out).update(next_notification_at=None)
    return sent


@transaction.atomic
def send_recovery(*, actor: Actor, cart_id: UUID, now: datetime) -> int:
    """
    Remind the owner of an abandoned cart now, as a member of staff, and return which reminder it is.

    The value of the cart and the interval do not matter; whether the owner wants reminders is looked at when the
    mail is sent.

    :raises Forbidden: if the caller is not staff
    :raises FeatureDisabled: while recovery is switched off
    :raises CartNotFound: if the company has no such cart
    :raises NotAbandoned: if it is not abandoned
    :raises NobodyToRemind: if no address is known, or the owner has bought since
    """
    _require_staff(actor)
    flags.require(RECOVERY_FLAG)
    cart: Cart | None = Cart.objects.for_actor(actor).filter(id=cart_id).for_update().first()
    if cart is None:
        raise CartNotFound
    if cart.status != Cart.Status.ABANDONED:
        raise NotAbandoned
    [due] = _due("cart.id = %(cart)s", "", {"cart": cart_id})
    if not due.email or due.bought_since:
        raise NobodyToRemind
    _send([due], sent_by=actor.label, now=now)
    audit.record(
        actor=actor,
        action="cart.recovery_sent",
        object_type="cart",
        object_id=cart_id,
        after={"stage": due.sent + 1},
        now=now,
    )
    return due.sent + 1


@transaction.atomic
def request_recovery(*, actor: Actor, email: str, now: datetime) -> None:
    """
    Send another reminder of the latest abandoned cart to the address it belongs to, if there is one.

    Says nothing about whether there is; at most one an hour for a cart.
    """
    if not flags.is_enabled(RECOVERY_FLAG):
        return
    found = _due(
        "cart.company_id = %(company)s AND lower(COALESCE(owner.email, cart.email, '')) = lower(%(email)s)"
        " AND cart.id = (SELECT latest.id FROM carts latest LEFT JOIN users person ON person.id = latest.user_id"
        " WHERE latest.company_id = %(company)s AND latest.status = 'ABANDONED'"
        " AND lower(COALESCE(person.email, latest.email, '')) = lower(%(email)s)"
        " ORDER BY latest.abandoned_at DESC LIMIT 1)",
        "",
        {"company": actor.company_id, "email": email},
    )
    recent = RecoveryAttempt.objects.filter(
        cart_id__in=[cart.id for cart in found], created_at__gt=now - timedelta(hours=1)
    )
    if found and found[0].email and not found[0].bought_since and not recent.exists():
        _send(found, sent_by="owner", now=now)


def _send(carts: Sequence[_Due], *, sent_by: str, now: datetime) -> int:
    """Write the reminders of locked carts and announce them: three statements, whatever their number."""
    if not carts:
        return 0
    expires_at = now + settings.CART_RECOVERY_TOKEN_LIFETIME
    rows = []
    for cart in carts:
        attempt_id = new_id()
        token = tokens.sign(
            cart_id=cart.id, attempt_id=attempt_id, expires_at=expires_at, cycle=cart.cycle
        )
        rows.append((cart, attempt_id, tokens.digest_of(token)))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO cart_recovery_attempts
                (id, cart_id, cycle, stage, email, token_hash, sent_by, created_at, expires_at)
            SELECT new.id, new.cart_id, new.cycle, new.stage, new.email, decode(new.token_hash, 'hex'), %(by)s,
                   %(now)s, %(expires)s
              FROM jsonb_to_recordset(%(rows)s::jsonb) AS new (
                   id uuid, cart_id uuid, cycle int, stage int, email text, token_hash text)
            ON CONFLICT (cart_id, cycle, stage) DO NOTHING
            RETURNING id
            """,
            {
                "by": sent_by[:80],
                "now": now,
                "expires": expires_at,
                "rows": json.dumps(
                    [
                        {
                            "id": str(attempt_id),
                            "cart_id": str(cart.id),
                            "cycle": cart.cycle,
                            "stage": cart.sent + 1,
                            "email": cart.email,
                            "token_hash": digest.hex(),
                        }
                        for cart, attempt_id, digest in rows
                    ]
                ),
            },
        )
        written = {attempt_id for (attempt_id,) in cursor.fetchall()}
        cursor.execute(
            """
            UPDATE carts SET notifications_sent = carts.notifications_sent + 1, next_notification_at = new.next
              FROM jsonb_to_recordset(%s::jsonb) AS new (id uuid, next timestamptz)
             WHERE carts.id = new.id
            """,
            [
                json.dumps(
                    [
                        {
                            "id": str(cart.id),
                            "next": (now + cart.interval).isoformat()
                            if cart.sent + 1 < cart.most
                            else None,
                        }
                        for cart in carts
                    ]
                )
            ],
        )
    sent = [(cart, attempt_id) for cart, attempt_id, _digest in rows if attempt_id in written]
    for company_id in dict.fromkeys(cart.company_id for cart, _attempt in sent):
        events: list[Event] = [
            RecoveryDue(
                aggregate_id=cart.id,
                cart_version=cart.version,
                user_id=str(cart.user_id) if cart.user_id else None,
                attempt_id=str(attempt_id),
                email=cart.email,
                stage=cart.sent + 1,
                cycle=cart.cycle,
                expires_at=expires_at.isoformat(),
            )
            for cart, attempt_id in sent
            if cart.company_id == company_id
        ]
        outbox.publish(*events, actor=Actor.system(company_id), now=now)
    return len(sent)


@transaction.atomic
def dismiss(*, actor: Actor, cart_ids: Sequence[UUID], now: datetime, reason: str = "") -> int:
    """
    Take abandoned carts out of the queue: no reminder follows. Returns how many.

    :raises Forbidden: if the caller is not staff
    """
    _require_staff(actor)
    carts = Cart.objects.for_actor(actor).filter(
        id__in=cart_ids, status=Cart.Status.ABANDONED, dismissed_at=None
    )
    locked = list(carts.for_update().values_list("id", flat=True))
    Cart.objects.filter(id__in=locked).update(dismissed_at=now, next_notification_at=None)
    for cart_id in locked:
        audit.record(
            actor=actor,
            action="cart.recovery_dismissed",
            object_type="cart",
            object_id=cart_id,
            reason=reason,
            now=now,
        )
    return len(locked)


def _require_staff(actor: Actor) -> None:
    if not actor.sees_everything:
        raise Forbidden


# --- the link -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of an abandoned cart, without a word about whose it is."""

    sku: str
    name: str
    slug: str
    options: dict[str, str]
    image_url: str
    quantity: int
    unit_price: Any
    available: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecoveryPreview:
    currency: str
    lines: list[PreviewLine]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Restored:
    """The visitor's cart with the lines brought in; `token` is new where the visitor had no cart."""

    view: CartView
    report: list[dict[str, Any]]
    token: str | None


@changing
def preview_recovery(*, actor: Actor, token: str, now: datetime) -> RecoveryPreview:
    """
    Return what a link would bring back, at today's prices; changes nothing but the count of clicks.

    :raises RecoveryTokenInvalid: if it is not one of ours
    :raises RecoveryTokenExpired: if it is too old, was used, or its cart was bought or has come back
    """
    attempt = _attempt(actor=actor, token=token, now=now, lock=False)
    RecoveryAttempt.objects.filter(id=attempt.id, clicked_at=None).update(clicked_at=now)
    cart = view(actor=Actor.system(actor.company_id), cart_id=attempt.cart_id, now=now)
    return RecoveryPreview(
        cart.currency,
        [
            PreviewLine(
                sku=line.sku,
                name=line.name,
                slug=line.slug,
                options=line.options,
                image_url=line.image_url,
                quantity=line.quantity,
                unit_price=line.unit_price,
                available=line.available,
                problems=tuple(problem.code for problem in line.problems),
            )
            for line in cart.items
        ],
        attempt.expires_at,
    )


@changing
def restore(*, actor: Actor, token: str, now: datetime) -> Restored:
    """
    Bring the lines of an abandoned cart into the visitor's own cart: held anew, at today's prices, with a report.

    Works once. Nothing personal comes along, so a link that fell into other hands gives away a shopping list and no
    more. The owner's own cart becomes active again; another visitor's gets copies. A visitor without a cart gets one.

    :raises RecoveryTokenInvalid: if it is not one of ours
    :raises RecoveryTokenExpired: if it is too old or was used
    """
    attempt = _attempt(actor=actor, token=token, now=now, lock=True)
    used = RecoveryAttempt.objects.filter(id=attempt.id, used_at=None).update(used_at=now)
    if not used:
        raise RecoveryTokenExpired
    source: Cart = attempt.cart
    lines = list(
        CartLine.objects.filter(cart=source, list=ACTIVE)
        .select_related("variant", "product")
        .order_by("added_at", "id")
    )
    sources = sources_of(lines)
    change, guest_token = _own_cart(actor, {item.variant_id for item in sources}, source, now)
    if change.head.id == source.id:
        report = _hold_again(change)
    else:
        report = render(bring(change, sources), change.head.currency)
        Cart.objects.filter(id=source.id).update(recovered_at=now, next_notification_at=None)
    change.head.recovered_at = now
    change.announce(CartRecovered, attempt_id=str(attempt.id))
    restored = change.commit("cart.recovered", summary=f"reminder {attempt.stage}")
    _remember(change, attempt)
    return Restored(restored, report, guest_token)


def _attempt(*, actor: Actor, token: str, now: datetime, lock: bool) -> RecoveryAttempt:
    flags.require(RECOVERY_FLAG)
    claim = tokens.read(token)
    if claim is None:
        raise RecoveryTokenInvalid
    attempts = RecoveryAttempt.objects.select_related("cart").filter(
        id=claim.attempt_id,
        cart_id=claim.cart_id,
        cart__company_id=actor.company_id,
        token_hash=tokens.digest_of(token),
    )
    if lock:
        # The cart first, as everywhere; then the reminder, so that of two clicks one waits.
        Cart.objects.filter(id=claim.cart_id).for_update().values_list("id", flat=True).first()
        attempts = attempts.select_for_update(of=("self",), no_key=True)
    attempt = attempts.first()
    if attempt is None:
        raise RecoveryTokenInvalid
    over = attempt.used_at is not None or attempt.expires_at <= now
    # The cart was bought, merged or abandoned anew since: what the link was about is no more.
    if (
        over
        or attempt.cart.status not in Cart.OPEN
        or attempt.cart.abandonment_cycle != claim.cycle
    ):
        raise RecoveryTokenExpired
    return attempt


def _own_cart(
    actor: Actor, variant_ids: set[UUID], source: Cart, now: datetime
) -> tuple[Change, str | None]:
    if actor.is_known:
        try:
            return open_cart(actor=actor, now=now, variant_ids=variant_ids), None
        except (CartNotFound, CartExpired, CartMerged):
            pass
    opened = create(actor=actor, now=now, currency=source.currency)
    owner = holder_of(actor, opened.token) if opened.token is not None else actor
    return open_cart(actor=owner, now=now, variant_ids=variant_ids), opened.token


def _hold_again(change: Change) -> list[dict[str, Any]]:
    """Take the holds of the owner's own lines again as far as stock goes, and say how each fares."""
    for line in change.in_list(ACTIVE):
        change.edit(line)
    short = {item.line_id: item for item in change.settle(refuse=False)}
    rows = []
    for each in change.judged():
        if each.line.list != ACTIVE:
            continue
        missing = short.get(each.line.id)
        reason = "ITEM_OUT_OF_STOCK" if missing else each.problems[0].code if each.problems else ""
        rows.append(
            {
                "sku": each.line.facts.sku,
                "name": each.line.facts.name,
                "action": "kept",
                "quantity": each.line.quantity,
                "requested": each.line.quantity,
                "reason": reason,
                "itemId": str(each.line.id),
                "oldPrice": change.money(each.line.price_when_added),
                "ownPrice": None,
                "unitPrice": None if each.unit_price is None else change.money(each.unit_price),
            }
        )
    return rows


def _remember(change: Change, attempt: RecoveryAttempt) -> None:
    """Note which reminder brought the customer back, so that an order is credited to it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cart_metadata (cart_id, key, value, created_at)"
            " VALUES (%s, 'recovery_attempt', %s::jsonb, %s)"
            " ON CONFLICT (cart_id, key) DO UPDATE SET value = excluded.value, created_at = excluded.created_at",
            [change.head.id, json.dumps(str(attempt.id)), change.now],
        )
