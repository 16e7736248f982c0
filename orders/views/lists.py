"""A visitor's orders: the list, the account they belong to, and the look-up by number and address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from config.platform import flags
from config.platform.actor import Actor
from config.platform.http import actor_of
from config.platform.http.forms import count
from orders import selectors
from orders.errors import OrderNotFound
from orders.models import Order
from orders.rendering import link_token, order_path
from pricing.selectors import LOYALTY_FLAG

Status = Order.Status
PAGE_SIZE = 20
LATEST = 5


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


def _own_orders(actor: Actor) -> Any:
    """Return the visitor's own orders, newest first; staff see those of all customers in the admin, not here."""
    found = selectors.orders_of(actor=actor).prefetch_related(None)
    return found.filter(user_id=actor.user_id) if actor.user_id else found


@cache_control(no_store=True)
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    found = _own_orders(actor) if actor.is_known else Order.objects.none()
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
        "orders": [_row(row) for row in _own_orders(actor_of(request))[:LATEST]],
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
    return redirect(order_path(found.number, token=link_token(found)))
