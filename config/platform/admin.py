"""Users, switches, the trail, events and job runs; and what other packages would put into the admin."""

from __future__ import annotations

from typing import Any

from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from django_celery_beat.models import PeriodicTask
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminSelectWidget

from config.platform import alerts, audit, flags, relay, tokens
from config.platform.backoffice import (
    NOTHING,
    OfficeAdmin,
    ReadOnlyAdmin,
    as_json,
    attempt_each,
    figure,
    link,
    person,
    status,
)
from config.platform.http import actor_of
from config.platform.models import (
    Alert,
    AuditEntry,
    FeatureFlag,
    JobRun,
    LoginSession,
    OutboxEvent,
    User,
)
from config.platform.performance_page import performance_page

# Pages that packages bring along: rows nobody should type in (money mirrored from a provider, second factors, the
# timetable), in another dress. What staff need of them is registered again below.
BROUGHT_ALONG = ("account", "auth", "axes", "django_celery_beat", "djstripe", "mfa")

for _model in list(admin.site._registry):
    if _model._meta.app_label in BROUGHT_ALONG:
        admin.site.unregister(_model)


# --- people ---------------------------------------------------------------------------------------


class RightsField(forms.ModelMultipleChoiceField):
    """Rights on the pages that exist, by what they are about; those of other tables would only be noise."""

    def __init__(self, **kwargs: Any) -> None:
        shown = {(model._meta.app_label, model._meta.model_name) for model in admin.site._registry}
        rights = Permission.objects.select_related("content_type")
        wanted = [right.pk for right in rights if right.content_type.natural_key() in shown]
        super().__init__(
            queryset=rights.filter(pk__in=wanted).order_by("content_type__model", "codename"),
            widget=UnfoldAdminSelectMultipleWidget(attrs={"size": 14}),
            **kwargs,
        )

    def label_from_instance(self, right: Any) -> str:
        verb = right.codename.partition("_")[0]
        return f"{right.content_type.name}: {verb}"


class RightsMixin:
    filter_horizontal: Any = ()  # two boxes side by side do not fit on a phone

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        if db_field.name in {"permissions", "user_permissions"}:
            return RightsField(label=_("Rights"), required=False)
        kwargs["widget"] = UnfoldAdminSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]


@admin.register(Group)
class GroupAdmin(RightsMixin, DjangoGroupAdmin, OfficeAdmin):
    """What members of a group may do. Only superusers give rights: else anybody could take all of them."""

    is_audited_here = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


