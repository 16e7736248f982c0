"""The rows of a product's editor: its variants, pictures and relations. They are read here and written by services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.backoffice import NOTHING
from config.platform.errors import ValidationFailed
from inventory import pictures
from inventory.models import BackInStockRequest, ProductImage, ProductRelation, StockLevel, Variant
from inventory.services import VariantDraft

BETWEEN = " / "


class VariantForm(forms.ModelForm):
    """A variant in one line: its choice is written as `Kelp / Double`, a value for each option in their order."""

    choice = forms.CharField(
        label=_("choice"),
        required=False,
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": _("Kelp / Double")}),
    )
    image = forms.ChoiceField(label=_("picture"), required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Variant
        fields = [
            "sku", "weight_grams", "inventory_policy", "is_taxable", "requires_shipping", "is_active", "position",
        ]  # fmt: skip
        widgets = {"sku": UnfoldAdminTextInputWidget(attrs={"class": "office-sku"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = [("", NOTHING)]
        if not self.instance._state.adding:
            product = self.instance.product
            options = self.instance.options
            names = [name for name in product.option_names if name in options]
            names += [name for name in options if name not in names]
            self.initial["choice"] = BETWEEN.join(str(options[name]) for name in names)
            self.initial["image"] = self.instance.image
            shown += [(one.url, str(one)) for one in product.images.all()]
            if self.instance.image not in {url for url, _words in shown}:
                shown.append((self.instance.image, self.instance.image))
            self.fields["sku"].disabled = True  # it is printed on labels, and files know it by this
        self.fields["image"].choices = shown

    def draft(self, option_names: list[str]) -> VariantDraft:
        """Return what was changed about this variant."""
        given = self.cleaned_data
        named = {"weight_grams", "inventory_policy", "is_taxable", "requires_shipping", "is_active", "position", "image"}  # fmt: skip
        fields = {
            name: given[name]
            for name in named
            if name in given and (name in self.changed_data or self.instance._state.adding)
        }
        if "choice" in self.changed_data or self.instance._state.adding:
            fields["options"] = self._options(option_names)
        return VariantDraft(sku=given["sku"], **fields)

    def _options(self, names: list[str]) -> dict[str, str]:
        text = self.cleaned_data["choice"].strip()
        values = [value.strip() for value in text.split(BETWEEN)] if text else []
        # What is one too many is given a name no product has, so that it is refused with a word about it.
        return {
            (names[place] if place < len(names) else f"“{value}”"): value
            for place, value in enumerate(values)
        }


class VariantInline(TabularInline):
    hide_title = True
    model = Variant
    form = VariantForm
    fields = [
        "sku", "choice", "stock", "is_active", "image", "weight_grams", "inventory_policy", "is_taxable",
        "requires_shipping", "position",
    ]  # fmt: skip
    readonly_fields = ["stock"]
    extra = 0
    tab = True
    can_delete = False  # a variant that was sold once is withdrawn, not deleted
    show_change_link = False
    ordering_field = "position"
    hide_ordering_field = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Variant]:
        rows = super().get_queryset(request).select_related("product")
        return rows.annotate(
            waiting=Count(
                "back_in_stock_requests",
                filter=Q(back_in_stock_requests__status__in=BackInStockRequest.OPEN),
            )
        ).prefetch_related("stock_levels__warehouse", "product__images")

    @display(description=_("free · held"))
    def stock(self, variant: Any) -> str:
        if variant._state.adding:
            return NOTHING
        there = shelves(variant.stock_levels.all())
        if not variant.waiting:
            return there
        return format_html("{}<br>{}", there, line_of(variant.pk, variant.waiting))


def line_of(variant_id: UUID, count: int) -> str:
    """Return how many wait for a variant, linking to its line; a dash where nobody does."""
    if not count:
        return NOTHING
    return format_html(
        '<a class="office-link" href="{}?variant__id__exact={}">{}</a>',
        reverse("admin:inventory_backinstockrequest_changelist"),
        variant_id,
        ngettext("%(count)d waits", "%(count)d wait", count) % {"count": count},
    )


def shelves(levels: Iterable[StockLevel]) -> str:
    """Return the live figures of each warehouse, linking to the record behind them."""
    parts = [
        format_html(
            '<a class="office-link" href="{}">{}: {} · {}</a>',
            reverse("admin:inventory_stocklevel_change", args=[level.pk]),
            level.warehouse.code,
            level.available,
            level.reserved,
        )
        for level in levels
    ]
    return format_html("{}" + "<br>{}" * (len(parts) - 1), *parts) if parts else NOTHING


class Nothing(forms.Widget):
    """Stands where there is nothing to enter."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        return NOTHING


class PictureForm(forms.ModelForm):
    """A picture: its text and place, and for a new one the file."""

    upload = forms.FileField(label=_("file"), required=False, widget=UnfoldAdminFileFieldWidget)

    class Meta:
        model = ProductImage
        fields = ["alt", "position"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["alt"].help_text = ""
        self.fields["alt"].required = self.instance._state.adding
        self.fields["upload"].help_text = (
            _("JPEG, PNG, WebP or AVIF, up to 10 MB.") if self.instance._state.adding else ""
        )
        if not self.instance._state.adding:
            # Another file is another picture: carts and caches know this one by its name.
            self.fields["upload"].disabled = True
            self.fields["upload"].widget = Nothing()

    def clean_upload(self) -> pictures.Prepared | None:
        """Look at the file before anything is written, so that a refusal leaves nothing behind."""
        file = self.cleaned_data["upload"]
        if not self.instance._state.adding:
            return None
        if not file:
            raise forms.ValidationError(_now("Choose a file."), code="required")
        try:
            pictures.check_size(file.size)
            file.seek(0)
            return pictures.prepare(file.read())
        except ValidationFailed as refused:
            raise forms.ValidationError(
                [forms.ValidationError(error.message, code=error.code) for error in refused.errors]
            ) from None


class PictureInline(TabularInline):
    hide_title = True
    model = ProductImage
    form = PictureForm
    fields = ["preview", "upload", "alt", "position"]
    readonly_fields = ["preview"]
    extra = 0
    tab = True
    ordering_field = "position"
    hide_ordering_field = True

    @display(description=_("picture"))
    def preview(self, image: ProductImage) -> str:
        if image._state.adding:
            return NOTHING
        address = pictures.small_address(pictures.address(image.url))
        if not address.startswith("/"):
            return format_html('<span title="{}">{}</span>', address, _("elsewhere, not shown"))
        return format_html(
            '<img class="office-picture" src="{}" width="64" height="64" alt="{}" loading="lazy">',
            address,
            image.alt,
        )


class RelationInline(TabularInline):
    hide_title = True
    model = ProductRelation
    fk_name = "product"
    fields = ["kind", "related", "weight"]
    autocomplete_fields = ["related"]
    extra = 0
    tab = True
