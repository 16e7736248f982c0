"""Prices, promotions, tax and shipping: the facts from which every total is computed."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    DateRangeField,
    DateTimeRangeField,
    RangeOperators,
)
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Upper
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, User, append_only, new_id
from inventory.models import Bundle, Category, Company, Product, Variant


def money_field(verbose_name: str | Promise = "", **options: object) -> models.DecimalField:
    """Return a column for an amount of money: wide enough for any currency of up to three decimals."""
    return models.DecimalField(verbose_name, max_digits=15, decimal_places=3, **options)  # type: ignore[arg-type]


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


class CustomerGroup(models.Model):
    """Customers who have prices of their own."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="customer_groups")
    name = models.CharField(_("name"), max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "customer_groups"
        verbose_name = _("customer group")
        verbose_name_plural = _("customer groups")
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="customer_group_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class CustomerGroupMember(models.Model):
    group = models.ForeignKey(CustomerGroup, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        db_table = "customer_group_members"
        constraints = [
            models.UniqueConstraint(fields=["user", "group"], name="customer_group_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id}"


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


class ExchangeRate(models.Model):
    """
    What one unit of `base`, the company's own currency, is worth in `quote`, from a moment on.

    The latest one that has begun is in force until the next one begins, or until `valid_until`: after that there is
    none, and an older one does not come back. What has begun is never changed. `begun_at` and `over_at` say when that was
    announced, not when it was so.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="exchange_rates")
    base = models.CharField(_("of"), max_length=3)
    quote = models.CharField(_("in"), max_length=3)
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=10)
    places = models.PositiveSmallIntegerField(editable=False)  # of amounts in `quote`
    valid_from = models.DateTimeField(_("from"))
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=40)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True, editable=False)
    over_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "exchange_rates"
        verbose_name = _("exchange rate")
        verbose_name_plural = _("exchange rates")
        constraints = [
            models.UniqueConstraint(
                fields=["company", "base", "quote", "valid_from"], name="exchange_rate_begins_once"
            ),
            models.CheckConstraint(condition=Q(rate__gt=0), name="exchange_rate_positive"),
            models.CheckConstraint(condition=~Q(base=F("quote")), name="exchange_rate_of_two"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
                name="exchange_rate_period",
            ),
        ]
        indexes = [
            # What the job announces.
            models.Index(
                fields=["valid_from"],
                name="exchange_rate_to_begin",
                condition=Q(begun_at__isnull=True),
            ),
            models.Index(
                fields=["valid_until"],
                name="exchange_rate_to_end",
                condition=Q(over_at__isnull=True, valid_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


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


class LoyaltyProgram(models.Model):
    """
    How points are earned and what they are worth; without a row it is the default of each column.

    Amounts are in the company's own currency, the only one in which points are earned and spent.
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
