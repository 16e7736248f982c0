"""Where an order stands, in words: the headline, what happens next, its story so far and what is still to come."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from orders.models import Order, Shipment
from orders.selectors.timeline import customer_timeline
from pricing.arrival import arrival
from pricing.display import arrival_text, days_text
from pricing.engine import Quote
from pricing.selectors.storefront import storefront
from pricing.templatetags.money import day, moment, money_text

Status = Order.Status
OVER = (Status.CANCELLED, Status.FAILED)


def headline_of(order: Order) -> str:
    return {
        Status.DRAFT: _("Almost there. It waits for your payment."),
        Status.CONFIRMED: _("Thank you. It is yours."),
        Status.PROCESSING: _("It is being packed."),
        Status.SHIPPED: _("It is on its way."),
        Status.DELIVERED: _("It has arrived."),
        Status.CANCELLED: _("This order is cancelled."),
        Status.REFUNDED: _("Everything is paid back."),
        Status.FAILED: _("This order came to nothing."),
    }.get(Status(order.status), order.get_status_display())


def next_step_of(order: Order, *, may_pay: bool, return_until: datetime | None) -> str:
    match order.status:
        case Status.DRAFT:
            return (
                _("We hold everything for you while you pay. Nothing has been charged yet.")
                if may_pay
                else _("It waits for the payment of whoever placed it.")
            )
        case Status.CONFIRMED:
            return _(
                "We pack it next, and write to you when it leaves. Until then you can still cancel it."
            )
        case Status.PROCESSING if any(line.shipped_quantity for line in order.lines.all()):
            return _(
                "A part of it is on its way. We write to you when the rest leaves; until then you can still leave "
                "something out."
            )
        case Status.PROCESSING:
            return _(
                "It is on the packing bench. We write to you when it leaves; until then you can still cancel it."
            )
        case Status.SHIPPED:
            return _("There is nothing to do but wait. If it should get lost, we send another.")
        case Status.DELIVERED if return_until is not None:
            return _("If something is not as you hoped, you can send it back until %(day)s.") % {
                "day": day(return_until)
            }
        case Status.CANCELLED | Status.FAILED if order.refunded_total or order.payment_status in (
            Order.PaymentStatus.CAPTURED,
            Order.PaymentStatus.PARTIALLY_REFUNDED,
        ):
            return _(
                "What you paid goes back to where it came from. Banks need up to five days to show it."
            )
        case Status.CANCELLED | Status.FAILED:
            return _("Nothing was charged.")
    return _("There is nothing left to do.")


def timeline_of(order: Order, quote: Quote | None) -> list[dict[str, str]]:
    """Return the order's story: what has happened with its time, what happens now, and what comes."""
    reached = [
        (_("Placed"), order.placed_at, ""),
        (_("Paid"), order.confirmed_at, money_text(order.grand_total, order.currency)),
    ]
    steps = [
        {
            "state": "done",
            "title": title,
            "text": ". ".join(part for part in (moment(at), text) if part),
            "url": "",
        }
        for title, at, text in reached
        if at is not None
    ]
    if order.status in OVER:
        title = _("Cancelled") if order.status == Status.CANCELLED else _("Not completed")
        steps.append(
            {"state": "bad", "title": title, "text": moment(order.cancelled_at), "url": ""}
        )
        if order.refunded_total:
            text = money_text(order.refunded_total, order.currency)
            steps.append({"state": "done", "title": _("Paid back"), "text": text, "url": ""})
        return steps
    if order.confirmed_at is None:
        steps.append(
            {"state": "now", "title": _("Waiting for your payment"), "text": "", "url": ""}
        )
    return steps + _way(order, quote)


def history_of(order: Order) -> list[dict[str, str]]:
    """Return everything that happened and is the customer's to know, the newest first."""
    return [
        {"at": moment(at), "title": told.title, "text": told.text, "url": told.url}
        for at, told in customer_timeline(order=order)
    ]


def _way(order: Order, quote: Quote | None) -> list[dict[str, str]]:
    shipment: Shipment | None = next(iter(order.shipments.all()), None)
    sent, arrived = order.shipped_at, order.delivered_at
    packing = {"state": "next", "title": _("Packed"), "text": "", "url": ""}
    if sent is not None:
        packing["state"] = "done"
    elif order.confirmed_at is not None:
        packing |= {"state": "now", "title": _("Being packed"), "text": _("By hand, one at a time")}
    leaving = {
        "state": "next",
        "title": _("Sent"),
        "text": _("We write to you when it leaves"),
        "url": "",
    }
    if sent is not None:
        told = [moment(sent)]
        if shipment is not None:
            told.append(
                " ".join(part for part in (shipment.carrier, shipment.tracking_number) if part)
            )
        leaving |= {
            "state": "done",
            "text": ". ".join(part for part in told if part),
            "url": shipment.tracking_url
            if shipment and shipment.tracking_url.startswith("https://")
            else "",
        }
    door = {"state": "next", "title": _("At your door"), "text": "", "url": ""}
    if arrived is not None:
        door |= {"state": "done", "text": moment(arrived)}
    elif quote is not None and quote.shipping is not None:
        door["text"] = _at_the_door(order, quote.shipping.min_days, quote.shipping.max_days)
        if sent is not None:
            door["state"] = "now"
    return [packing, leaving, door]


def _at_the_door(order: Order, least: int, most: int) -> str:
    """Say when a parcel arrives: in days of the calendar once it has left, before that in working days after it leaves."""
    if order.shipped_at is None:
        return _("%(days)s after it leaves") % {"days": days_text(least, most)}
    zone = storefront(company_id=order.company_id).time_zone
    dates = arrival_text(arrival(order.shipped_at, least, most, zone=zone))
    return _("Expected %(dates)s") % {"dates": dates}
