"""Checkouts, payments and webhooks for staff: everything visible, nothing editable."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import display

from checkout import services
from checkout.models import Checkout, Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.backoffice import ReadOnlyAdmin, attempt_each
from config.platform.http import actor_of


class ReadOnlyInline(TabularInline):
    extra = 0
    max_num = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Checkout)
class CheckoutAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "state", "email", "currency", "order", "expires_at"]
    list_filter = ["status", "currency"]
    list_select_related = ["order"]
    search_fields = ["=id", "email", "order__number"]
    ordering = ["-created_at"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkout]:
        return super().get_queryset(request).filter(company_id=actor_of(request).company_id)

    @display(
        description=_("status"),
        label={
            "OPEN": "info",
            "PAYMENT_PENDING": "warning",
            "COMPLETED": "success",
            "CANCELLED": "danger",
            "EXPIRED": "danger",
        },
    )
    def state(self, checkout: Checkout) -> str:
        return checkout.status


class StepInline(ReadOnlyInline):
    model = PaymentStatusChange
    verbose_name_plural = _("timeline")
    fields = ["at", "from_status", "to_status", "captured", "refunded", "notes"]


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = ["created_at", "amount", "currency", "status", "reason", "provider_id", "failure"]


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "order",
        "state",
        "amount",
        "captured_amount",
        "refunded_amount",
        "currency",
        "provider",
        "is_disputed",
    ]
    list_filter = ["status", "provider", "is_disputed", "currency"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email", "=provider_id"]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    exclude = ["client_secret"]
    inlines = [StepInline, RefundInline]
    actions = ["ask_provider"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).filter(order__company_id=actor_of(request).company_id)

    @display(
        description=_("status"),
        label={
            "PENDING": "warning",
            "PROCESSING": "warning",
            "AUTHORIZED": "info",
            "CAPTURED": "success",
            "FAILED": "danger",
            "CANCELLED": "danger",
            "PARTIALLY_REFUNDED": "warning",
            "REFUNDED": "danger",
        },
    )
    def state(self, payment: Payment) -> str:
        return payment.status

    def has_step_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkout.change_payment")

    @admin.action(description=_("Ask the provider where it stands"), permissions=["step"])
    def ask_provider(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        now = timezone.now()
        attempt_each(
            request,
            queryset,
            lambda payment: services.settle(payment_id=payment.pk, now=now),
            done=str(_("{count} payments agree with their provider.")),
        )


@admin.register(WebhookInbox)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "provider", "type", "state", "attempts", "outcome", "object_id"]
    list_filter = ["provider", "type"]
    search_fields = ["=event_id", "=object_id", "type"]
    ordering = ["-received_at"]
    show_full_result_count = False
    actions = ["process_again"]

    @display(
        description=_("state"),
        label={"waiting": "warning", "done": "success", "given up": "danger"},
    )
    def state(self, row: WebhookInbox) -> str:
        if row.dead_at is not None:
            return "given up"
        return "done" if row.processed_at is not None else "waiting"

    def has_step_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkout.change_webhookinbox")

    @admin.action(description=_("Process again"), permissions=["step"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[WebhookInbox]) -> None:
        now = timezone.now()

        def run(row: WebhookInbox) -> None:
            services.reprocess_webhook(webhook_id=row.pk, now=now)
            services.process_webhook(webhook_id=row.pk, now=now)

        attempt_each(request, queryset, run, done=str(_("{count} webhooks were processed again.")))
