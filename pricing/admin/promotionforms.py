"""The form of a promotion: for each kind only what that kind knows, in the order in which staff think of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.db.models.functions import Lower
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from config.platform.models import User
from pricing import selectors
from pricing.admin.money import MoneyForm
from pricing.models import Promotion

Kind = Promotion.Kind

CARDS: Mapping[str, Any] = {
    Kind.PERCENTAGE: _("So many per cent off the order, some products, a category or shipping."),
    Kind.FIXED_AMOUNT: _("An amount of money off, once or for each unit."),
    Kind.FREE_SHIPPING: _("Shipping costs nothing, by every way to ship or by some."),
    Kind.BUY_X_GET_Y: _("Buy two, get the third free or cheaper: the cheapest of each full set."),
    Kind.TIERED_QUANTITY: _("The more units, the higher the percentage."),
}
# What each kind does; the first ones are columns, the others details.
_DOES: Mapping[str, Sequence[str]] = {
    Kind.PERCENTAGE: ["scope", "value", "maximum_discount", "options"],
    Kind.FIXED_AMOUNT: ["scope", "value", "currency", "per_unit", "maximum_discount", "options"],
    Kind.FREE_SHIPPING: ["options", "maximum_discount"],
    Kind.BUY_X_GET_Y: ["buy", "get", "percent", "times", "maximum_discount"],
    Kind.TIERED_QUANTITY: ["tiers", "maximum_discount"],
}
DETAILS = ("per_unit", "buy", "get", "percent", "times", "tiers", "options")
# What a new promotion is about where its kind leaves no choice.
SCOPES: Mapping[str, str] = {Kind.FREE_SHIPPING: Promotion.Scope.SHIPPING}
TARGETS = {
    "products": "product_ids",
    "categories": "category_ids",
    "excluded_products": "excluded_product_ids",
    "excluded_categories": "excluded_category_ids",
    "groups": "group_ids",
}
BY_ITSELF, BY_CODE, BY_BATCH = "itself", "code", "batch"
_TIER = re.compile(r"(\d{1,4})\s*[:=\s]\s*(\d{1,3}(?:[.,]\d{1,3})?)\s*%?")


def fieldsets_of(kind: str) -> list[tuple[Any, dict[str, Any]]]:
    """Return the groups of fields of a kind."""
    does = list(_DOES.get(kind, ()))
    condition = [] if "currency" in does else ["currency"]
    return [
        (_("What it does"), {"fields": ["name", *does]}),
        (
            _("On what"),
            {"fields": ["products", "categories", "excluded_products", "excluded_categories"]},
        ),
        (
            _("For whom"),
            {"fields": ["customers", "groups", "first_order_only", "new_customer_days"]},
        ),
        (
            _("When"),
            {"fields": ["is_active", "starts_at", "ends_at", "weekdays", "opens_at", "closes_at"]},
        ),
        (
            _("From how much, and how often"),
            {
                "fields": [
                    "minimum_order",
                    "minimum_quantity",
                    *condition,
                    "usage_limit",
                    "per_customer_limit",
                ]
            },
        ),
        (
            _("How customers get it"),
            {"fields": ["entry", "codes", "reminder_stage", "is_advertised"]},
        ),
        (_("How it combines"), {"fields": ["is_stackable", "priority"]}),
    ]


class PromotionForm(MoneyForm):
    """`kind` and the ways to ship are set by the page, see `form_of`."""

    kind = ""
    ways: Sequence[tuple[str, str]] = ()

    per_unit = forms.BooleanField(
        label=_("For each unit"), required=False, widget=UnfoldBooleanWidget
    )
    buy = forms.IntegerField(
        label=_("Buy"), min_value=1, max_value=1_000, widget=UnfoldAdminIntegerFieldWidget
    )
    get = forms.IntegerField(
        label=_("Get"), min_value=1, max_value=1_000, widget=UnfoldAdminIntegerFieldWidget
    )
    percent = forms.DecimalField(
        label=_("Per cent off those"),
        min_value=0,
        max_value=100,
        decimal_places=3,
        initial=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("100 is free."),
    )
    times = forms.IntegerField(
        label=_("For how many sets"),
        required=False,
        min_value=1,
        max_value=1_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Empty: for every full set."),
    )
    tiers = forms.CharField(
        label=_("Steps"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("From how many units on which percentage, one on each line: 5: 10"),
    )
    options = forms.MultipleChoiceField(
        label=_("Only these ways to ship"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None means every way. It only counts for what is taken off shipping."),
    )
    entry = forms.ChoiceField(
        label=_("It comes in"),
        required=False,
        choices=[
            (BY_ITSELF, _("by itself, without a code")),
            (BY_CODE, _("with a code of its own, written below")),
            (BY_BATCH, _("with codes of batches or reminders")),
        ],
        widget=UnfoldAdminRadioSelectWidget,
    )
    codes = forms.CharField(
        label=_("Codes"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("One on each line."),
    )
    customers = forms.CharField(
        label=_("Customers"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("E-mail addresses of accounts, one on each line. Without any, it is for all."),
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=_("On these days of the week"),
        required=False,
        coerce=int,
        choices=list(zip(range(1, 8), WEEKDAYS.values(), strict=True)),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("By the clock of the shop. None means every day."),
    )

    class Meta:
        model = Promotion
        fields = [
            "name", "scope", "value", "currency", "maximum_discount", "products", "categories", "excluded_products",
            "excluded_categories", "groups", "first_order_only", "new_customer_days", "is_active", "starts_at", "ends_at",
            "weekdays", "opens_at", "closes_at", "minimum_order", "minimum_quantity", "usage_limit",
            "per_customer_limit", "reminder_stage", "is_advertised", "is_stackable", "priority",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in set(DETAILS) - set(_DOES.get(self.kind, ())):
            self.fields.pop(name, None)
        is_there = bool(self.instance.pk) and not self.instance._state.adding
        if is_there:
            codes = selectors.promotion_terms(self.instance).codes
            self.initial["codes"] = "\n".join(codes)
            chosen = User.objects.filter(pk__in=self.instance.user_ids).order_by("email")
            self.initial["customers"] = "\n".join(chosen.values_list("email", flat=True))
            self.initial["entry"] = (
                BY_ITSELF if self.instance.is_automatic else BY_CODE if codes else BY_BATCH
            )
            self._show_details(self.instance.settings or {})
        else:
            self.instance.kind = self.kind
            self.initial.setdefault("entry", BY_ITSELF)
        if "options" in self.fields:
            known = {code for code, _name in self.ways}
            kept = [code for code in self.initial.get("options", ()) if code not in known]
            self.fields["options"].choices = [*self.ways, *((code, code) for code in kept)]

    def _show_details(self, settings: Mapping[str, Any]) -> None:
        for name in set(DETAILS) & self.fields.keys() & settings.keys():
            self.initial[name] = settings[name]
        if "tiers" in self.fields:
            rows = settings.get("tiers") or []
            self.initial["tiers"] = "\n".join(f"{row['from']}: {row['percent']}" for row in rows)

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

    def clean_tiers(self) -> list[dict[str, Any]]:
        """Return the steps that were typed."""
        tiers = []
        for number, text in enumerate(self.cleaned_data["tiers"].splitlines(), start=1):
            if not text.strip():
                continue
            found = _TIER.fullmatch(text.strip())
            if found is None:
                raise forms.ValidationError(
                    _("Line %(number)d is no step, such as 5: 10."), params={"number": number}
                )
            tiers.append({"from": int(found[1]), "percent": found[2].replace(",", ".")})
        return tiers

    def clean(self) -> Any:
        values: dict[str, Any] = super().clean() or {}
        codes = values.get("codes", "").split()
        entry = values.get("entry") or (BY_CODE if codes else BY_ITSELF)
        if entry == BY_CODE and not codes:
            self.add_error("codes", _("Write a code, or choose another way for it to come in."))
        if entry == BY_BATCH and codes:
            self.add_error("codes", _("Codes of batches are made afterwards: leave this empty."))
        values["codes"], values["is_automatic"] = tuple(codes), entry == BY_ITSELF
        values["settings"] = self._details(values)
        return values

    def _details(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the details as the engine knows them; what this kind does not show stays as it was."""
        settings = dict(self.instance.settings or {})
        for name in set(DETAILS) & self.fields.keys():
            value = values.get(name)
            settings.pop(name, None)
            if name == "percent" and value is not None:
                settings[name] = f"{value.normalize():f}"
            elif value:
                settings[name] = value
        return settings


def form_of(kind: str, ways: Sequence[tuple[str, str]]) -> type[PromotionForm]:
    """Return the form of a kind, for a company with these ways to ship."""
    return type("KindForm", (PromotionForm,), {"kind": kind, "ways": ways})
