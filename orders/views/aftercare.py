"""What a customer may do with an order before it is sent: take units out of it. Two steps, no script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders import selectors
from orders import services as orders
from orders.models import Order
from orders.services import Units
from pricing.display import options_text
from pricing.selectors.storefront import option_orders


def once_at_the_end(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """
    Let the last step of a form be done once, however often it is pressed.

    The whole view is guarded, as what was chosen is no longer there to choose when the second press comes.
    """
    guarded = once(view)

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = guarded if request.POST.get("step") == "do" else view
        return run(request, *args, **kwargs)

    return wrapped


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


def read_units(request: HttpRequest, most: Mapping[UUID, int]) -> tuple[list[Units], str]:
    """Return the units of each line that a form names, and what is wrong with it."""
    units = []
    for line_id, limit in most.items():
        text = request.POST.get(f"quantity-{line_id}", "0").strip() or "0"
        if not (text.isascii() and text.isdigit() and int(text[:9]) <= limit):
            return [], _("There are not that many. Look at the numbers again, please.")
        if int(text):
            units.append(Units(line_id, int(text)))
    if not units and request.POST.get("step") != "back":
        return [], _("Say of at least one thing how many it shall be.")
    return units, ""
