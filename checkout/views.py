"""The checkout's pages: one page of short parts, then the payment."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cart import selectors as carts
from cart import services as baskets
from checkout import selectors
from checkout import services as checkouts
from checkout.errors import (
    CheckoutExpired,
    CheckoutNotFound,
    PaymentNotFound,
    PaymentRequired,
    PriceChanged,
)
from checkout.gateway import Method, methods
from checkout.models import Checkout, Payment
from checkout.selectors import CheckoutView
from checkout.services import BUTTONS
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import as_new_guest, count, form_key, once
from orders import selectors as placed
from orders.addresses import normalise
from orders.models import Order
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

ADDRESS = ("name", "line1", "line2", "city", "state", "postal_code", "country", "phone")
PARTS = ("contact", "address", "delivery", "payment")


# --- the one page ----------------------------------------------------------------------------------


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """A POST begins, or continues, to buy the cart; a GET shows how far that is."""
    actor, now = actor_of(request), timezone.now()
    if request.method == "POST":
        try:
            count(request, "checkout")
            checkouts.initialize(actor=actor, now=now)
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
    return _show(request, view, edit=request.GET.get("edit", ""))


def _current(actor: Actor, now: Any) -> CheckoutView | None:
    found = selectors.current(actor=actor, now=now)
    return selectors.view_of(found, now=now) if found is not None else None


def _open(actor: Actor, now: Any) -> Checkout:
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
        field: request.POST.get(field, "").strip()
        for field in ("email", "shipping_option", "vat_number", *ADDRESS)
    }
    changes: dict[str, Any] = {}
    if name == "contact":
        changes = {"email": form["email"]}
    elif name == "address" and (chosen := _uuid(request.POST.get("address_id", ""))):
        changes = {"shipping_address_id": chosen}
    elif name == "address":
        changes = {"shipping_address": {field: form[field] for field in ADDRESS}}
    elif name == "delivery":
        changes = {"shipping_option": form["shipping_option"]}
    try:
        count(request, "checkout")
        found = _open(actor, now)
        if name == "vat" and form["vat_number"]:
            enter_vat_number(actor=actor, number=form["vat_number"], now=now)
        elif name == "vat":
            remove_vat_number(actor=actor, now=now)
        view = checkouts.update(actor=actor, checkout_id=found.id, changes=changes, now=now)
    except ValidationFailed as refusal:
        errors = {_field(error.field): str(error.message) for error in refusal.errors}
        view = selectors.view_of(found, now=now)
        return _show(request, view, edit=name, form=None if name == "vat" else form, errors=errors)
    except (CheckoutNotFound, CheckoutExpired) as gone:
        return _leave(request, gone)
    except ApplicationError as refusal:
        return _show(
            request, selectors.view_of(found, now=now), edit=name, form=form, refusal=refusal
        )
    errors = _missing(view, name)
    if errors:
        return _show(request, view, edit=name, form=form, errors=errors)
    if name == "address" and request.POST.get("keep") and actor.user_id is not None:
        _keep(actor, changes.get("shipping_address"), now)
    if request.htmx:  # type: ignore[attr-defined]
        return _show(request, view)
    return redirect("/checkout/")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


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


def _leave(request: HttpRequest, gone: ApplicationError) -> HttpResponse:
    messages.error(request, f"{gone.detail} {gone.advice}")
    response = redirect("/cart/")
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": "/cart/"})
    return response


def _field(path: str) -> str:
    name = path.rsplit(".", 1)[-1]
    return {
        "postalCode": "postal_code",
        "shippingOption": "shipping_option",
        "vatNumber": "vat_number",
    }.get(name, name)


def _missing(view: CheckoutView, name: str) -> dict[str, str]:
    """Return what this part still lacks, in words, by field."""
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
        if name == "contact" and requirement.code == "EMAIL_MISSING":
            errors["email"] = _("We need an address to send the confirmation to.")
        elif name == "address" and requirement.code == "SHIPPING_ADDRESS_MISSING":
            field = _field(requirement.field)
            errors |= (
                words
                if field == "shippingAddress"
                else {field: words.get(field, _("This is needed."))}
            )
        elif name == "address" and requirement.code == "NO_SHIPPING_ZONE":
            errors["country"] = _("We do not ship there yet.")
    return errors


def _show(
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
    done = _done(view)
    since = None if any(line.may_wait for line in cart.items) else now
    zone = storefront(company_id=found.company_id).time_zone
    opened = edit if edit in PARTS else next((name for name in PARTS if not done[name]), "payment")
    hold = view.hold_expires_at
    return {
        "parts": [
            _part(name, view, state=_state(name, opened, done), since=since, zone=zone)
            for name in PARTS
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
        "form": form or stored,
        "book": _book(actor_of(request)) if form is None else [],
        "is_member": actor_of(request).user_id is not None,
        "shipping_options": delivery_options_of(quote, since=since, zone=zone),
        "shipping_option": found.shipping_option
        or (quote.shipping.option if quote.shipping else ""),
        "payment_methods": _methods(view.methods, has_approved=bool(found.approved)),
        "quote_id": quote.id,
        "form_key": form_key(),
        "price_changes": _price_changes(cart),
        "cart_quote": cart.quote_id,
        "ready": opened == "payment" and not view.requirements and not cart.prices_to_accept,
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


def _done(view: CheckoutView) -> dict[str, bool]:
    missing = {requirement.code for requirement in view.requirements}
    needs = view.quote.requires_shipping
    address = not missing & {"SHIPPING_ADDRESS_MISSING", "NO_SHIPPING_ZONE"}
    chosen = bool(view.checkout.shipping_option) and "SHIPPING_OPTION_MISSING" not in missing
    return {
        "contact": "EMAIL_MISSING" not in missing,
        "address": address or not needs,
        "delivery": (address and chosen) or not needs,
        "payment": False,
    }


def _state(name: str, opened: str, done: Mapping[str, bool]) -> str:
    if name == opened:
        return "open"
    return "done" if done[name] else "later"


def _part(
    name: str, view: CheckoutView, *, state: str, since: datetime | None, zone: str
) -> dict[str, Any]:
    found, shipping = view.checkout, view.quote.shipping
    address: dict[str, str] = found.shipping_address or {}
    town = " ".join(part for part in (address.get("state"), address.get("postalCode")) if part)
    answers = {
        "contact": [found.email],
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
        ],
        "delivery": [
            shipping.name,
            delivery_text(shipping.min_days, shipping.max_days, since=since, zone=zone),
        ]
        if shipping
        else [],
    }
    titles = {
        "contact": _("Who is it for?"),
        "address": _("Where does it go?"),
        "delivery": _("How does it get there?"),
        "payment": _("Payment"),
    }
    return {
        "name": name,
        "title": titles[name],
        "state": state,
        "answer": answers.get(name, []),
        "template": f"checkout/partials/{name}.html",
    }


def _methods(offered: Sequence[Method], *, has_approved: bool = False) -> list[dict[str, str]]:
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
        found = _open(actor, now)
        baskets.accept_prices(
            actor=actor, cart_id=found.cart_id, quote_id=request.POST.get("cart_quote", ""), now=now
        )
    except (CheckoutNotFound, CheckoutExpired) as gone:
        return _leave(request, gone)
    except ApplicationError as refusal:
        return _show(request, selectors.view_of(found, now=now), refusal=refusal)
    if request.htmx:  # type: ignore[attr-defined]
        return _show(request, selectors.view_of(found, now=now))
    return redirect("/checkout/")


# --- PayPal from the cart ---------------------------------------------------------------------------


@require_POST
@once
def express_paypal(request: HttpRequest) -> HttpResponse:
    """Hold the cart and go to PayPal, where the customer says who they are and where it goes."""
    try:
        count(request, "payment")
        begun = checkouts.begin_paypal(actor=actor_of(request), now=timezone.now())
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
        return redirect("/cart/")
    return redirect(begun.approve_url or "/checkout/")


@cache_control(no_store=True)
@require_safe
def express_paypal_back(request: HttpRequest) -> HttpResponse:
    """
    Whoever comes back from PayPal finds the checkout filled in, and the total with delivery and tax to press on.

    What the address claims is not believed: PayPal says whether it is approved, and for whose checkout.
    """
    actor = actor_of(request)
    try:
        count(request, "payment")
        checkouts.take_approval(
            actor=actor, order_id=request.GET.get("token", ""), now=timezone.now()
        )
    except PaymentNotFound:
        return redirect("/cart/")
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect("/checkout/")


# --- paying ----------------------------------------------------------------------------------------


@require_POST
@once
def pay(request: HttpRequest) -> HttpResponse:
    """Place the order for the total that was shown, and go on to the payment."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "payment")
        found = _open(actor, now)
        if found.order_id is None and _is_to_accept(found, actor, now):
            return _show(request, selectors.view_of(found, now=now))
        method = request.POST.get("method", "")
        if method:
            order, payment = checkouts.pay(
                actor=actor,
                checkout_id=found.id,
                method=method,
                quote_id=request.POST.get("quote", ""),
                now=now,
            )
        else:
            order = checkouts.complete(
                actor=actor, checkout_id=found.id, quote_id=request.POST.get("quote", ""), now=now
            )
            payment = None
    except PriceChanged as change:
        return _show(
            request, selectors.view_of(_open(actor, now), now=now), changed=_change(change)
        )
    except (CheckoutNotFound, CheckoutExpired) as gone:
        return _leave(request, gone)
    except ApplicationError as refusal:
        view = selectors.view_of(_open(actor, now), now=now)
        if view.order is not None:
            messages.error(request, f"{refusal.detail} {refusal.advice}")
            return redirect(
                f"/checkout/pay/{view.payment.id}/"
                if view.payment
                else f"/orders/{view.order.number}/"
            )
        return _show(request, view, refusal=refusal)
    if payment is None or payment.status in (Payment.Status.CAPTURED, Payment.Status.REFUNDED):
        return redirect(f"/orders/{order.number}/")
    if "approved" in payment.metadata and payment.status == Payment.Status.PENDING:
        return _settled(request, actor, payment.id, is_asked=True)  # agreed to already
    return redirect(_approval_of(payment) or f"/checkout/pay/{payment.id}/")


