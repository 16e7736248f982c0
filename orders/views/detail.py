"""The page of one order: where it stands, what it came to, and what its customer may still do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import InvalidTransition
from config.platform.http import actor_of
from config.platform.http.forms import form_key
from orders import selectors
from orders import services as orders
from orders.errors import OrderNotFound
from orders.explaining import grounds_of
from orders.models import Order, OrderLine, RefundRequest
from orders.rendering import order_path
from orders.views.disputes import shown_disputes
from orders.views.papers import address_lines
from orders.views.progress import headline_of, history_of, next_step_of, timeline_of
from orders.views.returning import other_path, shown_returns
from pricing.display import (
    days_text,
    discounts_of,
    options_text,
    percent_text,
    relief_of,
    steps_of,
)
from pricing.engine import Quote
from pricing.selectors.storefront import option_orders
from pricing.templatetags.money import money_text

Status = Order.Status
CANCELLABLE = (Status.DRAFT, Status.CONFIRMED, Status.PROCESSING)


@cache_control(no_store=True)
@require_safe
def order(request: HttpRequest, number: str) -> HttpResponse:
    """
    Tell where an order stands, what happens next, and what can still be changed.

    :raises OrderNotFound: if it is not the visitor's, and the link's token does not open it
    """
    actor, token = actor_of(request), request.GET.get("token", "")
    found = selectors.find(actor=actor, reference=number, token=token)
    is_own = _is_own(actor, found)
    # Who has the link of a guest's order may send it back and pay it; what an account bought, only who is signed in.
    may_act = is_own or (found.user_id is None and found.session_hash is not None)
    waits_for_goods = found.status == Status.DRAFT and _waits_for_goods(found)
    until = _return_until(found)
    quote = Quote.from_json(found.quote) if found.quote else None
    orders_of = option_orders(product_ids=[line.product_id for line in found.lines.all()])
    context = {
        "order": {
            "number": found.number,
            "placed_at": found.placed_at,
            "email": found.email if is_own else "",
            "shipping_name": _shipping_text(found, quote),
            "pay_url": _pay_url(found, by_link=not is_own)
            if may_act and not waits_for_goods
            else "",
        },
        "headline": _("It is kept for you.") if waits_for_goods else headline_of(found),
        "next_step": _("We send it as soon as what you send back for it is here.")
        if waits_for_goods
        else next_step_of(found, may_pay=may_act, return_until=until),
        "exchange_of": found.metadata.get("exchangeOf", ""),
        "is_own": is_own,
        "is_told": is_own
        and _is_the_buyers(actor, found),  # by the socket; others ask now and then
        "credit_total": found.credit_total,
        "moved_total": found.moved_total,
        "to_pay": found.to_pay,
        "timeline": timeline_of(found, quote),
        "lines": [_line(line, orders_of.get(line.product_id, ())) for line in found.lines.all()],
        "currency": found.currency,
        "totals": _totals(found),
        "discounts": discounts_of(quote) if quote else [],
        "relief_text": relief_of(quote) if quote else "",
        "taxes": _taxes(quote) if quote else [],
        "taxes_included": found.prices_include_tax,
        "steps": _steps(found, quote) if quote else [],
        "grounds": grounds_of(found),
        "refunded_total": found.refunded_total - found.moved_total,
        "refund_notes": _refund_notes(found) if is_own else [],
        "address": address_lines(found.shipping_address),
        "can_cancel": is_own and found.status in CANCELLABLE and not _is_partly_sent(found),
        "can_cancel_items": is_own and _can_cancel_items(found),
        "can_reorder": is_own,
        "can_edit_in_cart": is_own
        and found.status == Status.DRAFT
        and not found.credit_total
        and not waits_for_goods
        and _is_the_buyers(actor, found),
        "can_change": is_own and found.status == Status.CONFIRMED and not _is_partly_sent(found),
        "additions": _additions(found, by_link=not is_own) if may_act else [],
        "adds_to": found.adds_to.number if is_own and found.adds_to else "",
        "invoice_url": _invoice_url(found, token),
        "happened": history_of(found) if may_act else [],
        "parcels": _parcels(found),
        "returns": shown_returns(found, token) if may_act else [],
        "return_url": order_path(found.number, "return/", token=token) if may_act and until else "",
        "disputes": shown_disputes(found),
        "dispute_url": _dispute_url(found, token),
        "form_key": form_key(),
    }
    template = "orders/partials/story.html" if request.htmx else "orders/detail.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _pay_url(order: Order, *, by_link: bool) -> str:
    if order.status != Status.DRAFT:
        return ""
    if order.checkout_id is not None and not by_link:
        return "/checkout/"  # where it was begun
    return other_path(order, "pay/", by_link=by_link)


def _waits_for_goods(order: Order) -> bool:
    """Say whether an order is a replacement whose goods are still to be sent back."""
    try:
        orders.check_payable(order)
    except InvalidTransition:
        return True
    return False


def _invoice_url(order: Order, token: str) -> str:
    if order.confirmed_at is None or (order.was_never_paid and not order.invoices.exists()):
        return ""
    return order_path(order.number, "invoice/", token=token)


def _dispute_url(order: Order, token: str) -> str:
    if order.payment_status not in orders.PAID:
        return ""
    return order_path(order.number, "dispute/", token=token)


def _is_partly_sent(order: Order) -> bool:
    return any(line.shipped_quantity for line in order.lines.all())


def _can_cancel_items(order: Order) -> bool:
    """Say whether a part can be left out: where it is one single unit, the whole can be cancelled instead."""
    units = sum(line.unsent for line in order.lines.all())
    is_on = flags.is_enabled("ORDER_ENABLE_PARTIAL_CANCELLATION")
    return is_on and order.status in orders.SOLD and (units > 1 or _is_partly_sent(order))


def _return_until(order: Order) -> datetime | None:
    """Return until when something can be sent back; None where it is too late, or nothing is left to."""
    until = selectors.return_until(order=order)
    is_open = (
        until is not None
        and until >= timezone.now()
        and any(selectors.returnable(order=order).values())
    )
    return until if is_open else None


def _parcels(order: Order) -> list[dict[str, Any]]:
    """Return the parcels of an order that goes out in more than one, in words."""
    shipments = list(order.shipments.all())
    names = {str(line.id): line.name for line in order.lines.all()}
    if len(shipments) < 2 and not any(line.unsent for line in order.lines.all()):
        return []
    return [
        {
            "number": number,
            "status_text": shipment.get_status_display(),
            "sent": shipment.shipped_at,
            "arrived": shipment.delivered_at,
            "carrier": " ".join(
                part for part in (shipment.carrier, shipment.tracking_number) if part
            ),
            "url": shipment.tracking_url if shipment.tracking_url.startswith("https://") else "",
            "lines": [
                f"{part['quantity']} × {names.get(part['itemId'], '')}" for part in shipment.lines
            ],
        }
        for number, shipment in enumerate(shipments, start=1)
    ]


def _is_own(actor: Actor, found: Order) -> bool:
    try:
        selectors.find_id(actor=actor, reference=str(found.id))
    except OrderNotFound:
        return False
    return True


def _is_the_buyers(actor: Actor, found: Order) -> bool:
    """Say whether the visitor has placed it: staff see the orders of others, and have carts of their own."""
    return actor.user_id is None or found.user_id == actor.user_id


def _refund_notes(found: Order) -> list[dict[str, str]]:
    """Return in words what goes back and is not there yet, and what could not be sent back."""
    if found.payment_status not in orders.PAID:  # nothing was taken that could go back
        return []
    words = {
        RefundRequest.Status.DUE: _("%(amount)s is on its way back to where it came from."),
        RefundRequest.Status.FAILED: _(
            "%(amount)s could not be sent back to where it came from. We look at it and find another way; "
            "you need not do anything."
        ),
    }
    return [
        {
            "text": words[RefundRequest.Status(row.status)]
            % {"amount": money_text(row.amount, row.currency)},
            "tone": "bad" if row.status == RefundRequest.Status.FAILED else "info",
        }
        for row in found.refund_requests.filter(status__in=list(words)).order_by("created_at")
    ]


def _additions(found: Order, *, by_link: bool) -> list[dict[str, Any]]:
    """Return the orders that were added to this one later, each with what it came to and whether it is paid."""
    return [
        {
            "number": added.number,
            "url": other_path(added, by_link=by_link),
            "status_text": added.get_status_display(),
            "grand_total": added.grand_total,
            "pay_url": _pay_url(added, by_link=by_link),
        }
        for added in found.additions.order_by("placed_at")
    ]


def _steps(found: Order, quote: Quote) -> list[dict[str, Any]]:
    """Return how the total came about at placement, from what the order keeps of it."""
    names = {line.sku: line.name for line in found.lines.all()}
    return steps_of(
        quote, names={line.id: names[line.sku] for line in quote.lines if line.sku in names}
    )


def _line(line: OrderLine, order: Sequence[str]) -> dict[str, Any]:
    remarks = []
    if line.cancelled_quantity:
        remarks.append(
            ngettext("%(n)d cancelled", "%(n)d cancelled", line.cancelled_quantity)
            % {"n": line.cancelled_quantity}
        )
    if line.returned_quantity:
        remarks.append(
            ngettext("%(n)d sent back", "%(n)d sent back", line.returned_quantity)
            % {"n": line.returned_quantity}
        )
    return {
        "name": line.name,
        "image": line.image_url,
        "options_text": options_text(line.options, order),
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "subtotal": line.subtotal,
        "remark": ", ".join(remarks),
    }


def _totals(order: Order) -> dict[str, Any]:
    return {
        "subtotal": order.subtotal,
        "shipping_known": True,
        "shipping_total": order.shipping_total,
        "tax_known": True,
        "tax_total": order.tax_total,
        "grand_total": order.grand_total,
        "prices_include_tax": order.prices_include_tax,
        "estimated": False,
    }


def _taxes(quote: Quote) -> list[dict[str, str]]:
    """Return what each tax was charged on and came to, as it was frozen at placement."""
    return [
        {
            "label": f"{tax.name} {percent_text(tax.rate)}",
            "base": money_text(tax.base, quote.currency),
            "amount": money_text(tax.amount, quote.currency),
        }
        for tax in quote.taxes
        if tax.amount or tax.relief
    ]


def _shipping_text(order: Order, quote: Quote | None) -> str:
    if quote is None or quote.shipping is None:
        return order.shipping_name
    return f"{order.shipping_name}, {days_text(quote.shipping.min_days, quote.shipping.max_days)}"
