"""Orders for staff: sent, delivered and cancelled by the services; figures and histories are for reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.platform.backoffice import ReadOnlyAdmin, attempt, attempt_each
from config.platform.http import actor_of
from orders import selectors, services
from orders.models import (
    Order,
    OrderEdit,
    OrderLine,
    RefundRequest,
    ReturnLine,
    ReturnRequest,
    Shipment,
    StatusChange,
)
from pricing.money import format_amount

STATUS_LABELS = {
    "draft": "warning",
    "confirmed": "info",
    "processing": "info",
    "shipped": "primary",
    "delivered": "success",
    "cancelled": "danger",
    "refunded": "danger",
    "failed": "danger",
}
PAYMENT_LABELS = {
    "pending": "warning",
    "authorized": "info",
    "captured": "success",
    "partially_refunded": "warning",
    "refunded": "danger",
    "failed": "danger",
    "cancelled": "danger",
}


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


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextareaWidget)


class ReadOnlyInline(TabularInline):
    extra = 0
    max_num = 0
    can_delete = False
    tab = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LineInline(ReadOnlyInline):
    model = OrderLine
    tab = False
    ordering = ["position"]
    fields = [
        "sku",
        "name",
        "quantity",
        "unit_price",
        "discount",
        "tax",
        "total",
        "cancelled_quantity",
        "returned_quantity",
        "refunded_amount",
    ]


class StatusInline(ReadOnlyInline):
    model = StatusChange
    verbose_name_plural = _("timeline")
    fields = ["at", "from_status", "to_status", "actor", "reason"]


class ShipmentInline(ReadOnlyInline):
    model = Shipment
    fields = ["status", "carrier", "tracking_number", "tracking_url", "shipped_at", "delivered_at"]


class RefundInline(ReadOnlyInline):
    model = RefundRequest
    verbose_name_plural = _("refunds")
    fields = [
        "created_at",
        "amount",
        "currency",
        "status",
        "reason",
        "requested_by",
        "failure",
        "done_at",
    ]


class EditInline(ReadOnlyInline):
    model = OrderEdit
    verbose_name_plural = _("edits")
    fields = ["at", "field", "old", "new", "actor", "reason"]


@admin.register(Order)
class OrderAdmin(ModelAdmin):
    list_display = ["number", "placed_at", "email", "state", "money", "total", "attention"]
    list_filter = ["status", "payment_status", "is_disputed", "currency", "placed_at"]
    search_fields = ["number", "email", "lines__sku"]
    ordering = ["-placed_at"]
    date_hierarchy = "placed_at"
    show_full_result_count = False
    inlines = [LineInline, StatusInline, ShipmentInline, RefundInline, EditInline]
    actions = ["start_packing", "mark_delivered"]
    actions_detail = ["ship_order", "deliver_order", "cancel_order"]
    editable = ["staff_notes", "needs_attention"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "number",
                    "state",
                    "money",
                    "email",
                    "placed_at",
                    "needs_attention",
                    "staff_notes",
                    "notes",
                ]
            },
        ),
        (_("Money"), {"fields": ["money_panel"]}),
        (_("Delivery"), {"fields": ["shipping_name", "ship_to", "bill_to"]}),
        (
            _("Dates"),
            {
                "fields": [
                    "confirmed_at",
                    "shipped_at",
                    "delivered_at",
                    "cancelled_at",
                    "expires_at",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).filter(company_id=actor_of(request).company_id)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = [name for _title, part in self.fieldsets for name in part["fields"]]
        return [name for name in shown if name not in self.editable]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        attempt(
            request,
            lambda: services.edit(
                actor=actor_of(request),
                order_id=obj.pk,
                changes={name: form.cleaned_data[name] for name in form.changed_data},
                reason="admin",
                now=timezone.now(),
            ),
        )

    @display(description=_("status"), ordering="status", label=STATUS_LABELS)
    def state(self, order: Order) -> tuple[str, str]:
        return order.status, str(order.get_status_display())

    @display(description=_("payment"), ordering="payment_status", label=PAYMENT_LABELS)
    def money(self, order: Order) -> tuple[str, str]:
        return order.payment_status, str(order.get_payment_status_display())

    @display(description=_("total"), ordering="grand_total")
    def total(self, order: Order) -> str:
        return f"{format_amount(order.grand_total, order.currency)} {order.currency}"

    @display(description=_("needs attention"), ordering="needs_attention")
    def attention(self, order: Order) -> str:
        return order.needs_attention or "–"

    @display(description=_("money"))
    def money_panel(self, order: Order) -> str:
        rows = [
            (_("Goods"), order.subtotal),
            (_("Discounts"), -order.discount_total),
            (_("Shipping"), order.shipping_total),
            (_("Tax"), order.tax_total),
            (_("of which in the prices"), order.included_tax),
            (_("Total"), order.grand_total),
            (_("Refunded"), order.refunded_total),
            (_("Left to refund"), services.refundable(order)),
        ]
        return format_html(
            "<table>{}</table>",
            format_html_join(
                "",
                '<tr><th style="text-align:left;padding-right:2rem">{}</th><td style="text-align:right">{} {}</td></tr>',
                (
                    (label, format_amount(amount, order.currency), order.currency)
                    for label, amount in rows
                ),
            ),
        )

    @display(description=_("ship to"))
    def ship_to(self, order: Order) -> str:
        return _address(order.shipping_address)

    @display(description=_("bill to"))
    def bill_to(self, order: Order) -> str:
        return _address(order.billing_address) if order.billing_address else str(_("the same"))

    # --- steps ---

    def has_step_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.change_order")

    @action(description=_("Ship"), url_path="ship", permissions=["step"], icon="local_shipping")
    def ship_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            ShipForm,
            lambda actor, order, values: services.ship(
                actor=actor, order_id=order.pk, now=timezone.now(), **values
            ),
            verb=_("Ship"),
            explanation=_(
                "Everything that is left goes out in one parcel; the customer gets a mail."
            ),
            done=_("%(number)s is on its way."),
        )

    @action(description=_("Delivered"), url_path="deliver", permissions=["step"], icon="task_alt")
    def deliver_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            forms.Form,
            lambda actor, order, values: services.deliver(
                actor=actor, order_id=order.pk, now=timezone.now()
            ),
            verb=_("Mark as delivered"),
            explanation=_("From now on the customer may return it for a while."),
            done=_("%(number)s has arrived."),
        )

    @action(description=_("Cancel"), url_path="cancel", permissions=["step"], icon="cancel")
    def cancel_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            ReasonForm,
            lambda actor, order, values: services.cancel(
                actor=actor, order_id=order.pk, now=timezone.now(), **values
            ),
            verb=_("Cancel this order"),
            explanation=_(
                "Goods go back to the shelf and what was paid goes back to the customer."
            ),
            done=_("%(number)s is cancelled."),
        )

    @admin.action(description=_("Start packing"), permissions=["step"])
    def start_packing(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda order: services.process(actor=actor, order_id=order.pk, now=now),
            done=str(_("{count} orders are being packed.")),
        )

    @admin.action(description=_("Mark as delivered"), permissions=["step"])
    def mark_delivered(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda order: services.deliver(actor=actor, order_id=order.pk, now=now),
            done=str(_("{count} orders have arrived.")),
        )

    def _act(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[forms.Form],
        run: Callable[[Any, Order, dict[str, Any]], Any],
        *,
        verb: Any,
        explanation: Any,
        done: Any,
    ) -> HttpResponse:
        actor = actor_of(request)
        order = selectors.find(actor=actor, reference=str(UUID(str(object_id))))
        here = reverse("admin:orders_order_change", args=[order.pk])
        form = form_class(request.POST if request.method == "POST" else None)
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(
                request,
                lambda: run(actor, order, form.cleaned_data),
                done=str(done % {"number": order.number}),
            )
        ):
            return HttpResponseRedirect(here)
        context = {
            **self.admin_site.each_context(request),
            "title": verb,
            "opts": self.model._meta,
            "order": order,
            "form": form,
            "verb": verb,
            "explanation": explanation,
            "back": here,
        }
        return TemplateResponse(request, "orders/admin/act.html", context)


@admin.register(RefundRequest)
class RefundRequestAdmin(ReadOnlyAdmin):
    """The refund queue: what is due, what was done, and what a person has to look at."""

    list_display = [
        "created_at",
        "order",
        "amount",
        "currency",
        "state",
        "reason",
        "requested_by",
        "failure",
    ]
    list_filter = ["status", "currency"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email"]
    ordering = ["-created_at"]
    actions = ["try_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundRequest]:
        return super().get_queryset(request).filter(order__company_id=actor_of(request).company_id)

    @display(
        description=_("status"), label={"due": "warning", "done": "success", "failed": "danger"}
    )
    def state(self, request: RefundRequest) -> str:
        return request.status

    def has_step_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_refundrequest")

    @admin.action(description=_("Try failed refunds again"), permissions=["step"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[RefundRequest]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda row: services.retry_refund(actor=actor, request_id=row.pk, now=now),
            done=str(_("{count} refunds are due again.")),
        )


class ReturnLineInline(ReadOnlyInline):
    model = ReturnLine
    tab = False
    fields = ["order_line", "quantity", "reason", "is_damaged"]


@admin.register(ReturnRequest)
class ReturnRequestAdmin(ReadOnlyAdmin):
    list_display = ["requested_at", "order", "state", "refund_amount", "notes"]
    list_filter = ["status"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email"]
    ordering = ["-requested_at"]
    inlines = [ReturnLineInline]
    actions = ["approve", "reject", "receive"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReturnRequest]:
        return super().get_queryset(request).filter(order__company_id=actor_of(request).company_id)

    @display(
        description=_("status"),
        label={
            "REQUESTED": "warning",
            "APPROVED": "info",
            "REJECTED": "danger",
            "RECEIVED": "primary",
            "REFUNDED": "success",
        },
    )
    def state(self, request: ReturnRequest) -> str:
        return request.status

    def has_step_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_returnrequest")

    @admin.action(description=_("Approve"), permissions=["step"])
    def approve(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        self._decide(
            request, queryset, services.approve_return, _("{count} returns were approved.")
        )

    @admin.action(description=_("Reject"), permissions=["step"])
    def reject(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        self._decide(request, queryset, services.reject_return, _("{count} returns were rejected."))

    @admin.action(description=_("Received in good order"), permissions=["step"])
    def receive(self, request: HttpRequest, queryset: QuerySet[ReturnRequest]) -> None:
        self._decide(
            request, queryset, services.receive_return, _("{count} returns were received.")
        )

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[ReturnRequest], run: Any, done: Any
    ) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda row: run(actor=actor, return_id=row.pk, now=now),
            done=str(done),
        )


def _address(address: dict[str, Any] | None) -> str:
    keys = ("name", "line1", "line2", "postalCode", "city", "state", "country", "phone")
    parts = [str(address[key]) for key in keys if address and address.get(key)]
    return format_html_join(mark_safe("<br>"), "{}", ((part,) for part in parts)) if parts else "–"
