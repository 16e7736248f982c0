"""The desk where all orders lie, and the steps that staff take with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from config.platform.backoffice import NOTHING, OfficeAdmin, attempt, attempt_each, one, status
from config.platform.http import actor_of
from orders import deskpages, selectors, services
from orders.admin.acting import act
from orders.admin.addresses import addresses_page
from orders.admin.bench import PAYMENT_TONES, bench_of
from orders.admin.edits import edit_page
from orders.admin.forms import ReasonForm, RefundForm, ShipForm
from orders.admin.parcels import chosen_page, parcels_page
from orders.models import Order, RefundRequest
from orders.selectors.reports import export_lines
from orders.selectors.timeline import STATUS_TONES
from orders.taxpages import report_page
from pricing.backoffice import amount

STEPS = {
    Order.Status.DRAFT: ["cancel_order"],
    Order.Status.CONFIRMED: ["pack_order", "ship_order", "refund_order", "cancel_order"],
    Order.Status.PROCESSING: ["ship_order", "refund_order", "cancel_order"],
    Order.Status.SHIPPED: ["deliver_order", "refund_order"],
    Order.Status.DELIVERED: ["refund_order"],
}


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
    actions = ["start_packing", "ship_tracked", "ship_all", "mark_delivered", "as_file"]
    actions_detail = [
        "approve_order",
        "reject_order",
        "pack_order",
        "ship_order",
        "deliver_order",
        "retry_refunds",
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
            at("parcels/", parcels_page, "parcels"),
            at("<uuid:object_id>/edit/", edit_page, "edit"),
            at("<uuid:object_id>/addresses/", addresses_page, "addresses"),
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
        bench = {}
        if order is not None:
            bench = {
                "bench": {**bench_of(request, order), "may_edit": self.has_step_permission(request)}
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **bench})

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
        if order is not None and _failed_refunds(order).exists():
            names = [*names, "retry_refunds"]
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
        description=_("Try the refund again"),
        url_path="retry-refunds",
        permissions=["step"],
        icon="replay",
    )
    def retry_refunds(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def run(actor: Any, order: Order, values: dict[str, Any]) -> None:
            for request_id in _failed_refunds(order).values_list("pk", flat=True):
                services.retry_refund(actor=actor, request_id=request_id, now=timezone.now())

        return self._act(
            request,
            object_id,
            lambda data, order: forms.Form(data),
            run,
            verb=_("Try the refund again"),
            explanation=_(
                "What could not be sent back is tried once more, by a new order to the provider. It is never sent twice."
            ),
            done=_("The refund of %(number)s is due again."),
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

    @admin.action(description=_("Ship with tracking numbers"), permissions=["step"])
    def ship_tracked(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse:
        return chosen_page(self, request, queryset)

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
        return act(
            self,
            request,
            order,
            order=order,
            make_form=lambda data: make_form(data, order),
            run=lambda values: run(actor_of(request), order, values),
            state=status(order.get_status_display(), STATUS_TONES[order.status]),
            title=order.number,
            verb=verb,
            explanation=explanation,
            done=str(done % {"number": order.number}),
        )


def _failed_refunds(order: Order) -> QuerySet[RefundRequest]:
    """Return the refunds that failed and can be tried again: nothing goes back of what was never taken."""
    failed = RefundRequest.objects.filter(order=order, status=RefundRequest.Status.FAILED)
    return failed if order.payment_status in services.PAID else failed.none()
