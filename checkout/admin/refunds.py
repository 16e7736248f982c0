"""Refunds that a provider could not make, paid back by other means: what was noted, and the page to note one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from checkout import services
from checkout.errors import RefundNotFound
from checkout.models import OutsideRefund
from config.platform.backoffice import ReadOnlyAdmin, attempt, link, person, status
from config.platform.http import actor_of
from orders.models import RefundRequest
from pricing.backoffice import amount, cash

REQUEST_TONES = {"due": "warning", "done": "success", "failed": "danger"}


class PaidForm(forms.Form):
    means = forms.ChoiceField(
        label=_("How it was paid"),
        choices=OutsideRefund.Means.choices,
        widget=UnfoldAdminSelectWidget,
    )
    reference = forms.CharField(
        label=_("Reference"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("By which it is found: of the bank transfer, the receipt, the cheque."),
    )
    paid_on = forms.DateField(
        label=_("Paid on"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Why it went this way. It stays in the history of the order."),
    )


@admin.register(OutsideRefund)
class OutsideRefundAdmin(ReadOnlyAdmin):
    """What was paid back by other means: read against the bank's statement and the till."""

    company_path = "payment__order__company_id"
    people = ["actor"]
    list_display = ["paid_on_date", "order_link", "amount_money", "means", "reference", "reason", "by"]  # fmt: skip
    list_display_links = ["paid_on_date"]
    list_filter = ["means", "currency", "paid_on_date"]
    list_select_related = ["payment__order"]
    search_fields = ["payment__order__number", "reference", "reason"]
    search_help_text = _("order number, reference or reason")
    ordering = ["-created_at"]
    date_hierarchy = "paid_on_date"
    show_full_result_count = False
    fields = [
        "order_link", "payment_link", "amount_money", "means", "reference", "reason", "paid_on_date", "by", "created_at",
    ]  # fmt: skip
    amount_money = amount("amount", _("amount"))
    by = person("actor", _("noted by"))

    @display(description=_("order"), ordering="payment__order__number")
    def order_link(self, paid: OutsideRefund) -> str:
        return link("orders_order", paid.payment.order_id, paid.payment.order.number)

    @display(description=_("payment"))
    def payment_link(self, paid: OutsideRefund) -> str:
        return link("checkout_payment", paid.payment_id, str(paid.payment))

    def get_urls(self) -> list[Any]:
        return [
            path(
                "note/<uuid:request_id>/",
                self.admin_site.admin_view(self.note_view),
                name="checkout_outsiderefund_note",
            ),
            *super().get_urls(),
        ]

    def note_view(self, request: HttpRequest, request_id: UUID) -> HttpResponse:
        """Note how a refund that failed was paid back."""
        if not request.user.has_perm("checkout.add_outsiderefund"):
            raise PermissionDenied
        actor = actor_of(request)
        try:
            asked = services.find_request(actor=actor, request_id=request_id)
        except RefundNotFound:
            raise Http404 from None
        back = reverse("admin:orders_order_change", args=[asked.order_id])
        money = cash(asked.to_pay_out, asked.currency)
        form = PaidForm(request.POST or None, initial={"paid_on": timezone.localdate()})
        is_sent = request.method == "POST" and form.is_valid()
        if is_sent and attempt(
            request,
            lambda: services.pay_back_outside(
                actor=actor, request_id=request_id, now=timezone.now(), **form.cleaned_data
            ),
            done=str(_("%(money)s is noted as paid back.") % {"money": money}),
        ):
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Paid back by other means · %(number)s") % {"number": asked.order.number},
            "opts": self.model._meta,
            "verb": _("Note %(money)s as paid back") % {"money": money},
            "effect": _(
                "For money that you have sent yourself, because the provider could not. The refund is done then: the"
                " customer gets a mail, and the provider is never asked for it again. It cannot be undone."
            ),
            "form": form,
            "about": [
                (_("Order"), link("orders_order", asked.order_id, asked.order.number)),
                (_("Refund"), money),
                (_("Status"), _state(asked)),
                (_("Asked for"), asked.reason or "–"),
                (_("Failed because"), asked.failure or "–"),
                (_("Customer"), asked.order.email),
            ],
            "back": back,
        }
        return TemplateResponse(request, "checkout/admin/act.html", context)


def _state(asked: RefundRequest) -> str:
    return status(asked.get_status_display(), REQUEST_TONES[asked.status])
