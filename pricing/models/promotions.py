"""Promotions, their codes, and the uses that their limits count."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import (
    ArrayField,
)
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, new_id
from inventory.models import Category, Company, Product
from pricing.models.customers import CustomerGroup
from pricing.models.fields import money_field


class Promotion(models.Model):
    """
    A reason to pay less: automatic, or brought in by a coupon. Never hard-deleted.

    `value` is a percentage (0-100) for PERCENTAGE, an amount in `currency` for FIXED_AMOUNT, and
    unused for FREE_SHIPPING. Empty target lists mean everything.
    """

    class Kind(models.TextChoices):
        PERCENTAGE = "PERCENTAGE", _("percentage")
        FIXED_AMOUNT = "FIXED_AMOUNT", _("fixed amount")
        FREE_SHIPPING = "FREE_SHIPPING", _("free shipping")
        BUY_X_GET_Y = "BUY_X_GET_Y", _("buy some, get some")
        TIERED_QUANTITY = "TIERED_QUANTITY", _("more for less")

    class Scope(models.TextChoices):
        CART = "CART", _("whole cart")
        PRODUCT = "PRODUCT", _("products")
        CATEGORY = "CATEGORY", _("categories")
        SHIPPING = "SHIPPING", _("shipping")
        USER = "USER", _("customers")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="promotions")
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    scope = models.CharField(
        _("applies to"), max_length=8, choices=Scope.choices, default=Scope.CART
    )
    value = money_field(_("value"), default=0)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    settings = models.JSONField(_("details of the kind"), default=dict, blank=True)
    products = models.ManyToManyField(Product, blank=True, related_name="+")
    categories = models.ManyToManyField(Category, blank=True, related_name="+")
    excluded_products = models.ManyToManyField(Product, blank=True, related_name="+")
    excluded_categories = models.ManyToManyField(Category, blank=True, related_name="+")
    user_ids = ArrayField(models.UUIDField(), default=list, blank=True)
    groups = models.ManyToManyField(CustomerGroup, blank=True, related_name="promotions")
    first_order_only = models.BooleanField(_("only with the first order"), default=False)
    new_customer_days = models.PositiveIntegerField(
        _("only in the first days of an account"), null=True, blank=True
    )
    minimum_order = money_field(_("minimum order"), null=True, blank=True)
    minimum_quantity = models.PositiveIntegerField(_("minimum units"), null=True, blank=True)
    maximum_discount = money_field(_("maximum discount"), null=True, blank=True)
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    # Every week, by the company's clock: Monday is 1, no day means every day; hours are half-open.
    weekdays = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    opens_at = models.TimeField(_("from the hour"), null=True, blank=True)
    closes_at = models.TimeField(_("to the hour"), null=True, blank=True)
    usage_limit = models.PositiveIntegerField(_("uses in all"), null=True, blank=True)
    per_customer_limit = models.PositiveIntegerField(_("uses per customer"), null=True, blank=True)
    used_count = models.PositiveIntegerField(_("used"), default=0, editable=False)
    # A cart's owner gets a code of their own with this reminder; what comes later may be worth more.
    reminder_stage = models.PositiveSmallIntegerField(
        _("sent with reminder number"), null=True, blank=True
    )
    is_automatic = models.BooleanField(_("applies without a code"), default=False)
    is_stackable = models.BooleanField(_("combines with others"), default=True)
    is_advertised = models.BooleanField(_("advertised"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    priority = models.SmallIntegerField(_("priority"), default=0)
    deleted_at = models.DateTimeField(null=True, editable=False)
    # What worked when it was deleted: nobody else can be given these, so they come back with it.
    codes_when_deleted = ArrayField(models.CharField(max_length=50), null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "promotions"
        verbose_name = _("promotion")
        verbose_name_plural = _("promotions")
        constraints = [
            models.CheckConstraint(condition=Q(value__gte=0), name="promotion_value_not_negative"),
            models.CheckConstraint(
                condition=~Q(kind="PERCENTAGE") | Q(value__lte=100), name="promotion_percentage"
            ),
            models.CheckConstraint(
                condition=~Q(kind="FIXED_AMOUNT") | ~Q(currency=""),
                name="promotion_amount_currency",
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True)
                | Q(ends_at__isnull=True)
                | Q(ends_at__gt=F("starts_at")),
                name="promotion_period",
            ),
            models.CheckConstraint(
                condition=Q(usage_limit__isnull=True) | Q(used_count__lte=F("usage_limit")),
                name="promotion_within_limit",
            ),
            models.CheckConstraint(
                condition=Q(reminder_stage__isnull=True)
                | Q(reminder_stage__gte=1, reminder_stage__lte=10, is_automatic=False),
                name="promotion_reminder",
            ),
            models.UniqueConstraint(
                fields=["company", "reminder_stage"],
                condition=Q(deleted_at__isnull=True),
                name="one_promotion_per_reminder",
            ),
            models.CheckConstraint(
                condition=Q(weekdays__contained_by=[1, 2, 3, 4, 5, 6, 7]),
                name="promotion_weekdays",
            ),
            models.CheckConstraint(
                condition=Q(opens_at__isnull=True, closes_at__isnull=True)
                | Q(opens_at__isnull=False, closes_at__isnull=False),
                name="promotion_hours",
            ),
            models.CheckConstraint(
                condition=(Q(minimum_order__isnull=True) | Q(minimum_order__gte=0))
                & (Q(maximum_discount__isnull=True) | Q(maximum_discount__gte=0)),
                name="promotion_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=(Q(usage_limit__isnull=True) | Q(usage_limit__gte=1))
                & (Q(per_customer_limit__isnull=True) | Q(per_customer_limit__gte=1))
                & (Q(minimum_quantity__isnull=True) | Q(minimum_quantity__gte=1))
                & (Q(new_customer_days__isnull=True) | Q(new_customer_days__gte=1)),
                name="promotion_numbers_from_one",
            ),
        ]

    def __str__(self) -> str:
        return self.name


# A many-to-many lets go of what is deleted. A promotion that lost the last category it is about would be about
# everything, so a category that a promotion names cannot be deleted.
for _named in (Promotion.categories, Promotion.excluded_categories):
    _named.through._meta.get_field("category").remote_field.on_delete = models.PROTECT


class CouponBatch(models.Model):
    """Codes that were made together, at random, each good for one use. Never deleted: uses refer to its codes."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    promotion = models.ForeignKey(Promotion, models.PROTECT, related_name="batches")
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("beginning"), max_length=20, blank=True)
    length = models.PositiveSmallIntegerField(_("random characters"))
    number = models.PositiveIntegerField(_("codes"))
    expires_at = models.DateTimeField(_("valid until"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "coupon_batches"
        verbose_name = _("batch of codes")
        verbose_name_plural = _("batches of codes")
        constraints = [
            models.CheckConstraint(condition=Q(number__gte=1), name="coupon_batch_number"),
            # Below that, codes of a large batch could be guessed: docs/pricing.md.
            models.CheckConstraint(
                condition=Q(length__gte=8, length__lte=30), name="coupon_batch_length"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Coupon(models.Model):
    """
    A code that brings a promotion into a cart. Codes are upper-case `A-Z 0-9 -`, 1 to 50 characters.

    One with a `usage_limit` of its own counts its uses; one with a `customer_key` is for that customer alone.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="coupons")
    promotion = models.ForeignKey(Promotion, models.CASCADE, related_name="coupons")
    batch = models.ForeignKey(CouponBatch, models.PROTECT, null=True, related_name="coupons")
    code = models.CharField(_("code"), max_length=50)
    customer_key = models.CharField(max_length=300, blank=True)
    usage_limit = models.PositiveIntegerField(_("uses"), null=True)
    used_count = models.PositiveIntegerField(_("used"), default=0)
    expires_at = models.DateTimeField(_("valid until"), null=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "coupons"
        constraints = [
            models.UniqueConstraint(fields=["company", "code"], name="coupon_code_unique"),
            models.CheckConstraint(
                condition=Q(code__regex=r"^[A-Z0-9-]{1,50}$"), name="coupon_code_form"
            ),
            models.CheckConstraint(
                condition=Q(usage_limit__isnull=True) | Q(used_count__lte=F("usage_limit")),
                name="coupon_within_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PromotionUse(models.Model):
    """One use of a promotion by one order; given back when the order is cancelled."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    promotion = models.ForeignKey(Promotion, models.PROTECT, related_name="uses")
    code = models.CharField(max_length=50, blank=True)
    order_id = models.UUIDField()
    customer_key = models.CharField(max_length=300)  # user:<id> or email:<address>
    # Every name under which limits know this customer; docs/pricing.md says who is the same one.
    customer_keys = ArrayField(models.TextField(), default=list)
    amount = money_field()
    currency = models.CharField(max_length=3)
    used_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "promotion_usages"
        constraints = [
            models.UniqueConstraint(fields=["promotion", "order_id"], name="one_use_per_order"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="use_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=["promotion", "customer_key"],
                name="use_customer",
                condition=Q(returned_at__isnull=True),
            ),
            models.Index(fields=["order_id"], name="use_order"),
            GinIndex(
                fields=["customer_keys"],
                name="use_customers",
                condition=Q(returned_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.code or str(self.promotion)


class CustomerOrder(models.Model):
    """That a customer has placed an order: what "only with the first order" is judged by. Undone when it is cancelled."""

    order_id = models.UUIDField(primary_key=True)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    customer_keys = ArrayField(models.TextField())
    placed_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "customer_orders"
        indexes = [
            GinIndex(
                fields=["customer_keys"],
                name="customer_order_keys",
                condition=Q(undone_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return str(self.order_id)
