"""What Stripe has, as dj-stripe copied it: to look at beside our own payments. Nothing of ours is decided here."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from checkout.gateway.stripe import from_units
from config.platform.backoffice import NOTHING, ReadOnlyAdmin, as_json
from pricing.backoffice import cash

MODELS = ("PaymentIntent", "Charge", "Refund", "Dispute", "Event")
# Whoever has the client's secret could act as the customer; billing details are the provider's to keep.
HIDDEN = {"client_secret", "billing_details", "receipt_email", "receipt_url", "shipping"}


class MirrorAdmin(ReadOnlyAdmin):
    """One kind of Stripe's objects: of the one account there is, whichever company they belong to."""

    list_display = ["created", "id", "state", "money"]
    list_display_links = ["id"]
    list_filter = ["livemode", "created"]
    search_fields = ["=id"]
    search_help_text = _("the id at Stripe")
    ordering = ["-created"]
    date_hierarchy = "created"
    show_full_result_count = False
    fields = ["id", "created", "livemode", "state", "money", "content"]

    @display(description=_("state"))
    def state(self, row: Any) -> str:
        return str(row.stripe_data.get("status") or row.stripe_data.get("type") or NOTHING)

    @display(description=_("amount"))
    def money(self, row: Any) -> str:
        amount, currency = row.stripe_data.get("amount"), row.stripe_data.get("currency")
        if amount is None or not currency:
            return NOTHING
        return cash(from_units(amount, currency.upper()), currency.upper())

    @display(description=_("content"))
    def content(self, row: Any) -> str:
        return as_json(_without_secrets(row.stripe_data))


for _name in MODELS:
    admin.site.register(apps.get_model("djstripe", _name), MirrorAdmin)


def _without_secrets(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            name: _without_secrets(value) for name, value in found.items() if name not in HIDDEN
        }
    if isinstance(found, list):
        return [_without_secrets(value) for value in found]
    return found
