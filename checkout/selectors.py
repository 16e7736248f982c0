"""Reads of checkouts and payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet

from cart.models import CartLine
from cart.selectors.state import Head, Line, find_head, load_lines
from cart.selectors.views import basket_of, judge
from checkout.errors import (
    AddressNotFound,
    CheckoutNotFound,
    ComparisonNotFound,
    PaymentNotFound,
)
from checkout.gateway import Method, methods
from checkout.models import (
    Address,
    Checkout,
    OutsideRefund,
    Payment,
    ReconciliationFinding,
    ReconciliationRun,
    WebhookInbox,
)
from config.platform import flags
from config.platform.actor import Actor, ActorKind
from config.platform.models import AuditEntry
from inventory import selectors as inventory
from orders import addresses
from orders.models import Order, RefundRequest
from pricing import selectors as price_facts
from pricing import services as pricing
from pricing.engine import NO_SHIPPING_ZONE, Place, Quote
from pricing.outside import asking

EXPRESS = "EXPRESS_CHECKOUT_ENABLED"
ATTEMPTS_REFUSED = "payment.attempts_refused"  # the audit entry of a client that has to wait


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that is still needed before the order can be paid."""

    code: str
    field: str


@dataclass(frozen=True, kw_only=True)
class Priced:
    """A checkout's cart as it would be bought now, and what is missing for that."""

    head: Head
    lines: list[Line]
    problems: list[Line]
    hold_life: timedelta
    quote: Quote
    basis: dict[str, Any]  # the rules behind the quote
    requirements: list[Requirement]


@dataclass(frozen=True, kw_only=True)
class CheckoutView:
    """A checkout as its customer sees it. After placement the quote is the order's, frozen."""

    checkout: Checkout
    status: str
    quote: Quote
    item_count: int
    line_count: int
    problem_count: int
    requirements: list[Requirement]
    methods: list[Method]
    order: Order | None
    payment: Payment | None
    hold_expires_at: datetime | None


def wallets() -> list[str]:
    """Return the wallets that the cart offers; none while express checkout is off, or without their credentials."""
    if not flags.is_enabled(EXPRESS):
        return []
    takes_cards = bool(settings.STRIPE_SECRET_KEY and settings.STRIPE_PUBLISHABLE_KEY)
    offered = []
    if settings.PAYPAL_CLIENT_ID:
        offered.append("paypal")
    identity = (
        settings.APPLE_PAY_MERCHANT_ID,
        settings.APPLE_PAY_CERTIFICATE_FILE,
        settings.APPLE_PAY_KEY_FILE,
    )
    if all(identity) and takes_cards:
        offered.append("apple-pay")
    if settings.GOOGLE_PAY_MERCHANT_ID and takes_cards:
        offered.append("google-pay")
    return offered


def find(*, actor: Actor, checkout_id: UUID) -> Checkout:
    """
    Return a checkout with its order.

    :raises CheckoutNotFound: if there is none for this caller
    """
    try:
        found: Checkout = (
            Checkout.objects.for_actor(actor).select_related("order").get(pk=checkout_id)
        )
    except Checkout.DoesNotExist:
        raise CheckoutNotFound from None
    return found


def find_paying(*, actor: Actor, checkout_id: UUID) -> tuple[Checkout, Payment | None]:
    """
    Return a checkout with its order and the payment that speaks for it, if there is one.

    :raises CheckoutNotFound: if there is none for this caller
    """
    payment: Payment | None = (
        Payment.objects.filter(
            order__checkout__in=Checkout.objects.for_actor(actor).filter(pk=checkout_id)
        )
        .select_related("order__checkout")
        .order_by("-id")
        .first()
    )
    if payment is None:
        return find(actor=actor, checkout_id=checkout_id), None
    return payment.order.checkout, payment


def find_payment(*, actor: Actor, payment_id: UUID) -> Payment:
    """
    Return a payment with its order.

    :raises PaymentNotFound: if there is none for this caller
    """
    try:
        found: Payment = Payment.objects.for_actor(actor).select_related("order").get(pk=payment_id)
    except Payment.DoesNotExist:
        raise PaymentNotFound from None
    return found


def order_of_payment(*, payment_id: UUID, company_id: UUID) -> UUID | None:
    """Return which order a payment of the company is for, whoever asks."""
    return (
        Payment.objects.filter(pk=payment_id, order__company_id=company_id)
        .values_list("order_id", flat=True)
        .first()
    )


