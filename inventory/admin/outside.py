"""Outside systems, what they said, and shelves whose counters drifted from their books, for staff."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from unfold.decorators import display

from config.platform.backoffice import (
    NOTHING,
    OfficeAdmin,
    ReadOnlyAdmin,
    as_json,
    attempt_each,
    figure,
    link,
    status,
)
from config.platform.http import actor_of
from inventory import services
from inventory.admin.company import CompanyMixin
from inventory.models import FeedCopy, Source, SourceMessage, StockDrift

FEED_TONES = {"applied": "success", "unchanged": "success", "refused": "danger", "unreachable": "warning"}  # fmt: skip
RESULT_TONES = {"applied": "success", "refused": "danger", "stale": "warning", "unchanged": ""}


@admin.register(Source)
class SourceAdmin(CompanyMixin, OfficeAdmin):
    """Who tells us about stock: by messages they sign, by a feed we fetch."""

    list_display = ["name", "slug", "is_active", "may_post", "waiting", "feed", "feed_good_at"]
    list_select_related = ["warehouse"]
    search_fields = ["name", "slug"]
    ordering = ["name"]
    readonly_fields = [
        "may_post", "feed", "feed_note", "feed_tried_at", "feed_good_at", "feed_due_at", "last_good_copy",
    ]  # fmt: skip
    actions = ["fetch_now"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "warehouse", "is_active"]}),
        (_("Messages"), {"fields": ["may_post"]}),
        (
            _("Feed"),
            {
                "fields": [
                    "feed_url",
                    "feed_format",
                    "feed_minutes",
                    "feed",
                    "feed_note",
                    "feed_tried_at",
                    "feed_good_at",
                    "feed_due_at",
                    "last_good_copy",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        due = SourceMessage.objects.filter(
            source=OuterRef("pk"), processed_at=None, dead_at=None
        ).order_by()
        counted = due.values("source").annotate(n=Count("id")).values("n")
        return super().get_queryset(request).annotate(open_messages=Coalesce(Subquery(counted), 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Secrets and movements name a source by it.
        return [*super().get_readonly_fields(request, obj), *(["slug"] if obj else [])]

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "feed_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its messages are history: switch it off instead

    @display(description=_("may post messages"))
    def may_post(self, source: Source) -> str:
        if source.slug in settings.INVENTORY_WEBHOOK_SECRETS:
            return status(_("yes"), "success")
        return status(_("no secret is set"), "")

    @display(description=_("messages waiting"), ordering="open_messages")
    def waiting(self, source: Any) -> str:
        return figure(source.open_messages)

    @display(description=_("feed"), ordering="feed_state")
    def feed(self, source: Source) -> str:
        if not source.feed_url:
            return NOTHING
        return status(source.get_feed_state_display(), FEED_TONES.get(source.feed_state, ""))

    @display(description=_("last good copy"))
    def last_good_copy(self, source: Source) -> str:
        copy = FeedCopy.objects.filter(source=source).defer("rows").first()
        if copy is None:
            return NOTHING
        return _now("%(rows)d rows, %(zero)d of them 0, fetched %(at)s; %(refused)d refused") % {
            "rows": copy.row_count,
            "zero": copy.zero_count,
            "at": date_format(timezone.localtime(copy.fetched_at), "DATETIME_FORMAT"),
            "refused": len(copy.refused),
        }

    @admin.action(description=_("Fetch the feed within a minute"), permissions=["change"])
    def fetch_now(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        queryset.exclude(feed_url="").update(feed_due_at=timezone.now())
        messages.success(request, _now("The feeds are due now; a worker fetches them."))


@admin.register(SourceMessage)
class SourceMessageAdmin(CompanyMixin, ReadOnlyAdmin):
    """What outside systems said, word for word, and what became of it."""

    list_display = ["received_at", "source", "event_id", "state", "applied", "refused"]
    list_filter = ["source", "received_at"]
    list_select_related = ["source"]
    search_fields = ["=event_id"]
    search_help_text = _("the id of a message")
    ordering = ["-received_at"]
    show_full_result_count = False
    actions = ["apply_again"]
    fields = [
        "source", "event_id", "state", "occurred_at", "received_at", "processed_at", "applied", "refused",
        "what_became_of_it", "said",
    ]  # fmt: skip

    @display(description=_("status"))
    def state(self, message: SourceMessage) -> str:
        if message.dead_at:
            return status(_("given up"), "danger")
        if message.processed_at is None:
            return status(_("waiting"), "info")
        if message.refused:
            return status(_("partly refused"), "warning")
        return status(_("done"), "success")

    @display(description=_("content"))
    def said(self, message: SourceMessage) -> str:
        return as_json(message.payload.get("changes"))

    @display(description=_("results"))
    def what_became_of_it(self, message: SourceMessage) -> str:
        results = [message.results[key] for key in sorted(message.results, key=int)]
        shown = [one for one in results if one["status"] == "refused" or one["code"]] or results
        rows = [
            (
                one["index"] + 1,
                status(_now(one["status"]), RESULT_TONES.get(one["status"], "")),
                " · ".join(part for part in (one["code"], one["field"], one["message"]) if part),
            )
            for one in shown[:50]
        ]
        return format_html_join("", "<div>{}. {} {}</div>", rows) or NOTHING

    @admin.action(description=_("Apply again what was refused"), permissions=["step"])
    def apply_again(self, request: HttpRequest, queryset: QuerySet[SourceMessage]) -> None:
        actor, now = actor_of(request), timezone.now()
        attempt_each(
            request,
            queryset,
            lambda row: services.apply_again(actor=actor, message_id=row.pk, now=now),
            done=ngettext_lazy(
                "%(count)d message is applied again.",
                "%(count)d messages are applied again.",
                "count",
            ),
        )


@admin.register(StockDrift)
class StockDriftAdmin(CompanyMixin, ReadOnlyAdmin):
    """What reconciling found: open until it is repaired or gone."""

    list_display = ["found_at", "shelf", "kind", "actual", "expected", "state", "outcome"]
    list_filter = ["kind", ("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["stock_level__variant", "stock_level__warehouse"]
    search_fields = ["stock_level__variant__sku"]
    search_help_text = _("SKU")
    ordering = ["-found_at", "-id"]
    actions = ["repair"]
    fields = ["shelf", "kind", "actual", "expected", "state", "outcome", "found_at", "closed_at"]

    @display(description=_("shelf"), ordering="stock_level__variant__sku")
    def shelf(self, drift: StockDrift) -> str:
        return link("inventory_stocklevel", drift.stock_level_id, drift.stock_level)

    @display(description=_("status"), ordering="closed_at")
    def state(self, drift: StockDrift) -> str:
        return status(_("closed"), "success") if drift.closed_at else status(_("differs"), "danger")

    @admin.action(description=_("Repair: set counters to the books"), permissions=["step"])
    def repair(self, request: HttpRequest, queryset: QuerySet[StockDrift]) -> None:
        actor, now = actor_of(request), timezone.now()
        shelves = {drift.stock_level_id: drift for drift in queryset.filter(closed_at=None)}
        attempt_each(
            request,
            shelves.values(),
            lambda drift: services.repair(
                actor=actor, stock_level_id=drift.stock_level_id, now=now
            ),
            done=ngettext_lazy(
                "%(count)d shelf was looked at again: see what became of it below.",
                "%(count)d shelves were looked at again: see what became of them below.",
                "count",
            ),
        )
