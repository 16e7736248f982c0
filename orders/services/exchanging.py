"""
Something else for what comes back: the order of the replacement, its price, and what pays for it.

The replacement is an order of its own, placed when the return is approved and paid by what the returned units bring once
they are here; ADR 11 tells why the money moves like this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.errors import (
    ApplicationError,
    DependencyUnavailable,
    FieldError,
    InvalidTransition,
)
from config.platform.models import new_id
from inventory import selectors as catalogue
from inventory import services as inventory
from inventory.errors import HoldFailed
from inventory.models import Variant
from inventory.selectors import Availability, VariantRef
from orders.events import ExchangeDue
from orders.models import Order, OrderLine, RefundRequest, ReturnRequest
from orders.services.cancelling import cancel
from orders.services.placing import (
    OrderDraft,
    confirm_locked,
    demands,
    draft_line,
    place,
)
from orders.services.shares import PAID, line_brings, unclaimed
from orders.services.status import about
from pricing import selectors as price_facts
from pricing import services as pricing
from pricing.engine import Basket, Line, Place, Quote
from pricing.errors import PriceMissing
from pricing.money import from_minor
from pricing.outside import asking

_TRIES = 3  # how often a replacement that costs a coin too many, by rounding, is priced again


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many units of an order line, and the variant wanted for each of them."""

    line: OrderLine
    variant: Variant
    quantity: int


