"""The address book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from checkout import selectors
from checkout import services as checkouts
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count
from pricing.display import countries_of, country_name

ADDRESS = ("name", "line1", "line2", "city", "state", "postal_code", "country", "phone")


def field_of(path: str) -> str:
    name = path.rsplit(".", 1)[-1]
    return {
        "postalCode": "postal_code",
        "shippingOption": "shipping_option",
        "vatNumber": "vat_number",
    }.get(name, name)


def book_of(actor: Actor) -> list[dict[str, Any]]:
    """Return the entries of the signed-in visitor's book as a page shows them."""
    return [
        {
            "id": str(entry.id),
            "name": entry.name,
            "text": ", ".join(
                part
                for part in (
                    entry.line1,
                    entry.line2,
                    " ".join(part for part in (entry.city, entry.state, entry.postal_code) if part),
                    country_name(entry.country),
                )
                if part
            ),
            "is_default_shipping": entry.is_default_shipping,
            "is_default_billing": entry.is_default_billing,
        }
        for entry in selectors.addresses_of(actor=actor)
    ]


@cache_control(no_store=True)
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def addresses(request: HttpRequest) -> HttpResponse:
    """The visitor's addresses; a POST keeps another one."""
    if request.method == "POST":
        return _save_address(request, None)
    return _show_book(request)


@cache_control(no_store=True)
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def address(request: HttpRequest, address_id: UUID) -> HttpResponse:
    """
    Change one address, make it a default, or forget it.

    :raises AddressNotFound: if it is not the visitor's
    """
    actor = actor_of(request)
    entry = selectors.find_address(actor=actor, address_id=address_id)
    if request.method != "POST":
        stored = entry.as_fields()
        form = {
            field: stored["postalCode" if field == "postal_code" else field] for field in ADDRESS
        }
        return _show_book(request, entry_id=address_id, form=form)
    act = request.POST.get("act", "save")
    if act == "save":
        return _save_address(request, address_id)
    count(request)
    if act == "remove":
        checkouts.remove_address(actor=actor, address_id=address_id)
        messages.success(request, _("It is forgotten. Orders keep their own copy."))
    else:
        checkouts.change_address(
            actor=actor,
            address_id=address_id,
            changes={},
            is_default_shipping=True if act == "shipping" else None,
            is_default_billing=True if act == "billing" else None,
            now=timezone.now(),
        )
    return redirect("page_addresses")


def _save_address(request: HttpRequest, address_id: UUID | None) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    form = {field: request.POST.get(field, "").strip() for field in ADDRESS}
    try:
        count(request)
        if address_id is None:
            checkouts.add_address(actor=actor, address=form, now=now)
        else:
            checkouts.change_address(actor=actor, address_id=address_id, changes=form, now=now)
    except ValidationFailed as refusal:
        errors = {field_of(error.field): str(error.message) for error in refusal.errors}
        return _show_book(request, entry_id=address_id, form=form, errors=errors)
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect("page_addresses")


def _show_book(
    request: HttpRequest,
    *,
    entry_id: UUID | None = None,
    form: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> HttpResponse:
    actor = actor_of(request)
    context = {
        "book": book_of(actor),
        "entry_id": entry_id,
        "form": form or {"country": settings.DEFAULT_COUNTRY},
        "errors": errors or {},
        "countries": countries_of(company_id=actor.company_id, first=settings.DEFAULT_COUNTRY),
    }
    return render(request, "checkout/addresses.html", context, status=422 if errors else 200)
