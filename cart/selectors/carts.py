"""Reading carts: the whole, its summary, its log, and the carts of the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from cart.errors import CartNotFound
from cart.models import Cart, CartEvent
from cart.selectors.state import Head, find_head, find_latest, load_lines, show_remembered_stock
from cart.selectors.views import CartView, Judged, basket_of, judge, key_of, present, stored_quote
from config.platform.actor import Actor
from pricing import services as pricing


def view(*, actor: Actor, now: datetime, cart_id: UUID | None = None) -> CartView:
    """
    Return the caller's cart as it stands at `now`; writes nothing. Two statements.

    The stored quote is used as long as it holds; when a price, a hold, stock or a rule has moved, the cart is priced
    anew in memory.

    :raises CartNotFound: if there is none for this caller
    :raises CartExpired: if its life is over
    :raises CartMerged: if it was merged into an account's cart
    """
    head = find_head(actor=actor, now=now, cart_id=cart_id)
    lines, _facts = load_lines(head=head, now=now)
    alive = [line for line in lines if line.expires_at is None or line.expires_at > now]
    if not head.policy.real_time_stock_validation_enabled:
        show_remembered_stock(alive, now=now)
    judged: list[Judged] = judge(head=head, lines=alive, now=now)
    basket = basket_of(head=head, judged=judged)
    key = key_of(head=head, basket=basket)
    quote = stored_quote(head=head, key=key, now=now) or pricing.quote(
        actor=actor, basket=basket, now=now, revision=head.revision
    )
    return present(head=head, judged=judged, quote=quote, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a page header shows."""

    item_count: int
    line_count: int
    subtotal: Decimal
    grand_total: Decimal
    currency: str
    version: int


def summary(*, actor: Actor, now: datetime) -> Summary:
    """
    Return the figures of the caller's cart.

    :raises CartNotFound: if there is none for this caller
    """
    cart = view(actor=actor, now=now)
    return Summary(
        item_count=cart.totals.item_count,
        line_count=cart.totals.line_count,
        subtotal=cart.totals.subtotal,
        grand_total=cart.totals.grand_total,
        currency=cart.currency,
        version=cart.version,
    )


def badge(*, actor: Actor, now: datetime) -> Summary | None:
    """
    Return the figures as the cart was last written, for each page's header; None without a cart. One statement.

    Unlike `summary` it does not look whether prices or stock have moved since.
    """
    if not actor.is_known:
        return None
    carts = Cart.objects.filter(company_id=actor.company_id, status__in=Cart.OPEN)
    carts = (
        carts.filter(user_id=actor.user_id)
        if actor.user_id is not None
        else carts.filter(user_id=None, session__token_hash=actor.session_hash)
    )
    found = carts.values_list(
        "item_count", "grand_total", "currency", "version", "expires_at", "status"
    ).first()
    if found is None or (found[5] == Cart.Status.ACTIVE and found[4] <= now):
        return None
    count, total, currency, version, _expires_at, _status = found
    return Summary(
        item_count=count,
        line_count=0,
        subtotal=total,
        grand_total=total,
        currency=currency,
        version=version,
    )


def history(*, actor: Actor, now: datetime, cart_id: UUID | None = None) -> QuerySet[CartEvent]:
    """
    Return the cart's events, newest first.

    :raises CartNotFound: if there is no cart for this caller
    """
    head = find_head(actor=actor, now=now, cart_id=cart_id)
    return CartEvent.objects.filter(cart_id=head.id).order_by("-version", "-id")


def past(*, actor: Actor) -> QuerySet[Cart]:
    """Return the caller's carts that were bought or are over, newest first, with how much was in them."""
    carts = Cart.objects.filter(company_id=actor.company_id)
    if actor.user_id is not None:
        carts = carts.filter(user_id=actor.user_id)
    elif actor.session_hash is not None:
        carts = carts.filter(user_id=None, session__token_hash=actor.session_hash)
    else:
        carts = carts.none()
    return carts.filter(status__in=[Cart.Status.CONVERTED, Cart.Status.EXPIRED]).order_by("-id")


def find(*, actor: Actor, cart_id: UUID) -> Cart:
    """
    Return a cart of the caller, whatever its status.

    :raises CartNotFound: if it is not theirs
    """
    cart: Cart | None = Cart.objects.for_actor(actor).filter(id=cart_id).first()
    if cart is None:
        raise CartNotFound
    return cart


def latest_head(*, actor: Actor) -> Head:
    """
    Return the caller's latest cart, whatever its status.

    :raises CartNotFound: if they never had one
    """
    return find_latest(actor=actor)
