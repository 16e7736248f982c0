"""Promotions as staff and customers look at them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from config.platform import flags
from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.models import Product
from pricing.errors import (
    PromotionNotFound,
    ShippingRuleNotFound,
    ShippingZoneNotFound,
    TaxRateNotFound,
)
from pricing.models import Coupon, Promotion, PromotionUse, ShippingRule, ShippingZone, TaxRate
from pricing.selectors.catalogue import home_currency
from pricing.selectors.exchange import rate_in_force
from pricing.terms import PromotionTerms

PROMOTIONS_FLAG = "ORDER_ENABLE_PROMOTIONS"  # CFG-27
NAMED = Q(batch__isnull=True, customer_key="")
_WHOLE = (
    Prefetch("coupons", queryset=Coupon.objects.filter(NAMED), to_attr="named_coupons"),
    "products",
    "categories",
)


def promotions(*, actor: Actor, deleted: bool | None = False) -> QuerySet[Promotion]:
    """Return the company's promotions with their live uses, newest first: those not deleted, those deleted, or all."""
    uses = (
        PromotionUse.objects.filter(promotion=OuterRef("id"), returned_at=None)
        .order_by()
        .values("promotion")
        .annotate(number=Count("*"))
        .values("number")
    )
    rows = Promotion.objects.filter(company_id=actor.company_id)
    if deleted is not None:
        rows = rows.filter(deleted_at__isnull=not deleted)
    return (
        rows.annotate(live_uses=Coalesce(Subquery(uses), 0))
        .prefetch_related(*_WHOLE, "excluded_products", "excluded_categories", "groups")
        .order_by("-created_at", "-id")
    )


def advertised_promotions(*, actor: Actor, now: datetime) -> QuerySet[Promotion]:
    """
    Return the promotions that customers are told about and that run now, best priority first.

    None while promotions are switched off: nobody is told of what is not to be had.
    """
    if not flags.is_enabled(PROMOTIONS_FLAG):
        return Promotion.objects.none()
    return (
        Promotion.objects.filter(
            Q(starts_at=None) | Q(starts_at__lte=now),
            Q(ends_at=None) | Q(ends_at__gt=now),
            company_id=actor.company_id,
            is_active=True,
            is_advertised=True,
            deleted_at=None,
        )
        .prefetch_related(*_WHOLE)
        .order_by("-priority", "id")
    )


def promotions_on(
    *, actor: Actor, product_id: UUID, currency: str, now: datetime
) -> list[Promotion]:
    """Return the advertised promotions that run now and may touch this product in this currency."""
    category_id = (
        Product.objects.values_list("category_id", flat=True).filter(id=product_id).first()
    )
    home = home_currency(company_id=actor.company_id)
    converts = (
        currency != home
        and rate_in_force(company_id=actor.company_id, base=home, quote=currency, now=now)
        is not None
    )
    parents = inventory.category_paths(company_id=actor.company_id)
    above = set(parents.get(category_id, ())) if category_id else set()
    fitting = []
    for promotion in advertised_promotions(actor=actor, now=now):
        products = {product.id for product in promotion.products.all()}
        categories = {category.id for category in promotion.categories.all()}
        about_all = not products and not categories
        amounts = (promotion.minimum_order, promotion.maximum_discount)
        in_currency = promotion.currency in {"", currency} or (
            # A percentage that names a currency and no amount is limited to it.
            converts
            and promotion.currency == home
            and (
                promotion.kind == Promotion.Kind.FIXED_AMOUNT or any(a is not None for a in amounts)
            )
        )
        if in_currency and (about_all or product_id in products or categories & above):
            fitting.append(promotion)
    return fitting


def find_promotion(*, actor: Actor, promotion_id: UUID) -> Promotion:
    """:raises PromotionNotFound: if the company has none, or it was deleted"""
    promotion = promotions(actor=actor).filter(id=promotion_id).first()
    if promotion is None:
        raise PromotionNotFound()
    return promotion


