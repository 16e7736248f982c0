"""Messages for staff: everything visible, nothing editable, failed ones can be sent again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from config.platform.backoffice import NOTHING, ReadOnlyAdmin, status
from config.platform.http import actor_of
from notifications import services
from notifications.models import Notification, Suppression

TONES = {
    "PENDING": "info",
    "SENDING": "warning",
    "SENT": "success",
    "DELIVERED": "success",
    "FAILED": "danger",
    "SUPPRESSED": "",
}


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    company_path = "company_id"
    list_display = ["created_at", "kind", "recipient", "subject", "state", "attempts", "sent_at"]
    list_filter = ["status", "type", "channel", "created_at"]
    search_fields = ["recipient", "subject"]
    search_help_text = _("e-mail address or subject")
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ["send_again"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "kind", "type", "recipient", "subject", "state", "error", "attempts", "created_at", "sent_at",
                    "read_at",
                ]
            },
        ),
        (_("As it is read"), {"fields": ["shown"]}),
        (_("As text"), {"fields": ["body_text"], "classes": ["collapse"]}),
    ]  # fmt: skip

    @display(description=_("message"), ordering="channel")
    def kind(self, note: Notification) -> str:
        return note.channel.replace("-", " ").replace(".", " ")

    @display(description=_("status"), ordering="status")
    def state(self, note: Notification) -> str:
        return status(note.get_status_display(), TONES[note.status])

    @display(description=_("mail"))
    def shown(self, note: Notification) -> str:
        """Show the mail as its reader sees it: sandboxed, so nothing in it runs or leads away."""
        if not note.body_html:
            return NOTHING
        return format_html(
            '<iframe class="office__frame" sandbox srcdoc="{}" title="{}"></iframe>',
            note.body_html,
            note.subject,
        )

    @admin.action(description=_("Send again, if failed or stuck"), permissions=["step"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        wanted = list(queryset.values_list("pk", flat=True))
        count = services.resend(
            actor=actor_of(request), notification_ids=wanted, now=timezone.now()
        )
        if count:
            text = ngettext(
                "%(count)d message is queued again.", "%(count)d messages are queued again.", count
            )
            self.message_user(request, text % {"count": count}, messages.SUCCESS)
        if left := len(wanted) - count:
            text = ngettext(
                "%(count)d message was not sent again: it is no mail that failed.",
                "%(count)d messages were not sent again: they are no mails that failed.",
                left,
            )
            self.message_user(request, text % {"count": left}, messages.WARNING)


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    """Who wants no reminders. Deleting a row, because its owner asks for it, sends them again."""

    company_path = "company_id"
    is_audited_here = True
    list_display = ["address", "reason", "created_at"]
    list_filter = ["reason", "created_at"]
    search_fields = ["address"]
    search_help_text = _("e-mail address")
    ordering = ["-created_at"]
    fields = ["address", "reason", "created_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.delete_suppression"))
