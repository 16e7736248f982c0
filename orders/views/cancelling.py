"""Cancelling an order, or units of it, before it is sent. Two steps, no script."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders import selectors
from orders import services as orders
from orders.models import Order
from orders.services import Units
from orders.views.steps import once_at_the_end, read_units
from pricing.display import options_text
from pricing.selectors.storefront import option_orders


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


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
@once_at_the_end
def cancel_items(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Choose units to take out of an order, see what comes back for them, and then do it.

    :raises OrderNotFound: if it is not the visitor's
    """
    order = _own(request, number)
    open_ = {line.id: line.unsent for line in order.lines.all()}
    if order.status not in orders.SOLD or not any(open_.values()):
        messages.error(request, _("Nothing of this order can be cancelled any more."))
        return redirect(f"/orders/{order.number}/")
    units, problem = read_units(request, open_) if request.method == "POST" else ([], "")
    step = request.POST.get("step") if units and not problem else ""
    if step == "do":
        return _do(request, order, units)
    is_review = step == "review"
    taken = {part.line_id: part.quantity for part in units}
    sorts = option_orders(product_ids=[line.product_id for line in order.lines.all()])
    context = {
        "number": order.number,
        "currency": order.currency,
        "lines": [
            {
                "id": str(line.id),
                "name": line.name,
                "image": line.image_url,
                "options_text": options_text(line.options, sorts.get(line.product_id, ())),
                "most": open_[line.id],
                "quantity": taken.get(line.id, 0),
            }
            for line in order.lines.all()
            if (taken.get(line.id) if is_review else open_[line.id])
        ],
        "is_review": is_review,
        "refund": orders.would_bring(order, units) if is_review else None,
        "problem": problem,
        "form_key": form_key(),
    }
    return render(request, "orders/cancel_items.html", context, status=422 if problem else 200)


def _do(request: HttpRequest, order: Order, units: list[Units]) -> HttpResponse:
    try:
        count(request)
        orders.cancel_items(
            actor=actor_of(request),
            order_id=order.id,
            units=units,
            reason="by the customer",
            now=timezone.now(),
        )
        messages.success(request, _("It is cancelled. The money goes back to where it came from."))
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
    return redirect(f"/orders/{order.number}/")


def _own(request: HttpRequest, number: str) -> Order:
    actor = actor_of(request)
    order_id = selectors.find_id(actor=actor, reference=number)
    return selectors.find(actor=actor, reference=str(order_id))
