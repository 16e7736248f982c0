"""Carts for staff: every cart with what happened to it, the queue of abandoned ones, and the knobs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display

from cart import selectors, services, tokens
from cart.models import AbandonedCart, Cart, CartEvent, CartPolicy, RecoveryAttempt
from cart.services.knobs import KNOBS
from config.platform.actor import Actor
from config.platform.backoffice import ReadOnlyAdmin, attempt, attempt_each
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.models import User
from pricing.money import format_amount

SHOWN_EVENTS = 50
LISTS = {
    "active": gettext_lazy("Cart"),
    "next": gettext_lazy("Next purchase"),
    "saved": gettext_lazy("Saved"),
}


class OwnerFilter(admin.SimpleListFilter):
    title = gettext_lazy("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("guest", _("guest")), ("user", _("account"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Cart]) -> QuerySet[Cart]:
        if self.value() in {"guest", "user"}:
            return queryset.filter(user_id__isnull=self.value() == "guest")
        return queryset


class ValueFilter(admin.SimpleListFilter):
    title = gettext_lazy("value")
    parameter_name = "value"
    bands = {"0": (0, 0), "1-50": (0, 50), "50-200": (50, 200), "200-": (200, None)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("0", _("empty")),
            ("1-50", _("up to 50")),
            ("50-200", _("50 to 200")),
            ("200-", _("200 and more")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Cart]) -> QuerySet[Cart]:
        band = self.bands.get(self.value() or "")
        if band is None:
            return queryset
        low, high = band
        if high == 0:
            return queryset.filter(grand_total=0)
        found = queryset.filter(grand_total__gt=0, grand_total__gte=low)
        return found if high is None else found.filter(grand_total__lt=high)


class CartAdminBase(ReadOnlyAdmin):
    search_fields = ["id", "email"]
    search_help_text = gettext_lazy("e-mail address, cart id, or SKU")
    ordering = ["-last_activity_at"]
    list_per_page = 50
    actions = ["send_recovery", "dismiss"]
    change_form_outer_before_template = "cart/admin/detail.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        company_id = actor_of(request).company_id
        owner = User.objects.filter(id=OuterRef("user_id"))
        return (
            super()
            .get_queryset(request)
            .filter(company_id=company_id)
            .annotate(owner_email=Subquery(owner.values("email")[:1]))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Cart], search_term: str
    ) -> tuple[QuerySet[Cart], bool]:
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        wanted = Q(owner_email__icontains=term) | Q(email__icontains=term)
        wanted |= Q(lines__variant__sku__iexact=term)
        try:
            wanted |= Q(id=UUID(term))
        except ValueError:
            pass
        return queryset.filter(wanted).distinct(), False

    @display(description=gettext_lazy("owner"), ordering="owner_email")
    def owner(self, cart: Any) -> str:
        return cart.owner_email or cart.email or _("guest")

    @display(description=gettext_lazy("value"), ordering="grand_total")
    def value(self, cart: Cart) -> str:
        return f"{format_amount(cart.grand_total, cart.currency)} {cart.currency}"

    @display(
        description=gettext_lazy("status"),
        ordering="status",
        label={
            "ACTIVE": "info",
            "ABANDONED": "warning",
            "CONVERTED": "success",
            "EXPIRED": "danger",
        },
    )
    def state(self, cart: Cart) -> tuple[str, str]:
        return cart.status, cart.get_status_display()

    # --- what staff may do ---

    @admin.action(description=gettext_lazy("Send recovery mail"), permissions=["view"])
    def send_recovery(self, request: HttpRequest, queryset: QuerySet[Cart]) -> None:
        actor = actor_of(request)
        attempt_each(
            request,
            queryset,
            lambda cart: services.send_recovery(actor=actor, cart_id=cart.id, now=timezone.now()),
            done=_("{count} reminders are on their way."),
        )

    @admin.action(description=gettext_lazy("Dismiss"), permissions=["view"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Cart]) -> None:
        count = services.dismiss(
            actor=actor_of(request),
            cart_ids=list(queryset.values_list("id", flat=True)),
            now=timezone.now(),
        )
        messages.success(request, _("%(count)d carts are out of the queue.") % {"count": count})

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        own = path(
            "<uuid:cart_id>/act/", self.admin_site.admin_view(require_POST(self.act)), name=name
        )
        return [own, *super().get_urls()]

    def act(self, request: HttpRequest, cart_id: UUID) -> HttpResponse:
        """Do one thing to one cart, as the buttons of its page ask."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        actor, now = actor_of(request), timezone.now()
        verb = request.POST.get("verb", "")
        if verb == "send":
            done = _("The reminder is on its way.")
            attempt(
                request,
                lambda: services.send_recovery(actor=actor, cart_id=cart_id, now=now),
                done=done,
            )
        elif verb == "dismiss":
            services.dismiss(actor=actor, cart_ids=[cart_id], now=now)
            messages.success(request, _("This cart is out of the queue."))
        elif verb in {"quantity", "remove"}:
            attempt(request, lambda: self._edit(request, actor, cart_id, verb), done=_("Changed."))
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[cart_id])
        )

    def _edit(self, request: HttpRequest, actor: Actor, cart_id: UUID, verb: str) -> None:
        try:
            line_id = UUID(request.POST.get("line", ""))
            quantity = int(request.POST.get("quantity", "1"))
        except ValueError:
            return
        services.edit_for_customer(
            actor=actor,
            cart_id=cart_id,
            line_id=line_id,
            quantity=None if verb == "remove" else quantity,
            now=timezone.now(),
        )

    # --- the page of one cart ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = dict(extra_context or {})
        try:
            context |= self._detail(request, UUID(object_id))
        except (ValueError, ApplicationError):
            pass  # Django says itself that there is no such cart
        return super().change_view(request, object_id, form_url, context)

    def _detail(self, request: HttpRequest, cart_id: UUID) -> dict[str, Any]:
        actor, now = actor_of(request), timezone.now()
        view = selectors.view(actor=actor, cart_id=cart_id, now=now)

        def money(amount: Decimal | None) -> str:
            return "–" if amount is None else format_amount(amount, view.currency)

        attempts = list(
            RecoveryAttempt.objects.filter(cart_id=cart_id).order_by("-created_at", "-id")
        )
        usable = [found for found in attempts if found.used_at is None and found.expires_at > now]
        link = ""
        if usable and view.status == Cart.Status.ABANDONED:
            newest = usable[0]
            token = tokens.sign(
                cart_id=cart_id,
                attempt_id=newest.id,
                expires_at=newest.expires_at,
                cycle=newest.cycle,
            )
            link = f"{settings.STOREFRONT_URL}/cart/recover/{token}/"
        totals = view.totals
        return {
            "cart": view,
            "cart_lines": [
                {
                    "id": line.id,
                    "list": LISTS[line.list],
                    "name": line.name,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_price": money(line.unit_price),
                    "added_at_price": money(line.price_when_added),
                    "price_changed": line.price_changed,
                    "total": money(line.total),
                    "hold": line.hold,
                    "note": line.note,
                    "problems": [problem.message for problem in line.problems],
                }
                for line in view.lines
            ],
            "cart_totals": [
                (_("Subtotal"), money(totals.subtotal)),
                (_("Discount"), money(-totals.discount_total)),
                (_("Shipping"), money(totals.shipping_total)),
                (_("Tax"), money(totals.tax_total)),
                (_("Total"), f"{money(totals.grand_total)} {view.currency}"),
            ],
            "cart_events": CartEvent.objects.filter(cart_id=cart_id).order_by("-version", "-id")[
                :SHOWN_EVENTS
            ],
            "cart_attempts": attempts,
            "recovery_link": link,
            "is_open": view.status in Cart.OPEN,
            "is_abandoned": view.status == Cart.Status.ABANDONED,
            "act_url": reverse(
                f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=[cart_id]
            ),
        }


