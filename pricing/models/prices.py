"""What things cost: now, from a day on, from a quantity on, to a group; and every change of it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    DateTimeRangeField,
    RangeOperators,
)
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models import Bundle, Company, Variant
from pricing.models.customers import CustomerGroup
from pricing.models.fields import money_field

_NOTE_VARIANT = """
                    PERFORM note_catalogue_change(v.company_id, v.product_id)
                       FROM variants v WHERE v.id IN (OLD.variant_id, NEW.variant_id);
                    RETURN NULL;
                """


class Price(models.Model):
    """What one unit of a variant costs in one currency; one open-ended row is the current price."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="prices")
    currency = models.CharField(_("currency"), max_length=3)
    amount = money_field(_("price"))
    compare_at = money_field(_("was"), null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "prices"
        constraints = [
            models.UniqueConstraint(fields=["variant", "currency"], name="one_current_price"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_not_negative"),
            models.CheckConstraint(
                condition=Q(compare_at__isnull=True) | Q(compare_at__gte=0),
                name="price_compare_at_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["currency", "amount"], name="price_amount")]
        triggers = [
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=_NOTE_VARIANT,
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Period(Func):
    """A half-open range of time between two columns."""

    function = "tstzrange"
    output_field = DateTimeRangeField()


class SpecialPrice(models.Model):
    """
    A price beside the base price: for a time, from a quantity on, for a group of customers, or all of that.

    The period is half-open. One for everybody and any quantity replaces the base price while it lasts; the others are
    had by whom they are for, where they are lower. What has begun is never changed, only ended: it is history.
    `begun_at` and `over_at` say when that was announced, not when it was so.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="special_prices")
    currency = models.CharField(_("currency"), max_length=3)
    group = models.ForeignKey(
        CustomerGroup,
        models.PROTECT,
        related_name="prices",
        null=True,
        blank=True,
        verbose_name=_("for the group"),
    )
    from_quantity = models.PositiveIntegerField(_("from quantity"), default=1)
    amount = money_field(_("price"))
    compare_at = money_field(_("was"), null=True, blank=True)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True, editable=False)
    over_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "special_prices"
        verbose_name = _("special price")
        verbose_name_plural = _("special prices")
        constraints = [
            ExclusionConstraint(
                name="special_prices_do_not_overlap",
                expressions=[
                    ("variant", RangeOperators.EQUAL),
                    ("currency", RangeOperators.EQUAL),
                    (Coalesce("group", Value(UUID(int=0))), RangeOperators.EQUAL),
                    ("from_quantity", RangeOperators.EQUAL),
                    (Period("starts_at", "ends_at"), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="special_price_not_negative"),
            models.CheckConstraint(
                condition=Q(compare_at__isnull=True) | Q(compare_at__gte=0),
                name="special_price_was_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(from_quantity__gte=1), name="special_price_quantity"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="special_price_period",
            ),
        ]
        indexes = [
            models.Index(fields=["variant", "currency"], name="special_price_variant"),
            # What the job announces, and what a search reads afresh until it has.
            models.Index(
                fields=["starts_at"],
                name="special_price_to_begin",
                condition=Q(begun_at__isnull=True),
            ),
            models.Index(
                fields=["ends_at"],
                name="special_price_to_end",
                condition=Q(over_at__isnull=True, ends_at__isnull=False),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=_NOTE_VARIANT,
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    @property
    def is_public(self) -> bool:
        """Whether it takes the place of the base price for everybody."""
        return self.group_id is None and self.from_quantity == 1


class BundlePrice(models.Model):
    bundle = models.ForeignKey(Bundle, models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    amount = money_field()

    class Meta:
        db_table = "bundle_prices"
        constraints = [
            models.UniqueConstraint(fields=["bundle", "currency"], name="one_bundle_price"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="bundle_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.bundle}, {self.currency}"


class PriceChange(models.Model):
    """
    The history of prices; append-only.

    With `special_id` it is about a special price (new: what it shall be, null when it was withdrawn), of which
    `valid_from` and `valid_to` are the period; else about the base price, valid from `changed_at`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="price_changes")
    currency = models.CharField(max_length=3)
    old_amount = money_field(null=True)
    new_amount = money_field(null=True)
    special_id = models.UUIDField(null=True)
    group_id = models.UUIDField(null=True)
    from_quantity = models.PositiveIntegerField(default=1)
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "price_changes"
        indexes = [models.Index(fields=["variant", "currency", "changed_at"], name="price_history")]
        triggers = [append_only("price_changes_append_only")]

    def __str__(self) -> str:
        return f"{self.variant}, {self.currency}"

    @property
    def kind(self) -> str:
        """Which price it is about: `base`, `scheduled`, `break`, `group` or `group_break`."""
        if self.special_id is None:
            return "base"
        if self.group_id is None:
            return "scheduled" if self.from_quantity == 1 else "break"
        return "group" if self.from_quantity == 1 else "group_break"


class PriceAlert(models.Model):
    """
    Somebody wants to know when a variant costs `target` or less; told once each time its price falls to that.

    `is_armed` while the price is above the target, so that the next fall is news. Customers are known by their
    account, guests by an address they have confirmed.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="price_alerts")
    user_id = models.UUIDField(null=True)
    email = models.EmailField(_("e-mail"), blank=True)  # of guests only
    currency = models.CharField(_("currency"), max_length=3)
    target = money_field(_("told at"))
    is_armed = models.BooleanField(_("waits"), default=True)
    created_at = models.DateTimeField(_("asked"))
    told_at = models.DateTimeField(_("told"), null=True)
    closed_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        db_table = "price_alerts"
        verbose_name = _("price alert")
        verbose_name_plural = _("price alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "currency", "user_id"],
                condition=Q(closed_at__isnull=True, user_id__isnull=False),
                name="one_price_alert_per_user",
            ),
            models.UniqueConstraint(
                fields=["variant", "currency", "email"],
                condition=Q(closed_at__isnull=True, user_id__isnull=True),
                name="one_price_alert_per_email",
            ),
            models.CheckConstraint(condition=Q(target__gt=0), name="price_alert_target"),
            models.CheckConstraint(
                condition=Q(user_id__isnull=False, email="")
                | Q(user_id__isnull=True) & ~Q(email=""),
                name="price_alert_has_one_owner",
            ),
        ]
        indexes = [
            # whom a change of this price may concern
            models.Index(
                fields=["variant", "currency", "target"],
                name="price_alert_open",
                condition=Q(closed_at__isnull=True),
            ),
            models.Index(
                fields=["user_id", "-created_at"],
                name="price_alert_user",
                condition=Q(closed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.variant}, {self.target} {self.currency}"
