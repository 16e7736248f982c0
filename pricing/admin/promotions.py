"""Promotions and their uses for staff. Every change goes through a service: checked, audited, at once in effect."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ReadOnlyInline,
    figure,
    link,
    name_people,
    person,
    status,
)
from config.platform.http import actor_of
from config.platform.models import User
from pricing import selectors, services
from pricing.admin.money import MoneyAdmin, MoneyForm
from pricing.admin.previews import preview_view
from pricing.backoffice import amount, cash
from pricing.models import (
    Coupon,
    Promotion,
    PromotionUse,
)
from pricing.terms import PromotionTerms

SHOWN_USES = 50


_TARGETS = {
    "products": "product_ids",
    "categories": "category_ids",
    "excluded_products": "excluded_product_ids",
    "excluded_categories": "excluded_category_ids",
    "groups": "group_ids",
}


class PromotionForm(MoneyForm):
    codes = forms.CharField(
        label=_("Codes"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("One on each line. Without any, the promotion applies by itself."),
    )
    customers = forms.CharField(
        label=_("Customers"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("E-mail addresses of accounts, one on each line. Without any, it is for all."),
    )

    weekdays = forms.TypedMultipleChoiceField(
        label=_("on these days of the week"),
        required=False,
        coerce=int,
        choices=list(zip(range(1, 8), WEEKDAYS.values(), strict=True)),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("By the clock of the shop. None means every day."),
    )

    class Meta:
        model = Promotion
        fields = [
            field.name
            for field in dataclasses.fields(PromotionTerms)
            if field.name not in {"codes", "user_ids", *_TARGETS.values()}
        ] + list(_TARGETS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.instance._state.adding:
            self.initial["codes"] = "\n".join(selectors.promotion_terms(self.instance).codes)
            chosen = User.objects.filter(pk__in=self.instance.user_ids).order_by("email")
            self.initial["customers"] = "\n".join(chosen.values_list("email", flat=True))

        if "settings" in self.fields:
            self.fields["settings"].help_text = _(
                'Only for "buy some, get some", such as {"buy": 2, "get": 1, "percent": "100"} (for one set only with '
                '"times": 1), and "more for less", such as {"tiers": [{"from": 5, "percent": "10"}]}. Else {}.'
            )

    def clean_customers(self) -> tuple[UUID, ...]:
        """Return the ids of the accounts named by their addresses."""
        wanted = {address.lower() for address in self.cleaned_data["customers"].split()}
        found = {
            user.email.lower(): user.pk
            for user in User.objects.annotate(lower=Lower("email")).filter(lower__in=wanted)
        }
        if missing := sorted(wanted - found.keys()):
            raise forms.ValidationError(
                _("There is no account of %(names)s."), params={"names": ", ".join(missing)}
            )
        return tuple(found.values())

    def clean_settings(self) -> Any:
        settings = self.cleaned_data["settings"] or {}
        if not isinstance(settings, dict):
            raise forms.ValidationError(_("An object is needed, such as {}."))
        return settings


class CouponInline(ReadOnlyInline):
    model = Coupon
    verbose_name_plural = _("codes")
    tab = True
    fields = ["code", "is_active", "created_at"]


class NewestUses(forms.models.BaseInlineFormSet):
    """Only the newest rows: a good promotion has more uses than a page can show."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-used_at", "-id")[:SHOWN_USES]
            name_people(self._newest, ["customer_key"])
        return self._newest


class UseInline(ReadOnlyInline):
    model = PromotionUse
    formset = NewestUses
    verbose_name_plural = _("newest uses")
    tab = True
    fields = ["used_at", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))


