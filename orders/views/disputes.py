"""A customer says that something cost too much: one form, one line at a time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
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
from orders.rendering import order_path
from orders.selectors.disputes import disputes_of
from pricing.models import PriceDispute
from pricing.money import parse_amount
from pricing.templatetags.money import money_text


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
@once
def dispute(request: HttpRequest, number: str) -> HttpResponse:
    """
    Ask which line it is, why, and what it should have cost; then open the dispute.

    The link of the order's mail opens it too.

    :raises OrderNotFound: if the order is not the visitor's, and the link's token does not open it
    """
    actor, token = actor_of(request), request.GET.get("token", "")
    order = selectors.find(actor=actor, reference=number, token=token)
    back = order_path(order.number, token=token)
    given = {name: request.POST.get(name, "").strip() for name in FIELDS}
    problem = ""
    if request.method == "POST":
        try:
            count(request)
            orders.dispute_price(
                actor=actor,
                order_id=order.id,
                token=token,
                now=timezone.now(),
                **_read(given, order),
            )
        except ApplicationError as refusal:
            said = [str(error.message) for error in refusal.errors] or [str(refusal.detail)]
            problem = " ".join(said)
        else:
            messages.success(
                request, _("We look at it, and write to you as soon as we have decided.")
            )
            return redirect(back)
    context = {
        "number": order.number,
        "back": back,
        "currency": order.currency,
        "lines": [
            {
                "id": str(line.id),
                "name": line.name,
                "price": money_text(line.unit_price, order.currency),
            }
            for line in order.lines.all()
        ],
        "reasons": PriceDispute.Reason.choices,
        "given": given,
        "problem": problem,
        "form_key": form_key(),
    }
    return render(request, "orders/dispute.html", context, status=422 if problem else 200)


FIELDS = ("line", "reason", "claimed_price", "evidence")


def _read(given: dict[str, str], order: Order) -> dict[str, Any]:
    """:raises ApplicationError: if what was typed is no line or no price"""
    try:
        line_id = UUID(given["line"])
    except ValueError:
        raise ApplicationError(_("Say which line it is.")) from None
    claimed = None
    if given["claimed_price"]:
        try:
            claimed = parse_amount(given["claimed_price"].replace(",", "."), order.currency)
        except ValueError:
            raise ApplicationError(_("Write the price as a number, please.")) from None
    return {
        "line_id": line_id,
        "reason": given["reason"],
        "claimed_price": claimed,
        "evidence": given["evidence"],
    }


def shown_disputes(order: Order) -> list[dict[str, Any]]:
    """Return the disputes about an order as its page tells them, newest first, to whoever may see the page."""
    return [
        {
            "name": found.name,
            "opened_at": found.opened_at,
            "status_text": found.get_status_display(),
            "answer": found.answer,
            "amount": found.amount,
        }
        for found in disputes_of(actor=selectors.clerk(order), order=str(order.id))
    ]
