"""The returns queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import display

from config.platform.backoffice import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    attempt_each,
    link,
    status,
)
from config.platform.http import actor_of
from orders import services
from orders.models import ReturnLine, ReturnRequest
from pricing.backoffice import amount

RETURN_TONES = {
    "REQUESTED": "warning",
    "APPROVED": "info",
    "REJECTED": "danger",
    "RECEIVED": "info",
    "REFUNDED": "success",
}


class ReturnLineInline(ReadOnlyInline):
    model = ReturnLine
    verbose_name_plural = _("goods")
    fields = ["goods", "quantity", "reason", "is_damaged"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReturnLine]:
        return super().get_queryset(request).select_related("order_line")

    @display(description=_("item"))
    def goods(self, row: ReturnLine) -> str:
        return f"{row.order_line.name} · {row.order_line.sku}"


@admin.register(ReturnRequest)
class ReturnRequestAdmin(ReadOnlyAdmin):
    """The returns queue: requested, approved, received. The refund follows by itself."""

    company_path = "order__company_id"
    list_display = ["requested_at", "order_link", "customer", "state", "refund_money", "notes"]
    list_display_links = ["requested_at"]
    list_filter = ["status", "requested_at"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email"]
    search_help_text = _("order number or e-mail address")
    ordering = ["-requested_at"]
    inlines = [ReturnLineInline]
    actions = ["approve", "reject", "receive", "receive_damaged"]
    fields = [
        "order_link", "customer", "state", "refund_money", "notes", "requested_at", "decided_at", "received_at",
    ]  # fmt: skip
    refund_money = amount("refund_amount", _("goes back"), currency="order.currency")

    @display(description=_("order"), ordering="order__number")
    def order_link(self, row: ReturnRequest) -> str:
        return link("orders_order", row.order_id, row.order.number)

    @display(description=_("customer"), ordering="order__email")
    def customer(self, row: ReturnRequest) -> str:
        return row.order.email

    @display(description=_("status"), ordering="status")
    def state(self, row: ReturnRequest) -> str:
        return status(row.get_status_display(), RETURN_TONES[row.status])

    @admin.action(description=_("Approve"), permissions=["step"])
    def approve(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        done = ngettext_lazy(
            "%(count)d return was approved.", "%(count)d returns were approved.", "count"
        )
        self._decide(request, queryset, services.approve_return, done)

    @admin.action(description=_("Reject"), permissions=["step"])
    def reject(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        done = ngettext_lazy(
            "%(count)d return was rejected.", "%(count)d returns were rejected.", "count"
        )
        self._decide(request, queryset, services.reject_return, done)

    @admin.action(description=_("Received in good order: back to the shelf"), permissions=["step"])
    def receive(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        done = ngettext_lazy(
            "%(count)d return was received.", "%(count)d returns were received.", "count"
        )
        self._decide(request, queryset, services.receive_return, done)

    @admin.action(description=_("Received damaged: off the books"), permissions=["step"])
    def receive_damaged(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        done = ngettext_lazy(
            "%(count)d return was received, damaged.",
            "%(count)d returns were received, damaged.",
            "count",
        )

        def run(*, actor: Any, return_id: UUID, now: datetime) -> None:
            lines = ReturnLine.objects.filter(request=return_id)
            services.receive_return(
                actor=actor,
                return_id=return_id,
                damaged=frozenset(lines.values_list("order_line_id", flat=True)),
                now=now,
            )

        self._decide(request, queryset, run, done)

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[ReturnRequest], run: Any, done: Any
    ) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset.select_related("order"),
            lambda row: run(actor=actor, return_id=row.pk, now=now),
            done=done,
        )
