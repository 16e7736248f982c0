"""The rules of a company, read into the engine's terms and kept in memory until their revision moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Count,
    FilteredRelation,
    Func,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce

from inventory.models import BundleItem, Category, Company
from pricing import engine
from pricing.models import (
    BundlePrice,
    LoyaltyProgram,
    PricingPolicy,
    Promotion,
    PromotionUse,
    Revision,
    ShippingRule,
    ShippingZone,
    TaxExemption,
    TaxRate,
)
from pricing.selectors.customers import keys_expression
from pricing.selectors.exchange import rate_until

# One entry per company, with the time it was read; replaced as a whole, so threads need no lock: at worst two read the
# same rules. Categories and the parts of bundles are inventory's and raise no revision, so nothing is kept for long.
_KEPT: dict[UUID, tuple[float, engine.Rules]] = {}
_KEPT_SECONDS = 60.0
# The same rules in other currencies, with those they were made from and the rate.
_CONVERTED: dict[tuple[UUID, str], tuple[engine.Rules, engine.Rate, engine.Rules]] = {}


def revision(*, company_id: UUID) -> int:
    """Return the number that rises whenever promotions, taxes or shipping change; 0 before the first change."""
    return (
        Revision.objects.filter(company_id=company_id).values_list("number", flat=True).first() or 0
    )


def rules(*, company_id: UUID, revision: int) -> engine.Rules:
    """
    Return the company's rules as of a revision at least as new as the one given; they are kept for up to a minute.

    Periods are not applied here: the engine does that with its own `now`, so rules stay good while time passes.
    Coupon codes are not part of it, see `promotions_in_play`.
    """
    read_at, kept = _KEPT.get(company_id, (0.0, None))
    if kept is None or kept.revision != revision or monotonic() - read_at > _KEPT_SECONDS:
        kept = _read(company_id, revision)
        _KEPT[company_id] = (monotonic(), kept)
    return kept


def rules_in(
    *, company_id: UUID, currency: str, rules: engine.Rules, now: datetime
) -> engine.Rules:
    """
    Return the company's rules for baskets in a currency: amounts in its own are converted at the rate in force.

    Nothing is asked in the company's own currency, else one statement. Without a rate nothing is converted.
    """
    if currency == rules.currency:
        return rules
    rate, until = rate_until(company_id=company_id, base=rules.currency, quote=currency, now=now)
    if rate is not None:
        of, at, kept = _CONVERTED.get((company_id, currency), (None, None, None))
        if kept is None or of is not rules or at != rate:
            kept = engine.in_currency(rules, rate)
            _CONVERTED[company_id, currency] = (rules, rate, kept)
        rules = kept
    return rules if until is None else rules.with_rate_until(until)


def forget() -> None:
    """Read all rules anew at the next question."""
    _KEPT.clear()
    _CONVERTED.clear()


@dataclass(frozen=True, slots=True)
class InPlay:
    """What there is to know about codes and limits: see `promotions_in_play`."""

    coupons: Mapping[str, UUID] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None
    used_up: frozenset[UUID] = frozenset()


def promotions_in_play(
    *,
    company_id: UUID,
    rules: engine.Rules,
    codes: Iterable[str],
    customer_keys: Sequence[str],
    now: datetime,
) -> InPlay:
    """
    Return the promotion behind each code, the codes that are refused for themselves and why (over, used up, someone
    else's), when the first of them ends, and the promotions that are used up, in all or for this customer.

    One query, and none when there are no codes and no automatic promotion has a limit.
    """
    codes = list(codes)
    limited = [promotion.id for promotion in rules.automatic if promotion.is_limited]
    if not codes and not limited:
        return InPlay()
    keys = keys_expression(customer_keys)
    found = (
        Promotion.objects.filter(company_id=company_id, is_active=True, deleted_at=None)
        .annotate(
            coupon=FilteredRelation(
                "coupons", condition=Q(coupons__code__in=codes, coupons__is_active=True)
            )
        )
        .filter(Q(coupon__isnull=False) | Q(id__in=limited))
        .values_list(
            "usage_limit",
            "used_count",
            "per_customer_limit",
            _uses_of(keys),
            "id",
            "coupon__code",
            "coupon__usage_limit",
            "coupon__used_count",
            "coupon__expires_at",
            "coupon__customer_key",
            keys,
        )
    )
    coupons: dict[str, UUID] = {}
    refused: dict[str, str] = {}
    ends: list[datetime] = []
    used_up = set()
    for limit, used, customer_limit, customer_used, promotion_id, code, *of_code in found:
        if (limit is not None and used >= limit) or (
            customer_limit is not None and customer_used >= customer_limit
        ):
            used_up.add(promotion_id)
        if code is None:
            continue
        coupons[code] = promotion_id
        code_limit, code_used, expires_at, owner, names = of_code
        if expires_at is not None and expires_at <= now:
            refused[code] = engine.EXPIRED
        elif owner and owner not in names:
            refused[code] = engine.NOT_ELIGIBLE
        elif code_limit is not None and code_used >= code_limit:
            refused[code] = engine.USED_UP
        elif expires_at is not None:
            ends.append(expires_at)
    return InPlay(coupons, refused, min(ends, default=None), frozenset(used_up))


def _uses_of(keys: Func) -> Coalesce:
    uses = (
        PromotionUse.objects.filter(
            promotion=OuterRef("id"), customer_keys__overlap=keys, returned_at=None
        )
        .order_by()
        .values("promotion")
        .annotate(number=Count("*"))
        .values("number")
    )
    return Coalesce(Subquery(uses), Value(0), output_field=IntegerField())


def _read(company_id: UUID, revision: int) -> engine.Rules:
    company = Company.objects.select_related("pricing_policy", "loyalty_program").get(id=company_id)
    policy = policy_of(company)
    time_zone = policy.time_zone
    below = _descendants(company_id)
    return engine.Rules(
        revision=revision,
        currency=company.currency,
        promotions=tuple(
            _promotion(row, company.currency, below, time_zone)
            for row in promotions_with_targets(company_id)
        ),
        tax_rules=tuple(
            engine.TaxRule(
                id=rate.id,
                name=rate.name,
                type=rate.type,
                country=rate.country,
                rate=rate.rate,
                state=rate.state,
                postal_prefix=rate.postal_pattern,
                tax_class=rate.tax_class,
                is_included=rate.is_included,
                is_compound=rate.is_compound,
                on_shipping=rate.on_shipping,
                priority=rate.priority,
                valid_from=rate.valid_from,
                valid_to=rate.valid_to,
            )
            for rate in TaxRate.objects.filter(company_id=company_id, is_active=True)
        ),
        has_reliefs=TaxExemption.objects.filter(
            company_id=company_id, status=TaxExemption.Status.APPROVED
        ).exists(),
        zones=_zones(company_id),
        bundles=_bundles(company_id),
        tax_rounding=policy.tax_rounding,
        point_value=engine.PointValue(_point_value(company), company.currency),
    )


def _point_value(company: Company) -> Decimal:
    try:
        return company.loyalty_program.point_value
    except LoyaltyProgram.DoesNotExist:
        return LoyaltyProgram().point_value


def policy_of(company: Company) -> PricingPolicy:
    """Return what the company has decided, or what holds while it has not."""
    try:
        return company.pricing_policy
    except PricingPolicy.DoesNotExist:
        return PricingPolicy(company=company)


def promotions_with_targets(company_id: UUID) -> QuerySet[Promotion]:
    """Return the promotions that a code may bring in or that apply by themselves, with the ids they are about."""
    return Promotion.objects.filter(
        company_id=company_id, is_active=True, deleted_at=None
    ).annotate(
        product_ids=_ids_of(Promotion.products.through, "product_id"),
        category_ids=_ids_of(Promotion.categories.through, "category_id"),
        excluded_product_ids=_ids_of(Promotion.excluded_products.through, "product_id"),
        excluded_category_ids=_ids_of(Promotion.excluded_categories.through, "category_id"),
        group_ids=_ids_of(Promotion.groups.through, "customergroup_id"),
    )


def _ids_of(through: type[Model], name: str) -> ArraySubquery:
    rows = through._default_manager.filter(promotion_id=OuterRef("id"))
    return ArraySubquery(rows.values(name))


def _promotion(
    row: Any, home_currency: str, below: Mapping[UUID, set[UUID]], time_zone: str
) -> engine.PromotionRule:
    def covered(category_ids: Iterable[UUID]) -> frozenset[UUID]:
        return frozenset().union(*(below.get(id, {id}) for id in category_ids))

    # An amount without a currency is one in the company's own; it must never be read as another currency's.
    in_home_currency = row.minimum_order is not None or row.maximum_discount is not None
    return engine.PromotionRule(
        id=row.id,
        name=row.name,
        kind=row.kind,
        scope=row.scope,
        value=row.value,
        currency=row.currency or (home_currency if in_home_currency else ""),
        product_ids=frozenset(row.product_ids),
        category_ids=covered(row.category_ids),
        excluded_product_ids=frozenset(row.excluded_product_ids),
        excluded_category_ids=covered(row.excluded_category_ids),
        user_ids=frozenset(row.user_ids),
        group_ids=frozenset(row.group_ids),
        first_order_only=row.first_order_only,
        new_customer_days=row.new_customer_days,
        minimum_order=row.minimum_order,
        minimum_quantity=row.minimum_quantity,
        maximum_discount=row.maximum_discount,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        weekly=weekly_hours(row, time_zone),
        is_automatic=row.is_automatic,
        is_stackable=row.is_stackable,
        is_limited=row.usage_limit is not None or row.per_customer_limit is not None,
        priority=row.priority,
        details=row.settings,
    )


def weekly_hours(row: Promotion, time_zone: str) -> engine.WeeklyHours | None:
    """Return the days and hours of a promotion in the company's time zone; None where it is for the whole week."""
    if not row.weekdays and row.opens_at is None:
        return None
    return engine.WeeklyHours(
        zone=time_zone,
        days=frozenset(row.weekdays or range(1, 8)),
        opens=row.opens_at or time.min,
        closes=row.closes_at or time.min,
    )


def _descendants(company_id: UUID) -> dict[UUID, set[UUID]]:
    """Return for each category itself and everything below it: a promotion on a category covers its children."""
    parents = dict(Category.objects.filter(company_id=company_id).values_list("id", "parent_id"))
    below: dict[UUID, set[UUID]] = {id: {id} for id in parents}
    for id, nearest in parents.items():
        seen = {id}
        parent: UUID | None = nearest
        while parent is not None and parent not in seen:
            below[parent].add(id)
            seen.add(parent)
            parent = parents.get(parent)
    return below


def _zones(company_id: UUID) -> tuple[engine.Zone, ...]:
    methods: dict[UUID, list[engine.ShippingMethod]] = {}
    for rule in ShippingRule.objects.filter(zone__company_id=company_id, is_active=True):
        methods.setdefault(rule.zone_id, []).append(
            engine.ShippingMethod(
                id=rule.id,
                code=rule.code,
                name=rule.name,
                type=rule.type,
                currency=rule.currency,
                base_price=rule.base_price,
                per_unit=rule.per_unit,
                per_kilogram=rule.per_kilogram,
                free_over=rule.free_over,
                minimum_order=rule.minimum_order,
                maximum_order=rule.maximum_order,
                min_days=rule.min_days,
                max_days=rule.max_days,
                priority=rule.priority,
            )
        )
    return tuple(
        engine.Zone(
            id=zone.id,
            name=zone.name,
            countries=tuple(zone.countries),
            states=tuple(zone.states),
            postal_prefixes=tuple(zone.postal_patterns),
            priority=zone.priority,
            methods=tuple(methods.get(zone.id, ())),
        )
        for zone in ShippingZone.objects.filter(company_id=company_id, is_active=True)
    )


def _bundles(company_id: UUID) -> dict[UUID, engine.BundleOffer]:
    prices: dict[UUID, dict[str, Decimal]] = {}
    names: dict[UUID, str] = {}
    offered = BundlePrice.objects.filter(bundle__company_id=company_id, bundle__is_active=True)
    for bundle_id, name, currency, amount in offered.values_list(
        "bundle_id", "bundle__name", "currency", "amount"
    ):
        prices.setdefault(bundle_id, {})[currency] = amount
        names[bundle_id] = name
    parts: dict[UUID, dict[UUID, int]] = {}
    for item in BundleItem.objects.filter(bundle__in=prices):
        parts.setdefault(item.bundle_id, {})[item.variant_id] = item.quantity
    return {
        bundle_id: engine.BundleOffer(
            id=bundle_id, name=names[bundle_id], prices=by_currency, parts=parts.get(bundle_id, {})
        )
        for bundle_id, by_currency in prices.items()
    }
