"""
Changing a placed order: what it would come to is shown first, and then exactly that is done.

Nothing that was paid is priced anew. Units that are taken out give their frozen shares back, as a partial cancellation
does. Goods that are added are an order of their own (`Order.adds_to`), at today's prices and with a payment of its own,
for the same parcel: it costs what shipping all of it costs more than was paid (ADR 12).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, Forbidden, ValidationFailed
from inventory import selectors as catalogue
from inventory import services as inventory
from inventory.selectors import VariantRef
from inventory.services import Demand
from orders import addresses
from orders.errors import EditCostsMore, OrderAddressFixed, OrderNotEditable, PriceChanged
from orders.events import OrderEdited, OrderEvent, OrderItemsCancelled
from orders.models import Order, OrderLine
from orders.selectors import find_id
from orders.services.cancelling import SOLD, cancel, take_out
from orders.services.direct import DirectItem, Goods, basket_of
from orders.services.placing import DraftLine, OrderDraft, place
from orders.services.refunds import Units, claim, line_brings, refundable, shipping_share
from orders.services.status import about, flag, lock, record_edit
from pricing import services as pricing
from pricing.engine import NO_SHIPPING_ZONE, Basket, Line, Place, Quote, ShippingOption, TaxAmount
from pricing.errors import NoShippingZone
from pricing.money import format_amount
from pricing.outside import asking

PLACE = ("country", "state", "postalCode")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """
    What is wanted of an order; what is not named stays.

    `quantities` says how many units of a line there shall be: fewer are taken out, more are added at today's price.
    With `waive_shipping` the shop pays what shipping costs more.
    """

    quantities: Mapping[UUID, int] = field(default_factory=dict)
    add: Sequence[DirectItem] = ()
    shipping_address: Mapping[str, Any] | None = None
    billing_address: Mapping[str, Any] | None = None
    shipping_option: str = ""
    waive_shipping: bool = False


@dataclass(frozen=True, kw_only=True)
class Addition:
    """Goods that are added, priced."""

    quote: Quote
    basis: dict[str, Any]
    basket: Basket
    lines: Sequence[DraftLine]
    demands: Sequence[Demand]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """
    What an edit comes to. All amounts are the order's currency.

    `taken` is what leaves the order; `brings` the money of each of its lines. `shipping_back` is the part of the shipping
    price that is given back, `shipping_refund` the same with its tax, `shipping_waived` what the shop pays.
    """

    order: Order
    lines: Mapping[UUID, OrderLine]
    taken: Sequence[Units]
    brings: Mapping[UUID, Decimal]
    addresses: Mapping[str, dict[str, str]]
    shipping_option: str
    shipping_name: str
    shipping_options: Sequence[ShippingOption]
    shipping_back: Decimal
    shipping_refund: Decimal
    shipping_waived: Decimal
    to_refund: Decimal
    addition: Addition | None
    quote_id: str

    @property
    def to_pay(self) -> Decimal:
        return self.addition.quote.totals.grand_total if self.addition else Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What was done, and the order that holds what was added."""

    proposal: Proposal
    addition: Order | None


@asking
def preview_edit(*, actor: Actor, order_id: UUID, edit: Edit, now: datetime) -> Proposal:
    """
    Return what an edit would come to; nothing is written or locked.

    :raises OrderNotFound: if there is no such order for this caller
    :raises OrderNotEditable: if it waits for its payment, is packed (for customers), in part sent, or over
    :raises OrderAddressFixed: if another tax is due at the new address, or it is not the customer's to change
    :raises EditCostsMore: if it only makes shipping dearer, which nobody is asked to pay afterwards
    :raises NoShippingZone: if we do not ship to the new address
    :raises PriceMissing: if something that is added has no price in the order's currency
    :raises ValidationFailed: listing each field that is malformed, or that nothing would change
    """
    order: Order = Order.objects.get(pk=find_id(actor=actor, reference=str(order_id)))
    return _propose(order, actor=actor, edit=edit, now=now)


