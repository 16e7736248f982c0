"""Tables every app leans on: users, the outbox, idempotency keys, audit, switches and job runs."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import pgtrigger
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """Return a time-ordered UUID (version 7), so that indexes stay compact."""
    return uuid7()


def append_only(name: str = "append_only") -> pgtrigger.Protect:
    """Return the trigger that makes a table refuse UPDATE and DELETE, whoever sends them."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Update | pgtrigger.Delete)


class LockingQuerySet(models.QuerySet[Any]):
    """Adds the project's one way to lock rows: in key order, only this table, key left shareable."""

    def for_update(self, *, skip_locked: bool = False) -> LockingQuerySet:
        return self.order_by("pk").select_for_update(
            of=("self",), no_key=True, skip_locked=skip_locked
        )


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def by_email(self, email: str) -> User | None:
        """Return the user of an address, whatever its case, by the index that keeps addresses unique."""
        return self.alias(lower=Lower("email")).filter(lower=email.lower()).first()

    def get_by_natural_key(self, username: str | None) -> User:
        return self.alias(lower=Lower("email")).get(lower=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address: customer or staff."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(_("e-mail"), max_length=254)
    name = models.CharField(_("name"), max_length=200, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    locale = models.CharField(_("language"), max_length=10, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    is_staff = models.BooleanField(_("staff"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class LoginSession(models.Model):
    """
    One sign-in through the API: a family of refresh tokens, of which only the newest is good.

    Revoking it ends its access tokens too, as each request looks at it together with the user.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions")
    refresh_id = models.UUIDField()
    created_at = models.DateTimeField()
    refreshed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "login_sessions"
        indexes = [models.Index(fields=["expires_at"], name="login_session_expiry")]

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d}"


class BrowserSession(models.Model):
    """A browser that somebody is signed in with, so that they can see it and end it; it goes with the session."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "browser_sessions"
        indexes = [models.Index(fields=["seen_at"], name="browser_session_seen")]

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d}"


class OutboxEvent(models.Model):
    """One announced fact, written with the change it tells of; the relay hands it to consumers."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=80)
    version = models.PositiveSmallIntegerField(default=1)
    company_id = models.UUIDField(null=True)
    aggregate_type = models.CharField(max_length=40)
    aggregate_id = models.UUIDField()
    actor = models.CharField(max_length=80, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    payload = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    dead_at = models.DateTimeField(null=True)
    forwarded_at = models.DateTimeField(
        null=True
    )  # to the bus for outsiders, which the relay does apart
    error = models.TextField(blank=True)

    class Meta:
        db_table = "outbox_events"
        indexes = [
            # the relay: what is due, oldest first
            models.Index(
                fields=["next_attempt_at", "id"],
                name="outbox_due",
                condition=Q(published_at__isnull=True, dead_at__isnull=True),
            ),
            # the bus: what has not been forwarded, oldest first
            models.Index(
                fields=["id"], name="outbox_outside", condition=Q(forwarded_at__isnull=True)
            ),
            models.Index(fields=["aggregate_id", "id"], name="outbox_aggregate"),
            models.Index(fields=["name", "occurred_at"], name="outbox_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class ConsumedEvent(models.Model):
    """Proof that a consumer took an event; its unique key is what makes a second delivery harmless."""

    consumer = models.CharField(max_length=80)
    event_id = models.UUIDField()
    consumed_at = models.DateTimeField()

    class Meta:
        db_table = "consumed_events"
        constraints = [
            models.UniqueConstraint(fields=["consumer", "event_id"], name="consumed_once")
        ]


class IdempotencyKey(models.Model):
    """The stored answer to a request that carried an `Idempotency-Key`; kept 24 hours."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=120)  # the actor's identity
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    state = models.CharField(
        max_length=12, choices=[("in_progress", "in progress"), ("done", "done")]
    )
    status_code = models.PositiveSmallIntegerField(null=True)
    response = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    locked_at = models.DateTimeField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "idempotency_logs"
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once"),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(status_code__isnull=False),
                name="idempotency_done_has_answer",
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expiry")]


class AuditEntry(models.Model):
    """Who did what, with the values before and after; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company_id = models.UUIDField(null=True)
    action = models.CharField(max_length=80)
    actor = models.CharField(max_length=80)
    source = models.CharField(max_length=20)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "audit_entries"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["object_type", "object_id", "at"], name="audit_object"),
            models.Index(fields=["at"], name="audit_at"),
        ]
        triggers = [append_only()]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class FeatureFlag(models.Model):
    """A switch; the environment gives the default, a row here overrides it at once."""

    name = models.CharField(max_length=60, unique=True)
    enabled = models.BooleanField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "feature_flags"

    def __str__(self) -> str:
        return self.name


class JobRun(models.Model):
    """One run of a scheduled job. At most one runs at a time per name; a crashed one is taken over."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=60)
    state = models.CharField(
        max_length=10,
        choices=[("running", "running"), ("done", "done"), ("failed", "failed")],
    )
    started_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    count = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        db_table = "job_runs"
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(state="running"), name="job_runs_one_running"
            ),
            models.CheckConstraint(
                condition=Q(state="running") | Q(ended_at__gte=F("started_at")),
                name="job_runs_end_after_start",
            ),
        ]
        indexes = [models.Index(fields=["name", "-started_at"], name="job_runs_latest")]

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Alert(models.Model):
    """
    Something staff have to know at once: a number beyond its rule's threshold, from when until when.

    One is open per rule and subject, so what goes on is raised once. `is_untold` is what mails wait for.
    """

    class Level(models.TextChoices):
        WARNING = "warning", _("warning")
        CRITICAL = "critical", _("critical")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.CharField(_("rule"), max_length=60)
    subject = models.CharField(_("about"), max_length=200, blank=True)  # the labels of the number
    level = models.CharField(_("level"), max_length=8, choices=Level.choices)
    value = models.FloatField(_("value"))
    threshold = models.FloatField(_("threshold"))
    raised_at = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))
    resolved_at = models.DateTimeField(_("over since"), null=True)
    is_untold = models.BooleanField(default=True)

    class Meta:
        db_table = "alerts"
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=Q(resolved_at=None), name="alert_open_once"
            )
        ]
        indexes = [
            models.Index(fields=["id"], name="alert_untold", condition=Q(is_untold=True)),
            models.Index(fields=["-raised_at"], name="alert_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}".strip()
