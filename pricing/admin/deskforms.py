"""What staff fill in on the price desk: a price, a special price, a customer to try it for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pricing.models import CustomerGroup
from pricing.money import EXPONENTS
from pricing.services.edits import PriceEdit

_WHEN = "%Y-%m-%dT%H:%M"


def _price(label: Any, **options: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_digits=14,
        decimal_places=3,
        widget=forms.TextInput(attrs={"class": "office__input", "inputmode": "decimal"}),
        **options,
    )


def moment_field(label: Any) -> forms.DateTimeField:
    """Return a field for a moment in UTC that may be left empty; the browser's own control, no script."""
    return forms.DateTimeField(
        label=label,
        required=False,
        widget=forms.DateTimeInput(
            format=_WHEN, attrs={"class": "office__input", "type": "datetime-local"}
        ),
    )


def _quantity(label: Any, least: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=settings.CART_MAX_QUANTITY_PER_LINE,
        initial=least,
        widget=forms.NumberInput(attrs={"class": "office__input"}),
    )


def _reason() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        widget=forms.TextInput(attrs={"class": "office__input"}),
    )


class _Priced(forms.Form):
    """A form about prices in one currency: no more decimals than it has, never silently rounded."""

    def __init__(self, *args: Any, currency: str, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.currency = currency

    def _decimals(self, name: str) -> None:
        amount, places = self.cleaned_data.get(name), EXPONENTS.get(self.currency, 2)
        if isinstance(amount, Decimal) and amount != round(amount, places):
            said = ngettext("At most %(n)d decimal.", "At most %(n)d decimals.", places)
            self.add_error(name, said % {"n": places})

    def clean(self) -> dict[str, Any]:
        values = dict(super().clean() or {})
        for name, field in self.fields.items():
            if isinstance(field, forms.DecimalField):
                self._decimals(name)
        return values


class BaseForm(_Priced):
    """One currency of the table of base prices; the hidden fields are what stood there."""

    amount = _price(gettext_lazy("Price"), required=False)
    compare_at = _price(gettext_lazy("Was"), required=False)
    seen_amount = forms.DecimalField(required=False, widget=forms.HiddenInput)
    seen_compare_at = forms.DecimalField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, currency: str, name: Any, **rest: Any) -> None:
        super().__init__(*args, currency=currency, **rest)
        for field in (self.fields["amount"], self.fields["compare_at"]):
            field.widget.attrs["class"] = "office__input office__input--number"
            field.widget.attrs["aria-label"] = f"{field.label}, {name}"

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if values.get("amount") is None and not self.has_error("amount"):
            if values.get("seen_amount") is not None:
                self.add_error("amount", _("A price that is there cannot be taken away."))
            elif values.get("compare_at") is not None:
                self.add_error("amount", _("What does it cost now?"))
        return values

    def edit(self) -> PriceEdit | None:
        """Return the edit, or None where no price is wanted."""
        if self.cleaned_data["amount"] is None:
            return None
        return PriceEdit(currency=self.currency, **self.cleaned_data)


class ReasonForm(forms.Form):
    reason = _reason()


class ScheduleForm(_Priced):
    amount = _price(gettext_lazy("Price"))
    compare_at = _price(gettext_lazy("Was"), required=False)
    starts_at = moment_field(gettext_lazy("From (UTC)"))
    ends_at = moment_field(gettext_lazy("Until (UTC)"))
    reason = _reason()


class BreakForm(_Priced):
    from_quantity = _quantity(gettext_lazy("From quantity"), 2)
    amount = _price(gettext_lazy("Price each"))
    starts_at = moment_field(gettext_lazy("From (UTC)"))
    ends_at = moment_field(gettext_lazy("Until (UTC)"))
    reason = _reason()


class GroupForm(_Priced):
    group = forms.ModelChoiceField(
        CustomerGroup.objects.none(),
        label=gettext_lazy("Group"),
        widget=forms.Select(attrs={"class": "office__input"}),
    )
    from_quantity = _quantity(gettext_lazy("From quantity"), 1)
    amount = _price(gettext_lazy("Price each"))
    starts_at = moment_field(gettext_lazy("From (UTC)"))
    ends_at = moment_field(gettext_lazy("Until (UTC)"))
    reason = _reason()

    def __init__(self, *args: Any, company_id: UUID, **rest: Any) -> None:
        super().__init__(*args, **rest)
        groups: Any = self.fields["group"]
        groups.queryset = CustomerGroup.objects.filter(company_id=company_id).order_by("name")


class TryForm(forms.Form):
    """Who buys how many, and when."""

    group = forms.ModelChoiceField(
        CustomerGroup.objects.none(),
        label=gettext_lazy("Customer"),
        required=False,
        empty_label=gettext_lazy("anybody"),
        widget=forms.Select(attrs={"class": "office__input"}),
    )
    quantity = _quantity(gettext_lazy("Units"), 1)
    at = moment_field(gettext_lazy("On (UTC), empty: now"))

    def __init__(self, *args: Any, company_id: UUID, now: datetime, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.now = now
        groups: Any = self.fields["group"]
        groups.queryset = CustomerGroup.objects.filter(company_id=company_id).order_by("name")

    def clean_at(self) -> datetime:
        at: datetime = self.cleaned_data["at"] or self.now
        if at < self.now:
            raise forms.ValidationError(_("Choose a moment to come; the past is in the history."))
        return at


SPECIAL_FORMS: dict[str, type[_Priced]] = {
    "schedule": ScheduleForm,
    "break": BreakForm,
    "group": GroupForm,
}
