"""What one currency is worth in another, by date."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models import Company


class ExchangeRate(models.Model):
    """
    What one unit of `base`, the company's own currency, is worth in `quote`, from a moment on.

    The latest one that has begun is in force until the next one begins, or until `valid_until`: after that there is
    none, and an older one does not come back. What has begun is never changed. `begun_at` and `over_at` say when that was
    announced, not when it was so.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="exchange_rates")
    base = models.CharField(_("of"), max_length=3)
    quote = models.CharField(_("in"), max_length=3)
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=10)
    places = models.PositiveSmallIntegerField(editable=False)  # of amounts in `quote`
    valid_from = models.DateTimeField(_("from"))
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=40)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True, editable=False)
    over_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "exchange_rates"
        verbose_name = _("exchange rate")
        verbose_name_plural = _("exchange rates")
        constraints = [
            models.UniqueConstraint(
                fields=["company", "base", "quote", "valid_from"], name="exchange_rate_begins_once"
            ),
            models.CheckConstraint(condition=Q(rate__gt=0), name="exchange_rate_positive"),
            models.CheckConstraint(condition=~Q(base=F("quote")), name="exchange_rate_of_two"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
                name="exchange_rate_period",
            ),
        ]
        indexes = [
            # What the job announces.
            models.Index(
                fields=["valid_from"],
                name="exchange_rate_to_begin",
                condition=Q(begun_at__isnull=True),
            ),
            models.Index(
                fields=["valid_until"],
                name="exchange_rate_to_end",
                condition=Q(over_at__isnull=True, valid_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"
