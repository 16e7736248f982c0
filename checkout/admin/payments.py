"""Checkouts, payments and webhooks for staff: everything visible, nothing editable."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import display

from checkout import services
from checkout.models import Checkout, Payment, PaymentStatusChange, Refund, WebhookInbox
from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ReadOnlyInline,
    as_json,
    attempt_each,
    link,
    status,
)
from pricing.backoffice import amount, cash

CHECKOUT_TONES = {
    "OPEN": "info",
    "PAYMENT_PENDING": "warning",
    "COMPLETED": "success",
    "CANCELLED": "danger",
    "EXPIRED": "danger",
}
PAYMENT_TONES = {
    "PENDING": "warning",
    "PROCESSING": "warning",
    "AUTHORIZED": "info",
    "CAPTURED": "success",
    "FAILED": "danger",
    "CANCELLED": "danger",
    "PARTIALLY_REFUNDED": "warning",
    "REFUNDED": "danger",
}
REFUND_TONES = {"PENDING": "warning", "SUCCEEDED": "success", "FAILED": "danger"}


@admin.register(Checkout)
class CheckoutAdmin(ReadOnlyAdmin):
    company_path = "company_id"
    list_display = ["created_at", "customer", "state", "total", "order_link", "expires_at"]
    list_filter = ["status", "currency", "created_at"]
    list_select_related = ["order", "cart"]
    search_fields = ["=id", "email", "order__number"]
    search_help_text = _("e-mail address, order number, or the id of a checkout")
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    fields = [
        "id", "customer", "state", "total", "order_link", "cart_link", "shipping_option", "notes", "created_at",
        "expires_at", "updated_at",
    ]  # fmt: skip

    @display(description=_("customer"), ordering="email")
    def customer(self, checkout: Checkout) -> str:
        return checkout.email or str(_("a guest"))

    @display(description=_("status"), ordering="status")
    def state(self, checkout: Checkout) -> str:
        now = checkout.status_at(timezone.now())
        return status(Checkout.Status(now).label, CHECKOUT_TONES[now])

    @display(description=_("total"))
    def total(self, checkout: Checkout) -> str:
        """Show what the customer was told: the order's total, before there is one the last shown."""
        if checkout.order is not None:
            return cash(checkout.order.grand_total, checkout.order.currency)
        shown = checkout.quotes_shown.get(checkout.quote_id)
        return cash(Decimal(shown), checkout.currency) if shown else NOTHING

    @display(description=_("order"), ordering="order__number")
    def order_link(self, checkout: Checkout) -> str:
        if checkout.order is None:
            return NOTHING
        return link("orders_order", checkout.order_id, checkout.order.number)

    @display(description=_("cart"))
    def cart_link(self, checkout: Checkout) -> str:
        return link("cart_cart", checkout.cart_id, _("its cart"))


class StepInline(ReadOnlyInline):
    model = PaymentStatusChange
    verbose_name_plural = _("timeline")
    fields = ["at", "state", "captured_money", "refunded_money", "notes"]
    captured_money = amount("captured", _("captured"), currency="payment.currency")
    refunded_money = amount("refunded", _("refunded"), currency="payment.currency")

    @display(description=_("became"))
    def state(self, step: PaymentStatusChange) -> str:
        words = dict(Payment.Status.choices)
        return status(
            words.get(step.to_status, step.to_status), PAYMENT_TONES.get(step.to_status, "")
        )


class RefundInline(ReadOnlyInline):
    model = Refund
    verbose_name_plural = _("refunds")
    fields = ["created_at", "amount_money", "state", "reason", "provider_id", "failure"]
    amount_money = amount("amount", _("amount"))

    @display(description=_("status"))
    def state(self, refund: Refund) -> str:
        return status(refund.get_status_display(), REFUND_TONES[refund.status])


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """What was collected. Money moves by orders and their refunds; here one can only ask the provider again."""

    company_path = "order__company_id"
    list_display = [
        "created_at", "order_link", "state", "amount_money", "captured_money", "refunded_money", "provider", "trouble",
    ]  # fmt: skip
    list_display_links = ["created_at"]
    list_filter = ["status", "provider", "is_disputed", "currency", "created_at"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email", "=provider_id"]
    search_help_text = _("order number, e-mail address, or the provider's id")
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    # Neither the client secret nor the key a charge is made with: whoever reads them could act as the customer.
    fields = [
        "order_link", "state", "amount_money", "captured_money", "refunded_money", "provider", "method", "provider_id",
        "failure", "trouble", "capture_before", "created_at", "updated_at",
    ]  # fmt: skip
    inlines = [StepInline, RefundInline]
    actions = ["ask_provider"]
    amount_money = amount("amount", _("amount"))
    captured_money = amount("captured_amount", _("captured"))
    refunded_money = amount("refunded_amount", _("refunded"))

    @display(description=_("order"), ordering="order__number")
    def order_link(self, payment: Payment) -> str:
        return link("orders_order", payment.order_id, payment.order.number)

    @display(description=_("status"), ordering="status")
    def state(self, payment: Payment) -> str:
        return status(payment.get_status_display(), PAYMENT_TONES[payment.status])

    @display(description=_("trouble"), ordering="is_disputed")
    def trouble(self, payment: Payment) -> str:
        if payment.is_disputed:
            return status(_("disputed"), "danger")
        return status(payment.failure, "warning") if payment.failure else NOTHING

    @admin.action(description=_("Ask the provider where it stands"), permissions=["step"])
    def ask_provider(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        now = timezone.now()
        attempt_each(
            request,
            queryset,
            lambda payment: services.settle(payment_id=payment.pk, now=now),
            done=ngettext_lazy(
                "%(count)d payment agrees with its provider.",
                "%(count)d payments agree with their provider.",
                "count",
            ),
        )


@admin.register(WebhookInbox)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "provider", "type", "state", "attempts", "outcome", "object_id"]
    list_filter = [
        "provider",
        "type",
        ("dead_at", admin.EmptyFieldListFilter),
        ("processed_at", admin.EmptyFieldListFilter),
        "received_at",
    ]
    search_fields = ["=event_id", "=object_id", "type"]
    search_help_text = _("type, or the provider's id of an event or a payment")
    ordering = ["-received_at"]
    date_hierarchy = "received_at"
    show_full_result_count = False
    actions = ["process_again"]
    fields = [
        "provider", "type", "state", "outcome", "event_id", "object_id", "received_at", "processed_at", "attempts",
        "next_attempt_at", "content",
    ]  # fmt: skip

    @display(description=_("state"))
    def state(self, row: WebhookInbox) -> str:
        if row.dead_at is not None:
            return status(_("given up"), "danger")
        if row.processed_at is not None:
            return status(_("done"), "success")
        return status(_("waiting"), "warning")

    @display(description=_("content"))
    def content(self, row: WebhookInbox) -> str:
        return as_json(row.payload)

    @admin.action(description=_("Process again"), permissions=["step"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[WebhookInbox]) -> None:
        now = timezone.now()

        def run(row: WebhookInbox) -> None:
            services.reprocess_webhook(webhook_id=row.pk, now=now)
            services.process_webhook(webhook_id=row.pk, now=now)

        attempt_each(
            request,
            queryset,
            run,
            done=ngettext_lazy(
                "%(count)d provider event was processed again.",
                "%(count)d provider events were processed again.",
                "count",
            ),
        )
