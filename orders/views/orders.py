"""The pages of orders: the list, one order with its story, the look-up, and the account they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, InvalidTransition
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders import selectors
from orders import services as orders
from orders.errors import OrderNotFound
from orders.explaining import grounds_of
from orders.models import Order, OrderLine, RefundRequest, Shipment
from orders.rendering import tracking_url
from orders.selectors.timeline import customer_timeline
from orders.views.disputes import shown_disputes
from orders.views.returning import order_path, shown_returns
from pricing.arrival import arrival
from pricing.display import (
    arrival_text,
    country_name,
    days_text,
    discounts_of,
    options_text,
    percent_text,
    relief_of,
    steps_of,
)
from pricing.engine import Quote
from pricing.selectors import LOYALTY_FLAG
from pricing.selectors.storefront import option_orders, storefront
from pricing.templatetags.money import moment, money_text

PAGE_SIZE = 20
LATEST = 5
Status = Order.Status
CANCELLABLE = (Status.DRAFT, Status.CONFIRMED, Status.PROCESSING)
OVER = (Status.CANCELLED, Status.FAILED)


# --- lists -----------------------------------------------------------------------------------------


def _row(order: Order) -> dict[str, Any]:
    states: dict[str, str] = {Status.DRAFT: "few", Status.PROCESSING: "later", Status.FAILED: "bad"}
    return {
        "number": order.number,
        "url": f"/orders/{order.number}/",
        "state": "gone"
        if order.status in (Status.CANCELLED, Status.REFUNDED)
        else states.get(order.status, "in"),
        "status_text": order.get_status_display(),
        "placed_at": order.placed_at,
        "grand_total": order.grand_total,
        "currency": order.currency,
    }


def _own(actor: Actor) -> Any:
    """Return the visitor's own orders, newest first; staff see those of all customers in the admin, not here."""
    found = selectors.orders_of(actor=actor).prefetch_related(None)
    return found.filter(user_id=actor.user_id) if actor.user_id else found


@cache_control(no_store=True)
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    found = _own(actor) if actor.is_known else Order.objects.none()
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    following = f"?page={page.next_page_number()}" if page.has_next() else ""
    return render(
        request, "orders/list.html", {"orders": [_row(row) for row in page], "next_url": following}
    )


@cache_control(no_store=True)
@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    context = {
        "name": user.name.split(" ")[0],
        "orders": [_row(row) for row in _own(actor_of(request))[:LATEST]],
        "points_on": flags.is_enabled(LOYALTY_FLAG),
    }
    return render(request, "orders/account.html", context)


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def lookup(request: HttpRequest) -> HttpResponse:
    """Find an order by its number and address; a wrong one of either gets the same answer."""
    if request.method != "POST":
        return render(request, "orders/lookup.html", {"form": {}})
    form = {name: request.POST.get(name, "").strip()[:254] for name in ("number", "email")}
    try:
        count(request, "lookup")
        found = selectors.look_up(actor=actor_of(request), **form)
    except OrderNotFound:
        problem = _("We know no order with this number and this address. Check both, please.")
        return render(request, "orders/lookup.html", {"form": form, "problem": problem}, status=404)
    link = urlsplit(tracking_url(found))
    return redirect(f"{link.path}?{link.query}" if link.query else link.path)