@dataclass(frozen=True, slots=True)
class Offer:
    """
    A variant that may be had in place of a unit of an order line.

    `each` is what one costs then, before tax where prices are without; `difference` is what that is more than was paid.
    """

    variant: Variant
    availability: Availability
    each: Decimal
    difference: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a replacement costs now, and what the units sent back for it bring."""

    quote: Quote
    basis: dict[str, object]
    parts: tuple[tuple[UUID, Wanted], ...]  # the id of each line of the quote

    @property
    def total(self) -> Decimal:
        return self.quote.totals.grand_total


def offers(*, order: Order, actor: Actor, now: datetime) -> dict[UUID, list[Offer]]:
    """
    Return for each line of an order what may be had in its place: the variants of its product that are there, itself first.

    Three statements, however many lines. Empty for what was an exchange itself.
    """
    lines = list(order.lines.all())
    if not is_exchangeable(order):
        return {line.id: [] for line in lines}
    variants: dict[UUID, list[Variant]] = {}
    for variant in Variant.objects.filter(
        product__in={line.product_id for line in lines}, company_id=order.company_id
    ).select_related("product"):
        if catalogue.sale_refusal(variant, actor) is None:
            variants.setdefault(variant.product_id, []).append(variant)
    ids = {variant.id for found in variants.values() for variant in found}
    stock = catalogue.availability(variant_ids=ids, now=now)
    prices = _prices(order, ids | {line.variant_id for line in lines}, now)
    found: dict[UUID, list[Offer]] = {}
    for line in lines:
        mine = []
        for variant in variants.get(line.product_id, []):
            each = _price(order, line, variant.id, prices)
            if each is not None and stock[variant.id].allows(1):
                paid = _paid_each(order, line)
                mine.append(Offer(variant, stock[variant.id], each, each - paid))
        mine.sort(key=lambda offer: (offer.variant.id != line.variant_id, offer.variant.id))
        found[line.id] = mine
    return found


def is_exchangeable(order: Order) -> bool:
    """
    Say whether goods of an order may be exchanged: it is paid, and was no exchange itself.

    What came by an exchange can be sent back for its money; so money moves at most once before it goes home.
    """
    return order.payment_status in PAID and not order.credit_total


def check_wanted(
    order: Order,
    refs: Mapping[int, tuple[OrderLine, int, VariantRef]],
    *,
    actor: Actor,
    now: datetime,
) -> tuple[dict[int, Variant], list[FieldError]]:
    """Return the variants that are wanted, by the place of their line in the request, and what is wrong with the others."""
    if not refs:
        return {}, []

    def refused(index: int, code: str, message: str) -> FieldError:
        return FieldError(f"items.{index}.exchangeFor", code, message)

    if not is_exchangeable(order):
        text = "This order can be sent back for its money, but not exchanged."
        return {}, [refused(index, "not_exchangeable", text) for index in refs]
    found = catalogue.find_variants(actor=actor, refs=[ref for _, _, ref in refs.values()])
    stock = catalogue.availability(
        variant_ids={each.id for each in found if isinstance(each, Variant)}, now=now
    )
    prices = _prices(
        order,
        {each.id for each in found if isinstance(each, Variant)}
        | {line.variant_id for line, _, _ in refs.values()},
        now,
    )
    wanted: dict[int, Variant] = {}
    errors = []
    needed: dict[UUID, int] = {}
    for (index, (line, quantity, _)), variant in zip(refs.items(), found, strict=True):
        if isinstance(variant, ApplicationError):
            errors.append(refused(index, variant.code, variant.detail))
        elif variant.product_id != line.product_id:
            errors.append(refused(index, "invalid", "This is another product."))
        elif _price(order, line, variant.id, prices) is None:
            errors.append(refused(index, "PRICE_MISSING", "It has no price in this currency."))
        else:
            needed[variant.id] = needed.get(variant.id, 0) + quantity
            if stock[variant.id].allows(needed[variant.id]):
                wanted[index] = variant
            else:
                errors.append(
                    refused(index, "INSUFFICIENT_STOCK", "There are not that many of it.")
                )
    return wanted, errors


@asking
def estimate(*, order: Order, wanted: Sequence[Wanted], actor: Actor, now: datetime) -> Estimate:
    """
    Return what a replacement costs now; nothing is written or locked.

    A unit costs what was paid for the one that comes back, plus what the variant costs more than it today, or less.
    Promotions do not count: what they gave is in what was paid already. Sending it is free. Where rounding would ask
    for a coin more than an even exchange brings, its price is lowered by that.

    :raises PriceMissing: if a variant has no price in the order's currency
    """
    prices = _prices(
        order,
        {part.variant.id for part in wanted} | {part.line.variant_id for part in wanted},
        now,
    )
    each: list[Decimal] = []
    even = []
    for part in wanted:
        price = _price(order, part.line, part.variant.id, prices)
        if price is None:
            raise PriceMissing(extra={"skus": [part.variant.sku], "currency": order.currency})
        each.append(price)
        even.append(price <= _paid_each(order, part.line))
    brings = sum(
        (line_brings(part.line, part.quantity, order.currency) for part in wanted), Decimal(0)
    )
    coin = from_minor(1, order.currency)
    for _ in range(_TRIES):
        found = _quote(order, wanted, each, prices, actor=actor, now=now)
        excess = found.total - brings
        if not all(even) or not 0 < excess <= coin * sum(part.quantity for part in wanted):
            break
        each = [max(price - coin, Decimal(0)) for price in each]
    return found


def place_replacement(
    request: ReturnRequest, order: Order, *, actor: Actor, now: datetime
) -> Order | None:
    """
    Place the order of what goes out instead of a return, as a draft that holds its goods while the return travels.

    Where that cannot be, because it is gone or no longer sold, the return says why, and its money goes back instead.
    Locks stock.

    :raises DependencyUnavailable: if an outside engine must be asked and does not answer
    """
    lines = {line.id: line for line in order.lines.all()}
    wanted = [
        Wanted(lines[part.order_line_id], part.exchange_variant, part.quantity)
        for part in request.lines.select_related("exchange_variant__product").order_by("id")
        if part.exchange_variant is not None
    ]
    if not wanted:
        return None
    try:
        with transaction.atomic():
            request.replacement = _place(order, wanted, actor=actor, now=now)
    except DependencyUnavailable:
        raise
    except ApplicationError as refusal:
        request.replacement = None
        request.exchange_failure = refusal.detail[:300]
    request.save(update_fields=["replacement", "exchange_failure"])
    return request.replacement


def _place(order: Order, wanted: Sequence[Wanted], *, actor: Actor, now: datetime) -> Order:
    for part in wanted:
        refusal = catalogue.sale_refusal(part.variant, actor)
        if refusal is not None:
            raise refusal
    priced = estimate(order=order, wanted=wanted, actor=actor, now=now)
    ends = now + settings.ORDER_EXCHANGE_HOLD
    placed = place(
        actor=actor,
        draft=OrderDraft(
            company_id=order.company_id,
            user_id=order.user_id,
            session_hash=None if order.session_hash is None else bytes(order.session_hash),
            email=order.email,
            currency=order.currency,
            quote=priced.quote,
            basis=priced.basis,
            lines=[
                draft_line(part.variant, quote_line_id=line_id, id=line_id, like=part.line)
                for line_id, part in priced.parts
            ],
            shipping_address=order.shipping_address,
            billing_address=order.billing_address,
            metadata={"source": "exchange", "exchangeOf": order.number},
            expires_at=ends,
        ),
        now=now,
    )
    inventory.reacquire(
        actor=Actor.system(order.company_id, source="exchange"),
        order_id=placed.id,
        demands=demands(placed),
        expires_at=ends,
        now=now,
    )
    return placed


def pay_replacement(
    request: ReturnRequest,
    order: Order,
    refund: RefundRequest | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """
    Let what a return brings pay for its replacement, on a locked order: as much of both as there is of the other.

    What pays for all of it confirms it at once. Else the difference is asked for, and both wait until it is paid, or
    until `ORDER_EXCHANGE_PAY_HOURS` are over: then the whole goes back to the customer. A replacement that was given
    up meanwhile, or whose goods are gone, takes nothing. Locks the replacement, then stock.
    """
    if request.replacement_id is None:
        return
    target: Order = Order.objects.filter(pk=request.replacement_id).for_update().get()
    request.replacement = target
    if target.status != Order.Status.DRAFT:
        return
    credit = (
        min(refund.amount, target.grand_total)
        if refund is not None and order.payment_status in PAID
        else Decimal(0)
    )
    if credit and refund is not None:
        refund.moved_amount, refund.moved_to = credit, target
        refund.save(update_fields=["moved_amount", "moved_to"])
        target.credit_total = credit
        target.save(update_fields=["credit_total", "updated_at"])
    try:
        with transaction.atomic():
            if target.to_pay:
                _ask_difference(target, actor=actor, now=now)
            else:
                target.payment_status = Order.PaymentStatus.CAPTURED
                confirm_locked(target, actor=actor, now=now, fields=("payment_status",))
    except HoldFailed as gone:
        # Its hold had ended and somebody else was quicker: an outcome. The due refund finds it cancelled, and goes home.
        request.exchange_failure = gone.detail[:300]
        request.save(update_fields=["exchange_failure"])
        cancel(actor=actor, order_id=target.id, reason="sold out before it came", now=now)


def _ask_difference(target: Order, *, actor: Actor, now: datetime) -> None:
    ends = now + settings.ORDER_EXCHANGE_PAY
    inventory.reacquire(
        actor=Actor.system(target.company_id, source="exchange"),
        order_id=target.id,
        demands=demands(target),
        expires_at=ends,
        now=now,
    )
    target.expires_at = ends
    target.save(update_fields=["expires_at", "updated_at"])
    outbox.publish(ExchangeDue(**about(target)), actor=actor, now=now)


def drop_replacement(request: ReturnRequest, *, actor: Actor, reason: str, now: datetime) -> None:
    """Give up the replacement of a return that will not come, on its locked order; its goods are free at once."""
    if request.replacement_id is None:
        return
    target: Order = Order.objects.filter(pk=request.replacement_id).for_update().get()
    if target.status == Order.Status.DRAFT:
        cancel(actor=actor, order_id=target.id, reason=reason, now=now)


def check_payable(order: Order) -> None:
    """
    Refuse a payment for a replacement whose goods have not come back: nobody knows yet what is left to pay.

    :raises InvalidTransition: if they have not
    """
    if order.metadata.get("source") != "exchange":
        return
    if ReturnRequest.objects.filter(replacement=order, status__in=ReturnRequest.UNDECIDED).exists():
        raise InvalidTransition(
            "This order waits for the goods that are sent back for it.",
            extra={"status": order.status, "paymentStatus": order.payment_status},
        )


def _prices(order: Order, variant_ids: set[UUID], now: datetime) -> dict[UUID, Decimal]:
    ladders = price_facts.ladders(
        variant_ids=variant_ids, currency=order.currency, user_id=order.user_id, now=now
    )
    return {variant_id: Decimal(ladder.at(1)) for variant_id, ladder in ladders.items()}


def _price(
    order: Order, line: OrderLine, variant_id: UUID, prices: Mapping[UUID, Decimal]
) -> Decimal | None:
    """Return what a variant costs in place of a unit of a line; None where it has no price."""
    paid = _paid_each(order, line)
    if variant_id == line.variant_id:
        return paid
    if variant_id not in prices:
        return None
    before: Decimal = prices.get(line.variant_id, line.unit_price)
    return max(paid + prices[variant_id] - before, Decimal(0))


def _paid_each(order: Order, line: OrderLine) -> Decimal:
    """
    Return what was paid for a unit, after discounts and without what was given back of its price, cut to whole coins.

    Points that paid for it come back with the unit, so they do not lower what its replacement costs.
    """
    net = line.subtotal - (Decimal(0) if line.points else line.discount)
    worth = unclaimed(line, order.currency)
    if line.adjusted_amount and worth:
        net = net * (worth - line.adjusted_amount) / worth
    each: Decimal = net / line.quantity
    return from_minor(
        int((each / from_minor(1, order.currency)).to_integral_value(ROUND_FLOOR)), order.currency
    )


def _quote(
    order: Order,
    wanted: Sequence[Wanted],
    each: Sequence[Decimal],
    prices: Mapping[UUID, Decimal],
    *,
    actor: Actor,
    now: datetime,
) -> Estimate:
    parts = tuple((new_id(), part) for part in wanted)
    address = order.shipping_address or {}
    quote, basis = pricing.quote_with_basis(
        actor=actor,
        basket=Basket(
            lines=[
                Line(
                    id=line_id,
                    variant_id=part.variant.id,
                    product_id=part.variant.product_id,
                    sku=part.variant.sku,
                    quantity=part.quantity,
                    unit_price=price,
                    list_price=prices.get(part.variant.id, price),
                    price_kind="exchange",
                    category_ids=[part.variant.product.category_id]
                    if part.variant.product.category_id
                    else [],
                    tax_class=part.variant.product.tax_class,
                    is_taxable=part.variant.is_taxable,
                    weight_grams=part.variant.weight_grams,
                    requires_shipping=False,
                )
                for (line_id, part), price in zip(parts, each, strict=True)
            ],
            currency=order.currency,
            destination=Place(
                country=address["country"],
                state=address.get("state", ""),
                postal_code=address.get("postalCode", ""),
            )
            if address.get("country")
            else None,
            user_id=order.user_id,
            takes_promotions=False,
        ),
        now=now,
    )
    return Estimate(quote, basis, parts)
