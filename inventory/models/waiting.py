"""Customers who wait for goods to come back."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import new_id
from inventory.models.catalogue import Company, Variant


class BackInStockRequest(models.Model):
    """
    A place in the line for a variant that is gone; the line is ordered by `queued_at`, then by id.

    Written only while the variant's stock is locked. What is offered is kept by holds whose `line_id` is the
    request's id. Guests are known by an address they have confirmed, customers by their account.
    """

    class Status(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        OFFERED = "OFFERED", _("kept for them")
        TAKEN = "TAKEN", _("taken")
        LAPSED = "LAPSED", _("not taken in time")
        CANCELLED = "CANCELLED", _("cancelled")

    OPEN: ClassVar[tuple[str, ...]] = (Status.WAITING.value, Status.OFFERED.value)
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="back_in_stock_requests")
    user_id = models.UUIDField(null=True)
    email = models.EmailField(_("e-mail"), blank=True)  # of guests only
    quantity = models.PositiveSmallIntegerField(_("wanted"))
    status = models.CharField(
        _("status"), max_length=9, choices=Status.choices, default=Status.WAITING
    )
    queued_at = models.DateTimeField(_("in line since"))
    offered_quantity = models.PositiveSmallIntegerField(_("kept"), default=0)
    offered_at = models.DateTimeField(null=True)
    offer_expires_at = models.DateTimeField(_("kept until"), null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "back_in_stock_requests"
        verbose_name = _("back-in-stock request")
        verbose_name_plural = _("back-in-stock requests")
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "user_id"],
                condition=Q(status__in=["WAITING", "OFFERED"], user_id__isnull=False),
                name="one_open_request_per_user",
            ),
            models.UniqueConstraint(
                fields=["variant", "email"],
                condition=Q(status__in=["WAITING", "OFFERED"], user_id__isnull=True),
                name="one_open_request_per_email",
            ),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="request_wants_something"),
            models.CheckConstraint(
                condition=Q(user_id__isnull=False, email="")
                | Q(user_id__isnull=True) & ~Q(email=""),
                name="request_has_one_owner",
            ),
            models.CheckConstraint(
                condition=~Q(status="OFFERED")
                | Q(offered_quantity__gte=1, offer_expires_at__isnull=False),
                name="request_offer_has_units",
            ),
        ]
        indexes = [
            # whose turn it is
            models.Index(
                fields=["variant", "queued_at", "id"],
                name="request_line",
                condition=Q(status="WAITING"),
            ),
            models.Index(fields=["user_id", "-queued_at"], name="request_user"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"