@admin.register(Promotion)
class PromotionAdmin(MoneyAdmin):
    form = PromotionForm
    list_display = [
        "name",
        "kind",
        "scope",
        "value_count",
        "shown_codes",
        "use_count",
        "state",
        "ends_at",
    ]
    list_filter = ["kind", "scope", "is_active", "is_automatic"]
    search_fields = ["name", "coupons__code"]
    search_help_text = _("name or code")
    autocomplete_fields = list(_TARGETS)
    inlines = [CouponInline, UseInline]
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": ["name", "kind", "scope", "value", "currency", "codes"]}),
        (
            _("When"),
            {"fields": ["is_active", "starts_at", "ends_at", "weekdays", "opens_at", "closes_at"]},
        ),
        (
            _("Limits"),
            {
                "fields": [
                    "minimum_order",
                    "minimum_quantity",
                    "maximum_discount",
                    "usage_limit",
                    "per_customer_limit",
                ]
            },
        ),
        (
            _("For what"),
            {"fields": ["products", "categories", "excluded_products", "excluded_categories"]},
        ),
        (
            _("For whom"),
            {"fields": ["customers", "groups", "first_order_only", "new_customer_days"]},
        ),
        (
            _("How"),
            {
                "fields": [
                    "is_automatic",
                    "is_stackable",
                    "is_advertised",
                    "priority",
                    "reminder_stage",
                    "settings",
                ]
            },
        ),
    ]

    actions_list = ["see_preview"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.promotions(actor=actor_of(request))

    def get_urls(self) -> list[Any]:
        preview = path(
            "preview/",
            self.admin_site.admin_view(partial(preview_view, self)),
            name="pricing_promotion_preview",
        )
        return [preview, *super().get_urls()]

    @action(
        description=_("Which promotions would a cart get?"),
        url_path="to-preview",
        permissions=["view"],
        icon="help",
    )
    def see_preview(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:pricing_promotion_preview"))

    @display(description=_("value"), ordering="value")
    def value_count(self, promotion: Promotion) -> str:
        if promotion.kind == Promotion.Kind.FIXED_AMOUNT:
            return cash(promotion.value, promotion.currency)
        return figure(f"{promotion.value.normalize():f} %") if promotion.value else NOTHING

    @display(description=_("codes"))
    def shown_codes(self, promotion: Promotion) -> str:
        return ", ".join(selectors.promotion_terms(promotion).codes[:3]) or "–"

    @display(description=_("used"), ordering="live_uses")
    def use_count(self, promotion: Any) -> str:
        if not promotion.usage_limit:
            return figure(promotion.live_uses)
        return figure(
            _("%(used)d of %(limit)d")
            % {"used": promotion.live_uses, "limit": promotion.usage_limit}
        )

    @display(description=_("now"))
    def state(self, promotion: Promotion) -> str:
        now = timezone.now()
        if not promotion.is_active:
            return status(_("off"))
        if promotion.ends_at and promotion.ends_at <= now:
            return status(_("over"), "danger")
        if promotion.starts_at and promotion.starts_at > now:
            return status(_("not yet"), "warning")
        return status(_("runs"), "success")

    def serve(
        self, request: HttpRequest, obj: Promotion, given: dict[str, Any], change: bool
    ) -> Model:
        names = {field.name for field in dataclasses.fields(PromotionTerms)}
        codes = tuple(given["codes"].split())
        terms = PromotionTerms(
            **{name: value for name, value in given.items() if name in names and name != "codes"}
            | {
                terms_name: tuple(chosen.pk for chosen in given[name])
                for name, terms_name in _TARGETS.items()
            }
            | {
                "weekdays": tuple(given["weekdays"]),
                "user_ids": given["customers"],
                "is_automatic": given["is_automatic"] or not (codes or self._waits(obj, given)),
                "codes": codes,
            }
        )
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_promotion(actor=actor, promotion_id=obj.pk, terms=terms, now=now)
        return services.create_promotion(actor=actor, terms=terms, now=now)

    @staticmethod
    def _waits(promotion: Promotion, given: dict[str, Any]) -> bool:
        """Return whether codes that staff do not type bring the promotion in: those of reminders and of batches."""
        return given["reminder_stage"] is not None or promotion.batches.exists()

    def delete_model(self, request: HttpRequest, obj: Promotion) -> None:
        services.delete_promotion(actor=actor_of(request), promotion_id=obj.pk, now=timezone.now())


@admin.register(PromotionUse)
class PromotionUseAdmin(ReadOnlyAdmin):
    company_path = "promotion__company_id"
    people = ["customer_key"]
    list_display = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    list_filter = ["currency", ("returned_at", admin.EmptyFieldListFilter), "used_at"]
    list_select_related = ["promotion"]
    search_fields = ["code", "=order_id", "customer_key"]
    search_help_text = _("code, or the e-mail address of a guest")
    date_hierarchy = "used_at"
    ordering = ["-used_at"]
    show_full_result_count = False
    fields = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("promotion"), ordering="promotion__name")
    def name(self, use: PromotionUse) -> str:
        return link("pricing_promotion", use.promotion_id, use.promotion.name)

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))
