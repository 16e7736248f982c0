"""Messages to people: what was sent to whom, about which event, and how it went."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id


class Notification(models.Model):
    """
    One message. `dedupe_key` is unique, so an event delivered twice still makes one message.

    A message is marked SENDING before it is handed over; a crash in between leaves it there and it
    is not sent again on its own: better one lost than two sent.
    """

    class Type(models.TextChoices):
        EMAIL = "EMAIL", _("e-mail")
        SMS = "SMS", _("SMS")
        PUSH = "PUSH", _("push")
        IN_APP = "IN_APP", _("in the shop")

    class Status(models.TextChoices):
        PENDING = "PENDING", _("waiting")
        SENDING = "SENDING", _("being sent")
        SENT = "SENT", _("sent")
        DELIVERED = "DELIVERED", _("delivered")
        FAILED = "FAILED", _("failed")
        SUPPRESSED = "SUPPRESSED", _("not wanted")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    order_id = models.UUIDField(null=True)  # the order it is about
    type = models.CharField(_("type"), max_length=6, choices=Type.choices)
    channel = models.CharField(_("message"), max_length=60)  # the event's template key
    recipient = models.CharField(_("to"), max_length=254)
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    body_text = models.TextField(blank=True)
    body_html = models.TextField(blank=True)
    metadata = models.JSONField(default=dict)
    dedupe_key = models.CharField(max_length=300, unique=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )
    error = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    created_at = models.DateTimeField(_("created"))
    sent_at = models.DateTimeField(_("sent"), null=True)
    delivered_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "notifications"
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [
            models.Index(
                fields=["next_attempt_at"], name="notification_due", condition=Q(status="PENDING")
            ),
            models.Index(fields=["user_id", "-id"], name="notification_user"),
            models.Index(fields=["recipient", "-id"], name="notification_recipient"),
            models.Index(
                fields=["order_id"], name="notification_order", condition=Q(order_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} to {self.recipient}"


class Preference(models.Model):
    """What a customer wants to hear about, per category and channel; no row means yes."""

    class Category(models.TextChoices):
        ORDERS = "orders", _("my orders")
        REMINDERS = "reminders", _("carts I left behind")
        STOCK = "stock", _("stock and prices of what I chose")
        PROMOTIONS = "promotions", _("offers")

    user_id = models.UUIDField()
    category = models.CharField(max_length=12, choices=Category.choices)
    type = models.CharField(max_length=6, choices=Notification.Type.choices)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        db_table = "notification_preferences"
        constraints = [
            models.UniqueConstraint(fields=["user_id", "category", "type"], name="preference_once"),
            # order mail is part of the contract, not an offer
            models.CheckConstraint(
                condition=Q(is_enabled=True) | ~Q(category="orders", type="EMAIL"),
                name="order_mail_is_not_optional",
            ),
        ]


class PushSubscription(models.Model):
    """Where a customer's browser takes Web Push messages (RFC 8030), with the keys to encrypt for it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user_id = models.UUIDField()
    endpoint = models.CharField(max_length=1000, unique=True)
    p256dh = models.CharField(max_length=200)
    auth = models.CharField(max_length=100)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "push_subscriptions"
        indexes = [models.Index(fields=["user_id"], name="push_user")]


class Suppression(models.Model):
    """An address that asked for no more marketing mail (reminders included)."""

    company_id = models.UUIDField()
    address = models.CharField(max_length=254)
    reason = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "suppressions"
        constraints = [
            models.UniqueConstraint(fields=["company_id", "address"], name="suppression_once")
        ]


class Digest(models.Model):
    """
    Something for the next mail that sums up what happened, to staff or to one customer.

    `id` is the event's, or made of it and the customer, so it is noted once.
    """

    class Kind(models.TextChoices):
        LOW_STOCK = "low-stock", _("low stock")
        KEPT_BACK = "kept-back", _("back in stock")

    id = models.UUIDField(primary_key=True, editable=False)
    company_id = models.UUIDField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    object_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "digests"
        indexes = [
            # the next mail
            models.Index(fields=["kind", "id"], name="digest_due", condition=Q(sent_at=None)),
            models.Index(fields=["sent_at"], name="digest_sent"),
        ]


class StoredMail(models.Model):
    """A mail caught by the embedded default instead of leaving the machine; shown at /dev/mail/."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    sender = models.CharField(max_length=254)
    recipients = models.CharField(max_length=1000)
    subject = models.CharField(max_length=300)
    body_text = models.TextField(blank=True)
    body_html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "stored_mails"
        ordering = ["-id"]
