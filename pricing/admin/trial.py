"""The page on which staff try an address: which zone, ways to ship and taxes apply there, and why not the others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.http import actor_of
from pricing.destinations import LONGEST_POSTAL_CODE, LONGEST_STATE, read_place
from pricing.display import percent_text
from pricing.money import EXPONENTS, quantize
from pricing.selectors import shown_currency
from pricing.templatetags.money import money_text
from pricing.trial import Trial, try_address

_FIELDS = {"country": "country", "state": "state", "postalCode": "postal_code"}


class AddressForm(forms.Form):
    """An address, and a parcel to send there."""

    country = forms.CharField(
        label=gettext_lazy("Country"), max_length=3, widget=UnfoldAdminTextInputWidget
    )
    state = forms.CharField(
        label=gettext_lazy("State"),
        max_length=LONGEST_STATE,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    postal_code = forms.CharField(
        label=gettext_lazy("Postal code"),
        max_length=LONGEST_POSTAL_CODE,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    currency = forms.CharField(
        label=gettext_lazy("Currency"), max_length=3, widget=UnfoldAdminTextInputWidget
    )
    worth = forms.DecimalField(
        label=gettext_lazy("Goods for"),
        min_value=0,
        max_value=10**9,
        max_digits=13,
        decimal_places=3,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    units = forms.IntegerField(
        label=gettext_lazy("Items"),
        min_value=1,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    weight_grams = forms.IntegerField(
        label=gettext_lazy("Weight in grams"),
        min_value=0,
        max_value=10**8,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    tax_class = forms.CharField(
        label=gettext_lazy("Tax class"), max_length=40, widget=UnfoldAdminTextInputWidget
    )

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"].upper()
        if currency not in EXPONENTS:
            raise forms.ValidationError(_("We do not sell in this currency."))
        return currency

    def clean(self) -> dict[str, Any]:
        values = dict(super().clean() or {})
        if not {"country", "state", "postal_code"} <= values.keys():
            return values
        try:
            values["place"] = read_place(
                country=values["country"],
                state=values["state"],
                postal_code=values["postal_code"],
            )
        except ValidationFailed as refused:
            for error in refused.errors:
                self.add_error(_FIELDS[error.field], str(error.message))
        if "currency" in values and "worth" in values:
            values["worth"] = quantize(values["worth"], values["currency"])
        return values


def address_page(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the form, and with a country what would apply there."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    actor = actor_of(request)
    start = {
        "country": settings.DEFAULT_COUNTRY,
        "currency": shown_currency(actor=actor, currency=None),
        "worth": Decimal(50),
        "units": 1,
        "weight_grams": 500,
        "tax_class": "standard",
    }
    form = AddressForm({**start, **request.GET.dict()} if request.GET else None, initial=start)
    found = _found(actor, form) if form.is_bound and form.is_valid() else {}
    return TemplateResponse(
        request,
        "pricing/admin/address.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Try an address"),
            "opts": admin.model._meta,
            "form": form,
            "found": found,
        },
    )


def _found(actor: Actor, form: AddressForm) -> dict[str, Any]:
    asked = form.cleaned_data
    names = ("place", "currency", "worth", "weight_grams", "units", "tax_class")
    trial: Trial = try_address(
        actor=actor, now=timezone.now(), **{name: asked[name] for name in names}
    )
    quote = trial.quote
    return {
        "options": [
            {
                "name": option.name,
                "days": f"{option.min_days}–{option.max_days}",
                "price": money_text(option.price, quote.currency),
            }
            for option in quote.shipping_options
        ],
        "taxes": [
            {
                "name": tax.name,
                "rate": percent_text(tax.rate),
                "included": tax.included,
                "base": money_text(tax.base, quote.currency),
                "amount": money_text(tax.amount, quote.currency),
            }
            for tax in quote.taxes
        ],
        "elsewhere": ngettext(
            "and %(count)d rate of other states", "and %(count)d rates of other states", trial.elsewhere
        )
        % {"count": trial.elsewhere}
        if trial.elsewhere
        else "",
        "total": money_text(quote.totals.grand_total, quote.currency),
        "groups": [
            (title, empty, [(each, reverse(f"admin:pricing_{model}_change", args=[each.id])) for each in verdicts])
            for title, empty, model, verdicts in (
                (_("Shipping zones"), _("There are no zones."), "shippingzone", trial.zones),
                (_("Ways to ship in that zone"), _("No zone covers it."), "shippingrule", trial.methods),
                (_("Tax rates of the country"), _("There are none."), "taxrate", trial.rates),
            )
        ],
    }  # fmt: skip