@asking
@transaction.atomic
def apply_edit(
    *, actor: Actor, order_id: UUID, edit: Edit, quote_id: str, reason: str, now: datetime
) -> Edited:
    """
    Do exactly what `preview_edit` showed under this `quote_id`, all of it or nothing.

    Units that are taken out go back to the shelf and their money is owed back. What is added is placed as a draft, its
    goods are held while it can be paid, and it lapses like any draft. Locks order, coupon, stock.

    :raises PriceChanged: if it would come to something else by now; `extra` has the new `quoteId` and sums
    :raises HoldFailed: listing every added line that cannot be held
    :raises: what `preview_edit` raises
    """
    order = lock(actor=actor, order_id=order_id)
    proposal = _propose(order, actor=actor, edit=edit, now=now)
    if proposal.quote_id != quote_id:
        raise PriceChanged(
            extra={
                "quoteId": proposal.quote_id,
                "currency": order.currency,
                "toPay": format_amount(proposal.to_pay, order.currency),
                "toRefund": format_amount(proposal.to_refund, order.currency),
            }
        )
    reason = reason or "edited"
    changed = _write_fields(proposal, actor=actor, now=now, reason=reason)
    lines = dict(proposal.lines)
    take_out(order, lines, proposal.taken, actor=actor, now=now, reason=reason)
    claim(
        order,
        lines,
        proposal.taken,
        shipping=proposal.shipping_back,
        actor=actor,
        now=now,
        reason=reason,
    )
    added = _place_addition(proposal, actor=actor, now=now)
    if added is not None:
        record_edit(order, "addition", None, added.number, actor=actor, now=now, reason=reason)
        changed.append("addition")
    _announce(proposal, changed, added, actor=actor, now=now)
    _move_goods(proposal, added, actor=actor, now=now)
    return Edited(proposal=proposal, addition=added)


@asking
def ways_to_ship(*, actor: Actor, order_id: UUID, now: datetime) -> Sequence[ShippingOption]:
    """
    Return the ways to ship what an order holds to where it goes, at today's prices; none where nothing is shipped.

    :raises OrderNotFound: if there is no such order for this caller
    :raises OrderNotEditable: if it can no longer be changed
    """
    order: Order = Order.objects.get(pk=find_id(actor=actor, reference=str(order_id)))
    _check_open(order, actor=actor)
    lines = {line.id: line for line in order.lines.select_related("variant", "product")}
    _check_untouched(order, lines)
    basket = _whole(order, lines, (), (), order.shipping_address, "")
    return pricing.quote(actor=actor, basket=basket, now=now).shipping_options


def end_additions(*, order_id: UUID, now: datetime) -> None:
    """
    Cancel what was added to an order that is cancelled and is not paid yet; staff are told of what is.

    Each addition is a transaction of its own, so that no lock is taken out of turn. Repeating it changes nothing.
    """
    for addition_id, company_id in Order.objects.filter(adds_to_id=order_id).values_list(
        "pk", "company_id"
    ):
        actor = Actor.system(company_id, source="orders")
        with transaction.atomic():
            addition = lock(actor=actor, order_id=addition_id)
            if addition.status == Order.Status.DRAFT:
                cancel(
                    actor=actor,
                    order_id=addition_id,
                    reason="the order that it adds to was cancelled",
                    now=now,
                )
            elif addition.status in SOLD:
                flag(
                    actor=actor,
                    order_id=addition_id,
                    attention="The order that it adds to was cancelled: send it alone, or cancel it too.",
                    now=now,
                )


# --- what it comes to ---------------------------------------------------------------------------------


