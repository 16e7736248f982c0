"""Carts as a whole: opened, found, bought, put back, and what they remember beside their lines."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction

from cart.errors import CartEmpty, CartExpired, CartNotFound
from cart.events import CartConverted, CartCreated, CartUpdated
from cart.events import CartExpired as CartExpiredEvent
from cart.models import Cart, CartPolicy
from cart.selectors.carts import view
from cart.selectors.state import ACTIVE, Head, find_head, load_lines
from cart.selectors.views import CartView, basket_of, judge
from cart.services import texts
from cart.services.change import Change, changing, open_cart
from config.platform import outbox
from config.platform.actor import Actor, hash_token
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import new_id
from inventory import services as inventory
from inventory.models import Company
from pricing import engine
from pricing.destinations import LONGEST_POSTAL_CODE, LONGEST_STATE, read_place
from pricing.engine import Basket, Place
from pricing.errors import CurrencyUnknown
from pricing.money import EXPONENTS

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Opened:
    """A cart that is open now. `token` is the guest's key, told this once; None where there is nothing new to tell."""

    view: CartView
    token: str | None
    is_new: bool


# --- opening --------------------------------------------------------------------------------------


@changing
def create(
    *,
    actor: Actor,
    now: datetime,
    currency: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    device: str = "",
) -> Opened:
    """
    Open a cart: the signed-in caller's, which may be open already, or a new guest's with a new token.

    :raises CurrencyUnknown: if we do not sell in this currency
    :raises ValidationFailed: if the metadata is not acceptable
    """
    plain = texts.plain_metadata(dict(metadata or {}))
    if actor.user_id is not None:
        found = _current(actor, now)
        if found is not None:
            return Opened(found, None, False)
    company, policy = company_and_policy(actor.company_id)
    chosen = check_currency(company, currency)
    cart_id = new_id()
    values: dict[str, Any] = {
        "id": cart_id,
        "company": actor.company_id,
        "user": actor.user_id,
        "currency": chosen,
        "metadata": json.dumps(plain),
        "now": now,
        "expires": now + timedelta(days=policy.cart_expiration_days),
        "event_id": new_id(),
        "actor": actor.label[:80],
        "session": None,
    }
    token = None
    if actor.user_id is None:
        token = secrets.token_hex(TOKEN_BYTES)
        values |= {"session": new_id(), "hash": hash_token(token), "device": device[:400]}
        made = _insert(values, with_session=True)
    else:
        made = _insert(values, with_session=False)
    if not made:  # somebody opened it at the same moment
        return Opened(view(actor=actor, now=now), None, False)
    outbox.publish(
        CartCreated(
            aggregate_id=cart_id,
            cart_version=1,
            user_id=str(actor.user_id) if actor.user_id else None,
        ),
        actor=actor,
        now=now,
    )
    owner = actor if token is None else holder_of(actor, token)
    return Opened(view(actor=owner, now=now, cart_id=cart_id), token, True)


def ensure(*, actor: Actor, now: datetime) -> Opened:
    """
    Return the caller's open cart, or open one.

    A guest whose token is unknown or whose cart is over gets a new cart, and a new token to keep.
    """
    found = _current(actor, now) if actor.is_known else None
    return Opened(found, None, False) if found is not None else create(actor=actor, now=now)


def ensure_for_write(
    *,
    actor: Actor,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
    skus: Iterable[str] = (),
    variant_ids: Iterable[UUID] = (),
    product_ids: Iterable[UUID] = (),
) -> Change:
    """Like `open_cart`, but a signed-in caller without a cart gets one. Call within a transaction."""
    skus, variant_ids, product_ids = list(skus), list(variant_ids), list(product_ids)
    for_new = actor.user_id is not None and cart_id is None
    try:
        return open_cart(
            actor=actor,
            now=now,
            cart_id=cart_id,
            expected=expected,
            skus=skus,
            variant_ids=variant_ids,
            product_ids=product_ids,
        )
    except (CartNotFound, CartExpired):
        if not for_new:
            raise
    create(actor=actor, now=now)
    return open_cart(
        actor=actor, now=now, skus=skus, variant_ids=variant_ids, product_ids=product_ids
    )


def _current(actor: Actor, now: datetime) -> CartView | None:
    """Return the caller's open cart, if there is one; one of theirs whose life is over is closed."""
    try:
        return view(actor=actor, now=now)
    except CartExpired:
        if actor.user_id is not None:
            expire_own(actor=actor, now=now)
        return None
    except CartNotFound:
        return None