@admin.register(Cart)
class CartAdmin(CartAdminBase):
    """Every cart of the company."""

    list_display = [
        "short_id", "owner", "state", "item_count", "value", "last_activity_at", "created_at",
    ]  # fmt: skip
    list_filter = ["status", OwnerFilter, ValueFilter, "currency", "last_activity_at", "created_at"]
    date_hierarchy = "created_at"

    @display(description=gettext_lazy("cart"), ordering="id")
    def short_id(self, cart: Cart) -> str:
        return f"…{str(cart.id)[-8:]}"


@admin.register(AbandonedCart)
class AbandonedCartAdmin(CartAdminBase):
    """The recovery queue: who left what behind, what was sent, and what came of it."""

    list_display = [
        "owner", "value", "item_count", "abandoned_at", "notifications_sent", "last_mail", "clicked", "next_notification_at",
    ]  # fmt: skip
    list_filter = [OwnerFilter, ValueFilter, "notifications_sent", "abandoned_at"]
    ordering = ["-grand_total"]
    list_before_template = "cart/admin/queue.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        clicks = RecoveryAttempt.objects.filter(cart=OuterRef("pk"), clicked_at__isnull=False)
        queue = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and (match.url_name or "").endswith("_changelist"):
            queue = queue.filter(status=Cart.Status.ABANDONED, dismissed_at=None)
        return queue.annotate(
            mailed_at=Max("recovery_attempts__created_at"),
            mails=Count("recovery_attempts"),
            was_clicked=Exists(clicks),
        )

    @display(description=gettext_lazy("last mail"), ordering="mailed_at")
    def last_mail(self, cart: Any) -> Any:
        return cart.mailed_at

    @display(description=gettext_lazy("clicked"), boolean=True, ordering="was_clicked")
    def clicked(self, cart: Any) -> bool:
        return cart.was_clicked

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        company = selectors.currency_of(company_id=actor_of(request).company_id)
        metrics = selectors.abandoned_metrics(
            company_id=actor_of(request).company_id, now=timezone.now()
        )

        def money(amount: Decimal) -> str:
            return f"{format_amount(amount, company)} {company}"

        cards = [
            (_("Abandoned carts"), str(metrics.abandoned_count), money(metrics.abandoned_value)),
            (_("Reminders, 30 days"), str(metrics.mails_sent), ""),
            (_("Clicks"), str(metrics.clicks), f"{metrics.click_rate:.0%}"),
            (_("Recovered"), str(metrics.recovered_count), f"{metrics.recovery_rate:.0%}"),
            (_("Recovered value"), money(metrics.recovered_value), _("%d orders") % metrics.orders),
        ]
        return super().changelist_view(request, {**(extra_context or {}), "metric_cards": cards})


