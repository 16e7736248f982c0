"""Carts for staff: every cart with what happened to it, the queue of abandoned ones, and the knobs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display

from cart import selectors, services, tokens
from cart.models import AbandonedCart, Cart, CartEvent, CartPolicy, RecoveryAttempt
from cart.services.knobs import KNOBS
from config.platform.actor import Actor
from config.platform.backoffice import (
    NOTHING,
    OfficeAdmin,
    ReadOnlyAdmin,
    attempt,
    attempt_each,
    link,
    people,
    status,
)
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.ids import as_uuid
from config.platform.models import User
from pricing.backoffice import amount
from pricing.templatetags.money import money_text

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


TONES = {
    "ACTIVE": "info",
    "ABANDONED": "warning",
    "CONVERTED": "success",
    "EXPIRED": "danger",
}
HAPPENED = {
    "cart.created": gettext_lazy("begun"),
    "cart.updated": gettext_lazy("changed"),
    "cart.held": gettext_lazy("held"),
    "cart.holds_taken": gettext_lazy("held"),
    "cart.item_added": gettext_lazy("added"),
    "cart.item_updated": gettext_lazy("changed"),
    "cart.item_removed": gettext_lazy("removed"),
    "cart.item_saved": gettext_lazy("moved to another list"),
    "cart.items_changed": gettext_lazy("several lines changed"),
    "cart.cleared": gettext_lazy("emptied"),
    "cart.discounts_changed": gettext_lazy("codes changed"),
    "cart.merged": gettext_lazy("merged at sign-in"),
    "cart.next_purchase_activated": gettext_lazy("next purchase moved in"),
    "cart.abandoned": gettext_lazy("left behind"),
    "cart.expired": gettext_lazy("expired"),
    "cart.recovered": gettext_lazy("brought back"),
    "cart.recovery_due": gettext_lazy("reminder due"),
    "cart.recovery_sent": gettext_lazy("reminder sent"),
    "cart.checkout_started": gettext_lazy("checkout begun"),
    "cart.converted": gettext_lazy("bought"),
}


class CartAdminBase(ReadOnlyAdmin):
    company_path = "company_id"
    search_fields = ["id", "email"]
    search_help_text = gettext_lazy("e-mail address, cart id, or SKU")
    ordering = ["-last_activity_at"]
    show_full_result_count = False
    actions = ["send_recovery", "dismiss"]
    change_form_outer_before_template = "cart/admin/detail.html"
    fields = ["short_id", "order_link", "created_at", "last_activity_at", "abandoned_at", "recovered_at", "expires_at"]  # fmt: skip
    value_money = amount("grand_total", gettext_lazy("value"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        owner = User.objects.filter(id=OuterRef("user_id"))
        return (
            super().get_queryset(request).annotate(owner_email=Subquery(owner.values("email")[:1]))
        )

    @display(description=gettext_lazy("cart"), ordering="id")
    def short_id(self, cart: Cart) -> str:
        return f"…{str(cart.id)[-8:]}"

    @display(description=gettext_lazy("order"))
    def order_link(self, cart: Cart) -> str:
        return link("orders_order", cart.order_id, _("its order")) if cart.order_id else NOTHING

    @display(description=gettext_lazy("lines"), ordering="item_count")
    def line_count(self, cart: Cart) -> int:
        return cart.item_count

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Cart], search_term: str
    ) -> tuple[QuerySet[Cart], bool]:
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        wanted = Q(owner_email__icontains=term) | Q(email__icontains=term)
        wanted |= Q(lines__variant__sku__iexact=term)
        if cart_id := as_uuid(term):
            wanted |= Q(id=cart_id)
        return queryset.filter(wanted).distinct(), False

    @display(description=gettext_lazy("owner"), ordering="owner_email")
    def owner(self, cart: Any) -> str:
        return cart.owner_email or cart.email or _("guest")

    @display(description=gettext_lazy("status"), ordering="status")
    def state(self, cart: Cart) -> str:
        return status(cart.get_status_display(), TONES.get(cart.status, ""))

    # --- what staff may do ---

    @admin.action(description=gettext_lazy("Send recovery mail"), permissions=["step"])
    def send_recovery(self, request: HttpRequest, queryset: QuerySet[Cart]) -> None:
        actor = actor_of(request)
        attempt_each(
            request,
            queryset,
            lambda cart: services.send_recovery(actor=actor, cart_id=cart.id, now=timezone.now()),
            done=ngettext_lazy(
                "%(count)d reminder is on its way.",
                "%(count)d reminders are on their way.",
                "count",
            ),
        )

    @admin.action(description=gettext_lazy("Dismiss"), permissions=["step"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Cart]) -> None:
        count = services.dismiss(
            actor=actor_of(request),
            cart_ids=list(queryset.values_list("id", flat=True)),
            now=timezone.now(),
        )
        if count:
            text = ngettext(
                "%(count)d cart is out of the queue.",
                "%(count)d carts are out of the queue.",
                count,
            )
            messages.success(request, text % {"count": count})
        else:
            messages.warning(request, _("None of these carts is in the queue."))

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        own = path(
            "<uuid:cart_id>/act/", self.admin_site.admin_view(require_POST(self.act)), name=name
        )
        return [own, *super().get_urls()]

    def act(self, request: HttpRequest, cart_id: UUID) -> HttpResponse:
        """Do one thing to one cart, as the buttons of its page ask."""
        if not self.has_step_permission(request):
            raise PermissionDenied
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
            if services.dismiss(actor=actor, cart_ids=[cart_id], now=now):
                messages.success(request, _("This cart is out of the queue."))
            else:
                messages.warning(request, _("This cart is not in the queue."))
        elif verb in {"quantity", "remove"}:
            self._edit(request, actor, cart_id, verb)
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[cart_id])
        )

    def _edit(self, request: HttpRequest, actor: Actor, cart_id: UUID, verb: str) -> None:
        try:
            line_id = UUID(request.POST.get("line", ""))
            quantity = int(request.POST.get("quantity", "1"))
        except ValueError:
            messages.error(request, _("A quantity is a whole number."))
            return
        now = timezone.now()
        attempt(
            request,
            lambda: services.edit_for_customer(
                actor=actor,
                cart_id=cart_id,
                line_id=line_id,
                quantity=None if verb == "remove" else quantity,
                now=now,
            ),
            done=_("Removed.") if verb == "remove" else _("Changed."),
        )

    # --- the page of one cart ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = dict(extra_context or {})
        try:
            if self.has_view_permission(request):
                context |= self._detail(request, UUID(object_id))
        except (ValueError, ApplicationError):
            pass  # Django says itself that there is no such cart
        return super().change_view(request, object_id, form_url, context)

    def _detail(self, request: HttpRequest, cart_id: UUID) -> dict[str, Any]:
        actor, now = actor_of(request), timezone.now()
        view = selectors.view(actor=actor, cart_id=cart_id, now=now)

        def money(amount: Decimal | None) -> str:
            return NOTHING if amount is None else money_text(amount, view.currency)

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
        events = list(
            CartEvent.objects.filter(cart_id=cart_id).order_by("-version", "-id")[:SHOWN_EVENTS]
        )
        names = people([*(event.actor for event in events), *(found.sent_by for found in attempts)])
        may_act = self.has_step_permission(request)
        return {
            "cart": view,
            "cart_state": status(Cart.Status(view.status).label, TONES.get(view.status, "")),
            "cart_owner": self._owner_of(cart_id),
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
                (_("Total"), money(totals.grand_total)),
            ],
            "cart_events": [
                {
                    "event": event,
                    "what": HAPPENED.get(
                        event.event, event.event.removeprefix("cart.").replace("_", " ")
                    ),
                    "by": names[event.actor],
                }
                for event in events
            ],
            "cart_attempts": [{"attempt": found, "by": names[found.sent_by]} for found in attempts],
            "recovery_link": link,
            "is_open": may_act and view.status in Cart.OPEN,
            "is_abandoned": may_act and view.status == Cart.Status.ABANDONED,
            "act_url": reverse(
                f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=[cart_id]
            ),
        }

    def _owner_of(self, cart_id: UUID) -> str:
        user_id, email = Cart.objects.values_list("user_id", "email").get(id=cart_id)
        found = User.objects.filter(id=user_id).values_list("email", flat=True).first()
        return found or email or _("a guest without an address")


@admin.register(Cart)
class CartAdmin(CartAdminBase):
    """Every cart of the company."""

    list_display = ["owner", "state", "line_count", "value_money", "last_activity_at", "created_at", "order_link"]  # fmt: skip
    list_filter = ["status", OwnerFilter, ValueFilter, "currency", "last_activity_at", "created_at"]
    date_hierarchy = "created_at"


@admin.register(AbandonedCart)
class AbandonedCartAdmin(CartAdminBase):
    """The recovery queue: who left what behind, what was sent, and what came of it."""

    list_display = [
        "owner", "value_money", "line_count", "abandoned_at", "mail_count", "last_mail", "clicked", "next_mail",
    ]  # fmt: skip
    list_filter = [OwnerFilter, ValueFilter, "currency", "notifications_sent", "abandoned_at"]
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

    @display(description=gettext_lazy("mails"), ordering="mails")
    def mail_count(self, cart: Any) -> int:
        return cart.mails

    @display(description=gettext_lazy("last mail"), ordering="mailed_at", empty_value=NOTHING)
    def last_mail(self, cart: Any) -> Any:
        return cart.mailed_at

    @display(description=gettext_lazy("clicked"), ordering="was_clicked")
    def clicked(self, cart: Any) -> str:
        return status(_("yes"), "success") if cart.was_clicked else NOTHING

    @display(
        description=gettext_lazy("next mail"), ordering="next_notification_at", empty_value=NOTHING
    )
    def next_mail(self, cart: Any) -> Any:
        return cart.next_notification_at

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        company = selectors.currency_of(company_id=actor_of(request).company_id)
        metrics = selectors.abandoned_metrics(
            company_id=actor_of(request).company_id, now=timezone.now()
        )

        def money(amount: Decimal) -> str:
            return money_text(amount, company)

        cards = [
            (_("Abandoned carts"), str(metrics.abandoned_count), money(metrics.abandoned_value)),
            (_("Reminders, 30 days"), str(metrics.mails_sent), ""),
            (_("Clicks"), str(metrics.clicks), f"{metrics.click_rate:.0%}"),
            (_("Recovered"), str(metrics.recovered_count), f"{metrics.recovery_rate:.0%}"),
            (
                _("Recovered value"),
                money(metrics.recovered_value),
                ngettext("%(count)d order", "%(count)d orders", metrics.orders)
                % {"count": metrics.orders},
            ),
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
class CartPolicyAdmin(OfficeAdmin):
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

    company_path = "company_id"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the one row there is, or to the form that makes it from the defaults."""
        policy = self.get_queryset(request).first()
        if policy is not None and self.has_view_permission(request):
            return HttpResponseRedirect(reverse("admin:cart_cartpolicy_change", args=[policy.pk]))
        if policy is None and self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:cart_cartpolicy_add"))
        return super().changelist_view(request, extra_context)

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
