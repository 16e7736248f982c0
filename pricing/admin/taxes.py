"""Rates of tax, exemptions and the policy of prices for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from config.platform.backoffice import (
    NOTHING,
    figure,
    person,
    status,
)
from config.platform.http import actor_of
from config.platform.models import User
from pricing import services
from pricing.admin.money import MoneyAdmin, MoneyForm, names_of
from pricing.admin.rulefile import TAX_RATES, bring_page, file_of, may_bring
from pricing.models import (
    PricingPolicy,
    TaxExemption,
    TaxRate,
)
from pricing.terms import ExemptionTerms, TaxRateTerms


@admin.register(TaxRate)
class TaxRateAdmin(MoneyAdmin):
    fields = names_of(TaxRateTerms)
    list_display = ["name", "type", "country", "state", "postal_pattern", "tax_class", "percent", "is_included", "is_active"]  # fmt: skip
    list_filter = ["type", "country", "tax_class", "is_active"]
    search_fields = ["name", "country", "state"]
    ordering = ["country", "state", "name"]
    actions_list = ["bring_file", "take_file"]

    @action(description=_("Import rates"), url_path="import", permissions=["bring"], icon="upload")
    def bring_file(self, request: HttpRequest) -> HttpResponseBase:
        return bring_page(TAX_RATES, self, request)

    @action(
        description=_("All rates as CSV"), url_path="file", permissions=["view"], icon="download"
    )
    def take_file(self, request: HttpRequest) -> HttpResponseBase:
        return file_of(TAX_RATES, request)

    def has_bring_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_bring(TAX_RATES, request)

    @display(description=_("rate"), ordering="rate")
    def percent(self, rate: TaxRate) -> str:
        return figure(f"{(rate.rate * 100).normalize():f} %")

    def serve(
        self, request: HttpRequest, obj: TaxRate, given: dict[str, Any], change: bool
    ) -> Model:
        terms, actor, now = TaxRateTerms(**given), actor_of(request), timezone.now()
        if change:
            return services.change_tax_rate(actor=actor, tax_rate_id=obj.pk, terms=terms, now=now)
        return services.create_tax_rate(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: TaxRate) -> None:
        services.delete_tax_rate(actor=actor_of(request), tax_rate_id=obj.pk, now=timezone.now())


class ExemptionForm(MoneyForm):
    customer = forms.EmailField(
        label=_("Customer"),
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The e-mail address of the account."),
    )

    class Meta:
        model = TaxExemption
        fields = [name for name in names_of(ExemptionTerms) if name != "user_id"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding and "customer" in self.fields:
            user = User.objects.filter(pk=self.instance.user_id).first()
            self.initial["customer"] = user.email if user else ""
        if "country" in self.fields:
            self.fields["country"].help_text = _(
                "Two letters, or * for everywhere. A VAT number brings its own."
            )
            self.fields["country"].required = False

    def clean_customer(self) -> UUID:
        user = User.objects.by_email(self.cleaned_data["customer"])
        if user is None:
            raise forms.ValidationError(_("There is no such account."))
        return UUID(str(user.pk))


@admin.register(TaxExemption)
class TaxExemptionAdmin(MoneyAdmin):
    form = ExemptionForm
    people = ["decided_by"]
    list_display = ["number", "kind", "customer_name", "country", "state", "state_of", "valid_to", "by"]  # fmt: skip
    list_filter = ["status", "kind", "country"]
    search_fields = ["number"]
    search_help_text = _("number")
    ordering = ["-created_at"]
    by = person("decided_by", _("decided by"))
    fieldsets = [
        (None, {"fields": ["customer", "kind", "number", "country", "state"]}),
        (_("When"), {"fields": ["valid_from", "valid_to"]}),
        (_("Decision"), {"fields": ["status", "note"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mails = User.objects.filter(pk=OuterRef("user_id")).values("email")
        return super().get_queryset(request).annotate(customer_mail=Subquery(mails))

    @display(description=_("customer"))
    def customer_name(self, row: Any) -> str:
        return row.customer_mail or NOTHING

    @display(description=_("now"), ordering="status")
    def state_of(self, row: TaxExemption) -> str:
        tones = {"PENDING": "warning", "APPROVED": "success", "REJECTED": "danger"}
        return status(row.get_status_display(), tones[row.status])

    def serve(
        self, request: HttpRequest, obj: TaxExemption, given: dict[str, Any], change: bool
    ) -> Model:
        terms = ExemptionTerms(user_id=given.pop("customer"), **given)
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_exemption(actor=actor, exemption_id=obj.pk, terms=terms, now=now)
        return services.grant_exemption(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: TaxExemption) -> None:
        services.remove_exemption(actor=actor_of(request), exemption_id=obj.pk, now=timezone.now())


@admin.register(PricingPolicy)
class PricingPolicyAdmin(MoneyAdmin):
    """How totals are made, for the whole shop: one row, made at the first decision that is not the default."""

    fields = ["tax_rounding", "time_zone"]
    list_display = ["company", "tax_rounding", "time_zone"]
    ordering = ["company"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not self.get_queryset(request).exists()

    def has_delete_permission(self, request: HttpRequest, obj: PricingPolicy | None = None) -> bool:
        return False

    def serve(
        self, request: HttpRequest, obj: PricingPolicy, given: dict[str, Any], change: bool
    ) -> Model:
        actor, now = actor_of(request), timezone.now()
        services.set_tax_rounding(actor=actor, rounding=given["tax_rounding"], now=now)
        return services.set_time_zone(actor=actor, time_zone=given["time_zone"], now=now)
