"""Quotes, and the codes in them: what a basket costs, and the uses that an order takes up."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import LockingQuerySet, new_id
from pricing import engine, outside, selectors
from pricing.errors import CurrencyUnknown, DiscountExpired, DiscountInvalid, DiscountLimitReached
from pricing.models import Coupon, CustomerOrder, Promotion, PromotionUse
from pricing.money import EXPONENTS
from pricing.services.codes import normalise_code

_REFUSALS = {engine.EXPIRED: DiscountExpired, engine.USED_UP: DiscountLimitReached}


def quote(
    *, actor: Actor, basket: engine.Basket, now: datetime, revision: int | None = None
) -> engine.Quote:
    """
    Price a basket by the company's rules; writes nothing.

    One query for the revision (none when the caller passes the one it has read), one more only when the basket has
    codes or an automatic promotion has a limit, one more only when a promotion asks who the customer is, one more only
    in another currency than the company's own, one more only
    for a customer of a company that knows exemptions, and one or two more only where points shall be spent: never more
    than the customer has.

    :raises CurrencyUnknown: if we know no such currency
    """
    asked, rules, _served = _question(actor, basket, revision, now)
    return engine.price(asked, rules, now)


def quote_with_basis(
    *, actor: Actor, basket: engine.Basket, now: datetime, revision: int | None = None
) -> tuple[engine.Quote, dict[str, Any]]:
    """
    Return a quote and what it was made from (`engine.basis_of`), for an order that has to explain itself for good.

    :raises CurrencyUnknown: if we know no such currency
    """
    asked, rules, served = _question(actor, basket, revision, now)
    quote = engine.price(asked, rules, now)
    basis = engine.basis_of(asked, rules, quote, now)
    return quote, basis | {"servedBy": served, "exchangeRate": _rate(quote, rules)}


def _rate(quote: engine.Quote, rules: engine.Rules) -> dict[str, str] | None:
    """Return the exchange rate that some amount of a quote was converted at, as plain JSON."""
    if quote.conversion is None or rules.rate is None:
        return None
    return {
        "id": str(rules.rate.id),
        "base": rules.rate.base,
        "quote": rules.rate.quote,
        "rate": f"{rules.rate.rate.normalize():f}",
        "validFrom": rules.rate.valid_from.isoformat(),
        "source": rules.rate.source,
    }


def compare(*, actor: Actor, basket: engine.Basket, now: datetime) -> engine.Comparison:
    """
    Return what `quote` does, and of every promotion of the company what came of it on this basket; writes nothing.

    :raises CurrencyUnknown: if we know no such currency
    """
    asked, rules, _served = _question(actor, basket, None, now)
    return engine.compare(asked, rules, now)


def _question(
    actor: Actor, basket: engine.Basket, revision: int | None, now: datetime
) -> tuple[engine.Basket, engine.Rules, dict[str, str]]:
    """
    Return the basket with what is known of its customer, the rules with the codes that it has, and who served for what.

    Under `outside.asking` what outside engines say takes the place of the own tables.
    """
    if basket.currency not in EXPONENTS:
        raise CurrencyUnknown()
    if revision is None:
        revision = selectors.revision(company_id=actor.company_id)
    rules = selectors.rules_in(
        company_id=actor.company_id,
        currency=basket.currency,
        rules=selectors.rules(company_id=actor.company_id, revision=revision),
        now=now,
    )
    rules, served = outside.applied(basket, rules)
    served |= outside.who_priced(basket)
    if basket.shipping_prices is not None:
        rules = _at_prices(rules, basket.shipping_prices)
    if rules.has_reliefs and basket.user_id is not None and basket.destination is not None:
        reliefs = selectors.reliefs_of(company_id=actor.company_id, user_id=basket.user_id)
        basket = dataclasses.replace(basket, reliefs=reliefs)
    if basket.points:
        basket = dataclasses.replace(basket, points=_points(actor, basket, now))
    if not basket.takes_promotions or not flags.is_enabled(selectors.PROMOTIONS_FLAG):
        return basket, rules.without_promotions(), served
    in_play = selectors.promotions_in_play(
        company_id=actor.company_id,
        rules=rules,
        codes=basket.codes,
        customer_keys=basket.customer_keys,
        now=now,
    )
    if in_play.coupons:
        rules = rules.with_coupons(in_play.coupons, in_play.refused, in_play.until)
    if in_play.used_up:
        basket = dataclasses.replace(basket, used_up=in_play.used_up)
    brought_in = set(in_play.coupons.values())
    if any(rule.is_automatic or rule.id in brought_in for rule in rules.asking):
        facts = selectors.customer_facts(
            company_id=actor.company_id, user_id=basket.user_id, keys=basket.customer_keys
        )
        basket = dataclasses.replace(
            basket,
            group_ids=facts.group_ids,
            has_ordered=facts.has_ordered,
            customer_since=facts.since,
        )
    return basket, rules, served


def _at_prices(rules: engine.Rules, prices: Mapping[str, Decimal]) -> engine.Rules:
    """Return the rules with only these ways to ship, each at its price, whatever is in the basket."""
    zones = [
        dataclasses.replace(
            zone,
            methods=[
                dataclasses.replace(
                    method,
                    type="FLAT_RATE",
                    base_price=prices[method.code],
                    free_over=None,
                    minimum_order=None,
                    maximum_order=None,
                )
                for method in zone.methods
                if method.code in prices
            ],
        )
        for zone in rules.zones
    ]
    return dataclasses.replace(rules, zones=zones)


def check_option(*, quote: engine.Quote, option: str | None) -> None:
    """
    Refuse a way to ship that is not open to what was quoted with it; where there is none at all, the quote says so.

    :raises ValidationFailed: if others are offered, but not this one
    """
    if option and quote.shipping is None and quote.shipping_options:
        raise ValidationFailed(
            errors=[
                FieldError("shippingOption", "invalid_choice", "This option is not offered there.")
            ]
        )


def _points(actor: Actor, basket: engine.Basket, now: datetime) -> int:
    """Return how many of the points asked for the customer has; none while points are switched off."""
    if basket.user_id is None or not flags.is_enabled(selectors.LOYALTY_FLAG):
        return 0
    available = selectors.points_of(company_id=actor.company_id, user_id=basket.user_id, now=now)
    return min(basket.points, available)


def check_code(*, actor: Actor, code: str, basket: engine.Basket, now: datetime) -> str:
    """
    Return the code as it is stored, if it would take effect on this basket beside the codes already there.

    Takes up no use.

    :raises DiscountInvalid: if the code is unknown or does not apply; `extra.reason` says why
    :raises DiscountExpired: if its time is over
    :raises DiscountLimitReached: if it is used up, in all or for this customer
    :raises FeatureDisabled: while promotions are switched off
    """
    flags.require(selectors.PROMOTIONS_FLAG)
    normal = normalise_code(code)
    tried = dataclasses.replace(
        basket, codes=(*(other for other in basket.codes if other != normal), normal)
    )
    for refused in quote(actor=actor, basket=tried, now=now).not_applied:
        if refused.code == normal:
            error = _REFUSALS.get(refused.reason, DiscountInvalid)
            raise error(refused.message, extra={"code": normal, "reason": refused.reason})
    return normal


@transaction.atomic
def redeem(
    *,
    actor: Actor,
    order_id: UUID,
    quote: engine.Quote,
    customer_keys: Sequence[str],
    now: datetime,
) -> None:
    """
    Note an order of this customer, and take up one use of every promotion and code in its quote.

    Promotions with a limit are locked in id order and counted under the lock, then codes with one; the others are
    only noted, so that a promotion everybody gets is no queue. The uses are written first: a change of limits waits
    for them. Doing it twice for one order takes up one use.

    :raises DiscountLimitReached: if a limit is reached, or the order is not this customer's first where a promotion
        asks for that; nothing is written
    """
    taken = {
        item.promotion_id: item
        for item in quote.discounts
        if item.promotion_id is not None and item.amount > 0
    }
    fresh, names = _insert_uses(
        taken,
        company_id=actor.company_id,
        order_id=order_id,
        customer_keys=customer_keys,
        currency=quote.currency,
        now=now,
    )
    if not fresh:
        return

    def used_up(promotion_id: UUID) -> DiscountLimitReached:
        code = taken[promotion_id].code
        return DiscountLimitReached(
            extra={"code": code, "promotionId": str(promotion_id), "reason": engine.USED_UP}
        )

    counted: list[UUID] = []
    for promotion in _limited(fresh).for_update():
        if promotion.usage_limit is not None and promotion.used_count >= promotion.usage_limit:
            raise used_up(promotion.id)
        if promotion.per_customer_limit is not None and names:
            uses = PromotionUse.objects.filter(
                promotion=promotion, customer_keys__overlap=names, returned_at=None
            ).count()
            if uses > promotion.per_customer_limit:  # ours is among them
                raise used_up(promotion.id)
        if promotion.first_order_only and names:
            others = CustomerOrder.objects.filter(
                company_id=actor.company_id, customer_keys__overlap=names, undone_at=None
            ).exclude(order_id=order_id)
            if others.exists():
                raise used_up(promotion.id)
        counted.append(promotion.id)
    if counted:
        Promotion.objects.filter(id__in=counted).update(used_count=F("used_count") + 1)
    codes = {code: id for id in fresh if (code := taken[id].code)}
    coupons = Coupon.objects.filter(company_id=actor.company_id, code__in=codes)
    for coupon in coupons.filter(usage_limit__isnull=False).for_update() if codes else ():
        if coupon.used_count >= coupon.usage_limit or not coupon.is_active:
            raise used_up(codes[coupon.code])
        coupon.used_count += 1
        coupon.save(update_fields=["used_count"])


@transaction.atomic
def return_uses(*, actor: Actor, order_id: UUID, now: datetime) -> int:
    """
    Give back the uses that an order took up, and return how many; a second call gives back none.

    The order no longer counts as one that its customer has placed.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH undone AS (
                UPDATE customer_orders SET undone_at = %(now)s WHERE order_id = %(order)s AND undone_at IS NULL
            )
            UPDATE promotion_usages SET returned_at = %(now)s WHERE order_id = %(order)s AND returned_at IS NULL
            RETURNING promotion_id, code
            """,
            {"now": now, "order": order_id},
        )
        returned = dict(cursor.fetchall())
    if returned:
        counted = [promotion.id for promotion in _limited(returned).for_update()]
        Promotion.objects.filter(id__in=counted).update(used_count=F("used_count") - 1)
    codes = [code for code in returned.values() if code]
    coupons = Coupon.objects.filter(company_id=actor.company_id, code__in=codes)
    for coupon in coupons.filter(usage_limit__isnull=False).for_update() if codes else ():
        coupon.used_count -= 1
        coupon.save(update_fields=["used_count"])
    return len(returned)


def _limited(promotion_ids: Collection[UUID]) -> LockingQuerySet:
    return Promotion.objects.filter(id__in=promotion_ids).filter(
        Q(usage_limit__isnull=False)
        | Q(per_customer_limit__isnull=False)
        | Q(first_order_only=True)
    )


def _insert_uses(
    taken: Mapping[UUID, engine.Discount],
    *,
    company_id: UUID,
    order_id: UUID,
    customer_keys: Sequence[str],
    currency: str,
    now: datetime,
) -> tuple[list[UUID], list[str]]:
    """Write the order and its uses; return the promotions whose use is new or was given back, and the customer's names."""
    ids = sorted(taken)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH customer AS MATERIALIZED (SELECT customer_keys_of(%(keys)s::text[]) AS names),
            noted AS (
                INSERT INTO customer_orders (order_id, company_id, customer_keys, placed_at)
                SELECT %(order)s, %(company)s, names, %(now)s FROM customer
                ON CONFLICT (order_id) DO UPDATE SET undone_at = NULL
                 WHERE customer_orders.undone_at IS NOT NULL
            )
            INSERT INTO promotion_usages
                (id, promotion_id, code, order_id, customer_key, customer_keys, amount, currency, used_at, returned_at)
            SELECT use.id, use.promotion_id, use.code, %(order)s, %(key)s, customer.names, use.amount, %(currency)s,
                   %(now)s, NULL
              FROM customer, unnest(%(ids)s::uuid[], %(promotions)s::uuid[], %(codes)s::text[], %(amounts)s::numeric[])
                   AS use (id, promotion_id, code, amount)
            ON CONFLICT (promotion_id, order_id) DO UPDATE
               SET returned_at = NULL, used_at = excluded.used_at, amount = excluded.amount
             WHERE promotion_usages.returned_at IS NOT NULL
            RETURNING promotion_id, customer_keys
            """,
            {
                "keys": list(customer_keys),
                "key": customer_keys[0] if customer_keys else "",
                "order": order_id,
                "company": company_id,
                "currency": currency,
                "now": now,
                "ids": [new_id() for _ in ids],
                "promotions": ids,
                "codes": [taken[id].code or "" for id in ids],
                "amounts": [taken[id].amount for id in ids],
            },
        )
        rows = cursor.fetchall()
    return [promotion_id for promotion_id, _ in rows], rows[0][1] if rows else []
