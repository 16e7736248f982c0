"""Systems that report stock, and how far they differ."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models.catalogue import Company
from inventory.models.stock import StockLevel, Warehouse


class Source(models.Model):
    """
    An outside system that tells us about stock and products: by signed messages, by a feed we fetch, or both.

    Its signing secrets are in the environment, by its slug, which is therefore unique over all companies.
    """

    class Format(models.TextChoices):
        JSON = "json", "JSON"
        CSV = "csv", "CSV"

    class FeedState(models.TextChoices):
        NEVER = "", _("not fetched yet")
        APPLIED = "applied", _("applied")
        UNCHANGED = "unchanged", _("unchanged")
        REFUSED = "refused", _("refused")
        UNREACHABLE = "unreachable", _("not reachable")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    slug = models.SlugField(_("short name"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=200)
    warehouse = models.ForeignKey(
        Warehouse,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Where its stock lies when it names no warehouse; else the default one."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    feed_url = models.URLField(_("feed address"), max_length=1000, blank=True)
    feed_format = models.CharField(
        _("feed format"), max_length=4, choices=Format.choices, default=Format.JSON
    )
    feed_minutes = models.PositiveIntegerField(
        _("minutes between fetches"), default=15, validators=[MinValueValidator(1)]
    )
    feed_due_at = models.DateTimeField(_("next fetch"), null=True, editable=False)
    feed_tried_at = models.DateTimeField(_("last fetch"), null=True, editable=False)
    feed_good_at = models.DateTimeField(_("last good fetch"), null=True, editable=False)
    feed_state = models.CharField(
        _("feed"), max_length=11, choices=FeedState.choices, default="", blank=True, editable=False
    )
    feed_note = models.CharField(
        _("what happened"), max_length=1000, blank=True, default="", editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_sources"
        verbose_name = _("outside system")
        verbose_name_plural = _("outside systems")

    def __str__(self) -> str:
        return self.name


class SourceMessage(models.Model):
    """
    One signed message, stored before anything is done about it; taken once.

    `results` grows by one product at a time, in the transaction that changes the product, so a message that was
    interrupted goes on where it stopped.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+", db_index=False)
    source = models.ForeignKey(Source, models.PROTECT, related_name="messages")
    event_id = models.CharField(_("message"), max_length=200)
    fingerprint = models.BinaryField(max_length=32, editable=False)
    payload = models.JSONField(_("content"), default=dict)
    results = models.JSONField(_("results"), default=dict)
    occurred_at = models.DateTimeField(_("said at"))
    received_at = models.DateTimeField(_("received"))
    processed_at = models.DateTimeField(_("worked off"), null=True)
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    dead_at = models.DateTimeField(_("given up"), null=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_source_messages"
        verbose_name = _("message from outside")
        verbose_name_plural = _("messages from outside")
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="source_message_once")
        ]
        indexes = [
            # the drain: what is due, oldest first
            models.Index(
                fields=["next_attempt_at"],
                name="source_message_due",
                condition=Q(processed_at__isnull=True, dead_at__isnull=True),
            ),
            models.Index(fields=["company", "-received_at"], name="source_message_newest"),
            models.Index(
                fields=["processed_at"],
                name="source_message_old",
                condition=Q(processed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.event_id


class SourceMark(models.Model):
    """How far a source's word about one shelf or product is known, so that what is older changes nothing."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    object_id = models.UUIDField()  # a stock level or a product
    set_at = models.DateTimeField(null=True)
    adjusted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "stock_source_marks"
        constraints = [
            models.UniqueConstraint(fields=["source", "object_id"], name="source_mark_once")
        ]


class FeedCopy(models.Model):
    """The last good copy of a source's feed: what it said of which SKU, and whether all of it was applied."""

    source = models.OneToOneField(
        Source, models.CASCADE, primary_key=True, related_name="feed_copy"
    )
    rows = models.BinaryField()  # the rows as compressed JSON
    digest = models.BinaryField(max_length=32)
    row_count = models.PositiveIntegerField()
    zero_count = models.PositiveIntegerField()
    etag = models.CharField(max_length=300, blank=True)
    last_modified = models.CharField(max_length=100, blank=True)
    fetched_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    # Rows that are still to be applied, by their place; those that were refused come again with the next copy.
    waiting = models.JSONField(default=list)
    refused = models.JSONField(default=dict)

    class Meta:
        db_table = "stock_feed_copies"

    def __str__(self) -> str:
        return f"{self.row_count} rows"


class StockDrift(models.Model):
    """A shelf whose counters do not say what its holds and movements say; open until it is repaired or gone."""

    class Kind(models.TextChoices):
        TOTAL = "total", _("units on the shelf")
        RESERVED = "reserved", _("units held")
        BACKORDERED = "backordered", _("units owed")
        BALANCE = "balance", _("balance of the last movement")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+", db_index=False)
    stock_level = models.ForeignKey(StockLevel, models.CASCADE, related_name="+")
    kind = models.CharField(_("what"), max_length=11, choices=Kind.choices)
    expected = models.BigIntegerField(_("by the books"))
    actual = models.BigIntegerField(_("by the counter"))
    found_at = models.DateTimeField(_("found"))
    closed_at = models.DateTimeField(_("closed"), null=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)

    class Meta:
        db_table = "stock_drifts"
        verbose_name = _("stock drift")
        verbose_name_plural = _("stock drifts")
        constraints = [
            models.UniqueConstraint(
                fields=["stock_level", "kind"],
                condition=Q(closed_at__isnull=True),
                name="stock_drift_open_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["company"],
                name="stock_drift_open",
                condition=Q(closed_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.stock_level_id} {self.kind}"
