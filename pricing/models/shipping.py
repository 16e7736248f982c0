"""Where parcels go and what that costs."""

from __future__ import annotations

from django.contrib.postgres.fields import (
    ArrayField,
)
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import new_id
from inventory.models import Company
from pricing.models.fields import money_field


class ShippingZone(models.Model):
    """Where we ship: the most specific zone wins (postal code, then state, then country)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="shipping_zones")
    name = models.CharField(_("name"), max_length=100)
    countries = ArrayField(models.CharField(max_length=2), default=list)
    states = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    postal_patterns = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    priority = models.SmallIntegerField(_("priority"), default=0)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "shipping_zones"
        verbose_name = _("shipping zone")
        verbose_name_plural = _("shipping zones")
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="shipping_zone_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class ShippingRule(models.Model):
    """One way to ship to a zone and what it costs, in one currency. `code` is the option's id."""

    class Type(models.TextChoices):
        FLAT_RATE = "FLAT_RATE", _("flat rate")
        WEIGHT_BASED = "WEIGHT_BASED", _("by weight")
        PRICE_BASED = "PRICE_BASED", _("by price")
        ITEM_COUNT = "ITEM_COUNT", _("by number of items")
        FREE = "FREE", _("free")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    zone = models.ForeignKey(ShippingZone, models.CASCADE, related_name="rules")
    code = models.SlugField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=100)
    type = models.CharField(_("type"), max_length=12, choices=Type.choices, default=Type.FLAT_RATE)
    currency = models.CharField(_("currency"), max_length=3)
    base_price = money_field(_("base price"), default=0)
    per_unit = money_field(_("per item"), default=0)
    per_kilogram = money_field(_("per kilogram"), default=0)
    free_over = money_field(_("free from"), null=True, blank=True)
    minimum_order = money_field(_("for orders from"), null=True, blank=True)
    maximum_order = money_field(_("for orders up to"), null=True, blank=True)
    min_days = models.PositiveSmallIntegerField(_("days at least"), default=2)
    max_days = models.PositiveSmallIntegerField(_("days at most"), default=5)
    priority = models.SmallIntegerField(_("priority"), default=0)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "shipping_rules"
        verbose_name = _("shipping rule")
        verbose_name_plural = _("shipping rules")
        constraints = [
            models.UniqueConstraint(
                fields=["zone", "code", "currency"], name="shipping_rule_code_unique"
            ),
            models.CheckConstraint(
                condition=Q(base_price__gte=0, per_unit__gte=0, per_kilogram__gte=0),
                name="shipping_rule_not_negative",
            ),
            models.CheckConstraint(
                condition=(Q(free_over__isnull=True) | Q(free_over__gte=0))
                & (Q(minimum_order__isnull=True) | Q(minimum_order__gte=0))
                & (Q(maximum_order__isnull=True) | Q(maximum_order__gte=0)),
                name="shipping_rule_bounds",
            ),
            models.CheckConstraint(
                condition=Q(max_days__gte=F("min_days")), name="shipping_rule_days"
            ),
        ]

    def __str__(self) -> str:
        return self.name
