"""
Buying from the cart with a wallet (EXP-01…06): the wallet says who and where, then the one way of every order is taken.

The customer approves a preliminary total at PayPal. What we learn there fills in the checkout, which is priced anew; only
the total that they have seen here, or approved there, is placed and taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from checkout import applepay, selectors
from checkout.errors import (
    CheckoutNotFound,
    PaymentFailed,
    PaymentNotFound,
    PaymentRequired,
    PriceChanged,
)
from checkout.gateway import (
    PayPalGateway,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    State,
)
from checkout.gateway.paypal import Approval
from checkout.models import Checkout, Payment
from checkout.selectors import CheckoutView
from checkout.services.payments import complete, pay
from checkout.services.placing import check_requirements
from checkout.services.sessions import choose_delivery, initialize, update
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import (
    AuthRequired,
    DependencyUnavailable,
    FeatureDisabled,
    InvalidTransition,
)
from config.platform.models import new_id
from inventory.models import Company
from orders.models import Order
from pricing.money import format_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A PayPal order for what is in the cart; `approve_url` is where its customer approves it."""

    order_id: str
    approve_url: str
    amount: Decimal
    view: CheckoutView


def require(wallet: str) -> None:
    """:raises FeatureDisabled: while express checkout is off, or the wallet lacks its credentials"""
    flags.require(selectors.EXPRESS)
    if wallet not in selectors.wallets():
        raise FeatureDisabled(extra={"feature": wallet})


def begin_paypal(*, actor: Actor, now: datetime) -> Begun:
    """
    Begin to buy the caller's cart, and make the PayPal order that its customer approves.

    Every line is held first. The order is for the total as far as it is known; nothing is taken by approving it.

    :raises FeatureDisabled: while PayPal is not offered here
    :raises AuthRequired: if nobody's cart can be meant
    :raises: what `initialize` raises
    :raises InvalidTransition: if there is nothing to pay
    :raises PaymentFailed: if PayPal refuses
    :raises DependencyUnavailable: if PayPal does not answer
    """
    require("paypal")
    if not actor.is_known:
        raise AuthRequired
    view = initialize(actor=actor, now=now)
    total = view.quote.totals.grand_total
    if not total:
        raise InvalidTransition("There is nothing to pay. Use the standard checkout.")
    try:
        remote = PayPalGateway().open_in_cart(
            key=f"express-{new_id()}",
            amount=total,
            currency=view.quote.currency,
            checkout_id=str(view.checkout.id),
            back=f"{settings.STOREFRONT_URL}/checkout/express/paypal/",
            left=f"{settings.STOREFRONT_URL}/cart/",
        )
    except ProviderUnavailable:
        raise _silent() from None
    except ProviderRefused as refusal:
        raise PaymentFailed(extra={"reason": str(refusal)}) from None
    return Begun(
        order_id=remote.provider_id,
        approve_url=(remote.next_action or {}).get("url", ""),
        amount=total,
        view=view,
    )


def begin_apple_pay(
    *, actor: Actor, validation_url: str, now: datetime
) -> tuple[applepay.Session, CheckoutView]:
    """
    Have Apple confirm us to the customer's device, and begin to buy the caller's cart: every line is held.

    Apple is asked first: while it does not answer, nothing is held.

    :raises FeatureDisabled: while Apple Pay is not offered here
    :raises AuthRequired: if nobody's cart can be meant
    :raises ValidationFailed: if `validation_url` is none of Apple's
    :raises DependencyUnavailable: if Apple does not answer, or does not accept us
    :raises: what `initialize` raises
    :raises InvalidTransition: if there is nothing to pay
    """
    require("apple-pay")
    if not actor.is_known:
        raise AuthRequired
    company = Company.objects.get(pk=actor.company_id)
    session = applepay.begin(validation_url=validation_url, shop=company.name)
    view = initialize(actor=actor, now=now)
    if not view.quote.totals.grand_total:
        raise InvalidTransition("There is nothing to pay. Use the standard checkout.")
    return session, view


def begin_google_pay(*, actor: Actor, now: datetime) -> CheckoutView:
    """
    Begin to buy the caller's cart with Google Pay: every line is held; the sheet is opened with what `view` says.

    :raises FeatureDisabled: while Google Pay is not offered here
    :raises AuthRequired: if nobody's cart can be meant
    :raises: what `initialize` raises
    """
    require("google-pay")
    if not actor.is_known:
        raise AuthRequired
    return initialize(actor=actor, now=now)


