"""Putting goods into the cart, from wherever they are shown."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from cart import services as carts
from cart.context import badge_of
from cart.selectors import CartView
from cart.views.visitors import as_owner
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import count, form_key, once
from config.platform.http.parsing import is_storable
from inventory.errors import ProductNotFound
from pricing.selectors import product_detail
from pricing.selectors.storefront import storefront


@require_POST
@once
def add(request: HttpRequest) -> HttpResponse:
    """Put what the product page's form names into the cart; answers in place, or by going to the cart."""
    actor = actor_of(request)
    form = request.POST
    try:
        count(request, "add_item")
        sku = sku_of(actor, form)
        quantity = quantity_of(form.get("quantity", "1"))
        view, token = as_owner(
            request,
            lambda owner: carts.add_line(
                actor=owner, sku=sku, quantity=quantity, now=timezone.now()
            ),
        )
    except ApplicationError as refusal:
        return _refuse_add(request, refusal)
    return _added(
        request, view, token, name=next((line.name for line in view.items if line.sku == sku), "")
    )


@require_POST
@once
def add_bundle(request: HttpRequest) -> HttpResponse:
    """Put a bundle into the cart."""
    try:
        count(request, "add_item")
        bundle_id = goods_id(request.POST.get("bundle", ""))
        view, token = as_owner(
            request,
            lambda owner: carts.add_bundle(
                actor=owner, bundle_id=bundle_id, quantity=1, now=timezone.now()
            ),
        )
    except ApplicationError as refusal:
        return _refuse_add(request, refusal)
    return _added(request, view, token, name="")


def _added(request: HttpRequest, view: CartView, token: str, *, name: str) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        held = [line.hold.seconds_left for line in view.items if line.hold.state == "held"]
        response = render(
            request,
            "cart/partials/added.html",
            {
                "added": {"name": name, "minutes": -(-max(held, default=0) // 60)},
                "cart_badge": badge_of(view),
                "form_key": form_key(),
                "oob": True,
            },
        )
        response.headers["HX-Trigger"] = json.dumps({"cart-version": badge_of(view)})
    else:
        response = redirect("/cart/")
        if view.message:
            messages.success(request, view.message)
    if token:
        set_guest_cookie(response, token)
    return response


def _refuse_add(request: HttpRequest, refusal: ApplicationError) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        told = {"message": refusal.detail, "advice": refusal.advice}
        return render(request, "cart/partials/added.html", {"refusal": told}, status=422)
    messages.error(request, f"{refusal.detail} {refusal.advice}")
    slug = request.POST.get("slug", "")
    return redirect("page_product", slug=slug) if slug else redirect("/cart/")


def sku_of(actor: Actor, form: Any) -> str:
    """Return the SKU a form names, or that of the variant whose options it has picked."""
    if named := form.get("sku", ""):
        if not is_storable(named):
            raise ProductNotFound
        return str(named)
    product = product_detail(
        actor=actor,
        ref=str(goods_id(form.get("product", ""))),
        currency=storefront(company_id=actor.company_id).currency,
    )
    picked = {
        name: form.get(f"option-{index}", "") for index, name in enumerate(product.option_names, 1)
    }
    for variant in product.variants:
        if len(product.variants) == 1 or all(
            variant.options.get(name, "") == value for name, value in picked.items()
        ):
            return variant.sku
    raise ValidationFailed(_("We do not make this combination. Choose another one, please."))


def quantity_of(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ValidationFailed(_("A quantity is a whole number from 1 to 100."))
    return int(text)


def goods_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValidationFailed(_("This is not on sale.")) from None
