"""One page of three short parts: address, delivery, payment."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_POST

from cart import selectors as carts
from cart import services as baskets
from checkout import selectors
from checkout import services as checkouts
from checkout.errors import CheckoutExpired, CheckoutNotFound
from checkout.gateway import Method
from checkout.models import Checkout
from checkout.selectors import CheckoutView
from checkout.views.addresses import ADDRESS, book_of, field_of
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key
from config.platform.ids import as_uuid
from orders.addresses import normalise
from pricing import selectors as pricing
from pricing.display import (
    countries_of,
    country_name,
    delivery_options_of,
    delivery_text,
    discounts_of,
    is_tax_place,
    not_applied_of,
    options_text,
    relief_of,
    steps_of,
    totals_of,
)
from pricing.selectors.storefront import option_orders, storefront
from pricing.services import enter_vat_number, remove_vat_number
from pricing.templatetags.money import money_text

PARTS = ("address", "delivery", "payment")


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """A POST begins, or continues, to buy the cart; a GET shows how far that is."""
    actor, now = actor_of(request), timezone.now()
    if request.method == "POST":
        try:
            count(request, "checkout")
            _begin(actor, now)
        except ApplicationError as refusal:
            reasons = " ".join(str(error.message) for error in refusal.errors)
            messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
            return redirect("/cart/")
        return redirect("/checkout/")
    view = _current(actor, now)
    if view is None:
        return redirect("/cart/")
    if view.order is not None:
        return redirect(
            f"/checkout/pay/{view.payment.id}/" if view.payment else f"/orders/{view.order.number}/"
        )
    return show(request, view, edit=request.GET.get("edit", ""))


def _begin(actor: Actor, now: datetime) -> None:
    """Begin with what is known of a customer filled in, so that who has an address book may only have to pay."""
    view = checkouts.initialize(actor=actor, now=now)
    usual = next((e for e in selectors.addresses_of(actor=actor) if e.is_default_shipping), None)
    if usual is not None and not view.checkout.shipping_address:
        changes = {"shipping_address_id": usual.id}
        view = checkouts.update(actor=actor, checkout_id=view.checkout.id, changes=changes, now=now)
    checkouts.choose_delivery(actor=actor, view=view, now=now)


def _current(actor: Actor, now: Any) -> CheckoutView | None:
    found = selectors.current(actor=actor, now=now)
    return selectors.view_of(found, now=now) if found is not None else None


def open_checkout(actor: Actor, now: Any) -> Checkout:
    """:raises CheckoutNotFound: if this visitor is not buying anything"""
    found = selectors.current(actor=actor, now=now)
    if found is None:
        raise CheckoutNotFound
    return found


@cache_control(no_store=True)
@require_POST
def part(request: HttpRequest, name: str) -> HttpResponse:
    """Store one part of the page; what is wrong with it is said beside its field."""
    actor, now = actor_of(request), timezone.now()
    form = {
        field: request.POST[field].strip()
        for field in ("email", "shipping_option", "vat_number", *ADDRESS)
        if field in request.POST
    }
    changes: dict[str, Any] = {}
    if name == "address":
        if "email" in form:
            changes["email"] = form["email"]
        if chosen := as_uuid(request.POST.get("address_id", "")):
            changes["shipping_address_id"] = chosen
        elif "country" in form:
            changes["shipping_address"] = {field: form.get(field, "") for field in ADDRESS}
    elif name == "delivery":
        changes["shipping_option"] = form.get("shipping_option", "")
    try:
        count(request, "checkout")
        found = open_checkout(actor, now)
        if name == "vat" and form.get("vat_number"):
            enter_vat_number(actor=actor, number=form["vat_number"], now=now)
        elif name == "vat":
            remove_vat_number(actor=actor, now=now)
        view = checkouts.update(actor=actor, checkout_id=found.id, changes=changes, now=now)
        if name == "address":
            view = checkouts.choose_delivery(actor=actor, view=view, now=now)
    except ValidationFailed as refusal:
        errors = {field_of(error.field): str(error.message) for error in refusal.errors}
        view = selectors.view_of(found, now=now)
        return show(request, view, edit=name, form=None if name == "vat" else form, errors=errors)
    except (CheckoutNotFound, CheckoutExpired):
        return leave(request)
    except ApplicationError as refusal:
        return show(
            request, selectors.view_of(found, now=now), edit=name, form=form, refusal=refusal
        )
    errors = _missing(view) if name == "address" else {}
    if errors:
        return show(request, view, edit=name, form=form, errors=errors)
    if name == "address" and request.POST.get("keep") and actor.user_id is not None:
        _keep(actor, changes.get("shipping_address"), now)
    if request.htmx:  # type: ignore[attr-defined]
        return show(request, view)
    return redirect("/checkout/")


def _keep(actor: Actor, address: Mapping[str, str] | None, now: Any) -> None:
    """Put the address just typed into the book, unless it stands there; a full book is no reason to stop buying."""
    if address is None:
        return
    clean = {key: value for key, value in normalise(address, "address").items() if value}
    for known in selectors.addresses_of(actor=actor):
        if {key: value for key, value in known.as_fields().items() if value} == clean:
            return
    with contextlib.suppress(ApplicationError):
        checkouts.add_address(actor=actor, address=address, now=now)


def leave(request: HttpRequest) -> HttpResponse:
    """Send who is not buying anything any more back to the cart: it ran out, or was paid in another window."""
    messages.warning(
        request,
        _("This checkout has ended. What you have not bought is still in your cart."),
    )
    response = redirect("/cart/")
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": "/cart/"})
    return response


def _missing(view: CheckoutView) -> dict[str, str]:
    """Return what the first part still lacks, in words, by field."""
    words = {
        "name": _("Who shall the parcel be for?"),
        "line1": _("Where shall the carrier ring? Street and number, please."),
        "city": _("Which town is it in?"),
        "state": _("Which state is it in?"),
        "postal_code": _("The carrier needs the postal code."),
        "country": _("Which country is it in?"),
    }
    errors: dict[str, str] = {}
    for requirement in view.requirements:
        if requirement.code == "EMAIL_MISSING":
            errors["email"] = _("We need an address to send the confirmation to.")
        elif requirement.code == "SHIPPING_ADDRESS_MISSING":
            field = field_of(requirement.field)
            errors |= (
                words
                if field == "shippingAddress"
                else {field: words.get(field, _("This is needed."))}
            )
        elif requirement.code == "NO_SHIPPING_ZONE":
            errors["country"] = _("We do not ship there yet.")
    return errors


def show(
    request: HttpRequest,
    view: CheckoutView,
    *,
    edit: str = "",
    form: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    refusal: ApplicationError | None = None,
    changed: str = "",
) -> HttpResponse:
    context = _context(request, view, edit=edit, form=form) | {
        "errors": errors or {},
        "refusal": refusal,
        "changed": changed,
    }
    template = "checkout/partials/body.html" if request.htmx else "checkout/checkout.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _context(
    request: HttpRequest, view: CheckoutView, *, edit: str, form: Mapping[str, str] | None
) -> dict[str, Any]:
    now, quote, found = timezone.now(), view.quote, view.checkout
    address: dict[str, str] = found.shipping_address or {}
    stored = {
        field: address.get("postalCode" if field == "postal_code" else field, "")
        for field in ADDRESS
    }
    stored["email"] = found.email
    stored["country"] = stored["country"] or settings.DEFAULT_COUNTRY
    cart = carts.view(actor=actor_of(request), cart_id=found.cart_id, now=now)
    pictures = {line.id: line for line in cart.items}
    orders = option_orders(product_ids=[line.product_id for line in cart.items])
    since = None if any(line.may_wait for line in cart.items) else now
    zone = storefront(company_id=found.company_id).time_zone
    states = _states(view, edit=edit)
    hold = view.hold_expires_at
    return {
        "parts": [
            _part(name, view, state=states[name], since=since, zone=zone)
            for name in PARTS
            if quote.requires_shipping or name != "delivery"
        ],
        "currency": quote.currency,
        "lines": [
            {
                "name": pictures[line.id].name,
                "image": pictures[line.id].image_url,
                "options_text": options_text(
                    pictures[line.id].options, orders.get(pictures[line.id].product_id, ())
                ),
                "quantity": line.quantity,
                "subtotal": line.subtotal,
            }
            for line in quote.lines
            if line.id in pictures
        ],
        "totals": totals_of(
            quote,
            is_estimate=False,
            has_destination=is_tax_place(address.get("country", ""), address.get("state", "")),
        ),
        "discounts": discounts_of(quote),
        "relief_text": relief_of(quote),
        "not_applied": not_applied_of(quote),
        "vat": _vat(request),
        "steps": steps_of(quote, names={line.id: line.name for line in cart.items}),
        "hold_seconds": max(0, int((hold - now).total_seconds())) if hold else 0,
        "hold_total": int(settings.HOLD_DURATION.total_seconds()),
        "countries": countries_of(company_id=found.company_id, first=settings.DEFAULT_COUNTRY),
        "form": stored | dict(form or {}),
        "book": book_of(actor_of(request)) if form is None and quote.requires_shipping else [],
        "is_member": actor_of(request).user_id is not None,
        "shipping_options": delivery_options_of(quote, since=since, zone=zone),
        "shipping_option": quote.shipping.option if quote.shipping else "",
        "payment_methods": offered_methods(view.methods, has_approved=bool(found.approved)),
        "quote_id": quote.id,
        "form_key": form_key(),
        "price_changes": _price_changes(cart),
        "cart_quote": cart.quote_id,
        "ready": states["payment"] == "open"
        and not view.requirements
        and not cart.prices_to_accept,
        "requires_shipping": quote.requires_shipping,
    }


def _price_changes(cart: carts.CartView) -> list[dict[str, str]]:
    """Return what a unit cost when the customer last saw it, and costs now, of what moved since."""
    names = {line.id: line.name for line in cart.items}
    return [
        {
            "name": names[change.item_id],
            "old": money_text(change.extra["from"], cart.currency),
            "new": money_text(change.extra["to"], cart.currency),
        }
        for change in cart.prices_to_accept
        if change.item_id is not None
    ]


def _vat(request: HttpRequest) -> dict[str, Any] | None:
    """Return what the field of the VAT number shows; nothing for guests, and where the shop is not in the EU."""
    actor = actor_of(request)
    if actor.user_id is None or not pricing.takes_vat_numbers(company_id=actor.company_id):
        return None
    known = pricing.find_vat_number(actor=actor)
    typed = request.POST.get("vat_number", "").strip()[:40]
    return {
        "number": typed or (known.number if known else ""),
        "is_waiting": known is not None and known.status == known.Status.PENDING,
    }


def _states(view: CheckoutView, *, edit: str) -> dict[str, str]:
    """Return what of the page is done, open, or comes later; how it is sent and the button that pays stand open together."""
    missing = {requirement.code for requirement in view.requirements}
    needs = view.quote.requires_shipping
    is_known = not missing & {"EMAIL_MISSING", "SHIPPING_ADDRESS_MISSING", "NO_SHIPPING_ZONE"}
    is_chosen = not needs or view.quote.shipping is not None
    if edit == "address" or not is_known:
        return {
            "address": "open",
            "delivery": "done" if is_known and is_chosen else "later",
            "payment": "later",
        }
    return {"address": "done", "delivery": "open", "payment": "open" if is_chosen else "later"}


def _part(
    name: str, view: CheckoutView, *, state: str, since: datetime | None, zone: str
) -> dict[str, Any]:
    found, shipping = view.checkout, view.quote.shipping
    address: dict[str, str] = found.shipping_address or {}
    town = " ".join(part for part in (address.get("state"), address.get("postalCode")) if part)
    answers = {
        "address": [
            address.get("name", ""),
            ", ".join(
                part
                for part in (
                    address.get("line1"),
                    address.get("line2"),
                    address.get("city"),
                    town,
                    country_name(address.get("country", "")),
                )
                if part
            ),
            found.email,
        ],
        "delivery": [
            shipping.name,
            delivery_text(shipping.min_days, shipping.max_days, since=since, zone=zone),
        ]
        if shipping
        else [],
    }
    titles = {
        "address": _("Where does it go?") if view.quote.requires_shipping else _("Who is it for?"),
        "delivery": _("How does it get there?"),
        "payment": _("Payment"),
    }
    return {
        "name": name,
        "title": titles[name],
        "state": state,
        "answer": [text for text in answers.get(name, []) if text],
        "template": f"checkout/partials/{name}.html",
    }


def offered_methods(
    offered: Sequence[Method], *, has_approved: bool = False
) -> list[dict[str, str]]:
    hints = {
        "test": _(
            "A demonstration bank: the next page lets you decide what it answers. No money moves."
        ),
        "card": _("You enter the card on the next page."),
        "paypal": _("You agree at PayPal and come back here."),
    }
    if has_approved:
        hints["paypal"] = _("You have agreed at PayPal. Nothing is taken before you press.")
    if not offered:  # nothing to pay
        return [{"id": "", "name": "", "hint": _("There is nothing to pay.")}]
    return [
        {"id": method.id, "name": method.name, "hint": hints.get(method.id, "")}
        # What was agreed to already comes first, and is chosen.
        for method in sorted(offered, key=lambda each: not (has_approved and each.id == "paypal"))
    ]


@cache_control(no_store=True)
@require_POST
def accept(request: HttpRequest) -> HttpResponse:
    """Agree to prices that moved since things were put into the cart, as they were shown."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "checkout")
        found = open_checkout(actor, now)
        baskets.accept_prices(
            actor=actor, cart_id=found.cart_id, quote_id=request.POST.get("cart_quote", ""), now=now
        )
    except (CheckoutNotFound, CheckoutExpired):
        return leave(request)
    except ApplicationError as refusal:
        return show(request, selectors.view_of(found, now=now), refusal=refusal)
    if request.htmx:  # type: ignore[attr-defined]
        return show(request, selectors.view_of(found, now=now))
    return redirect("/checkout/")
