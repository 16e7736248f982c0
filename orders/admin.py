"""Orders for staff: sent, delivered and cancelled by the services; figures and histories are for reading."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.backoffice import (
    NOTHING,
    OfficeAdmin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    attempt,
    attempt_each,
    link,
    one,
    people,
    person,
    status,
    two_lines,
)
from config.platform.http import actor_of
from orders import deskpages, selectors, services
from orders.explaining import grounds_of
from orders.models import Order, OrderLine, RefundRequest, ReturnLine, ReturnRequest
from orders.selectors.reports import export_lines
from orders.taxpages import report_page
from pricing import selectors as prices
from pricing.backoffice import amount, cash
from pricing.display import country_name
from pricing.engine import Quote
from pricing.models import PriceDispute, PriceDisputeChange
from pricing.money import quantize
from pricing.templatetags.money import money_text

STATUS_TONES = {
    "draft": "warning",
    "confirmed": "info",
    "processing": "info",
    "shipped": "info",
    "delivered": "success",
    "cancelled": "danger",
    "refunded": "danger",
    "failed": "danger",
}
PAYMENT_TONES = {
    "pending": "warning",
    "authorized": "info",
    "captured": "success",
    "partially_refunded": "warning",
    "refunded": "danger",
    "failed": "danger",
    "cancelled": "danger",
}
REFUND_TONES = {"due": "warning", "done": "success", "failed": "danger"}
RETURN_TONES = {
    "REQUESTED": "warning",
    "APPROVED": "info",
    "REJECTED": "danger",
    "RECEIVED": "info",
    "REFUNDED": "success",
}

# What staff may do next, by the status of an order. Nothing else is offered; the services refuse it anyway.
STEPS = {
    Order.Status.DRAFT: ["cancel_order"],
    Order.Status.CONFIRMED: ["pack_order", "ship_order", "refund_order", "cancel_order"],
    Order.Status.PROCESSING: ["ship_order", "refund_order", "cancel_order"],
    Order.Status.SHIPPED: ["deliver_order", "refund_order"],
    Order.Status.DELIVERED: ["refund_order"],
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

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.units = {f"units-{line.pk}": line for line in lines if line.unsent}
        for name, line in self.units.items():
            self.fields[name] = forms.IntegerField(
                label=f"{line.name} · {line.sku}",
                min_value=0,
                max_value=line.unsent,
                initial=line.unsent,
                help_text=_("%(n)d left to send") % {"n": line.unsent},
                widget=UnfoldAdminIntegerFieldWidget,
            )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        parts = [
            services.Units(line.pk, given.pop(name, None) or 0) for name, line in self.units.items()
        ]
        given["units"] = [part for part in parts if part.quantity]
        if self.units and not given["units"] and not self.errors:  # else the service says why
            raise forms.ValidationError(_("Nothing would be in this parcel."))
        return given


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextareaWidget)


class RefundForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount"),
        max_digits=18,
        decimal_places=3,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, left: Decimal, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        self.fields["amount"].help_text = _("In %(currency)s; %(left)s can go back at most.") % {
            "currency": currency,
            "left": money_text(left, currency),
        }

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if amount <= 0:
            raise forms.ValidationError(_("More than nothing has to go back."))
        if quantize(amount, self.currency) != amount:
            raise forms.ValidationError(_("This currency has no such small coins."))
        return quantize(amount, self.currency)


class WorkFilter(admin.SimpleListFilter):
    """The piles on the desk."""

    title = _("work")
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("send", _("to send")),
            ("under_way", _("on their way")),
            ("review", _("wait for a look")),
            ("attention", _("need attention")),
            ("unpaid", _("waiting for payment")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "send":
                return queryset.filter(status__in=[Order.Status.CONFIRMED, Order.Status.PROCESSING])
            case "under_way":
                return queryset.filter(status=Order.Status.SHIPPED)
            case "review":
                return queryset.filter(review=Order.Review.PENDING)
            case "attention":
                return queryset.exclude(needs_attention="")
            case "unpaid":
                return queryset.filter(status=Order.Status.DRAFT)
        return queryset


@admin.register(Order)
class OrderAdmin(OfficeAdmin):
    """A work bench: what was bought, what is next, what happened, and how the money stands."""

    company_path = "company_id"
    list_display = ["number", "placed_at", "customer", "state", "payment", "total_money", "attention"]  # fmt: skip
    list_filter = [WorkFilter, "status", "payment_status", "is_disputed", "currency", "placed_at"]
    search_fields = ["number", "email", "lines__sku", "shipments__tracking_number"]
    search_help_text = _("order number, e-mail address, SKU or tracking number")
    ordering = ["-placed_at"]
    date_hierarchy = "placed_at"
    show_full_result_count = False
    actions = ["start_packing", "ship_all", "mark_delivered", "as_file"]
    actions_detail = [
        "approve_order",
        "reject_order",
        "pack_order",
        "ship_order",
        "deliver_order",
        "refund_order",
        "cancel_order",
    ]
    change_form_outer_before_template = "orders/admin/bench.html"
    actions_detail_hide_default = True
    fieldsets = [(_("For staff only"), {"fields": ["needs_attention", "staff_notes"]})]
    total_money = amount("grand_total", _("total"))

    def get_urls(self) -> list[Any]:
        def at(address: str, view: Any, name: str) -> Any:
            page = self.admin_site.admin_view(
                lambda request, **kwargs: view(self, request, **kwargs)
            )
            return path(address, page, name=f"orders_order_{name}")

        return [
            at("taxes/", report_page, "taxes"),
            at("picking/", deskpages.picking_page, "picking"),
            at("figures/", deskpages.figures_page, "figures"),
            at("<uuid:object_id>/packing-slip/", deskpages.packing_slip, "packing_slip"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.annotate(ship_to_name=KT("shipping_address__name"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "staff_notes" and field is not None:
            field.widget.attrs["rows"] = 3
        return field

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

    @display(description=_("customer"), ordering="email")
    def customer(self, order: Any) -> str:
        name = order.ship_to_name
        return (
            format_html('<span class="office-two">{}<small>{}</small></span>', name, order.email)
            if name
            else order.email
        )

    @display(description=_("status"), ordering="status")
    def state(self, order: Order) -> str:
        return status(order.get_status_display(), STATUS_TONES[order.status])

    @display(description=_("payment"), ordering="payment_status")
    def payment(self, order: Order) -> str:
        return status(order.get_payment_status_display(), PAYMENT_TONES[order.payment_status])

    @display(description=_("needs attention"), ordering="needs_attention")
    def attention(self, order: Order) -> str:
        if order.is_disputed:
            return status(order.needs_attention or _("disputed"), "danger")
        return status(order.needs_attention, "warning") if order.needs_attention else NOTHING

    # --- the bench ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        order = self.get_object(request, object_id) if self.has_view_permission(request) else None
        bench = {"bench": self._bench(order)} if order is not None else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **bench})

    def _bench(self, order: Any) -> dict[str, Any]:
        lines = list(order.lines.select_related("warehouse"))
        steps = list(selectors.status_history(order_id=order.pk))
        edits = list(selectors.edit_history(order_id=order.pk))
        refunds = list(selectors.refunds_of(order_id=order.pk))
        names = people(
            [*(step.actor for step in steps), *(edit.actor for edit in edits)]
            + [refund.requested_by for refund in refunds]
        )
        words = dict(Order.Status.choices)
        happened = [
            {
                "at": step.at,
                "what": words.get(step.to_status, step.to_status),
                "tone": STATUS_TONES.get(step.to_status, ""),
                "by": names[step.actor],
                "why": step.reason,
            }
            for step in steps
        ] + [
            {
                "at": edit.at,
                "what": _("%(field)s changed") % {"field": edit.field.replace("_", " ")},
                "tone": "",
                "by": names[edit.actor],
                "why": str(edit.new or ""),
            }
            for edit in edits
        ]
        units = sum(line.unsent for line in lines)
        return {
            "order": order,
            "state": status(order.get_status_display(), STATUS_TONES[order.status]),
            "payment": status(
                order.get_payment_status_display(), PAYMENT_TONES[order.payment_status]
            ),
            "next": _next(order, units),
            "lines": [
                {
                    "line": line,
                    "options": ", ".join(str(value) for value in line.options.values()),
                    "gone": [
                        _(text) % {"count": count}
                        for text, count in (
                            ("%(count)d sent", line.shipped_quantity),
                            ("%(count)d cancelled", line.cancelled_quantity),
                            ("%(count)d returned", line.returned_quantity),
                        )
                        if count
                    ],
                }
                for line in lines
            ],
            "explanation": _explanation(order),
            "money": _money(order, asked=services.refundable(order)),
            "happened": sorted(happened, key=lambda step: step["at"])[::-1],  # the newest first
            "shipments": list(order.shipments.all()),
            "refunds": [
                {
                    "refund": refund,
                    "state": status(refund.get_status_display(), REFUND_TONES[refund.status]),
                    "by": names[refund.requested_by],
                }
                for refund in refunds
            ],
            "returns": [
                {
                    "row": found,
                    "state": status(found.get_status_display(), RETURN_TONES[found.status]),
                    "units": sum(line.quantity for line in found.lines.all()),
                }
                for found in selectors.returns_of(order_id=order.pk)
            ],
            "ship_to": _address(order.shipping_address),
            "bill_to": _address(order.billing_address),
        }

    # --- steps ---

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        offered = super().get_actions_detail(request, object_id)
        order = self.get_object(request, str(object_id))
        names = STEPS.get(order.status, []) if order is not None else []
        if order is not None and order.review == Order.Review.PENDING:
            names = ["approve_order", "reject_order"]
        if order is not None and any(line.shipped_quantity for line in order.lines.all()):
            names = [name for name in names if name != "cancel_order"]
        if order is not None and "refund_order" in names and services.refundable(order) <= 0:
            names = [name for name in names if name != "refund_order"]
        return [step for step in offered if step.method.original_function_name in names]

    def has_step_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("orders.change_order"))

    @action(
        description=_("Approve"),
        url_path="approve",
        permissions=["step"],
        icon="verified",
        variant=ActionVariant.PRIMARY,
    )
    def approve_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: forms.Form(data),
            lambda actor, order, values: services.review(
                actor=actor, order_id=order.pk, approve=True, now=timezone.now()
            ),
            verb=_("Approve"),
            explanation=_("It is packed and sent like any other."),
            done=_("%(number)s goes on."),
        )

    @action(description=_("Reject"), url_path="reject", permissions=["step"], icon="block")
    def reject_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: ReasonForm(data),
            lambda actor, order, values: services.review(
                actor=actor, order_id=order.pk, approve=False, now=timezone.now(), **values
            ),
            verb=_("Reject"),
            explanation=_("It is cancelled, and what was paid goes back to the customer."),
            done=_("%(number)s is refused and cancelled."),
        )

    @action(description=_("Start packing"), url_path="pack", permissions=["step"], icon="package_2")
    def pack_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: forms.Form(data),
            lambda actor, order, values: services.process(
                actor=actor, order_id=order.pk, now=timezone.now()
            ),
            verb=_("Start packing"),
            explanation=_("Others see that somebody is at it. The customer hears nothing yet."),
            done=_("%(number)s is being packed."),
        )

    @action(
        description=_("Ship"),
        url_path="ship",
        permissions=["step"],
        icon="local_shipping",
        variant=ActionVariant.PRIMARY,
    )
    def ship_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: ShipForm(data, lines=list(order.lines.all())),
            lambda actor, order, values: services.ship(
                actor=actor, order_id=order.pk, now=timezone.now(), **values
            ),
            verb=_("Ship"),
            explanation=_(
                "What goes out in this parcel; the customer gets a mail. The order is shipped with its last parcel."
            ),
            done=_("%(number)s is on its way."),
        )

    @action(
        description=_("Delivered"),
        url_path="deliver",
        permissions=["step"],
        icon="task_alt",
        variant=ActionVariant.PRIMARY,
    )
    def deliver_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: forms.Form(data),
            lambda actor, order, values: services.deliver(
                actor=actor, order_id=order.pk, now=timezone.now()
            ),
            verb=_("Mark as delivered"),
            explanation=_("From now on the customer may return it for a while."),
            done=_("%(number)s has arrived."),
        )

    @action(description=_("Refund"), url_path="refund", permissions=["step"], icon="undo")
    def refund_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: RefundForm(
                data, left=services.refundable(order), currency=order.currency
            ),
            lambda actor, order, values: services.request_refund(
                actor=actor, order_id=order.pk, now=timezone.now(), **values
            ),
            verb=_("Refund"),
            explanation=_(
                "Money goes back for no goods in particular. What was cancelled or returned is refunded by itself."
            ),
            done=_("The refund of %(number)s is on its way."),
        )

    @action(
        description=_("Cancel"),
        url_path="cancel",
        permissions=["step"],
        icon="cancel",
    )
    def cancel_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda data, order: ReasonForm(data),
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
            done=ngettext_lazy(
                "%(count)d order is being packed.", "%(count)d orders are being packed.", "count"
            ),
        )

    @admin.action(description=_("Ship all that is left, without tracking"), permissions=["step"])
    def ship_all(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda order: services.ship(actor=actor, order_id=order.pk, now=now),
            done=ngettext_lazy(
                "%(count)d order is on its way.", "%(count)d orders are on their way.", "count"
            ),
        )

    @admin.action(description=_("As a file (CSV)"), permissions=["view"])
    def as_file(self, request: HttpRequest, queryset: QuerySet[Order]) -> StreamingHttpResponse:
        chosen = selectors.orders_of(actor=actor_of(request)).filter(
            pk__in=list(queryset.order_by().values_list("pk", flat=True))
        )
        response = StreamingHttpResponse(
            export_lines(chosen), content_type="text/csv; charset=utf-8"
        )
        name = f"orders-{timezone.localdate():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description=_("Mark as delivered"), permissions=["step"])
    def mark_delivered(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda order: services.deliver(actor=actor, order_id=order.pk, now=now),
            done=ngettext_lazy(
                "%(count)d order has arrived.", "%(count)d orders have arrived.", "count"
            ),
        )

    def _act(
        self,
        request: HttpRequest,
        object_id: str,
        make_form: Callable[[Any, Order], forms.Form],
        run: Callable[[Any, Order, dict[str, Any]], Any],
        *,
        verb: Any,
        explanation: Any,
        done: Any,
    ) -> HttpResponse:
        order = one(self, request, object_id)
        actor = actor_of(request)
        here = reverse("admin:orders_order_change", args=[order.pk])
        form = make_form(request.POST if request.method == "POST" else None, order)
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
            "title": f"{verb} · {order.number}",
            "opts": self.model._meta,
            "original": order,
            "order": order,
            "state": status(order.get_status_display(), STATUS_TONES[order.status]),
            "form": form,
            "verb": verb,
            "explanation": explanation,
            "back": here,
        }
        return TemplateResponse(request, "orders/admin/act.html", context)


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


# --- in words -------------------------------------------------------------------------------------


def _next(order: Order, units: int) -> Any:
    """Return in a sentence what an order waits for."""
    if order.review == Order.Review.PENDING:
        return _("Somebody has to look at it before it is packed: %(why)s") % {
            "why": order.review_reason
        }
    match order.status:
        case Order.Status.DRAFT:
            return _("The customer has not paid yet. It is cancelled by itself if that stays so.")
        case Order.Status.CONFIRMED | Order.Status.PROCESSING:
            return ngettext(
                "%(count)d unit has to be packed and sent.",
                "%(count)d units have to be packed and sent.",
                units,
            ) % {"count": units}
        case Order.Status.SHIPPED:
            return _("On its way. Mark it as delivered when it has arrived.")
        case Order.Status.DELIVERED:
            return _("Done. The customer may still return it.")
    return _("Nothing is left to do.")


def _explanation(order: Order) -> dict[str, Any] | None:
    if not order.quote:
        return None
    quote = Quote.from_json(order.quote)
    return {
        "steps": quote.steps,
        "not_applied": quote.not_applied,
        "grounds": grounds_of(order),
        "rules": [
            {
                "label": rule["name"],
                "link": _page_of(kind, rule["id"]),
                "terms": [
                    (_in_words(name), value) for name, value in rule.items() if _tells(name, value)
                ],
            }
            for kind, rule in _rules_of(order)
        ],
        "priced_at": parse_datetime(order.quote.get("basis", {}).get("pricedAt", "")),
    }


def _rules_of(order: Order) -> list[tuple[str, dict[str, Any]]]:
    basis = order.quote.get("basis", {})
    found = [("promotion", rule) for rule in basis.get("promotions", ())]
    found += [("taxrate", rule) for rule in basis.get("taxRates", ())]
    if basis.get("shipping"):
        found.append(("shippingrule", basis["shipping"]))
    return found


def _page_of(kind: str, pk: str) -> str:
    """Return where the rule stands as it is now; it may be gone, or say something else by now."""
    return reverse(f"admin:pricing_{kind}_changelist") + f"?id__exact={pk}"


def _tells(name: str, value: Any) -> bool:
    return name not in {"id", "name", "zone"} and value not in (None, "", "0", [], {}, False)


def _in_words(name: str) -> str:
    """Return a term of a rule for reading: `basePrice` is `base price`."""
    return re.sub(r"(?<=[a-z])([A-Z])", r" \1", name).lower()


def _money(order: Order, *, asked: Decimal) -> list[dict[str, Any]]:
    """Return the sums as they add up: goods and shipping, less discounts, plus what tax comes on top."""
    on_top = order.tax_total - order.included_tax
    rows: list[tuple[Any, Decimal, str]] = [(_("Goods"), order.subtotal, "")]
    if order.discount_total:
        rows.append((_("Discounts"), -order.discount_total, ""))
    rows.append((_("Shipping, %(name)s") % {"name": order.shipping_name} if order.shipping_name else _("Shipping"), order.shipping_total, ""))  # fmt: skip
    if on_top or not order.included_tax:
        rows.append((_("Tax"), on_top, ""))
    rows.append((_("Total"), order.grand_total, "total"))
    if order.included_tax:
        rows.append((_("Tax in the prices"), order.included_tax, "note"))
    if order.refunded_total:
        rows.append((_("Refunded"), -order.refunded_total, ""))
        rows.append((_("Kept"), order.grand_total - order.refunded_total, "total"))
    if asked != order.grand_total - order.refunded_total and asked > 0:
        rows.append((_("Can still go back"), asked, "note"))
    return [
        {"label": label, "amount": money_text(value, order.currency), "kind": kind}
        for label, value, kind in rows
    ]


def _address(address: dict[str, Any] | None) -> list[str]:
    """Return an address as its lines."""
    given = {key: str(value) for key, value in (address or {}).items() if value}
    town = " ".join(given[key] for key in ("city", "state", "postalCode") if key in given)
    country = given.get("country", "")
    lines = [given.get("name"), given.get("line1"), given.get("line2"), town]
    return [
        line for line in [*lines, country and country_name(country), given.get("phone")] if line
    ]


# --- price disputes -------------------------------------------------------------------------------

DISPUTE_TONES = {"OPEN": "warning", "REJECTED": "", "ADJUSTED": "success", "REFUNDED": "success"}


class AnswerForm(forms.Form):
    answer = forms.CharField(
        label=_("Answer"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("The customer reads it."),
    )


class AdjustPriceForm(AnswerForm):
    amount = forms.DecimalField(
        label=_("Goes back"),
        max_digits=15,
        decimal_places=3,
        min_value=Decimal("0.001"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    field_order = ["amount", "answer"]


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
        here = reverse("admin:pricing_pricedispute_change", args=[dispute.pk])
        form = make_form(request.POST if request.method == "POST" else None)
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(
                request,
                lambda: services.decide_dispute(
                    actor=actor_of(request),
                    dispute_id=dispute.pk,
                    status=decision,
                    now=timezone.now(),
                    **form.cleaned_data,
                ),
                done=str(_("The customer is told.")),
            )
        ):
            return HttpResponseRedirect(here)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb} · {dispute}",
            "opts": self.model._meta,
            "original": dispute,
            "order": Order.objects.get(pk=dispute.order_id),
            "state": self.state(dispute),
            "form": form,
            "verb": verb,
            "explanation": explanation,
            "back": here,
        }
        return TemplateResponse(request, "orders/admin/act.html", context)
