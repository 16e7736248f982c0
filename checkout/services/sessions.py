"""A checkout session: begun from a cart, filled in, given up, or run out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from cart import services as carts
from cart.errors import CartEmpty, CartNotFound
from cart.events import CheckoutStarted
from cart.services.change import Change
from checkout import selectors
from checkout.errors import CheckoutExpired, CheckoutNotFound
from checkout.models import Checkout
from checkout.selectors import CheckoutView, Priced
from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, InvalidTransition, ValidationFailed
from config.platform.models import new_id
from orders import addresses
from pricing.engine import NO_SHIPPING_ZONE
from pricing.money import format_amount
from pricing.outside import asking

SHOWN_QUOTES = 20  # how many totals a checkout remembers, to say what changed


@asking
@transaction.atomic
def initialize(*, actor: Actor, email: str = "", now: datetime) -> CheckoutView:
    """
    Begin to buy the caller's cart: hold every active line, all of them or none.

    A cart has one open checkout at a time; beginning again continues it. Locks the cart, then the
    checkout, then the stock.

    :raises FeatureDisabled: for a guest, if guest checkout is switched off
    :raises CartNotFound, CartExpired, CartMerged: if the guest token opens no cart
    :raises CartEmpty: if there is nothing to buy
    :raises ValidationFailed: if the e-mail address is malformed
    :raises HoldFailed: listing every line that cannot be held; nothing is written
    """
    if actor.user_id is None:
        flags.require("ORDER_ENABLE_GUEST_CHECKOUT")
    email = addresses.check_email(email)
    change = _open_cart(actor, now=now)
    cart = change.head
    checkout: Checkout | None = (
        Checkout.objects.filter(cart_id=cart.id, status=Checkout.Status.OPEN).for_update().first()
    )
    is_new = checkout is None
    if checkout is None:
        checkout = Checkout(
            id=new_id(),
            company_id=cart.company_id,
            cart_id=cart.id,
            user_id=actor.user_id,
            session_hash=None if actor.user_id else actor.session_hash,
            email=actor.email or cart.email,
            currency=cart.currency,
            created_at=now,
            expires_at=now,
        )
    checkout.email = email or checkout.email
    with outbox.together():
        carts.hold_for_checkout(change, email=email)
        if is_new:
            outbox.publish(
                CheckoutStarted(
                    aggregate_id=cart.id,
                    cart_version=cart.version,
                    user_id=str(cart.user_id) if cart.user_id else None,
                ),
                actor=actor,
                now=now,
            )
    priced = _reprice(checkout, change, now=now)
    checkout.save(force_insert=is_new)
    return selectors.view_of(checkout, now=now, priced=priced)


@asking
@transaction.atomic
def update(
    *, actor: Actor, checkout_id: UUID, changes: Mapping[str, Any], now: datetime
) -> CheckoutView:
    """
    Store what the customer has filled in, and price anew.

    `changes` may have `email`, `shipping_address`, `billing_address`, `shipping_option`, `notes`; what
    is not there stays; and `approved`, what was approved at a wallet. `shipping_address_id` and `billing_address_id` name entries of the caller's address book, which
    are copied. Addresses may be incomplete and replace the earlier ones. A shipping option
    that is not offered any more is dropped and becomes a requirement again. Renews the holds.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired: if its time is over
    :raises InvalidTransition: if it was placed or cancelled
    :raises AddressNotFound: if an id is of no address of the caller's
    :raises ValidationFailed: listing each malformed field; nothing is written
    """
    clean = _clean(_with_addresses(changes, actor))
    checkout = lock(actor=actor, checkout_id=checkout_id)
    check_open(checkout, now=now)
    address_before = checkout.email
    for field, value in clean.items():
        setattr(checkout, field, value)
    # The cart notes a new address too: it is where a reminder goes if it is left behind.
    change = carts.touch(
        actor=actor,
        cart_id=checkout.cart_id,
        email=checkout.email if checkout.email != address_before else "",
        now=now,
    )
    priced = _reprice(checkout, change, now=now)
    offered = {option.id for option in priced.quote.shipping_options}
    if checkout.shipping_option and priced.quote.shipping is None and offered:
        if clean.get("shipping_option"):
            raise ValidationFailed(
                errors=[
                    FieldError(
                        "shippingOption", "invalid_choice", "This option is not offered there."
                    )
                ]
            )
        checkout.shipping_option = ""
    elif checkout.shipping_option and priced.quote.shipping_code == NO_SHIPPING_ZONE:
        checkout.shipping_option = ""
    checkout.save()
    return selectors.view_of(checkout, now=now, priced=priced)


def choose_delivery(*, actor: Actor, view: CheckoutView, now: datetime) -> CheckoutView:
    """
    Choose the cheapest way to ship for who has not chosen one; where there is none, or one is chosen, nothing changes.

    :raises CheckoutExpired: if its time is over
    """
    options = view.quote.shipping_options
    if not view.quote.requires_shipping or view.quote.shipping is not None or not options:
        return view
    cheapest = min(options, key=lambda option: option.price)
    changes = {"shipping_option": cheapest.id}
    return update(actor=actor, checkout_id=view.checkout.id, changes=changes, now=now)


@asking
@transaction.atomic
def calculate(*, actor: Actor, checkout_id: UUID, now: datetime) -> CheckoutView:
    """
    Price the checkout as it stands and remember the total as shown.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired: if its time is over
    """
    checkout = lock(actor=actor, checkout_id=checkout_id)
    if checkout.order_id is not None:
        return selectors.view_of(checkout, now=now)
    check_open(checkout, now=now)
    priced = selectors.price(checkout, now=now)
    remember(checkout, priced)
    checkout.save()
    return selectors.view_of(checkout, now=now, priced=priced)


def validate(*, actor: Actor, checkout_id: UUID, now: datetime) -> CheckoutView:
    """
    Return a checkout with what keeps it from being placed, nothing once it is; writes nothing.

    :raises CheckoutNotFound: if there is none for this caller
    :raises CheckoutExpired, InvalidTransition: if it was not placed and is over
    """
    checkout = selectors.find(actor=actor, checkout_id=checkout_id)
    if checkout.order_id is None:
        check_open(checkout, now=now)
    return selectors.view_of(checkout, now=now)


@transaction.atomic
def expire_due(*, now: datetime, limit: int = 1000) -> int:
    """End open checkouts whose time is over, at most `limit`, and return how many; placed ones wait for payment."""
    due = (
        Checkout.objects.filter(status=Checkout.Status.OPEN, expires_at__lte=now)
        .for_update(skip_locked=True)
        .values_list("pk", flat=True)[:limit]
    )
    return Checkout.objects.filter(pk__in=list(due)).update(
        status=Checkout.Status.EXPIRED, updated_at=now
    )


def lock(*, actor: Actor, checkout_id: UUID) -> Checkout:
    """
    Return a checkout, locked together with its cart by one statement until the transaction ends.

    PostgreSQL locks the tables of a row one after the other as `of` names them: the cart first.

    :raises CheckoutNotFound: if there is none for this caller
    """
    try:
        found: Checkout = (
            Checkout.objects.for_actor(actor)
            .select_related("cart")
            .defer("cart__quote", "cart__metadata", "cart__notifications_sent")
            .select_for_update(of=("cart", "self"), no_key=True)
            .get(pk=checkout_id)
        )
    except Checkout.DoesNotExist:
        raise CheckoutNotFound from None
    return found


def check_open(checkout: Checkout, *, now: datetime) -> None:
    """
    Refuse a checkout that can no longer be changed.

    :raises CheckoutExpired: if its time is over
    :raises InvalidTransition: if it was placed or cancelled
    """
    if checkout.status == Checkout.Status.EXPIRED or (
        checkout.status == Checkout.Status.OPEN and checkout.expires_at <= now
    ):
        raise CheckoutExpired
    if checkout.status != Checkout.Status.OPEN:
        raise InvalidTransition(
            f"This checkout is {checkout.get_status_display()}.", extra={"status": checkout.status}
        )


def move(checkout: Checkout, status: str) -> None:
    """
    Move a locked checkout to `status`.

    :raises InvalidTransition: if `Checkout.TRANSITIONS` does not allow it
    """
    if status not in Checkout.TRANSITIONS[checkout.status]:
        raise InvalidTransition(extra={"from": checkout.status, "to": status})
    checkout.status = Checkout.Status(status)


def remember(checkout: Checkout, priced: Priced) -> None:
    """Note on a locked checkout the quote that its customer is about to see."""
    quote = priced.quote
    shown = {
        **checkout.quotes_shown,
        quote.id: format_amount(quote.totals.grand_total, quote.currency),
    }
    checkout.quotes_shown = dict(list(shown.items())[-SHOWN_QUOTES:])
    checkout.quote = quote.to_json()
    checkout.quote_id = quote.id


def _open_cart(actor: Actor, *, now: datetime) -> Change:
    try:
        return carts.open_for_checkout(actor=actor, now=now)
    except CartNotFound:
        if actor.user_id is None:
            raise
        raise CartEmpty from None


def _reprice(checkout: Checkout, change: Change, *, now: datetime) -> Priced:
    priced = selectors.price_read(checkout, head=change.head, lines=change.lines, now=now)
    remember(checkout, priced)
    ends = [
        line.hold.expires_at
        for line in priced.lines
        if line.hold is not None and line.hold.expires_at is not None and line.hold.is_live(now)
    ]
    if ends:
        checkout.expires_at = min(ends)
    elif checkout.expires_at <= now:  # holds are switched off
        checkout.expires_at = now + priced.hold_life
    return priced


def _with_addresses(changes: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """Return the changes with chosen entries of the address book in place of their ids."""
    clean = dict(changes)
    for field in ("shipping_address", "billing_address"):
        chosen = clean.pop(f"{field}_id", None)
        if chosen is None:
            continue
        if field in clean:
            name = "shippingAddressId" if field == "shipping_address" else "billingAddressId"
            raise ValidationFailed(
                errors=[FieldError(name, "invalid", "Send the address or its id, not both.")]
            )
        clean[field] = selectors.find_address(actor=actor, address_id=chosen).as_fields()
    return clean


def _clean(changes: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: list[FieldError] = []
    for field, value in changes.items():
        try:
            if field == "email":
                clean[field] = addresses.check_email(value or "")
            elif field in {"shipping_address", "billing_address"}:
                name = "shippingAddress" if field == "shipping_address" else "billingAddress"
                clean[field] = None if value is None else addresses.normalise(value, name)
            elif field == "shipping_option":
                clean[field] = addresses.check_text(value or "", "shippingOption", 40)
            elif field == "approved":
                clean[field] = value
            elif field == "notes":
                clean[field] = addresses.check_text(value or "", "notes", 1000, multiline=True)
        except ValidationFailed as refusal:
            errors += refusal.errors
    if errors:
        raise ValidationFailed(errors=errors)
    return clean
