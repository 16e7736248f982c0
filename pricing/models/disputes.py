"""Customers who say that something cost too much."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models import Company, Variant
from pricing.models.fields import money_field


class PriceDispute(models.Model):
    """
    A customer says that a line of an order cost too much; staff decide, once.

    What was charged is copied, so that the question stays what it was. `amount` is what was given back for it.
    """

    class Reason(models.TextChoices):
        SHOWN_LOWER = "SHOWN_LOWER", _("the page showed a lower price")
        OFFER_MISSING = "OFFER_MISSING", _("an offer was not taken off")
        TAX = "TAX", _("the tax is wrong")
        OTHER = "OTHER", _("something else")

    class Status(models.TextChoices):
        OPEN = "OPEN", _("being looked at")
        REJECTED = "REJECTED", _("rejected")
        ADJUSTED = "ADJUSTED", _("price adjusted")
        REFUNDED = "REFUNDED", _("refunded")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.OPEN: {Status.REJECTED, Status.ADJUSTED, Status.REFUNDED},
        Status.REJECTED: set(),
        Status.ADJUSTED: set(),
        Status.REFUNDED: set(),
    }

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    order_id = models.UUIDField()
    order_number = models.CharField(_("order"), max_length=50)
    order_line_id = models.UUIDField()
    variant = models.ForeignKey(Variant, models.PROTECT, related_name="+")
    sku = models.CharField(_("SKU"), max_length=255)
    name = models.CharField(_("name"), max_length=500)
    currency = models.CharField(_("currency"), max_length=3)
    quantity = models.PositiveIntegerField(_("units"))
    unit_price = money_field(_("unit price charged"))
    line_total = money_field(_("line total charged"))
    claimed_price = money_field(_("unit price it should be"), null=True)
    reason = models.CharField(_("reason"), max_length=13, choices=Reason.choices)
    evidence = models.TextField(_("what the customer says"), blank=True)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.OPEN
    )
    answer = models.CharField(_("answer to the customer"), max_length=500, blank=True)
    amount = money_field(_("given back"), null=True)
    refund_request_id = models.UUIDField(null=True)
    opened_by = models.CharField(_("opened by"), max_length=80)
    opened_at = models.DateTimeField(_("opened"))
    resolved_by = models.CharField(_("decided by"), max_length=80, blank=True)
    resolved_at = models.DateTimeField(_("decided"), null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "price_disputes"
        verbose_name = _("price dispute")
        verbose_name_plural = _("price disputes")
        constraints = [
            models.UniqueConstraint(
                fields=["order_line_id"], condition=Q(status="OPEN"), name="one_open_price_dispute"
            ),
            models.CheckConstraint(
                condition=Q(status="OPEN", resolved_at__isnull=True)
                | (~Q(status="OPEN") & Q(resolved_at__isnull=False)),
                name="price_dispute_decided",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["ADJUSTED", "REFUNDED"],
                    amount__gt=0,
                    refund_request_id__isnull=False,
                )
                | (
                    ~Q(status__in=["ADJUSTED", "REFUNDED"])
                    & Q(amount__isnull=True, refund_request_id__isnull=True)
                ),
                name="price_dispute_amount",
            ),
            models.CheckConstraint(
                condition=Q(claimed_price__isnull=True) | Q(claimed_price__gte=0),
                name="price_dispute_claim",
            ),
        ]
        indexes = [
            models.Index(fields=["order_id"], name="price_dispute_order"),
            models.Index(fields=["company", "-opened_at"], name="price_dispute_newest"),
            # the queue of staff
            models.Index(
                fields=["company", "opened_at"],
                name="price_dispute_waiting",
                condition=Q(status="OPEN"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_number}, {self.sku}"


class PriceDisputeChange(models.Model):
    """One step of a dispute; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    dispute = models.ForeignKey(PriceDispute, models.PROTECT, related_name="changes")
    from_status = models.CharField(max_length=8, blank=True)
    to_status = models.CharField(_("status"), max_length=8)
    actor = models.CharField(_("by"), max_length=80)
    reason = models.CharField(_("answer"), max_length=500, blank=True)
    at = models.DateTimeField(_("when"))

    class Meta:
        db_table = "price_dispute_changes"
        verbose_name = _("step of a price dispute")
        verbose_name_plural = _("steps of a price dispute")
        ordering = ["id"]
        triggers = [append_only("price_dispute_changes_append_only")]

    def __str__(self) -> str:
        return self.to_status
