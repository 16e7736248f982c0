"""Goods kept for carts and orders."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models.catalogue import Company, Variant
from inventory.models.stock import StockLevel


class Reservation(models.Model):
    """
    A hold: units of one stock level promised to one cart line, later to one order line.

    Written only while its stock level is locked. `quantity` counts units taken from stock,
    `backordered` units promised beyond it. Cart and order are links upwards, so plain UUIDs.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        EXPIRED = "EXPIRED", _("expired")
        COMPLETED = "COMPLETED", _("sold")
        CANCELLED = "CANCELLED", _("released")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Without constraints: the stock level proves both, and a key share lock on the one company row by
    # every sale would make that row the busiest of the shop.
    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    stock_level = models.ForeignKey(StockLevel, models.PROTECT, related_name="reservations")
    variant = models.ForeignKey(
        Variant, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    cart_id = models.UUIDField(null=True)
    line_id = models.UUIDField(null=True)
    order_id = models.UUIDField(null=True)
    order_line_id = models.UUIDField(null=True)
    holder = models.CharField(max_length=120)  # Actor.identity, for ceilings
    address = models.CharField(max_length=64, blank=True)  # client network, for ceilings
    quantity = models.PositiveIntegerField()
    backordered = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.ACTIVE)
    started_at = (
        models.DateTimeField()
    )  # of the first hold of this line: renewals are capped from here
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_reservations"
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(
                fields=["line_id", "stock_level"],
                condition=Q(status="ACTIVE", order_line_id__isnull=True),
                name="one_live_hold_per_line",
            ),
            models.UniqueConstraint(
                fields=["order_line_id", "stock_level"],
                condition=Q(status="ACTIVE", order_line_id__isnull=False),
                name="one_live_hold_per_order_line",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1) | Q(backordered__gte=1), name="hold_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(line_id__isnull=False) | Q(order_line_id__isnull=False),
                name="hold_has_owner",
            ),
        ]
        indexes = [
            # the sweep: what is overdue, oldest first
            models.Index(fields=["expires_at"], name="hold_due", condition=Q(status="ACTIVE")),
            # a sale reclaims what is overdue on the rows it locks; a delivery fills what is owed, oldest first
            models.Index(
                fields=["stock_level", "expires_at"],
                name="hold_stock",
                condition=Q(status="ACTIVE"),
            ),
            models.Index(
                fields=["stock_level", "id"], name="hold_owed", condition=Q(backordered__gt=0)
            ),
            # a cart's view: what is held, or was
            models.Index(fields=["line_id"], name="hold_line"),
            models.Index(fields=["cart_id"], name="hold_cart", condition=Q(status="ACTIVE")),
            # ceilings
            models.Index(fields=["holder"], name="hold_holder", condition=Q(status="ACTIVE")),
            models.Index(fields=["address"], name="hold_address", condition=Q(status="ACTIVE")),
            # partial, as most holds never come to an order: each change of a hold would write them
            models.Index(
                fields=["order_id"], name="hold_order", condition=Q(order_id__isnull=False)
            ),
            models.Index(
                fields=["order_line_id"],
                name="hold_order_line",
                condition=Q(order_line_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"


class HoldGate(models.Model):
    """
    What is locked while one customer's or one address' held units are counted and raised.

    Rows come into being when they are first passed, at most `inventory.services.holds.GATES` of them, and mean nothing
    besides: where one is missing it is made.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    passed_at = models.DateTimeField()

    class Meta:
        db_table = "hold_gates"
        verbose_name = _("hold gate")
        verbose_name_plural = _("hold gates")

    def __str__(self) -> str:
        return str(self.id)