# --- one order -------------------------------------------------------------------------------------


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
    address = found.shipping_address or {}
    quote = Quote.from_json(found.quote) if found.quote else None
    orders_of = option_orders(product_ids=[line.product_id for line in found.lines.all()])
    town = " ".join(
        part
        for part in (address.get("city"), address.get("state"), address.get("postalCode"))
        if part
    )
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
        "headline": _("It is kept for you.") if waits_for_goods else _headline(found),
        "next_step": _("We send it as soon as what you send back for it is here.")
        if waits_for_goods
        else _next_step(found, may_pay=may_act),
        "exchange_of": found.metadata.get("exchangeOf", ""),
        "is_own": is_own,
        "credit_total": found.credit_total,
        "moved_total": found.moved_total,
        "to_pay": found.to_pay,
        "timeline": _timeline(found, quote),
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
        "address": [
            text
            for text in (
                address.get("name"),
                address.get("line1"),
                address.get("line2"),
                town,
                country_name(address.get("country", "")),
            )
            if text
        ],
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
        "happened": _happened(found) if may_act else [],
        "parcels": _parcels(found),
        "returns": shown_returns(found, token) if may_act else [],
        "return_url": _return_url(found, token) if may_act and _can_return(found) else "",
        "disputes": shown_disputes(found),
        "dispute_url": _dispute_url(found, token),
        "form_key": form_key(),
    }
    return render(request, "orders/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, number: str) -> HttpResponseBase:
    """Ask, and with a POST cancel; the shop's own rules say whether that is still possible."""
    actor = actor_of(request)
    order_id = selectors.find_id(actor=actor, reference=number)
    if request.method != "POST":
        context = {"order": {"number": number, "url": f"/orders/{number}/"}, "form_key": form_key()}
        return render(request, "orders/cancel.html", context)
    return _cancel(request, actor=actor, order_id=order_id, number=number)


@once
def _cancel(request: HttpRequest, *, actor: Actor, order_id: Any, number: str) -> HttpResponse:
    try:
        count(request)
        orders.cancel(actor=actor, order_id=order_id, reason="by the customer", now=timezone.now())
        messages.success(
            request, _("It is cancelled. What you paid goes back to where it came from.")
        )
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect(f"/orders/{number}/")


def _pay_url(order: Order, *, by_link: bool) -> str:
    if order.status != Status.DRAFT:
        return ""
    if order.checkout_id is not None and not by_link:
        return "/checkout/"  # where it was begun
    return order_path(order, "pay/", by_link=by_link)


def _waits_for_goods(order: Order) -> bool:
    """Say whether an order is a replacement whose goods are still to be sent back."""
    try:
        orders.check_payable(order)
    except InvalidTransition:
        return True
    return False


def _return_url(order: Order, token: str) -> str:
    return f"/orders/{order.number}/return/" + (f"?token={token}" if token.isalnum() else "")


def _invoice_url(order: Order, token: str) -> str:
    if order.confirmed_at is None or order.was_never_paid:
        return ""
    return f"/orders/{order.number}/invoice/" + (f"?token={token}" if token else "")


def _dispute_url(order: Order, token: str) -> str:
    if order.payment_status not in orders.PAID:
        return ""
    return f"/orders/{order.number}/dispute/" + (f"?{urlencode({'token': token})}" if token else "")


def _is_partly_sent(order: Order) -> bool:
    return any(line.shipped_quantity for line in order.lines.all())


def _can_cancel_items(order: Order) -> bool:
    """Say whether a part can be left out: where it is one single unit, the whole can be cancelled instead."""
    units = sum(line.unsent for line in order.lines.all())
    is_on = flags.is_enabled("ORDER_ENABLE_PARTIAL_CANCELLATION")
    return is_on and order.status in orders.SOLD and (units > 1 or _is_partly_sent(order))


def _can_return(order: Order) -> bool:
    until = selectors.return_until(order=order)
    return (
        until is not None
        and until >= timezone.now()
        and flags.is_enabled("ORDER_ENABLE_RETURNS")
        and any(selectors.returnable(order=order).values())
    )


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
            "url": order_path(added, by_link=by_link),
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


def _headline(order: Order) -> str:
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


def _next_step(order: Order, *, may_pay: bool) -> str:
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
        case Status.PROCESSING:
            return _(
                "It is on the packing bench. We write to you when it leaves; until then you can still cancel it."
            )
        case Status.SHIPPED:
            return _("There is nothing to do but wait. If it should get lost, we send another.")
        case Status.DELIVERED:
            return _("If something is not as you hoped, you have thirty days to send it back.")
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


def _timeline(order: Order, quote: Quote | None) -> list[dict[str, str]]:
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


def _happened(order: Order) -> list[dict[str, str]]:
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
