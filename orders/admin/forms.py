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
    UnfoldBooleanWidget,
)

from orders import services
from orders.models import OrderLine, ReturnLine
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


class TellForm(forms.Form):
    """Words to the customer that may stay away."""

    notes = forms.CharField(
        label=_("Answer"),
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("The customer reads it."),
    )


class NoteForm(forms.Form):
    notes = forms.CharField(
        label=_("Note"),
        max_length=1000,
        required=False,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("Only staff read it."),
    )


class ReceiveForm(forms.Form):
    """What came of each line of a return, counted: whole ones, and spoilt ones among them."""

    refund_missing = forms.BooleanField(
        label=_("Pay back what is missing too"), required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, *args: Any, parts: list[ReturnLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parts = parts
        for part in parts:
            name = f"{part.order_line.name} · {part.order_line.sku}"
            for field, label, initial in (
                ("came", _("%(name)s: came"), part.quantity),
                ("damaged", _("%(name)s: of which damaged"), 0),
            ):
                self.fields[f"{field}-{part.order_line_id}"] = forms.IntegerField(
                    label=label % {"name": name},
                    min_value=0,
                    max_value=part.quantity,
                    initial=initial,
                    help_text=_("%(n)d announced") % {"n": part.quantity}
                    if field == "came"
                    else "",
                    widget=UnfoldAdminIntegerFieldWidget,
                )
        self.order_fields([*(name for name in self.fields if name != "refund_missing")])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        counts = {
            part.order_line_id: services.Came(
                given.get(f"came-{part.order_line_id}") or 0,
                given.get(f"damaged-{part.order_line_id}") or 0,
            )
            for part in self.parts
        }
        if any(count.damaged > count.received for count in counts.values()):
            raise forms.ValidationError(_("More cannot be damaged than came."))
        return {"came": counts, "refund_missing": given.get("refund_missing", False)}