def _approval_of(payment: Payment) -> str:
    """Return the provider's page where the customer agrees to a payment, if it has one."""
    action = payment.next_action or {}
    return str(action["url"]) if action.get("type") == "redirect" else ""


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
def pay_order(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Pay an order that no checkout leads to, such as the difference of an exchange: choose how, and go on.

    :raises OrderNotFound: if it is not the visitor's
    """
    actor = actor_of(request)
    order_id = placed.find_id(actor=actor, reference=number)
    order = placed.find(actor=actor, reference=str(order_id))
    if order.checkout_id is not None or order.status != Order.Status.DRAFT:
        return redirect(f"/orders/{order.number}/")
    if request.method == "POST":
        return _pay_order(request, actor=actor, order=order)
    latest = selectors.latest_payment(order_id=order.id)
    if latest is not None and latest.status in Payment.OPEN:
        return redirect(f"/checkout/pay/{latest.id}/")
    return render(
        request,
        "checkout/pay_order.html",
        {
            "number": order.number,
            "amount": order.to_pay,
            "currency": order.currency,
            "credit": order.credit_total,
            "payment_methods": _methods(methods()),
            "form_key": form_key(),
        },
    )


@once
def _pay_order(request: HttpRequest, *, actor: Actor, order: Order) -> HttpResponse:
    try:
        count(request, "payment")
        payment = checkouts.start_payment(
            actor=actor,
            order_id=order.id,
            method=request.POST.get("method", ""),
            now=timezone.now(),
        )
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/orders/{order.number}/")
    return redirect(f"/checkout/pay/{payment.id}/")


def _is_to_accept(found: Checkout, actor: Actor, now: Any) -> bool:
    """Tell whether a price moved that the customer has not accepted; the page then asks for that first."""
    return bool(carts.view(actor=actor, cart_id=found.cart_id, now=now).prices_to_accept)


def _change(change: PriceChanged) -> str:
    old, new = change.extra.get("oldTotal"), change.extra.get("newTotal")
    currency = change.extra.get("currency", "")
    if old and new and currency:
        amounts = {"old": money_text(old, currency), "new": money_text(new, currency)}
        return (
            _(
                "The total was %(old)s and is now %(new)s. Look at it, and press again if it is right."
            )
            % amounts
        )
    return _(
        "The total has changed since it was shown. Look at it, and press again if it is right."
    )


@cache_control(no_store=True)
@require_safe
def payment(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """
    Where a payment stands: the provider's own fields, or with the test provider, the buttons that decide it.

    Who comes back from a bank is asked nothing: whatever the address claims, the provider says whether it is paid.
    """
    found = selectors.find_payment(actor=actor_of(request), payment_id=payment_id)
    order = found.order
    if (
        not {"payment_intent", "PayerID"}.isdisjoint(request.GET)
        and order.status == order.Status.DRAFT
    ):
        count(request, "payment")
        return _settled(request, actor_of(request), payment_id, is_asked=True)
    if order.status != order.Status.DRAFT:
        return redirect(f"/orders/{order.number}/")
    latest = selectors.latest_payment(order_id=order.id)
    if latest is not None and latest.id != found.id:
        return redirect(f"/checkout/pay/{latest.id}/")
    waiting = ""
    if found.next_action and found.provider == "test":
        waiting = _("Your bank wants you to confirm. Here you are the bank: approve or decline.")
    card = _card_fields(found)
    page: Any = render(
        request,
        "checkout/pay.html",
        {
            "payment_id": found.id,
            "amount": found.amount,
            "currency": found.currency,
            "order_number": order.number,
            "is_test": found.provider == "test",
            "card": card,
            "approval_url": _approval_of(found) if found.status in Payment.OPEN else "",
            "has_failed": found.status in (Payment.Status.FAILED, Payment.Status.CANCELLED),
            "failure": found.failure,
            "method": found.method,
            "retry_url": "/checkout/pay/"
            if order.checkout_id is not None
            else f"/orders/{order.number}/pay/",
            "from_cart": order.checkout_id is not None,
            "quote_id": order.quote_id,
            "waiting": waiting,
            "outcomes": _outcomes(),
            "form_key": form_key(),
        },
    )
    if card is not None:
        page._csp_replace = settings.CONTENT_SECURITY_POLICY_OF_CARDS
        # Wallets open windows of their own, which tell the page how it went.
        page["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    return page


def _card_fields(found: Payment) -> dict[str, str] | None:
    """Return what Stripe's own fields need to take this payment; None where there are none to show."""
    takes_cards = settings.STRIPE_SECRET_KEY and settings.STRIPE_PUBLISHABLE_KEY
    if found.provider != "stripe" or not takes_cards or not found.client_secret:
        return None
    return {
        "key": settings.STRIPE_PUBLISHABLE_KEY,
        "secret": found.client_secret,
        "back": f"{settings.STOREFRONT_URL}/checkout/pay/{found.id}/",
    }


def _outcomes() -> list[dict[str, str]]:
    told = [
        ("decline", _("Decline"), _("The bank says no. Nothing is charged.")),
        (
            "action",
            _("Ask the customer first"),
            _("The bank wants a confirmation before it decides."),
        ),
        ("late", _("Succeed too late"), _("The hold lapses first, then the money arrives.")),
        ("duplicate", _("Succeed, and say so twice"), _("The same message is delivered again.")),
        ("before", _("Succeed before you are back"), _("The message outruns your browser.")),
        ("lost", _("Succeed, but lose the message"), _("The shop must find out by asking.")),
        ("dispute", _("Succeed, then dispute"), _("The money is claimed back at once.")),
    ]
    return [{"value": value, "title": title, "text": text} for value, title, text in told]


@require_POST
@once
def simulate(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Press one of the test provider's buttons, and see how the shop copes."""
    actor, now = actor_of(request), timezone.now()
    simulation = BUTTONS.get(request.POST.get("outcome", ""))
    try:
        count(request, "payment")
        if simulation is None:
            raise ValidationFailed(_("Choose what the bank should do."))
        outcome, delivery = simulation
        checkouts.simulate(
            actor=actor, payment_id=payment_id, outcome=outcome, delivery=delivery, now=now
        )
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/checkout/pay/{payment_id}/")
    return _settled(request, actor, payment_id)


@require_POST
def complete(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Ask the provider where the payment stands."""
    count(request, "payment")
    return _settled(request, actor_of(request), payment_id, is_asked=True)


def _settled(
    request: HttpRequest, actor: Actor, payment_id: UUID, *, is_asked: bool = False
) -> HttpResponse:
    order = selectors.find_payment(actor=actor, payment_id=payment_id).order
    try:
        if order.checkout_id is None:
            _settle(payment_id)
        else:
            checkouts.complete(actor=actor, checkout_id=_checkout_of(order), now=timezone.now())
    except PaymentRequired as refusal:
        if is_asked:
            messages.warning(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/checkout/pay/{payment_id}/")
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect(f"/orders/{order.number}/")


def _settle(payment_id: UUID) -> None:
    """
    Ask the provider about the payment of an order that no checkout leads to.

    :raises PaymentRequired: if it is not paid
    """
    payment = checkouts.settle(payment_id=payment_id, now=timezone.now())
    if payment.order.status == Order.Status.DRAFT:
        raise PaymentRequired


def _checkout_of(order: Order) -> UUID:
    """:raises CheckoutNotFound: if the order was not placed through a checkout"""
    if order.checkout_id is None:
        raise CheckoutNotFound
    return UUID(str(order.checkout_id))


@require_POST
def cancel(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Give up paying: what was bought goes back into the cart."""
    actor = actor_of(request)
    order = selectors.find_payment(actor=actor, payment_id=payment_id).order
    if order.checkout_id is None:  # it came from no cart, and waits until its own end
        return redirect(f"/orders/{order.number}/")
    try:
        count(request, "checkout")
        checkouts.cancel(actor=actor, checkout_id=_checkout_of(order), now=timezone.now())
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return redirect(f"/orders/{order.number}/")
    messages.success(request, _("Nothing was charged. Everything is back in your cart."))
    return redirect("/cart/")


# --- the address book ------------------------------------------------------------------------------


def _book(actor: Actor) -> list[dict[str, Any]]:
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
        errors = {_field(error.field): str(error.message) for error in refusal.errors}
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
        "book": _book(actor),
        "entry_id": entry_id,
        "form": form or {"country": settings.DEFAULT_COUNTRY},
        "errors": errors or {},
        "countries": countries_of(company_id=actor.company_id, first=settings.DEFAULT_COUNTRY),
    }
    return render(request, "checkout/addresses.html", context, status=422 if errors else 200)


# --- buying again ----------------------------------------------------------------------------------


@require_POST
def reorder(request: HttpRequest, number: str) -> HttpResponse:
    """
    Put the lines of an earlier order into the visitor's cart.

    :raises OrderNotFound: if it is not the visitor's
    """
    order_id = placed.find_id(actor=actor_of(request), reference=number)
    return _reorder(request, order_id=order_id)  # type: ignore[return-value]


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