def take_approval(*, actor: Actor, order_id: str, now: datetime) -> tuple[CheckoutView, Remote]:
    """
    Fill in the checkout that a PayPal order was made for, from what its customer said there, and price it anew.

    Only the first time: what the customer changes here afterwards stays. The cheapest way to ship is chosen where none is.

    :raises FeatureDisabled: while PayPal is not offered here
    :raises PaymentNotFound: if there is no such order of the caller's, or it does not pay us
    :raises PaymentRequired: if it is not approved
    :raises CheckoutExpired: if the checkout's time is over
    :raises ValidationFailed: if the address cannot be one of ours
    :raises DependencyUnavailable: if PayPal does not answer
    """
    require("paypal")
    approval = _approval(order_id)
    checkout = _checkout_of(actor, approval)
    if checkout.order_id is not None:
        return selectors.view_of(checkout, now=now), approval.remote
    if approval.remote.state is not State.APPROVED:
        raise PaymentRequired(extra={"payment": None, "nextAction": approval.remote.next_action})
    if checkout.approved == order_id:
        return selectors.view(actor=actor, checkout_id=checkout.id, now=now), approval.remote
    changes: dict[str, Any] = {"approved": order_id}
    if approval.address:
        changes["shipping_address"] = approval.address
    if approval.email and not checkout.email:
        changes["email"] = approval.email
    view = update(actor=actor, checkout_id=checkout.id, changes=changes, now=now)
    view = choose_delivery(actor=actor, view=view, now=now)
    return view, approval.remote


def capture_paypal(*, actor: Actor, order_id: str, quote_id: str, now: datetime) -> Order:
    """
    Place the order of an approved PayPal order, take the money, and return the order, paid. Twice gives the same order.

    Where the total is not what was approved, `quote_id` says that the customer has seen and accepted the one it names.

    :raises: what `take_approval`, `pay` and `complete` raise
    :raises PriceChanged: if the total is another than approved; nothing is placed
    :raises CheckoutIncomplete, NoShippingZone: if something is missing
    :raises PaymentFailed: if PayPal declines; nothing is taken
    """
    require("paypal")
    known = (
        Payment.objects.for_actor(actor)
        .filter(provider="paypal", provider_id=order_id)
        .select_related("order")
        .first()
    )
    if known is not None and known.order.checkout_id is not None:
        return _completed(actor, UUID(str(known.order.checkout_id)), now)
    view, remote = take_approval(actor=actor, order_id=order_id, now=now)
    checkout = view.checkout
    if checkout.order_id is None:
        check_requirements(view.requirements)
        quote = view.quote
        total = quote.totals.grand_total
        if quote_id != quote.id and (total, quote.currency) != (remote.amount, remote.currency):
            raise PriceChanged(
                extra={
                    "oldTotal": format_amount(remote.amount, remote.currency),
                    "newTotal": format_amount(total, quote.currency),
                    "quoteId": quote.id,
                    "currency": quote.currency,
                    "checkoutId": str(checkout.id),
                }
            )
        pay(actor=actor, checkout_id=checkout.id, method="paypal", quote_id=quote.id, now=now)
    return _completed(actor, checkout.id, now)


def _completed(actor: Actor, checkout_id: UUID, now: datetime) -> Order:
    try:
        return complete(actor=actor, checkout_id=checkout_id, now=now)
    except PaymentRequired as refusal:
        payment = refusal.extra.get("payment") or {}
        if payment.get("status") == Payment.Status.FAILED:
            raise PaymentFailed(extra={"reason": payment["failure"], "payment": payment}) from None
        raise


def _approval(order_id: str) -> Approval:
    try:
        approval = PayPalGateway().read_approval(provider_id=order_id)
    except ProviderUnavailable:
        raise _silent() from None
    except ProviderGone:
        raise PaymentNotFound from None
    if settings.PAYPAL_MERCHANT_ID not in {"", approval.remote.payee}:
        raise PaymentNotFound
    return approval


def _checkout_of(actor: Actor, approval: Approval) -> Checkout:
    """
    Return the caller's checkout that an order was made for: we wrote its id there, nobody else can.

    Once the order is to pay something, it carries the payment's id instead.
    """
    try:
        named = UUID(approval.remote.metadata.get("payment_id", ""))
    except ValueError:
        raise PaymentNotFound from None
    paying = Payment.objects.for_actor(actor).select_related("order__checkout").filter(pk=named)
    for payment in paying.filter(
        metadata__approved=approval.remote.provider_id, order__checkout__isnull=False
    ):
        found: Checkout = payment.order.checkout
        return found
    try:
        return selectors.find(actor=actor, checkout_id=named)
    except CheckoutNotFound:
        raise PaymentNotFound from None


def _silent() -> DependencyUnavailable:
    return DependencyUnavailable("PayPal does not answer. Nothing was charged.", retry_after=5)
