"""Exchange rates for staff. What has begun is history: another rate takes its place, none is edited."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from config.platform.backoffice import figure
from config.platform.http import actor_of
from pricing import services
from pricing.admin.money import MoneyAdmin, MoneyForm
from pricing.models import ExchangeRate


class ExchangeRateForm(MoneyForm):
    valid_from = forms.SplitDateTimeField(
        label=_("from"),
        required=False,
        help_text=_("Empty: at once."),
        widget=UnfoldAdminSplitDateTimeWidget,
    )

    def clean_quote(self) -> str:
        return str(self.cleaned_data["quote"]).strip().upper()


@admin.register(ExchangeRate)
class ExchangeRateAdmin(MoneyAdmin):
    """Prices that were not set in a currency are converted by these."""

    form = ExchangeRateForm
    list_display = ["pair", "rate_text", "valid_from", "valid_until", "source", "when"]
    list_filter = ["quote", "source"]
    search_fields = ["quote", "source"]
    search_help_text = _("currency or source")
    fields = ["quote", "rate", "valid_from", "valid_until"]
    ordering = ["-valid_from", "quote"]

    @display(description=_("currencies"), ordering="quote")
    def pair(self, rate: ExchangeRate) -> str:
        return f"1 {rate.base} → {rate.quote}"

    @display(description=_("rate"), ordering="rate")
    def rate_text(self, rate: ExchangeRate) -> str:
        return figure(f"{rate.rate.normalize():f}")

    @display(description=_("when"))
    def when(self, rate: ExchangeRate) -> Any:
        now = timezone.now()
        if rate.valid_from > now:
            return _("coming")
        if rate.valid_until is not None and rate.valid_until <= now:
            return _("too old")
        return _("has begun")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_coming = obj is None or obj.valid_from > timezone.now()
        return is_coming and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # one by one, through the service
        return actions

    def serve(
        self, request: HttpRequest, obj: ExchangeRate, given: dict[str, Any], change: bool
    ) -> Model:
        terms = services.RateTerms(**given)
        return services.set_exchange_rate(actor=actor_of(request), terms=terms, now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: ExchangeRate) -> None:
        services.withdraw_exchange_rate(actor=actor_of(request), rate_id=obj.pk, now=timezone.now())