def addresses_of(*, actor: Actor) -> QuerySet[Address]:
    """Return the signed-in caller's address book, the default first, then the newest."""
    if actor.user_id is None:
        return Address.objects.none()
    return Address.objects.filter(company_id=actor.company_id, user_id=actor.user_id).order_by(
        "-is_default_shipping", "-id"
    )


def find_address(*, actor: Actor, address_id: UUID) -> Address:
    """
    Return one address of the caller's book.

    :raises AddressNotFound: if it is not theirs
    """
    found = addresses_of(actor=actor).filter(pk=address_id).first()
    if found is None:
        raise AddressNotFound
    return found


def payments_of(*, actor: Actor, order_id: UUID) -> QuerySet[Payment]:
    """Return the payments of an order that this caller may see, newest first."""
    return Payment.objects.for_actor(actor).filter(order_id=order_id).order_by("-id")


@dataclass(frozen=True, slots=True)
class AskedBack:
    """Money that was asked back of an order, and how it was given back by other means, if it was."""

    request: RefundRequest
    outside: OutsideRefund | None


def refunds_of(*, order_id: UUID) -> list[AskedBack]:
    """Return what was asked back of an order, the newest first: two statements."""
    requests = list(RefundRequest.objects.filter(order_id=order_id).order_by("-created_at", "-id"))
    outside = {
        paid.request_id: paid
        for paid in OutsideRefund.objects.filter(request_id__in=[row.pk for row in requests])
    }
    return [AskedBack(request, outside.get(request.pk)) for request in requests]


def latest_payment(*, order_id: UUID) -> Payment | None:
    """Return the payment that speaks for an order: the newest that is not superseded."""
    return Payment.objects.filter(order_id=order_id).order_by("-id").first()


def view(*, actor: Actor, checkout_id: UUID, now: datetime) -> CheckoutView:
    """
    Return a checkout with its current price; writes nothing.

    :raises CheckoutNotFound: if there is none for this caller
    """
    return view_of(find(actor=actor, checkout_id=checkout_id), now=now)


def view_of(checkout: Checkout, *, now: datetime, priced: Priced | None = None) -> CheckoutView:
    """Return what its customer sees of a checkout; `priced` spares pricing it again."""
    order: Order | None = checkout.order
    if priced is None and checkout.status_at(now) == Checkout.Status.OPEN:
        priced = price(checkout, now=now)
    if priced is not None:
        ends = [
            line.hold.expires_at for line in priced.lines if line.hold and line.hold.is_live(now)
        ]
        quote = priced.quote
    else:  # placed or over: what was agreed, or last shown
        ends = [_order_hold(order)] if order is not None else []
        quote = Quote.from_json(order.quote if order is not None else checkout.quote or {})
    return CheckoutView(
        checkout=checkout,
        status=checkout.status_at(now),
        quote=quote,
        item_count=sum(line.quantity for line in quote.lines),
        line_count=len(quote.lines),
        problem_count=len(priced.problems) if priced else 0,
        requirements=priced.requirements if priced else [],
        methods=methods() if quote.totals.grand_total else [],
        order=order,
        payment=latest_payment(order_id=order.id) if order is not None else None,
        hold_expires_at=min((end for end in ends if end is not None), default=None),
    )


@asking
def price(checkout: Checkout, *, now: datetime) -> Priced:
    """
    Return the checkout's cart priced for its destination, with what is still missing: two statements.

    :raises CartNotFound, CartExpired, CartMerged: if the cart is no longer open
    """
    head = find_head(actor=owner_of(checkout), now=now, cart_id=checkout.cart_id)
    lines, _ = load_lines(head=head, now=now)
    return price_read(checkout, head=head, lines=lines, now=now)


def price_read(checkout: Checkout, *, head: Head, lines: list[Line], now: datetime) -> Priced:
    """Return what `price` does, for a cart that was read under its lock."""
    judged = judge(head=head, lines=lines, now=now)
    basket = basket_of(
        head=head,
        judged=judged,
        destination=destination_of(checkout),
        shipping_option=checkout.shipping_option or None,
        customer_keys=customer_keys(checkout),
    )
    quote, basis = pricing.quote_with_basis(
        actor=owner_of(checkout), basket=basket, now=now, revision=head.revision
    )
    wanted = [each for each in judged if each.line.list == CartLine.List.ACTIVE]
    sold = quote.lines_by_id
    return Priced(
        head=head,
        lines=[each.line for each in wanted if each.line.id in sold],
        problems=[each.line for each in wanted if each.line.id not in sold],
        hold_life=head.policy.hold_life,
        quote=quote,
        basis=basis,
        requirements=requirements(
            checkout, bought=[each.line.id in sold for each in wanted], quote=quote
        ),
    )