def _propose(order: Order, *, actor: Actor, edit: Edit, now: datetime) -> Proposal:
    _check_open(order, actor=actor)
    if edit.waive_shipping and not actor.sees_everything:
        raise Forbidden("Only the shop can take the difference on itself.")
    lines = {line.id: line for line in order.lines.select_related("variant", "product")}
    _check_untouched(order, lines)
    errors: list[FieldError] = []
    changed = _addresses(order, edit, errors)
    taken, more = _quantities(lines, edit, errors)
    goods, drafts = _added(order, lines, edit, more, actor=actor, errors=errors)
    if errors:
        raise ValidationFailed(errors=errors)
    option = edit.shipping_option or order.shipping_option
    is_moved = _is_moved(order, changed)
    if is_moved:
        _check_redirect(order, changed["shipping_address"], actor=actor)
    is_other_way = option != order.shipping_option
    if not (changed or taken or goods or is_other_way):
        raise ValidationFailed(
            errors=[FieldError("items", "required", "This would change nothing.")]
        )

    address = changed.get("shipping_address") or order.shipping_address
    back = dearer = Decimal(0)
    name = order.shipping_name
    options: Sequence[ShippingOption] = ()
    if is_moved or is_other_way or goods:
        whole = _price_whole(order, lines, taken, goods, address, option, actor=actor, now=now)
        if is_moved:
            _check_taxes(order, lines, whole)
        options = tuple(whole.shipping_options)
        if whole.shipping is not None:
            name = whole.shipping.name
            difference = whole.shipping.price - (order.shipping_total - order.shipping_claimed)
            dearer = max(difference, Decimal(0))
            if is_moved or is_other_way:
                paid = order.shipping_total - order.shipping_discount - order.shipping_claimed
                back = min(max(-difference, Decimal(0)), paid)
    waived = Decimal(0)
    if dearer and edit.waive_shipping:
        waived, dearer = dearer, Decimal(0)
    if dearer and not goods:
        raise EditCostsMore(
            extra={
                "shipping": format_amount(dearer, order.currency),
                "currency": order.currency,
            }
        )
    addition = (
        _price_addition(order, goods, drafts, address, option, dearer, actor=actor, now=now)
        if goods
        else None
    )
    brings = {
        part.line_id: line_brings(lines[part.line_id], part.quantity, order.currency)
        for part in taken
    }
    shipping_refund = shipping_share(order, back) if back else Decimal(0)
    to_refund = min(sum(brings.values(), shipping_refund), refundable(order))
    proposal = Proposal(
        order=order,
        lines=lines,
        taken=taken,
        brings=brings,
        addresses=changed,
        shipping_option=option,
        shipping_name=name,
        shipping_options=options,
        shipping_back=back,
        shipping_refund=shipping_refund,
        shipping_waived=waived,
        to_refund=max(to_refund, Decimal(0)),
        addition=addition,
        quote_id="",
    )
    return _named(proposal)


def _check_open(order: Order, *, actor: Actor) -> None:
    """
    Let staff change what is not sent, and customers what is not being packed.

    :raises OrderNotEditable: else
    """
    open_ = {Order.Status.CONFIRMED}
    if actor.sees_everything:
        open_.add(Order.Status.PROCESSING)
    if order.status in open_:
        return
    if order.status == Order.Status.DRAFT:
        raise OrderNotEditable(
            "This order waits for its payment: put it back into the cart to change it.",
            extra={"status": order.status, "code": "NOT_PAID"},
        )
    raise OrderNotEditable(extra={"status": order.status})


def _check_untouched(order: Order, lines: Mapping[UUID, OrderLine]) -> None:
    """:raises OrderNotEditable: if a part of it was sent"""
    if any(line.shipped_quantity for line in lines.values()):
        raise OrderNotEditable(
            "A part of it was sent already.", extra={"status": order.status, "code": "PARTLY_SENT"}
        )


def _addresses(order: Order, edit: Edit, errors: list[FieldError]) -> dict[str, dict[str, str]]:
    """Return the addresses that differ, whole and well-formed; what is wrong with them goes to `errors`."""
    found: dict[str, dict[str, str]] = {}
    for name, label, given in (
        ("shipping_address", "shippingAddress", edit.shipping_address),
        ("billing_address", "billingAddress", edit.billing_address),
    ):
        if given is None:
            continue
        try:
            clean = addresses.normalise(given, label)
        except ValidationFailed as refusal:
            errors += refusal.errors
            continue
        gaps = addresses.missing(clean)
        errors += [
            FieldError(f"{label}.{gap}" if gap else label, "required", "This is needed.")
            for gap in gaps
        ]
        if not gaps and clean != getattr(order, name):
            found[name] = clean
    return found


