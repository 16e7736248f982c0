"""From an order back to the cart: to buy its goods again, or to change one that waits for its payment."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from cart import services as baskets
from checkout import services as checkouts
from config.platform.errors import ApplicationError
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import as_new_guest, count, once
from orders import selectors as placed


@require_POST
def reorder(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Put the lines of an earlier order into the visitor's cart.

    :raises OrderNotFound: if it is not the visitor's
    """
    order_id = placed.find_id(actor=actor_of(request), reference=number)
    return _reorder(request, order_id=order_id)


@once
def _reorder(request: HttpRequest, *, order_id: UUID) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "bulk")
        # A guest who placed it and has no open cart any more gets a new one; the order stays with the old token.
        opened = baskets.ensure(actor=actor, now=now)
        into = as_new_guest(request, opened.token) if opened.token else actor
        brought = checkouts.reorder(actor=actor, order_id=order_id, into=into, now=now)
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect("/cart/")
    for row in brought.report:
        if row["action"] == "dropped":
            messages.warning(request, _("%(name)s is no longer sold.") % {"name": row["name"]})
        elif row["added"] < row["requested"]:
            text = _("Of %(name)s there are only %(added)d of %(requested)d now.")
            messages.warning(request, text % row)
    if any(row["added"] for row in brought.report):
        messages.success(request, _("It is in your cart, at today's prices."))
    response = redirect("/cart/")
    if opened.token:
        set_guest_cookie(response, opened.token)
    return response


@require_POST
def edit_unpaid(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Put an order that is not paid back into the visitor's cart, with what it holds.

    :raises OrderNotFound: if it is not the visitor's
    """
    order_id = placed.find_id(actor=actor_of(request), reference=number)
    return _edit_unpaid(request, order_id=order_id, number=number)


@once
def _edit_unpaid(request: HttpRequest, *, order_id: UUID, number: str) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "checkout")
        # A guest who placed it and has no open cart any more gets a new one.
        opened = baskets.ensure(actor=actor, now=now)
        into = as_new_guest(request, opened.token) if opened.token else actor
        brought = checkouts.edit_in_cart(actor=actor, order_id=order_id, into=into, now=now)
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/orders/{number}/")
    for row in brought.report:
        if row["added"] < row["requested"]:
            text = _("Of %(name)s there are only %(added)d of %(requested)d now.")
            messages.warning(request, text % row)
    messages.success(
        request,
        _("Nothing was charged. Everything is back in your cart: change it, and order again."),
    )
    response = redirect("/cart/")
    if opened.token:
        set_guest_cookie(response, opened.token)
    return response
