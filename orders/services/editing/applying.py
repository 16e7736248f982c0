"""Doing exactly what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.platform import outbox
from config.platform.actor import Actor
from inventory import services as inventory
from orders.errors import PriceChanged
from orders.events import OrderEdited, OrderEvent, OrderItemsCancelled
from orders.models import Order
from orders.selectors import find_id
from orders.services.cancelling import SOLD, cancel, take_out
from orders.services.editing.proposal import Edit, Edited, Proposal
from orders.services.editing.proposing import propose
from orders.services.placing import OrderDraft, place
from orders.services.refunds import claim
from orders.services.status import about, flag, lock, record_edit
from pricing import services as pricing
from pricing.money import format_amount
from pricing.outside import asking


@asking
def preview_edit(*, actor: Actor, order_id: UUID, edit: Edit, now: datetime) -> Proposal:
    """
    Return what an edit would come to; nothing is written or locked.

    :raises OrderNotFound: if there is no such order for this caller
    :raises OrderNotEditable: if it waits for its payment, is packed (for customers), in part sent, or over
    :raises OrderAddressFixed: if another tax is due at the new address, it is not the customer's to change, or the
        invoice is written and somebody else is to be billed
    :raises EditCostsMore: if it only makes shipping dearer, which nobody is asked to pay afterwards
    :raises NoShippingZone: if we do not ship to the new address
    :raises PriceMissing: if something that is added has no price in the order's currency
    :raises ValidationFailed: listing each field that is malformed, or asks for more than there is (`ITEM_OUT_OF_STOCK`),
        or that nothing would change
    """
    order: Order = Order.objects.get(pk=find_id(actor=actor, reference=str(order_id)))
    return propose(order, actor=actor, edit=edit, now=now, counts_stock=True)


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
    :raises: what `preview_edit` raises, but for stock, which is counted where it is held
    """
    order = lock(actor=actor, order_id=order_id)
    proposal = propose(order, actor=actor, edit=edit, now=now)
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
        events.append(OrderItemsCancelled(**about(order), items=items, by_edit=True))
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