def expire_own(*, actor: Actor, now: datetime) -> None:
    """Write down that a signed-in caller's cart is over, so that another can be opened."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE carts SET status = 'EXPIRED', version = version + 1, updated_at = %s"
            " WHERE user_id = %s AND company_id = %s AND status = 'ACTIVE' AND expires_at <= %s RETURNING id, version",
            [now, actor.user_id, actor.company_id, now],
        )
        closed = cursor.fetchall()
    for cart_id, version in closed:
        inventory.release_cart(actor=actor, cart_id=cart_id, now=now)
        outbox.publish(
            CartExpiredEvent(
                aggregate_id=cart_id, cart_version=version, user_id=str(actor.user_id)
            ),
            actor=actor,
            now=now,
        )


def holder_of(actor: Actor, token: str) -> Actor:
    return Actor(
        kind=actor.kind,
        company_id=actor.company_id,
        session_hash=hash_token(token),
        request_id=actor.request_id,
        source=actor.source,
        address=actor.address,
    )


_INSERT = """
    WITH {session} made AS (
        INSERT INTO carts (
            id, company_id, user_id, session_id, status, currency, version, codes, destination, email, metadata,
            quote, quote_key, item_count, grand_total, last_activity_at, abandonment_cycle, notifications_sent,
            expires_at, created_at, updated_at)
        VALUES (%(id)s, %(company)s, %(user)s, %(session)s, 'ACTIVE', %(currency)s, 1, '[]', '{{}}', '', %(metadata)s,
                NULL, '', 0, 0, %(now)s, 0, 0, %(expires)s, %(now)s, %(now)s)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
    SELECT %(event_id)s, made.id, 1, 'cart.created', %(actor)s, '', '{{}}', %(now)s FROM made
    RETURNING cart_id
"""
_SESSION = """
    session AS (
        INSERT INTO cart_sessions
            (id, company_id, user_id, token_hash, device, user_agent, status, last_seen_at, expires_at, created_at)
        VALUES (%(session)s, %(company)s, NULL, %(hash)s, '', %(device)s, 'active', %(now)s, %(expires)s, %(now)s)
    ),
"""


def _insert(values: dict[str, Any], *, with_session: bool) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_INSERT.format(session=_SESSION if with_session else ""), values)
        return cursor.fetchone() is not None


def policy(*, company_id: UUID) -> CartPolicy:
    """Return the knobs of a company's carts: its row, or the defaults."""
    return CartPolicy.objects.filter(company_id=company_id).first() or CartPolicy(
        company_id=company_id
    )


def company_and_policy(company_id: UUID) -> tuple[Company, CartPolicy]:
    company = Company.objects.select_related("cart_policy").get(id=company_id)
    return company, getattr(company, "cart_policy", None) or CartPolicy(company_id=company_id)


def check_currency(company: Company, currency: str | None) -> str:
    """
    Return the currency a cart of this company may have; its own by default.

    What has no price in it is refused when it is added, not here.

    :raises CurrencyUnknown: if there is no such currency
    """
    code = (currency or company.currency).upper()
    if code not in EXPONENTS:
        raise CurrencyUnknown(
            errors=[FieldError("currency", "invalid", "There is no such currency.")]
        )
    return code


# --- what a cart remembers ------------------------------------------------------------------------


@changing
def update(
    *,
    actor: Actor,
    now: datetime,
    metadata: dict[str, Any] | None = None,
    email: str | None = None,
    destination: Mapping[str, str] | None = None,
    currency: str | None = None,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Set what is given: client metadata, the address a guest leaves, where estimates go, the currency.

    :raises ValidationFailed: if a value is not acceptable
    :raises CurrencyUnknown: if we do not sell in this currency
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    head = change.head
    if metadata is not None:
        head.metadata = texts.plain_metadata(metadata)
    if email is not None:
        head.email = check_email(email)
    if destination is not None:
        head.destination = plain_destination(destination)
    if currency is not None and currency.upper() != head.currency:
        company, _policy = company_and_policy(head.company_id)
        head.currency = check_currency(company, currency)
        _revalue(change)
    change.announce(CartUpdated)
    return change.commit("cart.updated")


# Reasons for which a code will not come to apply again.
_FOR_GOOD = {engine.UNKNOWN, engine.EXPIRED, engine.USED_UP}


@changing
def refresh(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, expected: int | None = None
) -> CartView:
    """
    Look at everything anew: holds that lapsed are taken again where stock allows, codes that are over are dropped
    with a notice, the quote is made from today's prices and rules.
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    for line in change.in_list(ACTIVE):
        if change.holds_at_once and not line.held(now) and line.facts.is_sold:
            change.edit(line)
    change.settle(refuse=False)
    change.head.quote_key = ""  # whatever is stored
    _judged, quote, _key = change.priced()
    for refused in quote.not_applied:
        if refused.reason in _FOR_GOOD:
            change.head.codes = [code for code in change.head.codes if code != refused.code]
            change.say(
                "DISCOUNT_DROPPED", refused.message, code=refused.code, reason=refused.reason
            )
    change.announce(CartUpdated)
    return change.commit("cart.refreshed")


def set_destination(*, actor: Actor, destination: Mapping[str, str], now: datetime) -> CartView:
    """
    Say where estimates of tax and shipping go; an empty one takes it back.

    :raises ValidationFailed: if it is malformed
    """
    return update(actor=actor, destination=destination, now=now)


def _revalue(change: Change) -> None:
    """Read the lines anew in the cart's currency; what was promised in another one is void."""
    lines, _facts = load_lines(head=change.head, now=change.now)
    by_id = {line.id: line for line in lines}
    for line in change.lines:
        fresh = by_id.get(line.id)
        if fresh is None:
            continue
        change.edit(line, hold=False)
        line.facts = fresh.facts
        line.promised_price = fresh.facts.price if line.held(change.now) else None
        if fresh.facts.ladder is not None:
            line.price_when_added, line.accepted_price = fresh.facts.ladder.advertised, None


def check_email(email: str) -> str:
    """:raises ValidationFailed: if it is not an e-mail address"""
    plain = email.strip()
    if not plain:
        return ""
    try:
        validate_email(plain)
    except ValidationError:
        plain = ""
    if not plain or len(plain) > 254:
        raise ValidationFailed(
            errors=[FieldError("email", "invalid", "This is not an e-mail address.")]
        )
    return plain


def plain_destination(destination: Mapping[str, str]) -> dict[str, str]:
    """
    Return a destination as carts store it: `country` (two letters), `state`, `postalCode`.

    :raises ValidationFailed: if there is no such country or state, or a text is too long or no postal code
    """
    country = (destination.get("country") or "").strip()
    if not country:
        return {}
    place = read_place(
        country=country,
        state=texts.plain_text(destination.get("state") or "", field="state", length=LONGEST_STATE),
        postal_code=texts.plain_text(
            destination.get("postalCode") or "", field="postalCode", length=LONGEST_POSTAL_CODE
        ),
    )
    found = {"country": place.country, "state": place.state, "postalCode": place.postal_code}
    return {name: text for name, text in found.items() if text}


# --- for checkout -----------------------------------------------------------------------------------


def lock(*, actor: Actor, cart_id: UUID) -> Cart:
    """
    Lock a cart of the caller until the transaction ends; take the locks of checkout, order and stock after it.

    :raises CartNotFound: if it is not theirs
    """
    cart: Cart | None = Cart.objects.for_actor(actor).filter(id=cart_id).for_update().first()
    if cart is None:
        raise CartNotFound
    return cart


def basket(
    *,
    actor: Actor,
    cart_id: UUID,
    destination: Place | None,
    shipping_option: str | None,
    now: datetime,
    codes: Sequence[str] | None = None,
) -> Basket:
    """
    Return what would be bought of a cart now, for a quote: two statements.

    :raises CartNotFound: if it is not the caller's, or no longer open
    """
    head = find_head(actor=actor, now=now, cart_id=cart_id)
    lines, _facts = load_lines(head=head, now=now)
    return basket_of(
        head=head,
        judged=judge(head=head, lines=lines, now=now),
        destination=destination,
        shipping_option=shipping_option,
        codes=codes,
    )


@changing
def touch(*, actor: Actor, cart_id: UUID, now: datetime, email: str = "") -> Change:
    """
    Note that the owner is busy with the cart: holds are renewed within their cap, the cart is not idle.

    Shows nowhere, so the version stays; an abandoned cart comes back and `email` is noted, which does show. Returns
    the cart as it is now, locked, so that the caller need not read it again.

    :raises CartNotFound: if it is not theirs
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id)
    change.settle(refuse=False)
    is_new = bool(email) and email != change.head.email
    if is_new:
        change.head.email = check_email(email)
    if change.head.status == Cart.Status.ABANDONED or change.is_changed or is_new:
        change.announce(CartUpdated)
        change.commit("cart.touched")
        return change
    Cart.objects.filter(id=change.head.id).update(
        last_activity_at=now,
        expires_at=now + timedelta(days=change.head.policy.cart_expiration_days),
    )
    return change


@transaction.atomic(savepoint=False)
def convert(
    *, actor: Actor, cart_id: UUID, order_id: UUID, now: datetime, head: Head | None = None
) -> Cart:
    """
    Close a cart that was bought, and return the fresh one of the same owner.

    What waits for the next purchase or is saved moves to the fresh cart; what was bought stays as it was bought. A
    reminder that brought the customer back is credited with the order. The holds are the order's by now. `head` is the
    cart as the caller has read it under its lock.

    :raises CartNotFound: if it is not the caller's, or no longer open
    :raises CartEmpty: if nothing is in it
    """
    if head is None or head.id != cart_id:
        head = find_head(actor=actor, now=now, cart_id=cart_id, lock=True)
    fresh = Cart(
        id=new_id(),
        company_id=head.company_id,
        user_id=head.user_id,
        session_id=head.session_id,
        status=Cart.Status.ACTIVE,
        currency=head.currency,
        destination=head.destination,
        email=head.email,
        metadata=head.metadata,
        last_activity_at=now,
        expires_at=now + timedelta(days=head.policy.cart_expiration_days),
        created_at=now,
    )
    values: dict[str, Any] = {
        "cart": head.id,
        "fresh": fresh.id,
        "company": head.company_id,
        "user": head.user_id,
        "session": head.session_id,
        "currency": head.currency,
        "destination": json.dumps(head.destination),
        "email": head.email,
        "metadata": json.dumps(head.metadata),
        "expires": fresh.expires_at,
        "order": order_id,
        "version": head.version + 1,
        "now": now,
        "actor": actor.label[:80],
        "events": [new_id(), new_id()],
    }
    with connection.cursor() as cursor:
        # Two statements: the owner may have one open cart, and within one the order of writes is nobody's promise.
        cursor.execute(_CONVERT, values)
        bought = cursor.fetchone()
        if bought is None:
            raise CartEmpty
        if bought[1]:  # something that was not bought is still held
            inventory.release_cart(actor=actor, cart_id=head.id, now=now)
        cursor.execute(_FRESH, values)
    owner = str(head.user_id) if head.user_id else None
    outbox.publish(
        CartConverted(
            aggregate_id=head.id,
            cart_version=head.version + 1,
            user_id=owner,
            order_id=str(order_id),
            next_cart_id=str(fresh.id),
        ),
        actor=actor,
        now=now,
    )
    return fresh


_CONVERT = """
    WITH credited AS (
        UPDATE cart_recovery_attempts attempt SET order_id = %(order)s
         WHERE attempt.order_id IS NULL AND attempt.id IN (
               SELECT (fact.value #>> '{}')::uuid FROM cart_metadata fact
                WHERE fact.cart_id = %(cart)s AND fact.key = 'recovery_attempt')
    ), noted AS (
        INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
        VALUES ((%(events)s::uuid[])[1], %(cart)s, %(version)s, 'cart.converted', %(actor)s, '',
                jsonb_build_object('orderId', %(order)s::text), %(now)s)
    )
    UPDATE carts SET status = 'CONVERTED', order_id = %(order)s, converted_at = %(now)s, version = %(version)s,
           checkout_id = NULL, next_notification_at = NULL, updated_at = %(now)s
     WHERE id = %(cart)s AND EXISTS (SELECT 1 FROM cart_items line WHERE line.cart_id = %(cart)s AND line.list = 'active')
    RETURNING id, EXISTS (
        SELECT 1 FROM stock_reservations hold
         WHERE hold.cart_id = %(cart)s AND hold.status = 'ACTIVE' AND hold.order_line_id IS NULL)
"""
_FRESH = """
    WITH made AS (
        INSERT INTO carts (
            id, company_id, user_id, session_id, status, currency, version, codes, destination, email, metadata,
            quote, quote_key, item_count, grand_total, last_activity_at, abandonment_cycle, notifications_sent,
            expires_at, created_at, updated_at)
        VALUES (%(fresh)s, %(company)s, %(user)s, %(session)s, 'ACTIVE', %(currency)s, 1, '[]', %(destination)s,
                %(email)s, %(metadata)s, NULL, '', 0, 0, %(now)s, 0, 0, %(expires)s, %(now)s, %(now)s)
        RETURNING id
    ), moved AS (
        UPDATE cart_items SET cart_id = %(fresh)s, changed_version = 1 WHERE cart_id = %(cart)s AND list <> 'active'
    )
    INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
    SELECT (%(events)s::uuid[])[2], made.id, 1, 'cart.created', %(actor)s, '', '{}', %(now)s FROM made
"""
