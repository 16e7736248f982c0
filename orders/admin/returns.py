"""The returns desk."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import DecimalField, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from config.platform.backoffice import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    attempt_each,
    figure,
    link,
    one,
    status,
    two_lines,
)
from config.platform.http import actor_of
from orders import services
from orders.admin.acting import act
from orders.admin.forms import NoteForm, ReceiveForm, TellForm
from orders.models import ReturnLine, ReturnRequest
from orders.selectors.returns import Queue, returns_desk, worth_of
from pricing.backoffice import amount, cash
from pricing.money import quantize

Status = ReturnRequest.Status
RETURN_TONES = {
    "REQUESTED": "warning",
    "APPROVED": "info",
    "REJECTED": "danger",
    "RECEIVED": "info",
    "REFUNDED": "success",
    "WITHDRAWN": "",
    "CLOSED": "",
}
# What there is to do with a return, by where it stands; everything else is not offered.
STEPS = {
    Status.REQUESTED: ["approve_return", "reject_return", "note_return"],
    Status.APPROVED: ["receive_return", "close_return", "note_return"],
}
QUEUE_WORDS = {
    Status.REQUESTED: _("to decide"),
    Status.APPROVED: _("on the way to us"),
    Status.RECEIVED: _("being paid back"),
}


class ReturnLineInline(ReadOnlyInline):
    model = ReturnLine
    verbose_name_plural = _("goods")
    fields = ["goods", "quantity", "reason", "instead", "received_quantity", "damaged_quantity"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReturnLine]:
        return super().get_queryset(request).select_related("order_line", "exchange_variant")

    @display(description=_("item"))
    def goods(self, row: ReturnLine) -> str:
        return f"{row.order_line.name} · {row.order_line.sku}"

    @display(description=_("wanted instead"))
    def instead(self, row: ReturnLine) -> str:
        return row.exchange_variant.sku if row.exchange_variant else str(_("the money"))


@admin.register(ReturnRequest)
class ReturnRequestAdmin(ReadOnlyAdmin):
    """The returns desk: what to decide, what is on its way, what came. The refund follows by itself."""

    company_path = "order__company_id"
    list_before_template = "orders/admin/returns_desk.html"
    list_display = ["order_link", "goods", "state", "age", "worth_money", "requested_at"]
    list_display_links = ["requested_at"]
    list_filter = ["status", "requested_at"]
    list_select_related = ["order", "replacement"]
    search_fields = ["order__number", "order__email"]
    search_help_text = _("order number or e-mail address")
    ordering = ["-requested_at"]
    inlines = [ReturnLineInline]
    actions = ["approve", "reject", "receive", "receive_damaged"]
    actions_detail = [
        "approve_return",
        "reject_return",
        "receive_return",
        "close_return",
        "note_return",
    ]
    fields = [
        "order_link", "state", "refund_money", "exchange", "notes", "staff_notes", "requested_at",
        "decided_at", "received_at",
    ]  # fmt: skip
    refund_money = amount("refund_amount", _("goes back"), currency="order.currency")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).prefetch_related("lines__order_line")
        return rows.annotate(worth=Sum(worth_of("lines__"), output_field=DecimalField()))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        desk = returns_desk(actor=actor_of(request), now=timezone.now())
        most = max((units for _reason, units in desk.reasons), default=0)
        context = {
            "queues": [_queue(row) for row in desk.queues],
            "reasons": [
                {"text": reason or _("no reason given"), "units": units, "most": most}
                for reason, units in desk.reasons
            ],
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    @display(description=_("order"), ordering="order__number")
    def order_link(self, row: ReturnRequest) -> str:
        return two_lines(link("orders_order", row.order_id, row.order.number), row.order.email)

    @display(description=_("goods"))
    def goods(self, row: ReturnRequest) -> str:
        return format_html_join(
            "",
            "<div>{} × {}</div>",
            ((part.quantity, part.order_line.name) for part in row.lines.all()),
        )

    @display(description=_("status"), ordering="status")
    def state(self, row: ReturnRequest) -> str:
        return status(row.get_status_display(), RETURN_TONES[row.status])

    @display(description=_("since"), ordering="requested_at")
    def age(self, row: ReturnRequest) -> str:
        since = row.received_at or row.decided_at or row.requested_at
        return timesince(since, timezone.now(), depth=1)

    @display(description=_("worth about"), ordering="worth")
    def worth_money(self, row: Any) -> str:
        return figure(
            cash(quantize(row.worth or Decimal(0), row.order.currency), row.order.currency)
        )

    @display(description=_("in exchange"))
    def exchange(self, row: ReturnRequest) -> str:
        if row.replacement is None:
            return row.exchange_failure or str(_("nothing: for the money"))
        order = row.replacement
        return format_html(
            "{} {}",
            link("orders_order", order.pk, order.number),
            _("%(paid)s of %(total)s paid by the return")
            % {
                "paid": cash(order.credit_total, order.currency),
                "total": cash(order.grand_total, order.currency),
            },
        )

    # --- many at once ---

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

        def run(*, return_id: Any, **how: Any) -> None:
            lines = ReturnLine.objects.filter(request=return_id)
            damaged = frozenset(lines.values_list("order_line_id", flat=True))
            services.receive_return(return_id=return_id, damaged=damaged, **how)

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

    # --- one ---

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_queryset(request).filter(pk=object_id).first()
        names = STEPS.get(row.status, ["note_return"]) if row is not None else []
        offered = super().get_actions_detail(request, object_id)
        return [step for step in offered if step.method.original_function_name in names]

    @action(
        description=_("Approve"),
        url_path="approve",
        permissions=["step"],
        icon="verified",
        variant=ActionVariant.PRIMARY,
    )
    def approve_return(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            TellForm,
            services.approve_return,
            verb=_("Approve"),
            explanation=_(
                "The customer may send it. What is wanted instead is ordered now, and kept while the parcel travels."
            ),
        )

    @action(description=_("Reject"), url_path="reject", permissions=["step"], icon="block")
    def reject_return(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            TellForm,
            services.reject_return,
            verb=_("Reject"),
            explanation=_("The customer keeps it, and nothing is paid back."),
        )

    @action(
        description=_("Take in"),
        url_path="receive",
        permissions=["step"],
        icon="inventory_2",
        variant=ActionVariant.PRIMARY,
    )
    def receive_return(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def form(data: Any) -> forms.Form:
            row = one(self, request, object_id)
            return ReceiveForm(data, parts=list(row.lines.select_related("order_line")))

        return self._act(
            request,
            object_id,
            form,
            services.receive_return,
            verb=_("Take in"),
            explanation=_(
                "Count what is in the parcel. Whole ones go back to the shelf, damaged ones off the books; both are paid "
                "back, or pay for what goes out instead. What is missing stays with the customer unless you say otherwise."
            ),
        )

    @action(
        description=_("Nothing came"),
        url_path="close",
        permissions=["step"],
        icon="hourglass_disabled",
    )
    def close_return(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            TellForm,
            services.close_return,
            verb=_("Close it"),
            explanation=_("Nothing is paid back, and what was kept in exchange is free again."),
        )

    @action(description=_("Note"), url_path="note", permissions=["step"], icon="edit_note")
    def note_return(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data: NoteForm(
                data, initial={"notes": one(self, request, object_id).staff_notes}
            ),
            services.note_return,
            verb=_("Keep the note"),
            explanation=_("For your colleagues."),
        )

    def _act(
        self,
        request: HttpRequest,
        object_id: str,
        make_form: Callable[[Any], forms.Form],
        run: Callable[..., Any],
        *,
        verb: Any,
        explanation: Any,
    ) -> HttpResponse:
        row = one(self, request, object_id)
        return act(
            self,
            request,
            row,
            order=row.order,
            make_form=make_form,
            run=lambda values: run(
                actor=actor_of(request), return_id=row.pk, now=timezone.now(), **values
            ),
            state=self.state(row),
            title=row.order.number,
            verb=verb,
            explanation=explanation,
            done=str(_("It is done.")),
        )


def _queue(row: Queue) -> dict[str, Any]:
    return {
        "words": QUEUE_WORDS[Status(row.status)],
        "count": row.count,
        "units": row.units,
        "oldest": row.oldest,
        "worth": [cash(money, currency) for currency, money in row.worth],
        "url": f"?status__exact={row.status}",
    }
