"""What a customer may do with an order afterwards: take units out of it, or send them back. Two steps, no script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders import selectors
from orders import services as orders
from orders.models import Order, OrderLine
from orders.services import Units, WantedReturn
from pricing.display import options_text
from pricing.selectors.storefront import option_orders

REASONS = {
    "size": gettext_lazy("It does not fit"),
    "mind": gettext_lazy("I changed my mind"),
    "described": gettext_lazy("It is not as described"),
    "damaged": gettext_lazy("It arrived damaged"),
    "wrong": gettext_lazy("It is not what I ordered"),
    "late": gettext_lazy("It came too late"),
}


def _once_at_the_end(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
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
@_once_at_the_end
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
    return _steps(
        request,
        order,
        most=open_,
        template="orders/cancel_items.html",
        run=lambda units, values: orders.cancel_items(
            actor=actor_of(request),
            order_id=order.id,
            units=units,
            reason="by the customer",
            now=timezone.now(),
        ),
        done=_("It is cancelled. The money goes back to where it came from."),
    )


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
@_once_at_the_end
def request_return(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Choose what goes back and why, look it over, and ask for it.

    :raises OrderNotFound: if it is not the visitor's
    """
    order = _own(request, number)
    now = timezone.now()
    open_ = selectors.returnable(order=order)
    ends = selectors.return_until(order=order)
    if ends is None or ends < now or not any(open_.values()):
        text = (
            _("The time in which this order could be returned is over.")
            if ends is not None and ends < now
            else _("Nothing of this order can be returned now.")
        )
        messages.error(request, text)
        return redirect(f"/orders/{order.number}/")
    return _steps(
        request,
        order,
        most=open_,
        template="orders/return.html",
        run=lambda units, values: orders.request_return(
            actor=actor_of(request),
            order_id=order.id,
            wanted=[
                WantedReturn(part.line_id, part.quantity, _why(values, part.line_id))
                for part in units
            ],
            notes=values.get("notes", ""),
            now=timezone.now(),
        ),
        done=_("We have your return. We write to you as soon as we have looked at it."),
        more={"ends": ends, "days": settings.ORDER_RETURN_WINDOW.days, "reasons": REASONS.items()},
    )


def _own(request: HttpRequest, number: str) -> Order:
    actor = actor_of(request)
    order_id = selectors.find_id(actor=actor, reference=number)
    return selectors.find(actor=actor, reference=str(order_id))


Run = Callable[[list[Units], Mapping[str, str]], Any]


def _steps(
    request: HttpRequest,
    order: Order,
    *,
    most: Mapping[UUID, int],
    template: str,
    run: Run,
    done: str,
    more: Mapping[str, Any] | None = None,
) -> HttpResponseBase:
    """Show the choice; with a choice made, what it comes to; with that confirmed, do it once."""
    units, problem = _chosen(request, most) if request.method == "POST" else ([], "")
    values = {name: str(value).strip()[:500] for name, value in request.POST.items()}
    if units and not problem and values.get("step") == "do":
        return _do(request, order, units=units, values=values, run=run, done=done)
    is_review = bool(units) and not problem and values.get("step") == "review"
    taken = {part.line_id: part.quantity for part in units}
    sorts = option_orders(product_ids=[line.product_id for line in order.lines.all()])
    context = {
        "number": order.number,
        "currency": order.currency,
        "lines": [
            _line(line, sorts.get(line.product_id, ()), most, taken, values)
            for line in order.lines.all()
            if (taken.get(line.id) if is_review else most.get(line.id))
        ],
        "is_review": is_review,
        "refund": orders.would_bring(order, units) if is_review else None,
        "problem": problem,
        "notes": values.get("notes", ""),
        "form_key": form_key(),
        **(more or {}),
    }
    return render(request, template, context, status=422 if problem else 200)


def _do(
    request: HttpRequest,
    order: Order,
    *,
    units: list[Units],
    values: Mapping[str, str],
    run: Run,
    done: str,
) -> HttpResponse:
    try:
        count(request)
        run(units, values)
        messages.success(request, done)
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
    return redirect(f"/orders/{order.number}/")


def _chosen(request: HttpRequest, most: Mapping[UUID, int]) -> tuple[list[Units], str]:
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


def _why(values: Mapping[str, str], line_id: UUID) -> str:
    return str(REASONS.get(values.get(f"why-{line_id}", ""), ""))


def _line(
    line: OrderLine,
    sort: Any,
    most: Mapping[UUID, int],
    taken: Mapping[UUID, int],
    values: Mapping[str, str],
) -> dict[str, Any]:
    why = values.get(f"why-{line.id}", "")
    return {
        "id": str(line.id),
        "name": line.name,
        "image": line.image_url,
        "options_text": options_text(line.options, sort),
        "most": most.get(line.id, 0),
        "quantity": taken.get(line.id, 0),
        "why": why,
        "why_text": REASONS.get(why, ""),
    }
