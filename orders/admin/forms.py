"""What staff fill in when they take a step."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from orders import services
from orders.models import OrderLine
from pricing.money import quantize
from pricing.templatetags.money import money_text


class ShipForm(forms.Form):
    carrier = forms.CharField(
        label=_("Carrier"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    tracking_number = forms.CharField(
        label=_("Tracking number"),
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    tracking_url = forms.URLField(
        label=_("Tracking link"),
        max_length=500,
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.units = {f"units-{line.pk}": line for line in lines if line.unsent}
        for name, line in self.units.items():
            self.fields[name] = forms.IntegerField(
                label=f"{line.name} · {line.sku}",
                min_value=0,
                max_value=line.unsent,
                initial=line.unsent,
                help_text=_("%(n)d left to send") % {"n": line.unsent},
                widget=UnfoldAdminIntegerFieldWidget,
            )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        parts = [
            services.Units(line.pk, given.pop(name, None) or 0) for name, line in self.units.items()
        ]
        given["units"] = [part for part in parts if part.quantity]
        if self.units and not given["units"] and not self.errors:  # else the service says why
            raise forms.ValidationError(_("Nothing would be in this parcel."))
        return given


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextareaWidget)


class RefundForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount"),
        max_digits=18,
        decimal_places=3,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, left: Decimal, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        self.fields["amount"].help_text = _("In %(currency)s; %(left)s can go back at most.") % {
            "currency": currency,
            "left": money_text(left, currency),
        }

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if amount <= 0:
            raise forms.ValidationError(_("More than nothing has to go back."))
        if quantize(amount, self.currency) != amount:
            raise forms.ValidationError(_("This currency has no such small coins."))
        return quantize(amount, self.currency)


class AnswerForm(forms.Form):
    answer = forms.CharField(
        label=_("Answer"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("The customer reads it."),
    )


class AdjustPriceForm(AnswerForm):
    amount = forms.DecimalField(
        label=_("Goes back"),
        max_digits=15,
        decimal_places=3,
        min_value=Decimal("0.001"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    field_order = ["amount", "answer"]
