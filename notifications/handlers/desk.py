"""Mails to customer service: somebody asked for something that a person has to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from config.platform.actor import Actor
from config.platform.outbox import Envelope, durable
from notifications import selectors, services
from orders import selectors as orders
from orders.events import PriceDisputeOpened, ReturnRequested
from orders.models import Order
from pricing import selectors as pricing


@durable(ReturnRequested, consumer="notifications.return_desk")
def tell_of_return(event: ReturnRequested, envelope: Envelope, now: datetime) -> None:
    """Whoever decides returns reads what is to come back, and why (MSG-13)."""
    found = orders.return_for_mail(return_id=event.return_id)
    _mail_desk(
        "return-requested",
        settings.RETURN_REQUEST_EMAILS,
        orders.for_mail(order_id=event.aggregate_id),
        {
            "goods": [
                {
                    "quantity": part.quantity,
                    "name": part.order_line.name,
                    "sku": part.order_line.sku,
                    "reason": part.reason,
                    "instead": part.exchange_variant.sku if part.exchange_variant else "",
                }
                for part in found.lines.all()
            ],
            "notes": found.notes,
            "admin_url": _page("orders_returnrequest", found.pk),
        },
        envelope,
        now,
    )


@durable(PriceDisputeOpened, consumer="notifications.dispute_desk")
def tell_of_dispute(event: PriceDisputeOpened, envelope: Envelope, now: datetime) -> None:
    """Whoever decides price disputes reads what was charged, and what the customer says it should be."""
    order = orders.for_mail(order_id=event.aggregate_id)
    clerk = Actor.system(order.company_id, source="outbox")
    dispute = pricing.find_dispute(actor=clerk, dispute_id=UUID(event.dispute_id))

    def cash(amount: Any) -> str:
        return selectors.money(amount, dispute.currency) if amount is not None else ""

    _mail_desk(
        "price-disputed",
        settings.PRICE_DISPUTE_EMAILS,
        order,
        {
            "product": dispute.name,
            "sku": dispute.sku,
            "quantity": dispute.quantity,
            "charged": cash(dispute.unit_price),
            "claimed": cash(dispute.claimed_price),
            "reason": dispute.get_reason_display(),
            "evidence": dispute.evidence,
            "admin_url": _page("pricing_pricedispute", dispute.pk),
        },
        envelope,
        now,
    )


def _mail_desk(
    channel: str,
    addresses: Sequence[str],
    order: Order,
    context: Mapping[str, Any],
    envelope: Envelope,
    now: datetime,
) -> None:
    """Write one mail to each address, about an order; the customer's secret link is not in it."""
    for address in addresses:
        services.notify(
            company_id=order.company_id,
            channel=channel,
            recipient=address,
            order_id=order.id,
            context={"number": order.number, "customer": order.email, **context},
            dedupe_key=str(envelope.id),
            now=now,
        )


def _page(name: str, pk: UUID) -> str:
    return f"{settings.STOREFRONT_URL}{reverse(f'admin:{name}_change', args=[pk])}"
