"""Changing an order on the bench: what it comes to is shown first, then exactly that is done."""

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
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from config.platform.backoffice import one
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from orders import services
from orders.edits import render_proposal
from orders.errors import PriceChanged
from orders.models import Order, OrderLine
from orders.services import DirectItem, Edit, Proposal
from pricing.engine import ShippingOption
from pricing.templatetags.money import money_text

ADDRESS = (
    ("name", _("Name")),
    ("line1", _("Street and number")),
    ("line2", _("Flat, floor")),
    ("city", _("City")),
    ("state", _("State or region")),
    ("postalCode", _("Postal code")),
    ("country", _("Country, as a code of two letters")),
    ("phone", _("Phone")),
)
MOST_ADDED = 20


class EditForm(forms.Form):
    """The order as it is, to be typed over."""

    add = forms.CharField(
        label=_("Add"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("One thing to a line: its SKU, a space, how many. It is charged for itself."),
    )
    shipping_option = forms.ChoiceField(
        label=_("How it goes"), required=False, widget=UnfoldAdminSelectWidget
    )
    waive_shipping = forms.BooleanField(
        label=_("If shipping costs more, we pay that"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("It stays in the history of the order."),
    )

    def __init__(
        self,
        *args: Any,
        order: Order,
        lines: list[OrderLine],
        ways: list[ShippingOption],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.units = {f"units-{line.pk}": line for line in lines if line.unsent}
        for name, line in self.units.items():
            self.fields[name] = forms.IntegerField(
                label=f"{line.name} · {line.sku}",
                min_value=0,
                max_value=10_000,
                initial=line.unsent,
                widget=UnfoldAdminIntegerFieldWidget,
            )
        for name, label in ADDRESS:
            self.fields[f"to-{name}"] = forms.CharField(
                label=label,
                max_length=200,
                required=False,
                initial=(order.shipping_address or {}).get(name, ""),
                widget=UnfoldAdminTextInputWidget,
            )
        named = {way.id: f"{way.name}, {money_text(way.price, order.currency)}" for way in ways}
        named.setdefault(order.shipping_option, order.shipping_name or order.shipping_option)
        choices: Any = self.fields["shipping_option"]
        choices.choices = list(named.items())
        choices.initial = order.shipping_option
        self.order_fields(
            [*self.units, "add", "shipping_option", "waive_shipping"]
            + [f"to-{name}" for name, _label in ADDRESS]
            + ["reason"]
        )

    def clean_add(self) -> list[DirectItem]:
        items = []
        for row in self.cleaned_data["add"].splitlines()[: MOST_ADDED + 1]:
            sku, _space, count = row.strip().rpartition(" ")
            if not row.strip():
                continue
            if not (sku and count.isascii() and count.isdigit() and 1 <= int(count[:4]) <= 100):
                raise forms.ValidationError(
                    _("“%(row)s” is not a SKU, a space, and how many (up to 100)."),
                    params={"row": row.strip()},
                )
            items.append(DirectItem(sku.strip(), int(count)))
        if len(items) > MOST_ADDED:
            raise forms.ValidationError(_("That is too much at once."))
        return items

    def refuse(self, refusal: ApplicationError) -> None:
        """Say a refusal where its reason was typed; what was typed nowhere in particular is said above."""
        if not refusal.errors:
            self.add_error(None, str(refusal.detail))
        asked = self.wanted()  # before the first error takes a field out of it
        units = [f"units-{pk}" for pk in asked.quantities]
        for error in refusal.errors:
            head, _dot, rest = error.field.partition(".")
            row, said, place = rest.partition(".")[0], str(error.message), head
            if head == "add" and row.isdigit() and int(row) < len(asked.add):
                said = f"{asked.add[int(row)].sku}: {said}"
            elif head == "items" and row.isdigit() and int(row) < len(units):
                place = units[int(row)]
            elif head == "shippingAddress":
                place = f"to-{rest}"
            elif head == "shippingOption":
                place = "shipping_option"
            self.add_error(place if place in self.fields else None, said)

    def wanted(self) -> Edit:
        """Return what was typed as an edit; what is as it was stays out."""
        given = self.cleaned_data
        address = {name: given[f"to-{name}"] for name, _label in ADDRESS}
        is_moved = any(f"to-{name}" in self.changed_data for name in address)
        return Edit(
            quantities={
                line.pk: given[name]
                for name, line in self.units.items()
                if given[name] is not None and given[name] != line.unsent
            },
            add=given["add"],
            shipping_address=address if is_moved else None,
            shipping_option=given["shipping_option"],
            waive_shipping=given["waive_shipping"],
        )


def edit_page(admin: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """Type the change, look at what it comes to, and do it; nothing is written before the last step."""
    if not admin.has_step_permission(request):
        raise PermissionDenied
    order = one(admin, request, str(object_id))
    actor, now = actor_of(request), timezone.now()
    here = reverse("admin:orders_order_change", args=[order.pk])
    try:
        ways = services.ways_to_ship(actor=actor, order_id=order.pk, now=now)
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
        return HttpResponseRedirect(here)
    data = request.POST if request.method == "POST" else None
    form = EditForm(data, order=order, lines=list(order.lines.all()), ways=list(ways))
    proposal: Proposal | None = None
    if request.method == "POST" and form.is_valid():
        about: dict[str, Any] = {"actor": actor, "order_id": order.pk, "edit": form.wanted(), "now": now}  # fmt: skip
        try:
            if request.POST.get("step") == "do" and _done(request, form, about):
                messages.success(request, _("%(number)s is changed.") % {"number": order.number})
                return HttpResponseRedirect(here)
            proposal = services.preview_edit(**about)
        except ApplicationError as refusal:
            form.refuse(refusal)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Edit %(number)s") % {"number": order.number},
        "opts": admin.model._meta,
        "original": order,
        "order": order,
        "form": form,
        "proposal": proposal,
        "rows": _rows(proposal) if proposal else [],
        "back": here,
    }
    return TemplateResponse(request, "orders/admin/edit.html", context)


def _done(request: HttpRequest, form: EditForm, about: dict[str, Any]) -> bool:
    """Do what was shown, and return whether that was still what it comes to."""
    try:
        services.apply_edit(
            **about, quote_id=request.POST.get("quote", ""), reason=form.cleaned_data["reason"]
        )
    except PriceChanged as refusal:
        messages.warning(request, refusal.detail)
        return False
    return True


def _rows(proposal: Proposal) -> list[dict[str, str]]:
    """Return what an edit comes to, line by line: what changes, and the money of it."""
    told, currency = render_proposal(proposal), proposal.order.currency

    def cash(amount: str) -> str:
        return money_text(amount, currency)

    rows = [
        {
            "what": f"{line['name']} · {line['sku']}",
            "how": f"{line['quantityBefore']} → {line['quantityAfter']}",
            "money": f"− {cash(line['refund'])}",
        }
        for line in told["items"]
        if line["quantityBefore"] != line["quantityAfter"]
    ]
    rows += [
        {
            "what": f"{line['name']} · {line['sku']}",
            "how": f"+ {line['quantity']} × {cash(line['unitPrice'])}",
            "money": f"+ {cash(line['lineTotal'])}",
        }
        for line in told["added"]
    ]
    way = told["shipping"]
    if way["optionBefore"] != way["optionAfter"] or proposal.shipping_back or proposal.to_pay:
        rows.append(
            {
                "what": str(_("Shipping, %(name)s") % {"name": way["nameAfter"] or ""}),
                "how": f"{cash(way['priceBefore'])} → {cash(way['priceAfter'])}",
                "money": f"− {cash(way['refund'])}" if proposal.shipping_refund else "",
            }
        )
    if proposal.shipping_waived:
        rows.append(
            {"what": str(_("Shipping that we pay")), "how": "", "money": cash(way["waived"])}
        )
    if "shipping_address" in proposal.addresses:
        address = proposal.addresses["shipping_address"]
        rows.append(
            {
                "what": str(_("Goes to")),
                "how": ", ".join(value for value in address.values() if value),
                "money": "",
            }
        )
    return rows
