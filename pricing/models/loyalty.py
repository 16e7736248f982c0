"""Points: the programme, its tiers, and the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models import Company
from pricing.models.customers import CustomerGroup


class LoyaltyProgram(models.Model):
    """
    How points are earned and what they are worth; without a row it is the default of each column.

    Amounts are in the company's own currency; in others points are earned and spent at the exchange rate.
    """

    company = models.OneToOneField(
        Company, models.CASCADE, primary_key=True, related_name="loyalty_program"
    )
    points_per_unit = models.DecimalField(
        _("points per unit of money"), max_digits=9, decimal_places=3, default=Decimal(1)
    )
    point_value = models.DecimalField(
        _("what a point is worth"), max_digits=12, decimal_places=6, default=Decimal("0.01")
    )
    life_days = models.PositiveIntegerField(
        _("days until points run out"), null=True, blank=True, default=730
    )

    class Meta:
        db_table = "loyalty_programs"
        verbose_name = _("loyalty program")
        verbose_name_plural = _("loyalty programs")
        constraints = [
            models.CheckConstraint(
                condition=Q(points_per_unit__gte=0), name="loyalty_points_per_unit"
            ),
            models.CheckConstraint(condition=Q(point_value__gt=0), name="loyalty_point_value"),
            models.CheckConstraint(
                condition=Q(life_days__isnull=True) | Q(life_days__gte=1), name="loyalty_life"
            ),
        ]

    def __str__(self) -> str:
        return str(self.company)


class LoyaltyTier(models.Model):
    """
    What customers reach who earned so many points within a year: more points, and a group with its prices and offers.

    Who is in `group` follows from the tiers and from nothing else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="loyalty_tiers")
    name = models.CharField(_("name"), max_length=60)
    from_points = models.PositiveIntegerField(_("from points in a year"))
    bonus_percent = models.PositiveSmallIntegerField(_("more points, percent"), default=0)
    group = models.OneToOneField(
        CustomerGroup,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="tier",
        verbose_name=_("its customers form the group"),
    )

    class Meta:
        db_table = "loyalty_tiers"
        verbose_name = _("loyalty tier")
        verbose_name_plural = _("loyalty tiers")
        ordering = ["from_points"]
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="loyalty_tier_name_unique"),
            models.UniqueConstraint(
                fields=["company", "from_points"], name="loyalty_tier_start_unique"
            ),
            models.CheckConstraint(condition=Q(from_points__gte=1), name="loyalty_tier_start"),
        ]

    def __str__(self) -> str:
        return self.name


class LoyaltyAccount(models.Model):
    """
    The points of one customer: the sum of the entries, counted under this row's lock.

    `runs_out_at` is when the oldest points that are left run out; the sweep looks for it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    user_id = models.UUIDField()
    balance = models.PositiveIntegerField(_("points"), default=0)
    tier = models.ForeignKey(
        LoyaltyTier, models.SET_NULL, null=True, related_name="+", verbose_name=_("tier")
    )
    runs_out_at = models.DateTimeField(_("next points run out"), null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "loyalty_accounts"
        verbose_name = _("loyalty account")
        verbose_name_plural = _("loyalty accounts")
        constraints = [
            models.UniqueConstraint(fields=["user_id", "company"], name="loyalty_account_once")
        ]
        indexes = [
            models.Index(
                fields=["runs_out_at"],
                name="loyalty_runs_out",
                condition=Q(runs_out_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id}"


class LoyaltyEntry(models.Model):
    """
    One change of a customer's points; append-only.

    An order earns once and spends once. What comes back (RETURN) and what is taken back (TAKE_BACK) may come in
    parts: `part` counts the points that had come before, so that no part counts twice.
    """

    class Kind(models.TextChoices):
        EARN = "EARN", _("earned")
        SPEND = "SPEND", _("spent")
        RETURN = "RETURN", _("came back")
        TAKE_BACK = "TAKE_BACK", _("taken back")
        EXPIRE = "EXPIRE", _("ran out")
        ADJUST = "ADJUST", _("adjusted")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(LoyaltyAccount, models.PROTECT, related_name="entries")
    kind = models.CharField(_("what"), max_length=9, choices=Kind.choices)
    points = models.IntegerField(_("points"))
    balance = models.PositiveIntegerField(_("balance after it"))
    order_id = models.UUIDField(null=True)
    part = models.PositiveIntegerField(default=0)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    actor = models.CharField(_("by"), max_length=80)
    at = models.DateTimeField(_("when"))
    expires_at = models.DateTimeField(_("run out"), null=True)

    class Meta:
        db_table = "loyalty_entries"
        verbose_name = _("loyalty entry")
        verbose_name_plural = _("loyalty entries")
        constraints = [
            models.UniqueConstraint(
                fields=["order_id", "kind", "part"], name="loyalty_once_per_order"
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["EARN", "SPEND"]) | Q(order_id__isnull=False, part=0),
                name="loyalty_earned_and_spent_once",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["RETURN", "TAKE_BACK"]) | Q(order_id__isnull=False),
                name="loyalty_back_of_an_order",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["EARN", "RETURN"], points__gt=0)
                | Q(kind__in=["SPEND", "TAKE_BACK", "EXPIRE"], points__lt=0)
                | (Q(kind="ADJUST") & ~Q(points=0) & ~Q(reason="")),
                name="loyalty_direction",
            ),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="loyalty_statement")]
        triggers = [append_only("loyalty_entries_append_only")]

    def __str__(self) -> str:
        return f"{self.points:+d}"