def requirements(checkout: Checkout, *, bought: list[bool], quote: Quote) -> list[Requirement]:
    """
    Return what is missing before this checkout can be placed; empty when nothing is.

    `bought` says of each active line of the cart whether it can be.
    """
    missing = []
    if not bought:
        missing.append(Requirement("CART_EMPTY", "items"))
    missing += [
        Requirement("ITEM_UNAVAILABLE", f"items.{index}")
        for index, is_bought in enumerate(bought)
        if not is_bought
    ]
    if not checkout.email:
        missing.append(Requirement("EMAIL_MISSING", "email"))
    if quote.requires_shipping:
        missing += [
            Requirement(
                "SHIPPING_ADDRESS_MISSING", f"shippingAddress.{gap}" if gap else "shippingAddress"
            )
            for gap in addresses.missing(checkout.shipping_address)
        ]
        if quote.shipping_code == NO_SHIPPING_ZONE and destination_of(checkout) is not None:
            missing.append(Requirement(NO_SHIPPING_ZONE, "shippingAddress"))
        elif quote.shipping is None:
            missing.append(Requirement("SHIPPING_OPTION_MISSING", "shippingOption"))
    if checkout.billing_address is not None:
        missing += [
            Requirement(
                "BILLING_ADDRESS_MISSING", f"billingAddress.{gap}" if gap else "billingAddress"
            )
            for gap in addresses.missing(checkout.billing_address)
        ]
    return missing


def destination_of(checkout: Checkout) -> Place | None:
    """Return where the goods go, as soon as the country is known."""
    address: dict[str, Any] = checkout.shipping_address or {}
    if not address.get("country"):
        return None
    return Place(
        country=address["country"],
        state=address.get("state", ""),
        postal_code=address.get("postalCode", ""),
    )


def customer_keys(checkout: Checkout) -> tuple[str, ...]:
    """Return under which names promotions count this customer; none while we do not know one."""
    return price_facts.customer_keys(
        user_id=checkout.user_id,
        email=checkout.email,
        session_hash=None if checkout.session_hash is None else bytes(checkout.session_hash),
    )


def owner_of(checkout: Checkout) -> Actor:
    """Return the customer of a checkout, for work that staff or jobs do on it."""
    return Actor(
        kind=ActorKind.USER if checkout.user_id else ActorKind.GUEST,
        company_id=checkout.company_id,
        user_id=checkout.user_id,
        session_hash=None if checkout.session_hash is None else bytes(checkout.session_hash),
    )


