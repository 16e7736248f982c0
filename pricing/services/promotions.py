"""Promotions and their codes, as staff make, change and end them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.models import Category, Product
from pricing import selectors
from pricing.errors import DiscountInvalid, PromotionNotFound
from pricing.models import Coupon, CustomerGroup, Promotion, PromotionUse
from pricing.money import EXPONENTS
from pricing.services.amounts import finer_than
from pricing.services.codes import normalise_code
from pricing.services.revision import bump
from pricing.terms import PromotionTerms

_COLUMNS = [
    field.name
    for field in dataclasses.fields(PromotionTerms)
    if field.name
    not in {
        "product_ids",
        "category_ids",
        "excluded_product_ids",
        "excluded_category_ids",
        "group_ids",
        "codes",
    }
]
# What a use was a use of: it stays what it was, and another promotion is another row.
_FIXED_ONCE_USED = {"kind": "kind", "scope": "scope", "currency": "currency"}

_PERCENTAGE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?", re.ASCII)
_Kind = Promotion.Kind
# What each kind asks beside its columns, see `engine.PromotionRule`.
_DETAILS: Mapping[str, set[str]] = {
    _Kind.PERCENTAGE: {"options"},
    _Kind.FIXED_AMOUNT: {"per_unit", "options"},
    _Kind.FREE_SHIPPING: {"options"},
    _Kind.BUY_X_GET_Y: {"buy", "get", "percent", "times"},
    _Kind.TIERED_QUANTITY: {"tiers"},
}


@transaction.atomic
def create_promotion(*, actor: Actor, terms: PromotionTerms, now: datetime) -> Promotion:
    """
    Start a promotion on these terms. An amount without a currency is one in the company's own.

    :raises ValidationFailed: if the terms contradict themselves, a target is unknown or a code is taken
    """
    terms = _checked(actor, terms)
    promotion = Promotion(
        company_id=actor.company_id, **{name: getattr(terms, name) for name in _COLUMNS}
    )
    promotion.save(force_insert=True)
    _set_targets(promotion, terms)
    _set_codes(actor, promotion, terms.codes)
    _tell(actor, "promotion.created", promotion, {}, terms, now)
    return promotion


@transaction.atomic
def change_promotion(
    *, actor: Actor, promotion_id: UUID, terms: PromotionTerms, now: datetime, reason: str = ""
) -> Promotion:
    """
    Put a promotion on new terms; what orders have redeemed stays.

    A promotion that gets its first limit starts counting with the uses there are; orders being placed wait for that.
    One that was used keeps its kind, what it applies to and its currency.

    :raises PromotionNotFound: if there is none, or it was deleted
    :raises ValidationFailed: as `create_promotion`, if it was used more often than the new limit allows, in all or by
        one customer, and if a used one would become another
    """
    terms = _checked(actor, terms, promotion_id=promotion_id)
    was_limited = _is_limited(_find(actor, promotion_id, lock=False))
    if _is_limited(terms) and not was_limited:
        # Uses are written before limits are read, so after this lock none can slip past the count.
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE promotion_usages IN SHARE MODE")
    promotion = _find(actor, promotion_id, lock=True)
    _check_meaning(promotion, terms)
    before = _as_json(selectors.promotion_terms(promotion))
    for name in _COLUMNS:
        setattr(promotion, name, getattr(terms, name))
    if _is_limited(terms) and not was_limited:
        promotion.used_count = PromotionUse.objects.filter(
            promotion=promotion, returned_at=None
        ).count()
    if terms.usage_limit is not None and promotion.used_count > terms.usage_limit:
        raise ValidationFailed(
            errors=[
                FieldError(
                    "usageLimit",
                    "min_value",
                    f"It has been used {promotion.used_count} times already.",
                )
            ]
        )
    if terms.per_customer_limit is not None:
        _check_uses_of_customers(promotion, terms.per_customer_limit)
    promotion.save()
    _set_targets(promotion, terms)
    _set_codes(actor, promotion, terms.codes)
    _tell(actor, "promotion.changed", promotion, before, terms, now, reason)
    return promotion


@transaction.atomic
def delete_promotion(*, actor: Actor, promotion_id: UUID, now: datetime, reason: str = "") -> None:
    """
    End a promotion. The row stays, because past orders refer to it; its codes stop working and stay its own.

    :raises PromotionNotFound: if there is none, or it was deleted before
    """
    promotion = _find(actor, promotion_id, lock=True)
    promotion.deleted_at = now
    promotion.is_active = False
    promotion.codes_when_deleted = list(selectors.named_codes(promotion))
    promotion.save(update_fields=["deleted_at", "is_active", "codes_when_deleted"])
    promotion.coupons.update(is_active=False)
    audit.record(
        actor=actor,
        action="promotion.deleted",
        object_type="promotion",
        object_id=promotion.id,
        before={"name": promotion.name, "codes": promotion.codes_when_deleted},
        reason=reason,
        now=now,
    )
    bump(actor=actor, what="promotions", now=now)


def _find(actor: Actor, promotion_id: UUID, *, lock: bool) -> Promotion:
    rows = Promotion.objects.filter(company_id=actor.company_id, id=promotion_id, deleted_at=None)
    promotion = (rows.for_update() if lock else rows).first()
    if promotion is None:
        raise PromotionNotFound()
    return promotion


def _is_limited(terms: Promotion | PromotionTerms) -> bool:
    return (
        terms.usage_limit is not None
        or terms.per_customer_limit is not None
        or terms.first_order_only
    )


def _check_meaning(promotion: Promotion, terms: PromotionTerms) -> None:
    changed = [
        field
        for name, field in _FIXED_ONCE_USED.items()
        if getattr(promotion, name) != getattr(terms, name)
    ]
    if changed and promotion.uses.exists():
        raise ValidationFailed(
            errors=[
                FieldError(field, "in_use", "Orders have used it as it is. Make another promotion.")
                for field in changed
            ]
        )


def _check_uses_of_customers(promotion: Promotion, limit: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(uses) FROM (SELECT count(*) AS uses FROM promotion_usages, unnest(customer_keys) AS name"
            " WHERE promotion_id = %s AND returned_at IS NULL GROUP BY name) AS customers",
            [promotion.id],
        )
        most = cursor.fetchone()[0] or 0
    if most > limit:
        raise ValidationFailed(
            errors=[
                FieldError(
                    "perCustomerLimit",
                    "min_value",
                    f"One customer has used it {most} times already.",
                )
            ]
        )


def _set_targets(promotion: Promotion, terms: PromotionTerms) -> None:
    promotion.products.set(Product.objects.filter(id__in=terms.product_ids))
    promotion.categories.set(Category.objects.filter(id__in=terms.category_ids))
    promotion.excluded_products.set(Product.objects.filter(id__in=terms.excluded_product_ids))
    promotion.excluded_categories.set(Category.objects.filter(id__in=terms.excluded_category_ids))
    promotion.groups.set(CustomerGroup.objects.filter(id__in=terms.group_ids))


def _set_codes(actor: Actor, promotion: Promotion, codes: Sequence[str]) -> None:
    """Make these the codes that work; earlier ones are switched off, not deleted, so that none is given out anew."""
    named = promotion.coupons.filter(selectors.NAMED)
    for coupon in named:
        if coupon.is_active != (coupon.code in codes):
            coupon.is_active = not coupon.is_active
            coupon.save(update_fields=["is_active"])
    known = set(named.values_list("code", flat=True))
    Coupon.objects.bulk_create(
        [
            Coupon(company_id=actor.company_id, promotion=promotion, code=code)
            for code in codes
            if code not in known
        ]
    )


def _tell(
    actor: Actor,
    action: str,
    promotion: Promotion,
    before: Mapping[str, Any],
    terms: PromotionTerms,
    now: datetime,
    reason: str = "",
) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type="promotion",
        object_id=promotion.id,
        before=before,
        after=_as_json(terms),
        reason=reason,
        now=now,
    )
    bump(actor=actor, what="promotions", now=now)


def _as_json(terms: PromotionTerms) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value := getattr(terms, field.name), tuple) else value
        for field in dataclasses.fields(terms)
    }


# --- what may be promised -----------------------------------------------------------------------


def _checked(
    actor: Actor, terms: PromotionTerms, *, promotion_id: UUID | None = None
) -> PromotionTerms:
    if terms.kind == Promotion.Kind.FIXED_AMOUNT and not terms.currency:
        terms = dataclasses.replace(
            terms, currency=selectors.home_currency(company_id=actor.company_id)
        )
    home = selectors.home_currency(company_id=actor.company_id)
    errors = [*_amount_errors(terms, terms.currency or home), *_detail_errors(terms)]
    if terms.starts_at and terms.ends_at and terms.ends_at <= terms.starts_at:
        errors.append(FieldError("endsAt", "invalid", "It ends before it begins."))
    errors += _hour_errors(terms)
    errors += _reminder_errors(actor, terms, promotion_id)
    for name, limit in (
        ("usageLimit", terms.usage_limit),
        ("perCustomerLimit", terms.per_customer_limit),
        ("minimumQuantity", terms.minimum_quantity),
        ("newCustomerDays", terms.new_customer_days),
    ):
        if limit is not None and limit < 1:
            errors.append(FieldError(name, "min_value", "At least one."))
    for name, model, ids in (
        ("productIds", Product, terms.product_ids),
        ("categoryIds", Category, terms.category_ids),
        ("excludedProductIds", Product, terms.excluded_product_ids),
        ("excludedCategoryIds", Category, terms.excluded_category_ids),
        ("groupIds", CustomerGroup, terms.group_ids),
    ):
        wanted = set(ids)
        if wanted and model.objects.filter(
            company_id=actor.company_id, id__in=wanted
        ).count() < len(wanted):
            errors.append(FieldError(name, "invalid", "One of these does not exist."))
    codes, code_errors = _checked_codes(actor, terms.codes, promotion_id)
    errors += code_errors
    if errors:
        raise ValidationFailed(errors=errors)
    return dataclasses.replace(
        terms, codes=tuple(codes), weekdays=tuple(sorted(set(terms.weekdays)))
    )


def _amount_errors(terms: PromotionTerms, currency: str) -> Iterable[FieldError]:
    if terms.kind not in Promotion.Kind.values:
        yield FieldError("kind", "invalid", "There is no such kind.")
    if terms.scope not in Promotion.Scope.values:
        yield FieldError("scope", "invalid", "There is no such scope.")
    if terms.currency and terms.currency not in EXPONENTS:
        yield FieldError("currency", "invalid", "We do not sell in this currency.")
    if terms.value < 0:
        yield FieldError("value", "min_value", "A discount is not negative.")
    if terms.kind == Promotion.Kind.PERCENTAGE and terms.value > 100:
        yield FieldError("value", "max_value", "At most 100 percent.")
    amounts = {"minimumOrder": terms.minimum_order, "maximumDiscount": terms.maximum_discount}
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            yield FieldError(name, "min_value", "It is not negative.")
    if terms.kind == Promotion.Kind.FIXED_AMOUNT:
        amounts["value"] = terms.value
    yield from finer_than(currency, amounts)


def _detail_errors(terms: PromotionTerms) -> Iterable[FieldError]:
    details = terms.settings
    of_others = {name for kind, names in _DETAILS.items() if kind != terms.kind for name in names}
    for name in sorted(details.keys() & of_others - _DETAILS.get(terms.kind, set())):
        field = "perUnit" if name == "per_unit" else name
        yield FieldError(f"settings.{field}", "invalid", "This kind knows no such detail.")
    if terms.scope == Promotion.Scope.SHIPPING:
        if terms.kind in {Promotion.Kind.BUY_X_GET_Y, Promotion.Kind.TIERED_QUANTITY}:
            yield FieldError("scope", "invalid", "This kind is about goods, not about shipping.")
        if details.get("per_unit"):
            yield FieldError("settings.perUnit", "invalid", "Shipping has no units.")
    if terms.kind == Promotion.Kind.BUY_X_GET_Y:
        for name in ("buy", "get"):
            if not _is_count(details.get(name)):
                yield FieldError(f"settings.{name}", "invalid", "How many? A whole number from 1.")
        if not _is_percentage(details.get("percent", 100)):
            yield FieldError("settings.percent", "invalid", "A percentage from 0 to 100.")
        if "times" in details and not _is_count(details["times"]):
            yield FieldError(
                "settings.times", "invalid", "How often at most? A whole number from 1."
            )
    if terms.kind == Promotion.Kind.TIERED_QUANTITY:
        tiers = details.get("tiers")
        if not isinstance(tiers, list) or not tiers:
            yield FieldError(
                "settings.tiers", "required", "Say from how many units on which percentage applies."
            )
        else:
            for index, tier in enumerate(tiers):
                if not _is_tier(tier):
                    yield FieldError(
                        f"settings.tiers.{index}",
                        "invalid",
                        'Such as {"from": 5, "percent": "10"}.',
                    )
                elif tier["from"] in {other["from"] for other in tiers[:index] if _is_tier(other)}:
                    yield FieldError(
                        f"settings.tiers.{index}", "invalid", "There is a step from there already."
                    )
    options = details.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        yield FieldError("settings.options", "invalid", "A list of shipping options.")


def _reminder_errors(
    actor: Actor, terms: PromotionTerms, promotion_id: UUID | None
) -> Iterable[FieldError]:
    if terms.reminder_stage is None:
        return
    if not 1 <= terms.reminder_stage <= 10:
        yield FieldError("reminderStage", "invalid", "A reminder is one from 1 to 10.")
    if terms.is_automatic:
        yield FieldError("reminderStage", "invalid", "What applies by itself needs no code.")
    others = Promotion.objects.filter(
        company_id=actor.company_id, reminder_stage=terms.reminder_stage, deleted_at=None
    )
    if promotion_id is not None:
        others = others.exclude(id=promotion_id)
    if others.exists():
        yield FieldError("reminderStage", "unique", "Another promotion is sent with this reminder.")


def _hour_errors(terms: PromotionTerms) -> Iterable[FieldError]:
    if not set(terms.weekdays) <= set(range(1, 8)):
        yield FieldError("weekdays", "invalid", "Days are numbered from 1, Monday, to 7, Sunday.")
    for name, hour, other in (
        ("opensAt", terms.opens_at, terms.closes_at),
        ("closesAt", terms.closes_at, terms.opens_at),
    ):
        if hour is None and other is not None:
            yield FieldError(name, "required", "Hours have a beginning and an end.")
        if hour is not None and (hour.second or hour.microsecond or hour.tzinfo):
            yield FieldError(name, "invalid", "Hours are on whole minutes, such as 09:30.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000


def _is_tier(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_count(value.get("from"))
        and _is_percentage(value.get("percent"))
    )


def _is_percentage(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    # Written plainly: a tiny one such as "1e-9999999" would be computed with for ever.
    return bool(_PERCENTAGE.fullmatch(str(value))) and Decimal(value) <= 100


def _checked_codes(
    actor: Actor, codes: Sequence[str], promotion_id: UUID | None
) -> tuple[list[str], list[FieldError]]:
    normal: list[str] = []
    for code in codes:
        try:
            normal.append(normalise_code(code))
        except DiscountInvalid:
            return [], [
                FieldError("code", "invalid", "A code is made of A to Z, 0 to 9 and hyphens.")
            ]
    taken = Coupon.objects.filter(company_id=actor.company_id, code__in=normal)
    if promotion_id is not None:
        taken = taken.exclude(selectors.NAMED, promotion_id=promotion_id)
    if taken.exists():
        return [], [FieldError("code", "unique", "This code is taken.")]
    return list(dict.fromkeys(normal)), []
