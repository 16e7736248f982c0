"""From a priced draft to an order, and from an unpaid order to a confirmed one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import prefetch_related_objects

from config.platform import outbox
from config.platform.actor import Actor, hash_token
from config.platform.models import new_id
from config.platform.writing import insert
from inventory import services as inventory
from inventory.models import Variant
from inventory.services import Demand
from orders.events import OrderConfirmed, OrderPlaced
from orders.models import Order, OrderLine, StatusChange
from orders.services.numbers import next_number
from orders.services.reviewing import hold_if_suspicious
from orders.services.status import about, lock, move, refused_move
from pricing.engine import Quote, TaxAmount
from pricing.money import format_amount


@dataclass(frozen=True, kw_only=True)
class DraftLine:
    """What is bought in one line, as it is called now. `quote_line_id` finds its amounts in the quote."""

    quote_line_id: UUID
    product_id: UUID
    variant_id: UUID
    sku: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    image_url: str = ""
    tax_class: str = "standard"
    weight_grams: int = 0
    note: str = ""
    customization: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_id)  # the order line's


def draft_line(
    variant: Variant, *, quote_line_id: UUID, id: UUID | None = None, like: OrderLine | None = None
) -> DraftLine:
    """Return a line of a variant (with its product) as the catalogue has it; with the wishes of an earlier line."""
    return DraftLine(
        id=id or new_id(),
        quote_line_id=quote_line_id,
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


@dataclass(frozen=True, kw_only=True)
class OrderDraft:
    """Everything that makes an order. Amounts come from the quote and from nowhere else."""

    company_id: UUID
    email: str
    currency: str
    quote: Quote
    basis: dict[str, Any]  # the rules behind the quote, kept with it
    lines: Sequence[DraftLine]
    shipping_address: dict[str, Any]
    billing_address: dict[str, Any] | None
    expires_at: datetime
    checkout_id: UUID | None = None
    adds_to_id: UUID | None = None
    user_id: UUID | None = None
    session_hash: bytes | None = None
    shipping_option: str = ""
    shipping_name: str = ""
    payment_method: str = ""  # of the payment that is opened with it
    notes: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@transaction.atomic(savepoint=False)
def place(*, actor: Actor, draft: OrderDraft, now: datetime) -> Order:
    """
    Write an order in status draft, its lines frozen, and announce it.

    The caller has locked what the draft was made from, and attaches the holds.
    """
    quote = draft.quote
    totals = quote.totals
    order = Order(
        id=new_id(),
        company_id=draft.company_id,
        number=next_number(now=now),
        checkout_id=draft.checkout_id,
        adds_to_id=draft.adds_to_id,
        user_id=draft.user_id,
        session_hash=draft.session_hash,
        email=draft.email,
        currency=draft.currency,
        subtotal=totals.subtotal,
        discount_total=totals.discount_total,
        shipping_total=totals.shipping_total,
        shipping_discount=totals.shipping_discount,
        shipping_tax=totals.shipping_tax,
        tax_total=totals.tax_total,
        included_tax=totals.included_tax_total,
        grand_total=totals.grand_total,
        prices_include_tax=quote.prices_include_tax,
        quote_id=quote.id,
        quote={
            **quote.to_json(),
            "basis": draft.basis,
            "items": {str(line.quote_line_id): str(line.id) for line in draft.lines},
        },
        shipping_option=draft.shipping_option,
        shipping_name=draft.shipping_name,
        payment_method=draft.payment_method,
        shipping_address=draft.shipping_address,
        billing_address=draft.billing_address,
        notes=draft.notes,
        metadata=draft.metadata,
        placed_at=now,
        expires_at=draft.expires_at,
    )
    token = access_token(order)
    order.access_token_hash = hash_token(token)
    lines = []
    for position, wanted in enumerate(draft.lines):
        line = quote.lines_by_id[wanted.quote_line_id]
        lines.append(
            OrderLine(
                id=wanted.id,
                order=order,
                position=position,
                product_id=wanted.product_id,
                variant_id=wanted.variant_id,
                sku=wanted.sku,
                name=wanted.name,
                options=wanted.options,
                image_url=wanted.image_url,
                quantity=line.quantity,
                unit_price=line.unit_price,
                subtotal=line.subtotal,
                discount=line.discount,
                tax=line.tax,
                included_tax=line.included_tax,
                total=line.total,
                taxes=[_tax(tax, draft.currency) for tax in line.taxes],
                tax_class=wanted.tax_class,
                weight_grams=wanted.weight_grams,
                note=wanted.note,
                customization=wanted.customization,
                metadata=wanted.metadata,
                points=quote.points_by_line[line.id] if quote.points else 0,
            )
        )
    begun = StatusChange(order=order, to_status=order.status, actor=actor.label, at=now)
    insert(order, *lines, begun)
    outbox.publish(OrderPlaced(**about(order), access_token=token), actor=actor, now=now)
    return order


@transaction.atomic
def confirm(*, actor: Actor, order_id: UUID, now: datetime, reason: str = "") -> Order:
    """
    Confirm an order that is paid, or promised to be: its holds become sales.

    Confirming twice changes nothing. Locks the order, then the stock.

    :raises OrderNotFound: if there is none for this caller
    :raises InvalidTransition: if it is cancelled or failed
    :raises HoldFailed: if its holds are gone and the goods are too; nothing is written
    """
    order = lock(actor=actor, order_id=order_id)
    confirm_locked(order, actor=actor, now=now, reason=reason)
    return order


def confirm_locked(
    order: Order,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    fields: tuple[str, ...] = (),
    suspicions: Sequence[str] = (),
) -> None:
    """
    Do what `confirm` does, for an order that the caller has locked.

    `fields` names further attributes that the caller has set and wants saved with it; `suspicions` are the caller's own
    reasons to have staff look at the order first. Where this raises `HoldFailed`
    the caller undoes what was written.

    :raises InvalidTransition: if it is cancelled or failed
    :raises HoldFailed: if its holds are gone and the goods are too
    """
    if order.status in {
        Order.Status.CONFIRMED,
        Order.Status.PROCESSING,
        Order.Status.SHIPPED,
        Order.Status.DELIVERED,
    }:
        return
    if order.status != Order.Status.DRAFT:
        raise refused_move(order, Order.Status.CONFIRMED)
    order.confirmed_at = now
    order.expires_at = None
    fields = (*fields, *hold_if_suspicious(order, suspicions, now=now))
    events = move(
        order,
        Order.Status.CONFIRMED,
        actor=actor,
        now=now,
        reason=reason,
        fields=("confirmed_at", "expires_at", *fields),
    )
    prefetch_related_objects([order], "lines")  # read once, here and for whoever shows the order
    with outbox.together():
        inventory.confirm(
            actor=actor,
            order_id=order.id,
            demands=demands(order),
            reference=order.number,
            now=now,
        )
        outbox.publish(*events, OrderConfirmed(**about(order)), actor=actor, now=now)


def demands(order: Order) -> list[Demand]:
    """Return what the order still needs from stock, line by line."""
    return [
        Demand(
            line_id=line.id,
            variant_id=line.variant_id,
            quantity=line.quantity - line.cancelled_quantity,
        )
        for line in order.lines.all()
        if line.quantity > line.cancelled_quantity
    ]


def access_token(order: Order, *, secret: str | None = None) -> str:
    """
    Return the secret of the order's own link, for its mails.

    Derived from the order's id, so the link can be shown again; only its digest is stored.
    """
    key = hashlib.sha256(f"orders.access:{secret or settings.SECRET_KEY}".encode()).digest()
    return hmac.new(key, order.id.bytes, hashlib.sha256).hexdigest()


def _tax(tax: TaxAmount, currency: str) -> dict[str, Any]:
    return {
        "name": tax.name,
        "type": tax.type,
        "rate": f"{tax.rate:f}",
        "base": format_amount(tax.base, currency),
        "amount": format_amount(tax.amount, currency),
        "included": tax.included,
        **({"relief": tax.relief} if tax.relief else {}),
    }
