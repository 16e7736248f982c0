"""Finding out what an edit would come to, before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, Forbidden, ValidationFailed
from inventory import selectors as catalogue
from inventory.errors import InsufficientStock
from inventory.selectors import VariantRef
from orders import addresses
from orders.errors import EditCostsMore, OrderAddressFixed, OrderNotEditable
from orders.models import Order, OrderLine
from orders.selectors import find_id
from orders.services.direct import Goods
from orders.services.editing.costing import (
    check_taxes,
    price_addition,
    price_whole,
    stable_id,
    whole_order,
)
from orders.services.editing.proposal import Edit, Proposal
from orders.services.placing import DraftLine, draft_line
from orders.services.shares import Units, line_brings, refundable, shipping_share
from orders.services.status import check_billable_elsewhere
from pricing import services as pricing
from pricing.engine import ShippingOption
from pricing.money import format_amount
from pricing.outside import asking

PLACE = ("country", "state", "postalCode")


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
    basket = whole_order(order, lines, (), (), order.shipping_address, "")
    return pricing.quote(actor=actor, basket=basket, now=now).shipping_options


def propose(
    order: Order, *, actor: Actor, edit: Edit, now: datetime, counts_stock: bool = False
) -> Proposal:
    """`counts_stock` refuses what there is not enough of; who does the edit holds the goods instead."""
    _check_open(order, actor=actor)
    if edit.waive_shipping and not actor.sees_everything:
        raise Forbidden("Only the shop can take the difference on itself.")
    lines = {line.id: line for line in order.lines.select_related("variant", "product")}
    _check_untouched(order, lines)
    errors: list[FieldError] = []
    changed = _addresses(order, edit, errors)
    taken, more = _quantities(lines, edit, errors)
    added, drafts = _added(order, lines, edit, more, actor=actor, errors=errors)
    if counts_stock:
        errors += _short(added, lines, taken, actor=actor, now=now)
    if errors:
        raise ValidationFailed(errors=errors)
    goods = list(added.values())
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
        whole = price_whole(order, lines, taken, goods, address, option, actor=actor, now=now)
        if is_moved:
            check_taxes(order, lines, whole)
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
        price_addition(order, goods, drafts, address, option, dearer, actor=actor, now=now)
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
            if name == "billing_address":
                check_billable_elsewhere(order)
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
) -> tuple[dict[str, Goods], list[DraftLine]]:
    """
    Return what is added by the field that says how much, first what there is more of: it keeps what was engraved on
    it, or noted.
    """
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
    found = catalogue.find_variants(actor=actor, refs=[ref for _line, ref, _count, _path in wanted])
    goods, drafts = {}, []
    for (line_id, _ref, count, path), variant in zip(wanted, found, strict=True):
        if isinstance(variant, ApplicationError):
            errors.append(FieldError(path, variant.code, variant.detail))
            continue
        item = Goods(stable_id(order, path, variant.sku), variant, count)
        goods[f"{path.rpartition('.')[0]}.quantity"] = item
        drafts.append(
            draft_line(variant, quote_line_id=item.id, like=lines[line_id] if line_id else None)
        )
    return goods, drafts


def _short(
    added: Mapping[str, Goods],
    lines: Mapping[UUID, OrderLine],
    taken: Sequence[Units],
    *,
    actor: Actor,
    now: datetime,
) -> list[FieldError]:
    """Return each field that asks for more than there is; units of the same variant that are taken out count as there."""
    stock = catalogue.availability(
        variant_ids=[item.variant.id for item in added.values()], now=now
    )
    needed = Counter[UUID]()
    for item in added.values():
        needed[item.variant.id] += item.quantity
    for part in taken:
        needed[lines[part.line_id].variant_id] -= part.quantity
    errors = []
    for field, item in added.items():
        found = stock[item.variant.id]
        if not found.allows(needed[item.variant.id]):
            shown = found.available if actor.sees_everything else found.shown
            errors.append(FieldError(field, InsufficientStock.code, what_is_left(shown)))
    return errors


def what_is_left(available: int) -> str:
    """Return in words how many units of something there are for whom there are too few."""
    if available <= 0:
        return _("It is sold out.")
    return ngettext("There is only %(n)d left.", "There are only %(n)d left.", available) % {"n": available}  # fmt: skip


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
