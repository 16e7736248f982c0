"""Runs that bring a catalogue in."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models.catalogue import Company


class ImportRun(models.Model):
    """
    A file that staff brought: looked at, shown, and applied as it was shown.

    Its states are work for a job (`CHECKING`, `APPLYING`), a question to staff (`READY`) or the end. The content is
    thrown away with the end, or when nobody applied it within a day.
    """

    class Kind(models.TextChoices):
        STOCK = "stock", _("counts")
        PRODUCTS = "products", _("products")

    class State(models.TextChoices):
        CHECKING = "CHECKING", _("being read")
        READY = "READY", _("to be applied")
        APPLYING = "APPLYING", _("being applied")
        DONE = "DONE", _("applied")
        FAILED = "FAILED", _("cannot be read")
        DROPPED = "DROPPED", _("dropped")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    kind = models.CharField(_("what"), max_length=8, choices=Kind.choices)
    state = models.CharField(
        _("state"), max_length=8, choices=State.choices, default=State.CHECKING
    )
    name = models.CharField(_("file"), max_length=200)
    size = models.PositiveIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField(null=True)
    wishes = models.JSONField(default=dict)  # how it shall be read and applied
    shown = models.JSONField(default=dict)  # what it would do; after the end: what it did
    fingerprint = models.CharField(max_length=64, blank=True)
    notice = models.CharField(max_length=1000, blank=True)
    user_id = models.UUIDField()
    actor = models.CharField(_("by"), max_length=80)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("brought"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "import_runs"
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [
            models.CheckConstraint(
                condition=Q(content__isnull=False) | Q(state__in=["DONE", "FAILED", "DROPPED"]),
                name="import_run_content_until_end",
            )
        ]
        indexes = [
            # the job: what is to be read or applied, oldest first
            models.Index(
                fields=["kind", "id"],
                name="import_run_due",
                condition=Q(state__in=["CHECKING", "APPLYING"]),
            ),
            models.Index(fields=["created_at"], name="import_run_age"),
        ]

    def __str__(self) -> str:
        return self.name
