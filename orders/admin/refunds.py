"""The refund queue."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import display

from config.platform.backoffice import (
    ReadOnlyAdmin,
    attempt_each,
    link,
    person,
    status,
)
from config.platform.http import actor_of
from orders import services
from orders.models import RefundRequest
from pricing.backoffice import amount

REFUND_TONES = {"due": "warning", "done": "success", "failed": "danger"}


@admin.register(RefundRequest)
class RefundRequestAdmin(ReadOnlyAdmin):
    """The refund queue: what is due, what was done, and what a person has to look at."""

    company_path = "order__company_id"
    people = ["requested_by"]
    list_display = ["created_at", "order_link", "amount_money", "state", "reason", "by", "failure"]
    list_display_links = ["created_at"]
    list_filter = ["status", "currency", "created_at"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email"]
    search_help_text = _("order number or e-mail address")
    ordering = ["-created_at"]
    actions = ["try_again"]
    fields = [
        "order_link", "amount_money", "state", "reason", "by", "created_at", "done_at", "failure", "return_request",
    ]  # fmt: skip
    amount_money = amount("amount", _("amount"))
    by = person("requested_by", _("asked by"))

    @display(description=_("order"), ordering="order__number")
    def order_link(self, request: RefundRequest) -> str:
        return link("orders_order", request.order_id, request.order.number)

    @display(description=_("status"), ordering="status")
    def state(self, request: RefundRequest) -> str:
        return status(request.get_status_display(), REFUND_TONES[request.status])

    @admin.action(description=_("Try failed refunds again"), permissions=["step"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[RefundRequest]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda row: services.retry_refund(actor=actor, request_id=row.pk, now=now),
            done=ngettext_lazy(
                "%(count)d refund is due again.", "%(count)d refunds are due again.", "count"
            ),
        )
