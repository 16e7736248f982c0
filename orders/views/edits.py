"""Where an order goes, put right by its customer: what it comes to is shown first, then done once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key, once
from orders import selectors
from orders import services as orders
from orders.errors import PriceChanged
from orders.models import Order
from orders.services import Edit, Proposal
from orders.views.papers import address_lines
from pricing.display import countries_of

FIELDS = ("name", "line1", "line2", "city", "state", "postal_code", "country", "phone")


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def address(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Correct the address of an order until it is packed: type it, see whether anything comes back, then do it.

    :raises OrderNotFound: if it is not the visitor's
    """
    actor = actor_of(request)
    order = selectors.find(
        actor=actor, reference=str(selectors.find_id(actor=actor, reference=number))
    )
    if order.status != Order.Status.CONFIRMED:
        messages.error(request, _("The address of this order can no longer be changed."))
        return redirect(f"/orders/{order.number}/")
    if request.method != "POST":
        return _show(request, order, form=_stored(order))
    form = {field: request.POST.get(field, "").strip()[:200] for field in FIELDS}
    if request.POST.get("step") == "do":
        return _do(request, order=order, form=form)
    return _look(request, order=order, form=form)


def _look(request: HttpRequest, *, order: Order, form: dict[str, str]) -> HttpResponse:
    """Show what the new address comes to, or what is wrong with it."""
    if request.POST.get("step") == "back":
        return _show(request, order, form=form)
    try:
        count(request, "checkout")
        proposal = orders.preview_edit(
            actor=actor_of(request), order_id=order.id, edit=_edit(form), now=timezone.now()
        )
    except ValidationFailed as refusal:
        errors = {_field(error.field): str(error.message) for error in refusal.errors}
        return _show(request, order, form=form, errors=errors)
    except ApplicationError as refusal:
        return _show(request, order, form=form, refusal=refusal)
    return _show(request, order, form=form, proposal=proposal)


@once
def _do(request: HttpRequest, *, order: Order, form: dict[str, str]) -> HttpResponse:
    try:
        count(request, "checkout")
        orders.apply_edit(
            actor=actor_of(request),
            order_id=order.id,
            edit=_edit(form),
            quote_id=request.POST.get("quote", ""),
            reason="by the customer",
            now=timezone.now(),
        )
    except PriceChanged as refusal:
        messages.warning(request, f"{refusal.detail}")
        return _look(request, order=order, form=form)
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
        return redirect(f"/orders/{order.number}/")
    messages.success(request, _("It goes to the new address."))
    return redirect(f"/orders/{order.number}/")


def _edit(form: dict[str, str]) -> Edit:
    return Edit(shipping_address=form)


def _stored(order: Order) -> dict[str, str]:
    known = order.shipping_address or {}
    return {
        field: str(known.get("postalCode" if field == "postal_code" else field, ""))
        for field in FIELDS
    }


def _field(path: str) -> str:
    name = path.rsplit(".", 1)[-1]
    return {"postalCode": "postal_code", "items": "line1", "shippingAddress": "line1"}.get(
        name, name
    )


def _show(
    request: HttpRequest,
    order: Order,
    *,
    form: dict[str, str],
    errors: dict[str, str] | None = None,
    refusal: ApplicationError | None = None,
    proposal: Proposal | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "number": order.number,
        "currency": order.currency,
        "form": form,
        "errors": errors or {},
        "refusal": refusal,
        "proposal": proposal,
        "goes_to": address_lines(proposal.addresses.get("shipping_address")) if proposal else [],
        "countries": countries_of(company_id=order.company_id, first=settings.DEFAULT_COUNTRY),
        "form_key": form_key(),
    }
    status = 422 if errors or refusal else 200
    return render(request, "orders/address.html", context, status=status)