def _quantities(
    lines: Mapping[UUID, OrderLine], edit: Edit, errors: list[FieldError]
) -> tuple[list[Units], dict[UUID, int]]:
    """Return what is taken out of which line, and what comes on top of which."""
    taken, more = [], {}
    for index, (line_id, quantity) in enumerate(edit.quantities.items()):
        line = lines.get(line_id)
        if line is None:
            errors.append(
                FieldError(
                    f"items.{index}.itemId", "invalid", "There is no such line in this order."
                )
            )
            continue
        if quantity < line.unsent:
            taken.append(Units(line_id, line.unsent - quantity))
        elif quantity > line.unsent:
            more[line_id] = quantity - line.unsent
    if taken and not errors:
        flags.require("ORDER_ENABLE_PARTIAL_CANCELLATION")
        if sum(part.quantity for part in taken) == sum(line.unsent for line in lines.values()):
            errors.append(
                FieldError("items", "min_value", "Nothing would be left: cancel the order instead.")
            )
    return taken, more


def _added(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    edit: Edit,
    more: Mapping[UUID, int],
    *,
    actor: Actor,
    errors: list[FieldError],
) -> tuple[list[Goods], list[DraftLine]]:
    """Return what is added, first what there is more of: it keeps what was engraved on it, or noted."""
    places = {line_id: index for index, line_id in enumerate(edit.quantities)}
    wanted: list[tuple[UUID | None, VariantRef, int, str]] = [
        (
            line_id,
            VariantRef(variant_id=lines[line_id].variant_id),
            count,
            f"items.{places[line_id]}.quantity",
        )
        for line_id, count in more.items()
    ]
    wanted += [
        (None, VariantRef(sku=item.sku), item.quantity, f"add.{index}.sku")
        for index, item in enumerate(edit.add)
    ]
    found = catalogue.find_variants(actor=actor, refs=[ref for _, ref, _, _ in wanted])
    goods, drafts = [], []
    for (line_id, _ref, count, path), variant in zip(wanted, found, strict=True):
        if isinstance(variant, ApplicationError):
            errors.append(FieldError(path, variant.code, variant.detail))
            continue
        item = Goods(_stable_id(order, path, variant.sku), variant, count)
        goods.append(item)
        like = lines[line_id] if line_id else None
        drafts.append(
            DraftLine(
                quote_line_id=item.id,
                product_id=variant.product_id,
                variant_id=variant.id,
                sku=variant.sku,
                name=variant.product.name,
                options=variant.options,
                image_url=variant.image,
                tax_class=variant.product.tax_class,
                weight_grams=variant.weight_grams,
                note=like.note if like else "",
                customization=like.customization if like else {},
            )
        )
    return goods, drafts


def _is_moved(order: Order, changed: Mapping[str, dict[str, str]]) -> bool:
    """Return whether the parcel would go to another place, as taxes and shipping see it."""
    parcel = changed.get("shipping_address")
    return parcel is not None and any(
        parcel[key] != order.shipping_address.get(key, "") for key in PLACE
    )


def _check_redirect(order: Order, parcel: Mapping[str, str], *, actor: Actor) -> None:
    """
    Let customers send their parcel elsewhere in its country, unless the order is being looked at.

    A paid order that goes abroad on somebody's word is how stolen cards are turned into goods.

    :raises OrderAddressFixed: else
    """
    if actor.sees_everything:
        return
    if order.review == Order.Review.PENDING or parcel["country"] != order.shipping_address.get(
        "country", ""
    ):
        raise OrderAddressFixed(extra={"status": order.status})


def _price_whole(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    taken: Sequence[Units],
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
    *,
    actor: Actor,
    now: datetime,
) -> Quote:
    """
    Price everything that would go into the parcel, for what shipping it costs and which taxes are due there.

    :raises NoShippingZone: if we do not ship there
    :raises ValidationFailed: if this way to ship is not offered there
    """
    basket = _whole(order, lines, taken, goods, address, option)
    quote = pricing.quote(actor=actor, basket=basket, now=now)
    if quote.shipping_code == NO_SHIPPING_ZONE:
        raise NoShippingZone
    if quote.requires_shipping and quote.shipping is None:
        offered = ", ".join(each.id for each in quote.shipping_options)
        raise ValidationFailed(
            errors=[
                FieldError("shippingOption", "invalid_choice", f"Offered there is only: {offered}.")
            ]
        )
    return quote


