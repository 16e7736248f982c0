"""Where an order goes and who is billed, corrected on one page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from config.platform.backoffice import one
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from orders import services
from orders.admin.bench import address_lines
from orders.admin.edits import ADDRESS
from orders.errors import BillFixed
from orders.models import Order

PARTS = (("to", "shippingAddress"), ("bill", "billingAddress"))


class AddressesForm(forms.Form):
    """Both addresses as they are, to be typed over; an empty one for the bill means the same as the parcel's."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("It stays in the history of the order."),
    )

    def __init__(
        self, *args: Any, order: Order, may_ship: bool, may_bill: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.order = order
        for part, given, is_open in (
            ("to", order.shipping_address, may_ship),
            ("bill", order.billing_address, may_bill),
        ):
            for name, label in ADDRESS if is_open else ():
                self.fields[f"{part}-{name}"] = forms.CharField(
                    label=label,
                    max_length=200,
                    required=False,
                    initial=(given or {}).get(name, ""),
                    widget=UnfoldAdminTextInputWidget,
                )
        self.order_fields([*(name for name in self.fields if name != "reason"), "reason"])

    def wanted(self) -> dict[str, Any]:
        """Return the addresses that were typed over."""
        found = {
            part: {name: self.cleaned_data[f"{part}-{name}"] for name, _label in ADDRESS}
            for part, _api in PARTS
            if any(field.startswith(f"{part}-") for field in self.changed_data)
        }
        bill = found.get("bill")
        if bill is not None and not any(bill.values()):
            bill = found.get("to") or self.order.shipping_address
        return {"shipping_address": found.get("to"), "billing_address": bill}

    def refuse(self, refusal: ApplicationError) -> None:
        """Say a refusal where its reason was typed; what was typed nowhere in particular is said above."""
        if not refusal.errors:
            self.add_error(None, f"{refusal.detail} {refusal.advice}")
        places = {api: part for part, api in PARTS}
        for error in refusal.errors:
            head, _dot, rest = error.field.partition(".")
            place = f"{places.get(head, '')}-{rest or 'line1'}"
            self.add_error(place if place in self.fields else None, str(error.message))


def addresses_page(admin: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """Correct the addresses of an order as long as the parcel has not left and the invoice is not written."""
    if not admin.has_step_permission(request):
        raise PermissionDenied
    order = one(admin, request, str(object_id))
    actor = actor_of(request)
    here = reverse("admin:orders_order_change", args=[order.pk])
    fixed = {
        part: _refusal(check, order)
        for part, check in (
            ("to", services.check_sendable_elsewhere),
            ("bill", services.check_billable_elsewhere),
        )
    }
    form = AddressesForm(
        request.POST if request.method == "POST" else None,
        order=order,
        may_ship=fixed["to"] is None,
        may_bill=fixed["bill"] is None,
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.change_address(
                actor=actor,
                order_id=order.pk,
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
                **form.wanted(),
            )
        except ApplicationError as refusal:
            form.refuse(refusal)
        else:
            messages.success(
                request, _("The addresses of %(number)s are kept.") % {"number": order.number}
            )
            return HttpResponseRedirect(here)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Addresses of %(number)s") % {"number": order.number},
        "opts": admin.model._meta,
        "original": order,
        "order": order,
        "form": form,
        "parts": [
            {
                "title": title,
                "hint": hint,
                "fields": [field for field in form if field.name.startswith(f"{part}-")],
                "fixed": _told(fixed[part]),
                "now": address_lines(given),
            }
            for part, title, hint, given in (
                (
                    "to",
                    _("Ship to"),
                    _("Country, state and postal code stay: they decided what it cost. An edit of the order changes them."),
                    order.shipping_address,
                ),
                (
                    "bill",
                    _("Bill to"),
                    _("Empty means the same as the address it goes to."),
                    order.billing_address or order.shipping_address,
                ),
            )
        ],
        "is_open": any(refusal is None for refusal in fixed.values()),
        "back": here,
    }  # fmt: skip
    return TemplateResponse(request, "orders/admin/addresses.html", context)


def _refusal(check: Any, order: Order) -> ApplicationError | None:
    try:
        check(order)
    except ApplicationError as refusal:
        return refusal
    return None


def _told(refusal: ApplicationError | None) -> str:
    """Return why an address stays, and for a bill what to do instead: a parcel that has left is not called back."""
    if refusal is None:
        return ""
    return (
        f"{refusal.detail} {refusal.advice}" if isinstance(refusal, BillFixed) else refusal.detail
    )
