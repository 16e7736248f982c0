"""Where goods lie, how many, and every movement."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models.catalogue import Company, Variant


class Warehouse(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="warehouses")
    code = models.CharField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=200)
    address = models.JSONField(_("address"), default=dict, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=100)
    is_default = models.BooleanField(_("default"), default=False)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "warehouses"
        verbose_name = _("warehouse")
        verbose_name_plural = _("warehouses")
        constraints = [
            models.UniqueConstraint(fields=["company", "code"], name="warehouse_code_unique"),
            models.UniqueConstraint(
                fields=["company"], condition=Q(is_default=True), name="warehouse_one_default"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("is_active", "is_default"),
                func="""
                    PERFORM note_catalogue_change(v.company_id, v.product_id)
                       FROM inventory s JOIN variants v ON v.id = s.variant_id WHERE s.warehouse_id = NEW.id;
                    RETURN NULL;
                """,
            )
        ]

    def __str__(self) -> str:
        return self.code


_NOTE_VARIANT = """
    PERFORM note_catalogue_change(v.company_id, v.product_id) FROM variants v WHERE v.id = {row}.variant_id;
    RETURN NULL;
"""


class StockLevel(models.Model):
    """
    How much of a variant lies in a warehouse: `total = available + reserved`.

    Written by `inventory.services` only, always with the row locked. Units sold beyond stock are
    counted in `backordered`, never as a negative number.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="stock_levels")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="stock_levels")
    warehouse = models.ForeignKey(Warehouse, models.PROTECT, related_name="stock_levels")
    available = models.PositiveIntegerField(_("available"), default=0)
    reserved = models.PositiveIntegerField(_("held"), default=0)
    total = models.PositiveIntegerField(_("total"), default=0)
    backordered = models.PositiveIntegerField(_("backordered"), default=0)
    backorder_limit = models.PositiveIntegerField(_("backorder limit"), null=True, blank=True)
    reorder_level = models.PositiveIntegerField(_("reorder level"), default=10)
    reorder_quantity = models.PositiveIntegerField(_("reorder quantity"), default=50)
    is_low = models.BooleanField(_("low stock announced"), default=False, editable=False)
    # Somebody may wait for this variant: units that come back are offered before they are sold. Never
    # false while a request is open; a sweep takes it back afterwards.
    is_awaited = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "inventory"
        verbose_name = _("stock level")
        verbose_name_plural = _("stock levels")
        permissions = [
            # apart from `change`, which is about reorder figures: somebody may count and edit nothing
            ("operate_stock", _("Can adjust, count, receive, move and write off stock")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["variant", "warehouse"], name="stock_once"),
            models.CheckConstraint(
                condition=Q(total=F("available") + F("reserved")), name="stock_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(available__gte=0), name="stock_available_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(reserved__gte=0), name="stock_reserved_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(backorder_limit__isnull=True)
                | Q(backordered__lte=F("backorder_limit")),
                name="stock_backorder_limit",
            ),
        ]
        indexes = [
            # how many are low, at every scrape; changes of units leave it alone
            models.Index(fields=["company"], name="stock_low", condition=Q(is_low=True)),
            # the sweep: variants whose free units belong to somebody already
            models.Index(
                fields=["variant"],
                name="stock_promised",
                condition=Q(is_awaited=True) | Q(backordered__gt=0),
            ),
        ]
        triggers = [
            # What is in stock or no longer; a sale that leaves some pays for a comparison.
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "((OLD.available > 0) <> (NEW.available > 0) OR OLD.warehouse_id <> NEW.warehouse_id)"
                ),
                func=_NOTE_VARIANT.format(row="NEW"),
            ),
            pgtrigger.Trigger(
                name="note_new",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func=_NOTE_VARIANT.format(row="NEW"),
            ),
            pgtrigger.Trigger(
                name="note_gone",
                when=pgtrigger.After,
                operation=pgtrigger.Delete,
                func=_NOTE_VARIANT.format(row="OLD"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.variant} · {self.warehouse}"


class StockMovement(models.Model):
    """One change of `StockLevel.total`; the sum of a level's movements is its total. Append-only."""

    class Type(models.TextChoices):
        PURCHASE = "PURCHASE", _("purchase")
        SALE = "SALE", _("sale")
        RETURN = "RETURN", _("return")
        DAMAGE = "DAMAGE", _("damage")
        ADJUSTMENT = "ADJUSTMENT", _("adjustment")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Without constraints: the stock level proves both, and a key share lock on the one company row by
    # every sale would make that row the busiest of the shop.
    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    stock_level = models.ForeignKey(StockLevel, models.PROTECT, related_name="movements")
    variant = models.ForeignKey(
        Variant, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    type = models.CharField(max_length=10, choices=Type.choices)
    quantity = models.IntegerField()  # signed
    balance = models.PositiveIntegerField()  # the level's total afterwards
    order_line_id = models.UUIDField(null=True)
    reference = models.CharField(max_length=200, blank=True)
    notes = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=80)
    source = models.CharField(max_length=20)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "stock_transactions"
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="movement_not_zero"),
        ]
        indexes = [
            models.Index(fields=["stock_level", "-created_at"], name="movement_level"),
            models.Index(
                fields=["order_line_id"],
                name="movement_order_line",
                condition=Q(order_line_id__isnull=False),
            ),
        ]
        triggers = [append_only("stock_transactions_append_only")]

    def __str__(self) -> str:
        return f"{self.type} {self.quantity}"