def named_codes(promotion: Promotion) -> tuple[str, ...]:
    """Return the codes that staff have given a promotion and that work; not those of batches, nor personal ones."""
    coupons: Iterable[Coupon] | None = getattr(promotion, "named_coupons", None)
    if coupons is None:
        coupons = promotion.coupons.filter(NAMED)
    return tuple(sorted(coupon.code for coupon in coupons if coupon.is_active))


def promotion_currency(promotion: Promotion) -> str:
    """Return the currency of a promotion's amounts: the company's own where none is named."""
    return promotion.currency or home_currency(company_id=promotion.company_id)


def promotion_terms(promotion: Promotion) -> PromotionTerms:
    """Return the terms of a promotion as a value, such as a change starts from."""
    return PromotionTerms(
        name=promotion.name,
        kind=promotion.kind,
        scope=promotion.scope,
        value=promotion.value,
        currency=promotion.currency,
        settings=promotion.settings,
        product_ids=tuple(product.id for product in promotion.products.all()),
        category_ids=tuple(category.id for category in promotion.categories.all()),
        excluded_product_ids=tuple(product.id for product in promotion.excluded_products.all()),
        excluded_category_ids=tuple(
            category.id for category in promotion.excluded_categories.all()
        ),
        user_ids=tuple(promotion.user_ids),
        group_ids=tuple(group.id for group in promotion.groups.all()),
        first_order_only=promotion.first_order_only,
        new_customer_days=promotion.new_customer_days,
        minimum_order=promotion.minimum_order,
        minimum_quantity=promotion.minimum_quantity,
        maximum_discount=promotion.maximum_discount,
        starts_at=promotion.starts_at,
        ends_at=promotion.ends_at,
        weekdays=tuple(promotion.weekdays),
        opens_at=promotion.opens_at,
        closes_at=promotion.closes_at,
        usage_limit=promotion.usage_limit,
        per_customer_limit=promotion.per_customer_limit,
        reminder_stage=promotion.reminder_stage,
        is_automatic=promotion.is_automatic,
        is_stackable=promotion.is_stackable,
        is_advertised=promotion.is_advertised,
        is_active=promotion.is_active,
        priority=promotion.priority,
        codes=named_codes(promotion),
    )


def tax_rates(*, actor: Actor) -> QuerySet[TaxRate]:
    """Return the company's tax rates, by place."""
    return TaxRate.objects.filter(company_id=actor.company_id).order_by(
        "country", "state", "postal_pattern", "name", "id"
    )


def find_tax_rate(*, actor: Actor, tax_rate_id: UUID) -> TaxRate:
    """:raises TaxRateNotFound: if the company has none"""
    rate = tax_rates(actor=actor).filter(id=tax_rate_id).first()
    if rate is None:
        raise TaxRateNotFound()
    return rate


def shipping_zones(*, actor: Actor) -> QuerySet[ShippingZone]:
    """Return the company's shipping zones, by name."""
    return ShippingZone.objects.filter(company_id=actor.company_id).order_by("name", "id")


def find_shipping_zone(*, actor: Actor, zone_id: UUID) -> ShippingZone:
    """:raises ShippingZoneNotFound: if the company has none"""
    zone = shipping_zones(actor=actor).filter(id=zone_id).first()
    if zone is None:
        raise ShippingZoneNotFound()
    return zone


def shipping_rules(*, actor: Actor) -> QuerySet[ShippingRule]:
    """Return the company's ways to ship with their zones, by zone and code."""
    return (
        ShippingRule.objects.filter(zone__company_id=actor.company_id)
        .select_related("zone")
        .order_by("zone__name", "code", "currency", "id")
    )


def find_shipping_rule(*, actor: Actor, shipping_rule_id: UUID) -> ShippingRule:
    """:raises ShippingRuleNotFound: if the company has none"""
    rule = shipping_rules(actor=actor).filter(id=shipping_rule_id).first()
    if rule is None:
        raise ShippingRuleNotFound()
    return rule
