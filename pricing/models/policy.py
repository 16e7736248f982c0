"""How a company prices, and the count of changes that tells kept quotes apart."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.models import Company


class Revision(models.Model):
    """
    A counter per company that rises with every change of promotions, tax or shipping.

    Processes keep the rules in memory and re-read them when the counter has moved.
    """

    company = models.OneToOneField(Company, models.CASCADE, primary_key=True, related_name="+")
    number = models.PositiveBigIntegerField(default=1)

    class Meta:
        db_table = "pricing_revisions"


class PricingPolicy(models.Model):
    """What a company has decided about its totals as a whole; without a row it is the default of each column."""

    class TaxRounding(models.TextChoices):
        PER_LINE = "line", _("each tax on each line")
        PER_ORDER = "order", _("each tax once on the whole order")
        KEEP_GROSS = "keep_gross", _("prices as shown, the net amount once on the whole order")

    company = models.OneToOneField(
        Company, models.CASCADE, primary_key=True, related_name="pricing_policy"
    )
    tax_rounding = models.CharField(
        _("taxes are rounded"),
        max_length=10,
        choices=TaxRounding.choices,
        default=TaxRounding.PER_LINE,
    )
    # The clock that promotions with certain hours go by.
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")

    class Meta:
        db_table = "pricing_policies"
        verbose_name = _("pricing policy")
        verbose_name_plural = _("pricing policies")
        constraints = [
            models.CheckConstraint(
                condition=Q(tax_rounding__in=["line", "order", "keep_gross"]),
                name="pricing_policy_tax_rounding",
            )
        ]

    def __str__(self) -> str:
        return str(self.company)