def _whole(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    taken: Sequence[Units],
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
) -> Basket:
    """Return what would be in the parcel: what stays at its frozen prices, what comes at today's."""
    out = {part.line_id: part.quantity for part in taken}
    kept = [
        _frozen(line, line.unsent - out.get(line.id, 0))
        for line in lines.values()
        if line.unsent > out.get(line.id, 0)
    ]
    return Basket(
        lines=[*kept, *(_basket(order, goods, address, option).lines if goods else ())],
        currency=order.currency,
        destination=_place_of(address),
        shipping_option=option or None,
        user_id=order.user_id,
    )


def _frozen(line: OrderLine, quantity: int) -> Line:
    """Return units of an order line for pricing, at what was agreed."""
    return Line(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        sku=line.sku,
        quantity=quantity,
        unit_price=line.unit_price,
        category_ids=[line.product.category_id] if line.product.category_id else [],
        tax_class=line.tax_class,
        is_taxable=line.variant.is_taxable,
        weight_grams=line.weight_grams,
        requires_shipping=line.variant.requires_shipping,
    )


def _check_taxes(order: Order, lines: Mapping[UUID, OrderLine], whole: Quote) -> None:
    """
    Refuse to send goods where other taxes are due than were charged: their invoice would be wrong.

    :raises OrderAddressFixed: if a line that stays, or shipping, is taxed otherwise there
    """

    def of_quote(taxes: Sequence[TaxAmount]) -> set[tuple[Any, ...]]:
        return {(tax.name, tax.type, tax.rate, tax.included, tax.relief) for tax in taxes}

    def of_line(line: OrderLine) -> set[tuple[Any, ...]]:
        return {
            (tax["name"], tax["type"], Decimal(tax["rate"]), tax["included"], tax.get("relief", ""))
            for tax in line.taxes
        }

    placed = Quote.from_json(order.quote).shipping if order.quote else None
    differs = any(
        of_quote(priced.taxes) != of_line(lines[priced.id])
        for priced in whole.lines
        if priced.id in lines
    ) or (
        placed is not None
        and whole.shipping is not None
        and bool(placed.total and whole.shipping.total)
        and of_quote(placed.taxes) != of_quote(whole.shipping.taxes)
    )
    if differs:
        raise OrderAddressFixed(
            "Another tax is due there than was paid.",
            extra={"status": order.status, "code": "TAX_DIFFERS"},
        )


def _price_addition(
    order: Order,
    goods: Sequence[Goods],
    drafts: Sequence[DraftLine],
    address: Mapping[str, str],
    option: str,
    shipping: Decimal,
    *,
    actor: Actor,
    now: datetime,
) -> Addition:
    """Price what is added by today's rules, with what it costs more to ship it along."""
    basket = _basket(order, goods, address, option, shipping={option: shipping})
    quote, basis = pricing.quote_with_basis(actor=actor, basket=basket, now=now)
    return Addition(
        quote=quote,
        basis=basis,
        basket=basket,
        lines=drafts,
        demands=[
            Demand(line_id=draft.id, variant_id=item.variant.id, quantity=item.quantity)
            for draft, item in zip(drafts, goods, strict=True)
        ],
    )


def _basket(
    order: Order,
    goods: Sequence[Goods],
    address: Mapping[str, str],
    option: str,
    *,
    shipping: Mapping[str, Decimal] | None = None,
) -> Basket:
    return basket_of(
        goods,
        user_id=order.user_id,
        email=order.email,
        address=address,
        currency=order.currency,
        option=option or None,
        shipping=shipping,
    )


def _place_of(address: Mapping[str, str]) -> Place:
    return Place(
        country=address.get("country", ""),
        state=address.get("state", ""),
        postal_code=address.get("postalCode", ""),
    )


def _stable_id(order: Order, path: str, sku: str) -> UUID:
    """Return the id under which a line is priced: the same each time, so that the same wish is the same quote."""
    digest = hashlib.sha256(f"{order.id}/{path}/{sku}".encode()).digest()
    return UUID(bytes=digest[:16], version=4)


