"""The pages of price alerts: asking, confirming by mail, ending, and one's own list."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cart.views.adding import sku_of
from config.platform import limits
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import count
from config.platform.ids import named_id
from inventory import selectors as inventory
from inventory.selectors import VariantRef
from pricing import selectors, services
from pricing.context import currency_of
from pricing.display import options_text
from pricing.errors import PriceAlertLinkInvalid, PriceAlertNotFound
from pricing.money import parse_amount
from pricing.selectors.storefront import storefront
from pricing.templatetags.money import money_text

PART = "pricing/partials/waiting_answer.html"


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Set an alert for the variant a product's form names; guests leave an address to be asked."""
    actor, form, now = actor_of(request), request.POST, timezone.now()
    slug = form.get("slug", "")
    try:
        count(request, "back_in_stock")
        currency = currency_of(request, storefront(company_id=actor.company_id))
        terms = services.AlertTerms(
            ref=VariantRef(sku=sku_of(actor, form)),
            target=_target(form.get("target", ""), currency),
        )
        if actor.user_id is not None:
            services.subscribe_to_prices(actor=actor, wanted=[terms], currency=currency, now=now)
            said = _("We will tell you when it costs %(target)s or less.") % {
                "target": money_text(terms.target, currency)
            }
        else:
            email = form.get("alert_email", "")
            limits.hit(scope="back_in_stock_mail", identity=email.strip().lower()[:254], now=now)
            services.ask_for_price_alerts(
                actor=actor, wanted=[terms], currency=currency, email=email, now=now
            )
            said = _("Look into your mail: one press there, and we will tell you.")
    except ApplicationError as refusal:
        words = refusal.errors[0].message if refusal.errors else refusal.detail
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, PART, {"waiting_refusal": words}, status=422)
        messages.error(request, words)
    else:
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, PART, {"waiting_said": said})
        messages.success(request, said)
    return redirect("page_product", slug=slug) if slug else redirect("page_products")


def _target(text: str, currency: str) -> Decimal:
    try:
        return parse_amount(text.strip().replace(",", "."), currency)
    except ValueError:
        raise ValidationFailed(
            errors=[FieldError("target", "invalid", _("Say a price, such as 49.90."))]
        ) from None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Ask once more, then set the alert: what only looks at links must not act."""
    actor, now = actor_of(request), timezone.now()
    context: dict[str, Any] = {}
    try:
        count(request, "back_in_stock")
        company_id, variant_id, _email, currency, target = services.read_alert_confirmation(token)
        if company_id != actor.company_id:
            raise PriceAlertLinkInvalid
        variant = inventory.find_variant(actor=actor, variant_id=variant_id)
        context |= {
            "name": variant.product.name,
            "url": f"/products/{variant.product.slug}/",
            "target": money_text(target, currency),
        }
        if request.method == "POST":
            services.confirm_price_alert(actor=actor, token=token, now=now)
            context["is_done"] = True
    except ApplicationError as refusal:
        context["refusal"] = refusal
        return render(request, "cart/alert_confirm.html", context, status=refusal.http_status)
    return render(request, "cart/alert_confirm.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Show the alert of a mail's link, and end it at a press; the link is the proof."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "back_in_stock")
        if request.method == "POST":
            services.end_price_alert_by_link(actor=actor, token=token, now=now)
            return render(request, "cart/alert_stop.html", {"is_done": True})
        alert_id = services.read_alert_link(token)
        try:
            view, _row = selectors.price_alert(alert_id=alert_id, company_id=actor.company_id)
        except PriceAlertNotFound:
            return render(request, "cart/alert_stop.html", {"is_done": True})
    except ApplicationError as refusal:
        return render(
            request, "cart/alert_stop.html", {"refusal": refusal}, status=refusal.http_status
        )
    return render(request, "cart/alert_stop.html", {"alert": _shown(view)})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """List a customer's price alerts; a press ends one."""
    actor, now = actor_of(request), timezone.now()
    if request.method == "POST":
        alert_id = named_id(request.POST.get("alert", ""), ValidationFailed)
        services.end_price_alert(actor=actor, alert_id=alert_id, now=now)
        messages.success(request, _("Done. We will not write about this price."))
        return redirect("page_price_alerts")
    found = selectors.my_price_alerts(actor=actor)
    return render(request, "cart/alerts_mine.html", {"alerts": [_shown(row) for row in found]})


def _shown(view: selectors.AlertView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "url": f"/products/{view.slug}/",
        "options_text": options_text(view.options, ()),
        "target": money_text(view.target, view.currency),
        "price": None if view.price is None else money_text(view.price, view.currency),
        "is_reached": view.is_reached,
    }
