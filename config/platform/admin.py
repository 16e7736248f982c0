"""Users, switches, the trail, events and job runs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from config.platform import audit, flags, relay, tokens
from config.platform.backoffice import ReadOnlyAdmin, as_json, attempt_each
from config.platform.http import actor_of
from config.platform.models import AuditEntry, FeatureFlag, JobRun, LoginSession, OutboxEvent, User

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """What members of a group may do."""


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["email", "name", "is_staff", "is_active", "created_at"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["email", "name"]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    readonly_fields = ["created_at", "last_login"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("Preferences", {"fields": ["currency", "locale", "country"]}),
        (
            "Rights",
            {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]},
        ),
        ("Dates", {"fields": ["created_at", "last_login"]}),
    ]
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["email", "name", "password1", "password2"]})
    ]
    actions = ["sign_out"]

    def save_model(
        self, request: HttpRequest, obj: User, form: forms.ModelForm, change: bool
    ) -> None:
        watched = ("email", "is_active", "is_staff", "is_superuser")
        before = User.objects.filter(pk=obj.pk).values(*watched).first() if change else None
        super().save_model(request, obj, form, change)
        audit.record(
            actor=actor_of(request),
            action="user.changed" if change else "user.created",
            object_type="user",
            object_id=obj.pk,
            before=before or {},
            after={name: getattr(obj, name) for name in watched},
            now=timezone.now(),
        )

    @admin.action(description="End all sign-ins of the API")
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        now = timezone.now()
        attempt_each(
            request,
            queryset,
            lambda user: tokens.revoke_all(user_id=user.pk, now=now),
            done="Signed out {count} users.",
        )


class FlagForm(forms.ModelForm):
    name = forms.ChoiceField(label="feature")

    class Meta:
        model = FeatureFlag
        fields = ["name", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].choices = [
            (name, f"{name} ({'on' if default else 'off'} by default)")
            for name, default in settings.FEATURES.items()
        ]
        if self.instance.pk:
            self.fields["name"].disabled = True


@admin.register(FeatureFlag)
class FeatureFlagAdmin(ModelAdmin):
    """Overrides of the defaults; deleting one brings the default back."""

    form = FlagForm
    list_display = ["name", "state", "default", "updated_at"]
    ordering = ["name"]

    @display(description="now", label={"on": "success", "off": "danger"})
    def state(self, flag: FeatureFlag) -> str:
        return "on" if flag.enabled else "off"

    @display(description="default")
    def default(self, flag: FeatureFlag) -> str:
        return "on" if settings.FEATURES.get(flag.name) else "off"

    def save_model(
        self, request: HttpRequest, obj: FeatureFlag, form: forms.ModelForm, change: bool
    ) -> None:
        saved = flags.switch(
            actor=actor_of(request), name=obj.name, enabled=obj.enabled, now=timezone.now()
        )
        obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: FeatureFlag) -> None:
        flags.restore_default(actor=actor_of(request), name=obj.name, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[FeatureFlag]) -> None:
        for flag in queryset:
            self.delete_model(request, flag)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "action", "actor", "source", "object_type", "object_id", "reason"]
    list_filter = ["action", "source", "object_type"]
    search_fields = ["actor", "object_id", "request_id", "reason"]
    date_hierarchy = "at"
    ordering = ["-at"]
    show_full_result_count = False


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """What was announced; the re-send of EVT-04."""

    list_display = [
        "occurred_at",
        "name",
        "state",
        "attempts",
        "aggregate_type",
        "aggregate_id",
        "actor",
    ]
    list_filter = [
        "name",
        ("dead_at", admin.EmptyFieldListFilter),
        ("published_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["id", "aggregate_id", "request_id"]
    date_hierarchy = "occurred_at"
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["send_again"]
    exclude = ["payload"]
    readonly_fields = ["payload_text"]

    @display(
        description="state", label={"delivered": "success", "waiting": "info", "given up": "danger"}
    )
    def state(self, event: OutboxEvent) -> str:
        if event.dead_at:
            return "given up"
        return "delivered" if event.published_at else "waiting"

    @display(description="payload")
    def payload_text(self, event: OutboxEvent) -> str:
        return as_json(event.payload)

    @admin.action(description="Send again", permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> None:
        now, actor = timezone.now(), actor_of(request)

        def again(event: OutboxEvent) -> None:
            relay.replay(event_id=event.pk, now=now)
            audit.record(
                actor=actor,
                action="event.replayed",
                object_type="event",
                object_id=event.pk,
                after={"name": event.name},
                now=now,
            )

        attempt_each(request, queryset, again, done="{count} events are sent again.")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("platform.change_outboxevent")


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    list_display = ["name", "state_label", "started_at", "duration", "count", "error"]
    list_filter = ["state", "name"]
    ordering = ["-started_at"]
    show_full_result_count = False

    @display(
        description="state",
        label={"done": "success", "running": "info", "failed": "danger"},
        ordering="state",
    )
    def state_label(self, run: JobRun) -> str:
        return run.state

    @display(description="took")
    def duration(self, run: JobRun) -> str:
        return f"{(run.ended_at - run.started_at).total_seconds():.1f} s" if run.ended_at else "–"


@admin.register(LoginSession)
class LoginSessionAdmin(ReadOnlyAdmin):
    list_display = ["user", "created_at", "refreshed_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    ordering = ["-created_at"]
    actions = ["revoke"]

    @admin.action(description="End these sign-ins", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> None:
        now = timezone.now()
        attempt_each(
            request,
            queryset,
            lambda session: tokens.revoke(session_id=session.pk, now=now),
            done="Ended {count} sign-ins.",
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("platform.change_loginsession")
