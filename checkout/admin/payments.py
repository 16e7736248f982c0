"""Checkouts, payments and webhooks for staff: everything visible, nothing editable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from checkout import selectors, services
from checkout.models import (
    Checkout,
    OutsideRefund,
    Payment,
    PaymentStatusChange,
    Refund,
    WebhookInbox,
)
from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ReadOnlyInline,
    as_json,
    attempt,
    attempt_each,
    link,
    one,
    status,
)
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from pricing.backoffice import amount, cash

Event = apps.get_model("djstripe", "Event")

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
DISPUTE_WORDS = {
    "needs_response": _("disputed: answer it"),
    "under_review": _("dispute under review"),
    "won": _("dispute won"),
    "lost": _("dispute lost"),
    "warning_closed": _("inquiry closed"),
}
DISPUTE_TONES = {"won": "success", "warning_closed": "success", "under_review": "warning"}
MOST_HEARD = 50
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


class OutsideInline(ReadOnlyInline):
    model = OutsideRefund
    fields = ["paid_on_date", "amount_money", "means", "reference", "reason"]
    amount_money = amount("amount", _("amount"))


class WorkFilter(admin.SimpleListFilter):
    """What somebody has to do about payments."""

    title = _("work")
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("collect", _("collect within two days")),
            ("evidence", _("answer a dispute")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "collect":
                return queryset.filter(
                    status=Payment.Status.AUTHORIZED,
                    capture_before__lte=timezone.now() + selectors.COLLECT_WITHIN,
                )
            case "evidence":
                return queryset.filter(
                    is_disputed=True, evidence_due_at__gte=timezone.now()
                ).exclude(dispute_status__in=DISPUTE_WORDS.keys() - {"needs_response"})
        return queryset


class CollectForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount"), max_digits=15, decimal_places=3, widget=UnfoldAdminTextInputWidget()
    )


class GiveBackForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount"), max_digits=15, decimal_places=3, widget=UnfoldAdminTextInputWidget()
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget())

    def __init__(self, *args: Any, left: Decimal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left = left

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if not 0 < amount <= self.left:
            raise forms.ValidationError(_("More than nothing, and no more than is left."))
        return amount


def _time(moment: datetime | None) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else NOTHING


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """What was collected, with its history on both sides. Nothing is edited: money moves by collecting and refunding."""

    company_path = "order__company_id"
    list_display = [
        "created_at", "order_link", "state", "amount_money", "captured_money", "refunded_money", "provider", "trouble",
    ]  # fmt: skip
    list_display_links = ["created_at"]
    list_filter = [WorkFilter, "status", "provider", "is_disputed", "currency", "created_at"]
    list_select_related = ["order"]
    search_fields = ["order__number", "order__email", "=provider_id"]
    search_help_text = _("order number, e-mail address, or the provider's id")
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    # Neither the client secret nor the key a charge is made with: whoever reads them could act as the customer.
    fields = [
        "order_link", "state", "amount_money", "captured_money", "refunded_money", "outside_money", "provider", "method", "provider_id",
        "failure", "goes_back", "trouble", "dispute_reason", "evidence_due_at", "collect_by", "created_at", "updated_at", "heard",
    ]  # fmt: skip
    inlines = [StepInline, RefundInline, OutsideInline]
    actions = ["ask_provider"]
    actions_detail = ["collect", "give_back", "ask_again"]
    amount_money = amount("amount", _("amount"))
    captured_money = amount("captured_amount", _("captured"))
    refunded_money = amount("refunded_amount", _("refunded"))
    outside_money = amount("outside_amount", _("paid back by other means"))

    @display(description=_("order"), ordering="order__number")
    def order_link(self, payment: Payment) -> str:
        return link("orders_order", payment.order_id, payment.order.number)

    @display(description=_("status"), ordering="status")
    def state(self, payment: Payment) -> str:
        return status(payment.get_status_display(), PAYMENT_TONES[payment.status])

    @display(description=_("trouble"), ordering="is_disputed")
    def trouble(self, payment: Payment) -> str:
        if payment.is_disputed:
            words = DISPUTE_WORDS.get(payment.dispute_status, _("disputed"))
            return status(words, DISPUTE_TONES.get(payment.dispute_status, "danger"))
        if payment.status == Payment.Status.AUTHORIZED and payment.capture_before is not None:
            return self.collect_by(payment)
        return status(payment.failure, "warning") if payment.failure else NOTHING

    @display(description=_("collect before"), ordering="capture_before")
    def collect_by(self, payment: Payment) -> str:
        if payment.capture_before is None or payment.status != Payment.Status.AUTHORIZED:
            return NOTHING
        moment = date_format(timezone.localtime(payment.capture_before), "SHORT_DATETIME_FORMAT")
        is_soon = payment.capture_before <= timezone.now() + selectors.COLLECT_WITHIN
        return status(
            _("collect by %(moment)s") % {"moment": moment}, "danger" if is_soon else "info"
        )

    @display(description=_("what the provider told us"))
    def heard(self, payment: Payment) -> str:
        """Return its messages about the payment, each with its own time and ours."""
        rows = list(
            WebhookInbox.objects.filter(
                provider=payment.provider, object_id=payment.provider_id or NOTHING
            ).order_by("received_at", "pk")[:MOST_HEARD]
        )
        if not rows:
            return NOTHING
        made = dict(
            Event.objects.filter(id__in=[row.event_id for row in rows]).values_list("id", "created")
        )
        lines = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>',
            (
                (
                    row.type,
                    _time(made.get(row.event_id)),
                    _time(row.received_at),
                    row.outcome if row.processed_at else status(_("waiting"), "warning"),
                )
                for row in rows
            ),
        )
        return format_html(
            '<div class="office__scroll" tabindex="0"><table class="office__table"><thead><tr><th scope="col">{}</th>'
            '<th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th></tr></thead><tbody>{}</tbody></table></div>',
            _("message"),
            _("sent there"),
            _("received here"),
            _("what became of it"),
            lines,
        )

    # --- steps ---

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        payment = self.get_object(request, str(object_id))
        names = {"ask_again"}
        if payment is not None and payment.status == Payment.Status.AUTHORIZED:
            names.add("collect")
        if payment is not None and services.refundable(payment_id=payment.pk) > 0:
            names.add("give_back")
        offered = super().get_actions_detail(request, object_id)
        return [step for step in offered if step.method.original_function_name in names]

    @action(
        description=_("Collect"),
        url_path="collect",
        permissions=["step"],
        icon="payments",
        variant=ActionVariant.PRIMARY,
    )
    def collect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        payment = one(self, request, object_id)
        return self._act(
            request,
            payment,
            CollectForm(request.POST or None, initial={"amount": payment.amount}),
            lambda values: services.capture(
                actor=actor_of(request), payment_id=payment.pk, now=timezone.now(), **values
            ),
            verb=_("Collect"),
            effect=_(
                "The whole of what the customer's bank has promised is taken now, once. To take less, collect it and"
                " refund the rest."
            ),
            done=_("The money is collected."),
        )

    @action(description=_("Refund"), url_path="refund", permissions=["step"], icon="undo")
    def give_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        payment = one(self, request, object_id)
        left = services.refundable(payment_id=payment.pk)
        return self._act(
            request,
            payment,
            GiveBackForm(request.POST or None, initial={"amount": left}, left=left),
            lambda values: services.refund_payment(
                actor=actor_of(request), payment_id=payment.pk, now=timezone.now(), **values
            ),
            verb=_("Refund"),
            effect=_(
                "Money goes back to the customer for no goods in particular, up to %(left)s. Goods are cancelled or"
                " returned at the order, which refunds them by itself."
            )
            % {"left": cash(left, payment.currency)},
            done=_("The refund was carried out."),
        )

    @action(description=_("Ask the provider"), url_path="ask", permissions=["step"], icon="sync")
    def ask_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        payment = one(self, request, object_id)
        return self._act(
            request,
            payment,
            None,
            lambda values: services.settle(payment_id=payment.pk, now=timezone.now()),
            verb=_("Ask the provider"),
            effect=_(
                "What the provider says now is written down, with everything that follows from it. Nobody is charged."
            ),
            done=_("The payment agrees with its provider."),
        )

    def _act(
        self,
        request: HttpRequest,
        payment: Payment,
        form: forms.Form | None,
        run: Callable[[dict[str, Any]], Any],
        *,
        verb: Any,
        effect: Any,
        done: Any,
    ) -> HttpResponse:
        """Show what a step will do, or take it; pressing twice takes it once."""
        here = reverse("admin:checkout_payment_change", args=[payment.pk])

        @once
        def answer(request: HttpRequest) -> HttpResponse:
            is_sent = request.method == "POST" and (form is None or form.is_valid())
            if is_sent and attempt(
                request, lambda: run(form.cleaned_data if form is not None else {}), done=str(done)
            ):
                return HttpResponseRedirect(here)
            context = {
                **self.admin_site.each_context(request),
                "title": f"{verb} · {payment.order.number}",
                "opts": self.model._meta,
                "verb": verb,
                "effect": effect,
                "form": form,
                "form_key": form_key(),
                "about": [
                    (_("Order"), self.order_link(payment)),
                    (_("Status"), self.state(payment)),
                    (_("Amount"), self.amount_money(payment)),
                    (_("Captured"), self.captured_money(payment)),
                    (_("Refunded"), self.refunded_money(payment)),
                ],
                "back": here,
            }
            return render(request, "checkout/admin/act.html", context)

        response = answer(request)
        assert isinstance(response, HttpResponse)
        return response

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