class PolicyForm(forms.ModelForm):
    class Meta:
        model = CartPolicy
        exclude = ["company"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for column, check in KNOBS.values():
            value = values.get(column)
            try:
                check(str(value) if isinstance(value, Decimal) else value)
            except ValueError as refused:
                if column not in self.errors:
                    self.add_error(column, str(refused))
        if (values.get("hold_max_minutes") or 0) < (values.get("hold_minutes") or 0):
            self.add_error("hold_max_minutes", _("A hold cannot end before its first period does."))
        return values


@admin.register(CartPolicy)
class CartPolicyAdmin(ModelAdmin):
    """The knobs: what is saved here counts with the next request anywhere, and is audited."""

    form = PolicyForm
    list_display = ["company", "merge_policy", "hold_start", "hold_minutes", "cart_expiration_days"]
    fieldsets = [
        (
            gettext_lazy("Holds"),
            {
                "fields": [
                    "hold_start", "hold_minutes", "hold_max_minutes", "max_held_units_per_customer",
                    "max_held_units_per_address",
                ]
            },
        ),
        (
            gettext_lazy("Carts"),
            {
                "fields": [
                    "max_cart_items_per_user", "cart_expiration_days", "guest_cart_merge_enabled", "merge_policy",
                    "auto_activate_next_purchase_enabled", "real_time_stock_validation_enabled",
                    "real_time_price_validation_enabled",
                ]
            },
        ),
        (
            gettext_lazy("Abandoned carts"),
            {
                "fields": [
                    "abandonment_threshold_minutes", "abandonment_email_enabled", "abandonment_sms_enabled",
                    "max_abandonment_notifications", "abandonment_notification_interval_hours",
                    "minimum_order_value_for_abandonment", "abandonment_move_to_next_purchase_days",
                ]
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CartPolicy]:
        return super().get_queryset(request).filter(company_id=actor_of(request).company_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not self.get_queryset(request).exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        actor = actor_of(request)
        obj.company_id = actor.company_id
        names = {column: name for name, (column, _check) in KNOBS.items()}
        columns = form.changed_data if change else form.cleaned_data.keys()
        changes = {
            names[column]: str(value) if isinstance(value, Decimal) else value
            for column in columns
            if column in names
            for value in [form.cleaned_data[column]]
        }
        services.set_policy(actor=actor, changes=changes, now=timezone.now())