def health(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return how much waits: the shop's webhooks not worked off or given up, and the company's open payments."""
    return {
        "webhooksWaiting": WebhookInbox.objects.filter(
            processed_at=None, dead_at=None, next_attempt_at__lte=now
        ).count(),
        "webhooksDead": WebhookInbox.objects.filter(dead_at__isnull=False).count(),
        "paymentsOpen": Payment.objects.filter(
            order__company_id=actor.company_id, status__in=Payment.OPEN
        ).count(),
    }


def _order_hold(order: Order) -> datetime | None:
    if order.status != Order.Status.DRAFT:
        return None
    held = inventory.holds_of_order(order_id=order.id).filter(status="ACTIVE")
    return held.order_by("expires_at").values_list("expires_at", flat=True).first()


def current(*, actor: Actor, now: datetime) -> Checkout | None:
    """Return what the caller is buying at the moment: their newest checkout that is open or waits for its payment."""
    if not actor.is_known:
        return None
    mine = (
        {"user_id": actor.user_id}
        if actor.user_id is not None
        else {"user_id": None, "session_hash": actor.session_hash}
    )
    return (
        Checkout.objects.select_related("order")
        .filter(
            company_id=actor.company_id,
            status__in=[Checkout.Status.OPEN, Checkout.Status.PAYMENT_PENDING],
            expires_at__gt=now,
            **mine,
        )
        .order_by("-id")
        .first()
    )


@dataclass(frozen=True, slots=True)
class BookFigures:
    """How the books stand: open differences, since when the oldest, and companies whose last comparison failed."""

    open: int
    oldest_at: datetime | None
    failed: int


def book_figures() -> BookFigures:
    """Return how the books of all companies stand, in two statements."""
    R = ReconciliationRun.State
    found = ReconciliationFinding.objects.filter(state=ReconciliationFinding.State.OPEN).aggregate(
        open=Count("pk"), oldest_at=Min("first_seen_at")
    )
    latest = (
        ReconciliationRun.objects.exclude(state__in=ReconciliationRun.LIVE)
        .order_by("company_id", "-created_at")
        .distinct("company_id")
        .values_list("state", flat=True)
    )
    return BookFigures(**found, failed=sum(state == R.FAILED for state in latest))


def runs_of(*, actor: Actor, state: str = "") -> QuerySet[ReconciliationRun]:
    """Return the comparisons of the caller's company, newest first."""
    runs = ReconciliationRun.objects.filter(company_id=actor.company_id)
    if state:
        runs = runs.filter(state=state)
    return runs.order_by("-created_at", "-id")


def find_run(*, actor: Actor, run_id: UUID) -> ReconciliationRun:
    """
    Return one comparison of the caller's company.

    :raises ComparisonNotFound: if there is none
    """
    run = runs_of(actor=actor).filter(pk=run_id).first()
    if run is None:
        raise ComparisonNotFound
    return run


def findings_of(
    *, actor: Actor, state: str = "", kind: str = "", order: str = ""
) -> QuerySet[ReconciliationFinding]:
    """Return the differences of the caller's company and those that are nobody's, newest first; `order` is a number."""
    found = ReconciliationFinding.objects.filter(
        Q(company_id=actor.company_id) | Q(company_id=None)
    ).select_related("order")
    if state:
        found = found.filter(state=state)
    if kind:
        found = found.filter(kind=kind)
    if order:
        found = found.filter(order__number=order.upper())
    return found.order_by("-first_seen_at", "-id")


COLLECT_WITHIN = timedelta(hours=48)


def to_collect(*, now: datetime) -> QuerySet[Payment]:
    """Return the authorised payments of all companies that have to be collected within two days, the first to end first."""
    return (
        Payment.objects.filter(
            status=Payment.Status.AUTHORIZED, capture_before__lte=now + COLLECT_WITHIN
        )
        .select_related("order")
        .order_by("capture_before", "pk")
    )


@dataclass(frozen=True, slots=True)
class AttemptFigures:
    """What came to nothing within the hour: payments declined, and clients asked to wait for it."""

    declined: int
    refused: int


def attempt_figures(*, now: datetime) -> AttemptFigures:
    """Return the figures of card testing for all companies, in two statements."""
    since = now - timedelta(hours=1)
    return AttemptFigures(
        declined=Payment.objects.filter(
            status=Payment.Status.FAILED, created_at__gt=since, created_at__lte=now
        ).count(),
        refused=AuditEntry.objects.filter(
            action=ATTEMPTS_REFUSED, at__gt=since, at__lte=now
        ).count(),
    )


REFUSALS = {
    "webhook.refused": "forged",  # a message that its sender did not sign
    "payment.mismatch": "mismatch",  # a provider speaks of another amount or currency than ours
    "webhook.ignored": "mismatch",  # it signed a message of the other mode, or one that names a payment for another
    "payment.refused": "tampered",  # an amount that is not the order's, or somebody else's payment
    "address.refused": "tampered",
    "refund.refused": "tampered",
}


def refusal_figures(*, now: datetime) -> dict[str, int]:
    """Return how often in the last hour something was refused that smells of attack, by kind; one statement."""
    found = dict.fromkeys(REFUSALS.values(), 0)
    hour = AuditEntry.objects.filter(
        at__gt=now - timedelta(hours=1), at__lte=now, action__in=list(REFUSALS)
    )
    for row in hour.order_by().values("action").annotate(count=Count("id")):
        found[REFUSALS[row["action"]]] += row["count"]
    return found


def why_it_goes_back(*, payment_id: UUID | str) -> str:
    """Return why a payment's money is not kept, one of `Payment.GoesBack`; empty if it is."""
    found = Payment.objects.filter(pk=payment_id).values_list("goes_back", flat=True).first()
    return found or ""


def is_reserved(*, payment_id: UUID | str) -> bool:
    """Return whether a payment is authorised and not collected, and its order stands."""
    promised = Payment.objects.filter(pk=payment_id, status=Payment.Status.AUTHORIZED)
    over = (Order.Status.CANCELLED, Order.Status.FAILED)
    return promised.exclude(order__status__in=over).exists()


def is_ended_by_payment(*, order_id: UUID) -> bool:
    """Return whether an order was cancelled because its payment came when its goods were gone."""
    ended = Payment.objects.filter(order_id=order_id, goes_back=Payment.GoesBack.SOLD_OUT)
    return ended.exists()
