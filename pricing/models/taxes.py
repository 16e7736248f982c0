"""Tax rates and who or what is relieved of them."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    DateRangeField,
    RangeOperators,
)
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models import Company


class TaxRate(models.Model):
    """A tax on goods of a class sent to a place. `rate` is a fraction: 0.19 is 19 %."""

    class Type(models.TextChoices):
        VAT = "VAT", _("VAT")
        GST = "GST", _("GST")
        SALES_TAX = "SALES_TAX", _("sales tax")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="tax_rates")
    name = models.CharField(_("name"), max_length=100)
    type = models.CharField(_("type"), max_length=9, choices=Type.choices)
    country = models.CharField(_("country"), max_length=2)
    state = models.CharField(_("state"), max_length=40, blank=True)
    postal_pattern = models.CharField(_("postal codes beginning with"), max_length=40, blank=True)
    tax_class = models.CharField(_("tax class"), max_length=40, default="standard")
    rate = models.DecimalField(
        _("rate"), max_digits=7, decimal_places=6, validators=[MinValueValidator(0)]
    )
    is_included = models.BooleanField(_("prices include it"), default=False)
    is_compound = models.BooleanField(_("on top of other taxes"), default=False)
    on_shipping = models.BooleanField(_("also on shipping"), default=True)
    priority = models.SmallIntegerField(_("priority"), default=0)
    valid_from = models.DateField(_("from"), null=True, blank=True)
    valid_to = models.DateField(_("until"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "tax_rates"
        verbose_name = _("tax rate")
        verbose_name_plural = _("tax rates")
        constraints = [
            models.CheckConstraint(condition=Q(rate__gte=0, rate__lte=1), name="tax_rate_range"),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_to__isnull=True)
                | Q(valid_to__gt=F("valid_from")),
                name="tax_rate_period",
            ),
            # of one tax at one place, one rate is in force on any day
            ExclusionConstraint(
                name="tax_rate_periods_apart",
                expressions=[
                    ("company", RangeOperators.EQUAL),
                    ("type", RangeOperators.EQUAL),
                    ("name", RangeOperators.EQUAL),
                    ("country", RangeOperators.EQUAL),
                    (Upper("state"), RangeOperators.EQUAL),
                    (Upper("postal_pattern"), RangeOperators.EQUAL),
                    ("tax_class", RangeOperators.EQUAL),
                    (
                        Func(
                            "valid_from",
                            "valid_to",
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(is_active=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TaxExemption(models.Model):
    """
    A ground on which a customer is not charged taxes; only approved ones count.

    A certificate frees of all taxes in its jurisdiction (`country`, `*` for everywhere, and state). A VAT number,
    stored as python-stdnum normalises it, moves the VAT on deliveries to other countries of the EU to its owner; its
    `country` is the one that issued it. A customer has at most one VAT number beside those that staff rejected.
    """

    class Kind(models.TextChoices):
        CERTIFICATE = "CERTIFICATE", _("certificate of exemption")
        VAT_NUMBER = "VAT_NUMBER", _("VAT number")

    class Status(models.TextChoices):
        PENDING = "PENDING", _("to be checked")
        APPROVED = "APPROVED", _("approved")
        REJECTED = "REJECTED", _("rejected")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="tax_exemptions")
    user_id = models.UUIDField()
    kind = models.CharField(_("kind"), max_length=11, choices=Kind.choices)
    number = models.CharField(_("number"), max_length=60)
    country = models.CharField(_("country"), max_length=2)
    state = models.CharField(_("state"), max_length=40, blank=True)
    valid_from = models.DateField(_("from"), null=True, blank=True)
    valid_to = models.DateField(_("until"), null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.PENDING
    )
    note = models.CharField(_("note for staff"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("entered"))
    decided_by = models.CharField(_("decided by"), max_length=80, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "tax_exemptions"
        verbose_name = _("tax exemption")
        verbose_name_plural = _("tax exemptions")
        constraints = [
            models.UniqueConstraint(
                fields=["company", "user_id"],
                condition=Q(kind="VAT_NUMBER") & ~Q(status="REJECTED"),
                name="one_vat_number",
            ),
            models.UniqueConstraint(
                fields=["company", "user_id", "number", "country", "state", "valid_from"],
                condition=Q(kind="CERTIFICATE"),
                nulls_distinct=False,
                name="certificate_once",
            ),
            models.CheckConstraint(condition=~Q(number=""), name="exemption_number"),
            models.CheckConstraint(
                condition=Q(country__regex=r"^([A-Z]{2}|\*)$"), name="exemption_country"
            ),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_to__isnull=True)
                | Q(valid_to__gt=F("valid_from")),
                name="exemption_period",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING") | Q(decided_at__isnull=False),
                name="exemption_decided",
            ),
        ]
        indexes = [
            # the list of those that wait for a decision
            models.Index(
                fields=["company", "created_at"],
                name="exemption_waiting",
                condition=Q(status="PENDING"),
            ),
            models.Index(fields=["company", "user_id"], name="exemption_user"),
        ]

    def __str__(self) -> str:
        return self.number