@admin.register(User)
class UserAdmin(RightsMixin, DjangoUserAdmin, OfficeAdmin):
    """
    Accounts. Who is no superuser can neither give rights nor touch the account of somebody who has them.

    Nobody is deleted here: histories name people, so an account is switched off.
    """

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["email", "name", "role", "state", "last_login", "created_at"]
    list_filter = ["is_staff", "is_superuser", "is_active", "created_at"]
    search_fields = ["email", "name"]
    search_help_text = _("e-mail address or name")
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    readonly_fields = ["created_at", "last_login"]
    rights = ("is_staff", "is_superuser", "groups", "user_permissions")
    fieldsets = [
        (None, {"fields": ["email", "name", "password", "is_active"]}),
        (_("Preferences"), {"fields": ["currency", "locale", "country"]}),
        (_("Rights"), {"fields": [*rights]}),
        (_("Dates"), {"fields": ["created_at", "last_login"]}),
    ]
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["email", "name", "password1", "password2"]})
    ]
    actions = ["sign_out"]

    @display(description=_("role"), ordering="is_staff")
    def role(self, user: User) -> str:
        if user.is_superuser:
            return str(_("superuser"))
        return str(_("staff") if user.is_staff else _("customer"))

    @display(description=_("state"), ordering="is_active")
    def state(self, user: User) -> str:
        return status(_("active"), "success") if user.is_active else status(_("off"), "danger")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = list(super().get_readonly_fields(request, obj))
        return fixed if request.user.is_superuser else [*fixed, *self.rights]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_staff and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

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

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            audit.record(
                actor=actor_of(request),
                action="user.password_set",
                object_type="user",
                object_id=id,
                now=timezone.now(),
            )
        return response

    @admin.action(description=_("End all sign-ins of the API"), permissions=["change"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        now = timezone.now()
        if not request.user.is_superuser:
            queryset = queryset.filter(is_staff=False)
        attempt_each(
            request,
            queryset,
            lambda user: tokens.revoke_all(user_id=user.pk, now=now),
            done=ngettext_lazy(
                "%(count)d user is signed out.", "%(count)d users are signed out.", "count"
            ),
        )


@admin.register(LoginSession)
class LoginSessionAdmin(ReadOnlyAdmin):
    list_display = ["user", "state", "created_at", "refreshed_at", "expires_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter), "created_at"]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    search_help_text = _("e-mail address")
    ordering = ["-created_at"]
    show_full_result_count = False
    actions = ["revoke"]
    fields = ["user", "state", "created_at", "refreshed_at", "expires_at", "revoked_at"]

    @display(description=_("state"))
    def state(self, session: LoginSession) -> str:
        if session.revoked_at is not None:
            return status(_("ended"), "danger")
        if session.expires_at <= timezone.now():
            return status(_("run out"))
        return status(_("open"), "success")

    @admin.action(description=_("End these sign-ins"), permissions=["step"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> None:
        now = timezone.now()
        attempt_each(
            request,
            queryset,
            lambda session: tokens.revoke(session_id=session.pk, now=now),
            done=ngettext_lazy(
                "%(count)d sign-in is ended.", "%(count)d sign-ins are ended.", "count"
            ),
        )


@admin.register(AccessAttempt)
class AccessAttemptAdmin(ReadOnlyAdmin):
    """Names and addresses that guessed passwords wrong. Deleting one lets its owner try again at once."""

    is_audited_here = True
    list_display = ["attempt_time", "username", "ip_address", "failures_since_start", "user_agent"]
    search_fields = ["username", "ip_address"]
    ordering = ["-attempt_time"]
    fields = [
        "attempt_time", "username", "ip_address", "failures_since_start", "user_agent", "path_info",
    ]  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("axes.delete_accessattempt"))


# --- switches and trail ---------------------------------------------------------------------------


class FlagForm(forms.ModelForm):
    name = forms.ChoiceField(label=_("Feature"), widget=UnfoldAdminSelectWidget)

    class Meta:
        model = FeatureFlag
        fields = ["name", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].choices = [
            (name, f"{name} ({_('on by default') if default else _('off by default')})")
            for name, default in settings.FEATURES.items()
        ]
        if self.instance.pk:
            self.fields["name"].disabled = True


@admin.register(FeatureFlag)
class FeatureFlagAdmin(OfficeAdmin):
    """Overrides of the defaults; deleting one brings the default back."""

    form = FlagForm
    list_display = ["name", "state", "default", "updated_at"]
    list_filter = ["enabled"]
    search_fields = ["name"]
    ordering = ["name"]

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "enabled":
            field.label = _("Switched on")
        return field

    @display(description=_("now"), ordering="enabled")
    def state(self, flag: FeatureFlag) -> str:
        return status(_("on"), "success") if flag.enabled else status(_("off"), "danger")

    @display(description=_("default"))
    def default(self, flag: FeatureFlag) -> str:
        return str(_("on") if settings.FEATURES.get(flag.name) else _("off"))

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
    company_path = "company_id"
    shows_companyless = True
    people = ["actor"]
    list_display = ["at", "action", "by", "about", "reason", "source"]
    list_filter = ["action", "source", "object_type", "at"]
    search_fields = ["actor", "object_id", "request_id", "reason"]
    search_help_text = _("reason, or the id of a row, a person or a request")
    date_hierarchy = "at"
    ordering = ["-at"]
    show_full_result_count = False
    fields = ["at", "action", "by", "about", "before_text", "after_text", "reason", "source", "request_id"]  # fmt: skip
    by = person("actor", _("by"))

    @display(description=_("about"))
    def about(self, entry: AuditEntry) -> str:
        return _about(entry.object_type, entry.object_id)

    @display(description=_("before"))
    def before_text(self, entry: AuditEntry) -> str:
        return as_json(entry.before)

    @display(description=_("after"))
    def after_text(self, entry: AuditEntry) -> str:
        return as_json(entry.after)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """What was announced; the re-send of EVT-04."""

    company_path = "company_id"
    shows_companyless = True
    people = ["actor"]
    list_display = ["occurred_at", "name", "state", "attempts", "about", "by"]
    list_filter = [
        "name",
        ("dead_at", admin.EmptyFieldListFilter),
        ("published_at", admin.EmptyFieldListFilter),
        "occurred_at",
    ]
    search_fields = ["=id", "=aggregate_id", "=request_id"]
    search_help_text = _("the id of an event, of what it is about, or of a request")
    date_hierarchy = "occurred_at"
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["send_again"]
    fields = [
        "id", "name", "state", "about", "by", "occurred_at", "published_at", "attempts", "next_attempt_at", "error",
        "request_id", "payload_text",
    ]  # fmt: skip
    by = person("actor", _("by"))

    @display(description=_("state"))
    def state(self, event: OutboxEvent) -> str:
        if event.dead_at:
            return status(_("given up"), "danger")
        if event.published_at:
            return status(_("delivered"), "success")
        return status(_("waiting"), "info")

    @display(description=_("about"))
    def about(self, event: OutboxEvent) -> str:
        return _about(event.aggregate_type, str(event.aggregate_id))

    @display(description=_("content"))
    def payload_text(self, event: OutboxEvent) -> str:
        return as_json(event.payload)

    @admin.action(description=_("Send again"), permissions=["step"])
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

        attempt_each(
            request,
            queryset,
            again,
            done=ngettext_lazy(
                "%(count)d event is sent again.", "%(count)d events are sent again.", "count"
            ),
        )


# --- alerts ---------------------------------------------------------------------------------------


class OpenFilter(SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("goes on")), ("over", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in {"open", "over"}:
            return queryset.filter(resolved_at__isnull=self.value() == "open")
        return queryset


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What crossed its threshold, from when until when. An alert ends by itself when what is wrong is mended."""

    list_display = [
        "raised_at",
        "state",
        "what",
        "subject",
        "value_count",
        "threshold_count",
        "resolved_at",
    ]
    list_filter = [OpenFilter, "level", "rule", "raised_at"]
    search_fields = ["rule", "subject"]
    search_help_text = _("rule, or what it is about")
    ordering = [F("resolved_at").desc(nulls_first=True), "-raised_at"]
    show_full_result_count = False
    fields = ["what", "hint", "subject", "state", "value_count", "threshold_count", "raised_at", "seen_at", "resolved_at"]  # fmt: skip

    @display(description=_("status"), ordering="resolved_at")
    def state(self, alert: Alert) -> str:
        if alert.resolved_at:
            return status(_("over"), "success")
        critical = alert.level == Alert.Level.CRITICAL
        return status(alert.get_level_display(), "danger" if critical else "warning")

    @display(description=_("what"), ordering="rule")
    def what(self, alert: Alert) -> str:
        rule = alerts.rule_of(alert.rule)
        return str(rule.title) if rule else alert.rule

    @display(description=_("value"), ordering="value")
    def value_count(self, alert: Alert) -> str:
        return figure(f"{alert.value:g}")

    @display(description=_("threshold"), ordering="threshold")
    def threshold_count(self, alert: Alert) -> str:
        return figure(f"{alert.threshold:g}")

    @display(description=_("where to look"))
    def hint(self, alert: Alert) -> str:
        rule = alerts.rule_of(alert.rule)
        return str(rule.hint) if rule else NOTHING


# --- jobs -----------------------------------------------------------------------------------------


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    """What runs by itself and when. The timetable is code: it is written anew at each start."""

    list_display = ["name", "state", "when", "last_run", "run_count"]
    list_filter = ["enabled"]
    list_select_related = ["interval", "crontab"]
    search_fields = ["name", "task"]
    ordering = ["name"]
    fields = ["name", "state", "task", "when", "last_run", "run_count"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("interval", "crontab")

    @display(description=_("state"), ordering="enabled")
    def state(self, job: PeriodicTask) -> str:
        return status(_("on"), "success") if job.enabled else status(_("off"), "danger")

    @display(description=_("last run"), ordering="last_run_at", empty_value=NOTHING)
    def last_run(self, job: PeriodicTask) -> Any:
        return job.last_run_at

    @display(description=_("runs"), ordering="total_run_count")
    def run_count(self, job: PeriodicTask) -> int:
        return int(job.total_run_count)

    @display(description=_("when"))
    def when(self, job: PeriodicTask) -> str:
        if job.interval:
            return str(job.interval)
        return job.crontab.human_readable if job.crontab else NOTHING


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    list_display = ["name", "state_words", "started_at", "duration", "count", "error"]
    list_filter = ["state", "name", "started_at"]
    search_fields = ["name", "error"]
    ordering = ["-started_at"]
    show_full_result_count = False
    fields = ["name", "state_words", "started_at", "ended_at", "duration", "count", "error"]

    def get_urls(self) -> list[Any]:
        page = path(
            "performance/",
            self.admin_site.admin_view(self.performance),
            name="platform_jobrun_performance",
        )
        return [page, *super().get_urls()]

    def performance(self, request: HttpRequest) -> HttpResponse:
        return performance_page(self, request, now=timezone.now())

    @display(description=_("state"), ordering="state")
    def state_words(self, run: JobRun) -> str:
        tones = {"done": "success", "running": "info", "failed": "danger"}
        return status(run.get_state_display(), tones[run.state])

    @display(description=_("took"))
    def duration(self, run: JobRun) -> str:
        return f"{(run.ended_at - run.started_at).total_seconds():.1f} s" if run.ended_at else "–"


# --- what rows are about --------------------------------------------------------------------------

# What histories call a row, and its page. Names of pages, not imports: the apps above are not known here.
PAGES = {
    "cart": "cart_cart",
    "company": "inventory_company",
    "notification": "notifications_notification",
    "order": "orders_order",
    "payment": "checkout_payment",
    "product": "inventory_product",
    "promotion": "pricing_promotion",
    "stock_level": "inventory_stocklevel",
    "special_price": "pricing_specialprice",
    "coupon_batch": "pricing_couponbatch",
    "customer_group": "pricing_customergroup",
    "pricing_policy": "pricing_pricingpolicy",
    "tax_rate": "pricing_taxrate",
    "user": "platform_user",
    "variant": "inventory_variant",
    "warehouse": "inventory_warehouse",
}


def _about(kind: str, object_id: str) -> str:
    """Return what a row of the trail is about, linked to its page where it has one."""
    words = kind.replace("_", " ") or NOTHING
    return link(PAGES[kind], object_id, words) if kind in PAGES and object_id else words
