"""Messages for staff: everything visible, nothing editable, failed ones can be sent again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin

from config.platform.http import actor_of
from notifications import services
from notifications.models import Notification, Suppression


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "channel",
        "type",
        "recipient",
        "subject",
        "status",
        "attempts",
        "sent_at",
    ]
    list_filter = ["status", "type", "channel"]
    search_fields = ["recipient", "subject"]
    date_hierarchy = "created_at"
    actions = ["send_again"]

    @admin.action(description=_("Send again (failed or unknown ones)"), permissions=["view"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        count = services.resend(
            actor=actor_of(request),
            notification_ids=queryset.values_list("pk", flat=True),
            now=timezone.now(),
        )
        text = ngettext(
            "%(count)d message is queued again.", "%(count)d messages are queued again.", count
        )
        self.message_user(request, text % {"count": count}, messages.SUCCESS)


@admin.register(Suppression)
class SuppressionAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["address", "reason", "created_at"]
    search_fields = ["address"]
    readonly_fields = ["created_at"]

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
