"""Products with their prices, and files of them, for staff."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from config.platform.http import actor_of
from inventory.models import Product, Variant
from pricing import selectors, services
from pricing.models import Price
from pricing.money import quantize

# --- product files --------------------------------------------------------------------------------


@admin.action(description=_("Product file (Shopify's format)"), permissions=["view"])
def export_selected(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Product]
) -> StreamingHttpResponse:
    return product_file(request, Product.objects.filter(pk__in=queryset.values("pk")))


def product_file(request: HttpRequest, products: QuerySet[Product]) -> StreamingHttpResponse:
    """Return these products as a file, in the company's own currency; who sees products and prices may have it."""
    if not request.user.has_perms(["inventory.view_product", "pricing.view_price"]):
        raise PermissionDenied
    actor = actor_of(request)
    export = services.export_products(
        actor=actor,
        currency=selectors.home_currency(company_id=actor.company_id),
        products=products,
    )
    response = StreamingHttpResponse(export.lines(), content_type="text/csv; charset=utf-8")
    name = f"products-{timezone.localdate():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


# --- products -------------------------------------------------------------------------------------

# The editor of inventory, with prices in it: what shows a price belongs here, so it is extended upwards.
Editor: Any = type(admin.site.get_model_admin(Product))
Variants: Any = next(inline for inline in Editor.inlines if inline.model is Variant)
VariantRow: Any = Variants.form
admin.site.unregister(Product)


def _price_field(label: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=3,
        widget=UnfoldAdminDecimalFieldWidget,
    )


class PricedVariantForm(VariantRow):
    price = _price_field(_("price"))
    former_price = _price_field(_("was"))


class PricedVariants(Variants):
    """The variants of a product with what they cost in the shop's own currency."""

    form = PricedVariantForm
    fields = [*Variants.fields[:2], "price", "former_price", *Variants.fields[2:]]

    def get_formset(self, request: HttpRequest, obj: Product | None = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        own = selectors.home_currency(company_id=actor_of(request).company_id)
        now_sold = Price.objects.filter(variant__product=obj, currency=own) if obj else []
        current = {price.variant_id: price for price in now_sold}

        class PricedForm(formset.form):  # type: ignore[valid-type,misc,name-defined]
            currency = own

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                price = current.get(self.instance.pk)
                if price is not None:
                    self.initial["price"] = quantize(price.amount, own)
                    if price.compare_at is not None:
                        self.initial["former_price"] = quantize(price.compare_at, own)

            def clean(self) -> Any:
                given = super().clean()
                if given.get("former_price") is not None and given.get("price") is None:
                    self.add_error("price", _("What does it cost now?"))
                return given

        formset.form = PricedForm
        return formset


@admin.register(Product)
class ProductAdmin(Editor):
    # A product file has prices in it, so the action on the products' page comes from here (ADR 5).
    actions = [*Editor.actions, export_selected]
    inlines = [PricedVariants if inline is Variants else inline for inline in Editor.inlines]

    def write(
        self, request: HttpRequest, form: Any, variants: Any, change: bool, now: datetime
    ) -> UUID:
        draft = self.draft(form, variants, change)
        prices: dict[str, dict[str, Decimal]] = {}
        former: dict[str, dict[str, Decimal | None]] = {}
        for row in variants.forms:
            given = row.cleaned_data
            if given.get("price") is not None and {"price", "former_price"} & {*row.changed_data}:
                prices[given["sku"]] = {row.currency: given["price"]}
                former[given["sku"]] = {row.currency: given["former_price"]}
        by: dict[str, Any] = {
            "actor": actor_of(request), "draft": draft, "prices": prices, "former": former, "now": now,
        }  # fmt: skip
        if not change:
            return services.create_product(**by).product_id
        product_id: UUID = form.instance.pk
        services.update_product(product_id=product_id, **by)
        return product_id