def _named(proposal: Proposal) -> Proposal:
    """Return a proposal with the id of its content: what changes, the order as it is now, and all sums."""
    order = proposal.order
    content = {
        "order": [str(order.id), order.status, str(order.refunded_total), str(order.shipping_claimed), order.shipping_option],
        "lines": sorted(
            [str(line.id), line.cancelled_quantity, line.claimed_quantity, line.returned_quantity]
            for line in proposal.lines.values()
        ),
        "taken": sorted([str(part.line_id), part.quantity] for part in proposal.taken),
        "addresses": proposal.addresses,
        "shipping": [proposal.shipping_option, str(proposal.shipping_back), str(proposal.shipping_waived)],
        "toRefund": str(proposal.to_refund),
        "addition": proposal.addition.quote.id if proposal.addition else None,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    return Proposal(**{**proposal.__dict__, "quote_id": digest})


# --- doing it -----------------------------------------------------------------------------------------


def _write_fields(proposal: Proposal, *, actor: Actor, now: datetime, reason: str) -> list[str]:
    """Write what differs in the order itself, each old value into its history; return the names."""
    order = proposal.order
    wanted: dict[str, Any] = {
        **proposal.addresses,
        "shipping_option": proposal.shipping_option,
        "shipping_name": proposal.shipping_name,
    }
    changed = {name: value for name, value in wanted.items() if getattr(order, name) != value}
    for name, value in changed.items():
        record_edit(order, name, getattr(order, name), value, actor=actor, now=now, reason=reason)
        setattr(order, name, value)
    if changed:
        order.save(update_fields=[*changed, "updated_at"])
    if proposal.shipping_waived:
        waived = format_amount(proposal.shipping_waived, order.currency)
        record_edit(order, "shipping_waived", None, waived, actor=actor, now=now, reason=reason)
    return [*changed, *(["items"] if proposal.taken else [])]


def _place_addition(proposal: Proposal, *, actor: Actor, now: datetime) -> Order | None:
    """Place what is added as a draft of the order's customer; its goods are taken by `_move_goods`."""
    order, addition = proposal.order, proposal.addition
    if addition is None:
        return None
    added = place(
        actor=actor,
        draft=OrderDraft(
            company_id=order.company_id,
            adds_to_id=order.id,
            user_id=order.user_id,
            session_hash=None if order.session_hash is None else bytes(order.session_hash),
            email=order.email,
            currency=order.currency,
            quote=addition.quote,
            basis=addition.basis,
            lines=addition.lines,
            shipping_address=order.shipping_address,
            billing_address=order.billing_address,
            shipping_option=order.shipping_option,
            shipping_name=order.shipping_name,
            metadata={"source": actor.source},
            expires_at=now + settings.ORDER_AUTO_CANCEL_DRAFT,
        ),
        now=now,
    )
    pricing.redeem(
        actor=actor,
        order_id=added.id,
        quote=addition.quote,
        customer_keys=addition.basket.customer_keys,
        now=now,
    )
    return added


def _announce(
    proposal: Proposal, changed: Sequence[str], added: Order | None, *, actor: Actor, now: datetime
) -> None:
    order = proposal.order
    events: list[OrderEvent] = [
        OrderEdited(
            **about(order),
            fields=list(changed),
            to_refund=format_amount(proposal.to_refund, order.currency),
            to_pay=format_amount(proposal.to_pay, order.currency),
            addition_number=added.number if added else None,
        )
    ]
    if proposal.taken:
        items: list[dict[str, object]] = [
            {"itemId": str(part.line_id), "quantity": part.quantity} for part in proposal.taken
        ]
        events.append(OrderItemsCancelled(**about(order), items=items))
    outbox.publish(*events, actor=actor, now=now)


def _move_goods(proposal: Proposal, added: Order | None, *, actor: Actor, now: datetime) -> None:
    """Put back what was taken out, and hold what was added; the stock of both is locked at once."""
    demands = proposal.addition.demands if proposal.addition else ()
    inventory.restock(
        actor=actor,
        order_id=proposal.order.id,
        items=[(part.line_id, part.quantity) for part in proposal.taken],
        reference=proposal.order.number,
        beside=[demand.variant_id for demand in demands],
        now=now,
    )
    if added is not None:
        inventory.reacquire(
            actor=actor,
            order_id=added.id,
            demands=demands,
            expires_at=now + settings.PAYMENT_LIFETIME,
            now=now,
        )
