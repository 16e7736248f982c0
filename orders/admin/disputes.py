"""The queue of price disputes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from config.platform.backoffice import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    link,
    one,
    person,
    status,
    two_lines,
)
from config.platform.http import actor_of
from orders import services
from orders.admin.acting import act
from orders.admin.forms import AdjustPriceForm, AnswerForm
from orders.models import Order
from pricing import selectors as prices
from pricing.backoffice import amount, cash
from pricing.models import PriceDispute, PriceDisputeChange

DISPUTE_TONES = {"OPEN": "warning", "REJECTED": "", "ADJUSTED": "success", "REFUNDED": "success"}


class DisputeStepInline(ReadOnlyInline):
    model = PriceDisputeChange
    fields = ["at", "state", "by", "reason"]
    ordering = ["id"]
    by = person("actor", _("by"))

    @display(description=_("status"))
    def state(self, step: PriceDisputeChange) -> str:
        return str(PriceDispute.Status(step.to_status).label)


@admin.register(PriceDispute)
class PriceDisputeAdmin(ReadOnlyAdmin):
    """The queue of customers who say that something cost too much, with what its price was before and after."""

    company_path = "company_id"
    people = ["opened_by", "resolved_by"]
    list_display = ["opened_at", "order_link", "product", "reason", "charged", "claimed", "state"]
    list_display_links = ["opened_at"]
    list_filter = ["status", "reason", "opened_at"]
    search_fields = ["order_number", "sku", "name"]
    search_help_text = _("order number, SKU or name")
    ordering = ["-opened_at", "-id"]
    inlines = [DisputeStepInline]
    opener = person("opened_by", _("opened by"))
    decider = person("resolved_by", _("decided by"))
    charged = amount("unit_price", _("charged"))
    claimed = amount("claimed_price", _("should be"))
    back = amount("amount", _("given back"))
    total = amount("line_total", _("line total"))
    fieldsets = [
        (None, {"fields": ["state", "order_link", "product", "quantity", "charged", "total"]}),
        (_("What the customer says"), {"fields": ["reason", "claimed", "evidence", "opener", "opened_at"]}),
        (_("The price around the order"), {"fields": ["history"]}),
        (_("Decision"), {"fields": ["answer", "back", "decider", "resolved_at"]}),
    ]  # fmt: skip
    actions_detail = ["reject_dispute", "adjust_price", "refund_line"]

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> Any:
        open_still = self.get_queryset(request).filter(pk=object_id, status="OPEN").exists()
        return super().get_actions_detail(request, object_id) if open_still else []

    @display(description=_("order"), ordering="order_number")
    def order_link(self, dispute: PriceDispute) -> str:
        return link("orders_order", dispute.order_id, dispute.order_number)

    @display(description=_("product"), ordering="name")
    def product(self, dispute: PriceDispute) -> str:
        return two_lines(dispute.name, dispute.sku)

    @display(description=_("status"), ordering="status")
    def state(self, dispute: PriceDispute) -> str:
        return status(dispute.get_status_display(), DISPUTE_TONES[dispute.status])

    @display(description=_("changes"))
    def history(self, dispute: PriceDispute) -> str:
        """Tell the latest changes of this price, newest first; the order's page tells what made its total."""
        rows = [
            (
                date_format(change.changed_at, "SHORT_DATETIME_FORMAT"),
                cash(change.old_amount, change.currency),
                cash(change.new_amount, change.currency),
                change.reason,
            )
            for change in prices.price_history_of(dispute)[:20]
        ]
        if not rows:
            return str(_("The price was never changed."))
        return format_html(
            '<table class="office-table"><tbody>{}</tbody></table>',
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>→ {}</td><td>{}</td></tr>", rows),
        )

    @action(description=_("Reject"), url_path="reject", permissions=["step"], icon="block")
    def reject_dispute(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(
            request, object_id, AnswerForm, "REJECTED", _("Reject"), _("Nothing goes back.")
        )

    @action(description=_("Adjust the price"), url_path="adjust", permissions=["step"], icon="edit")
    def adjust_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(
            request,
            object_id,
            AdjustPriceForm,
            "ADJUSTED",
            _("Adjust the price"),
            _("The customer keeps the goods. Units that come back later bring that much less."),
        )

    @action(description=_("Refund the line"), url_path="refund", permissions=["step"], icon="undo")
    def refund_line(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(
            request,
            object_id,
            AnswerForm,
            "REFUNDED",
            _("Refund the line"),
            _("All that is left of what the line cost goes back."),
        )

    def _decide(
        self,
        request: HttpRequest,
        object_id: str,
        make_form: type[AnswerForm],
        decision: str,
        verb: Any,
        explanation: Any,
    ) -> HttpResponse:
        dispute = one(self, request, object_id)
        return act(
            self,
            request,
            dispute,
            order=Order.objects.get(pk=dispute.order_id),
            make_form=make_form,
            run=lambda values: services.decide_dispute(
                actor=actor_of(request),
                dispute_id=dispute.pk,
                status=decision,
                now=timezone.now(),
                **values,
            ),
            state=self.state(dispute),
            title=str(dispute),
            verb=verb,
            explanation=explanation,
            done=str(_("The customer is told.")),
        )
