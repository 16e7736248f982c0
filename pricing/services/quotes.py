"""Quotes, and the codes in them: what a basket costs, and the uses that an order takes up."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Collection
from datetime import datetime
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
from pricing.models import Promotion, PromotionUse
from pricing.money import EXPONENTS

PROMOTIONS_FLAG = "ORDER_ENABLE_PROMOTIONS"  # CFG-27
_CODE = re.compile(r"[A-Z0-9-]{1,50}")
_REFUSALS = {engine.EXPIRED: DiscountExpired, engine.USED_UP: DiscountLimitReached}


def normalise_code(code: str) -> str:
    """
    Return a code the way codes are stored: trimmed, compatibility-normalised, upper-case.

    :raises DiscountInvalid: if nothing that a code may look like is left
    """
    normal = unicodedata.normalize("NFKC", code).strip().upper()
    if not _CODE.fullmatch(normal):
        raise DiscountInvalid(extra={"reason": engine.UNKNOWN})
    return normal


def quote(
    *, actor: Actor, basket: engine.Basket, now: datetime, revision: int | None = None
) -> engine.Quote:
    """
    Price a basket by the company's rules; writes nothing.

    One query for the revision (none when the caller passes the one it has read), one more only when the basket has
    codes or an automatic promotion has a limit, one more only for a customer of a company that knows exemptions, and
    one or two more only where points shall be spent: never more than the customer has.

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
    return quote, {**engine.basis_of(asked, rules, quote, now), "servedBy": served}


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
    rules = selectors.rules(company_id=actor.company_id, revision=revision)
    rules, served = outside.applied(basket, rules)
    if rules.has_reliefs and basket.user_id is not None and basket.destination is not None:
        reliefs = selectors.reliefs_of(company_id=actor.company_id, user_id=basket.user_id)
        basket = dataclasses.replace(basket, reliefs=reliefs)
    if basket.points:
        basket = dataclasses.replace(basket, points=_points(actor, basket, now))
    if not flags.is_enabled(PROMOTIONS_FLAG):
        return basket, rules.without_promotions(), served
    coupons, used_up = selectors.promotions_in_play(
        company_id=actor.company_id,
        rules=rules,
        codes=basket.codes,
        customer_key=basket.customer_key,
    )
    if coupons:
        rules = rules.with_coupons(coupons)
    if used_up:
        basket = dataclasses.replace(basket, used_up=used_up)
    return basket, rules, served


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
    flags.require(PROMOTIONS_FLAG)
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
    *, actor: Actor, order_id: UUID, quote: engine.Quote, customer_key: str, now: datetime
) -> None:
    """
    Take up one use of every promotion in the quote for an order.

    Promotions with a limit are locked in id order and counted under the lock; the others are only noted, so that a
    promotion everybody gets is no queue. The uses are written first: a change of limits waits for them. Doing it
    twice for one order takes up one use.

    :raises DiscountLimitReached: if a limit is reached; nothing is written
    """
    taken = {
        item.promotion_id: item
        for item in quote.discounts
        if item.promotion_id is not None and item.amount > 0
    }
    if not taken:
        return
    fresh = _insert_uses(
        taken, order_id=order_id, customer_key=customer_key, currency=quote.currency, now=now
    )
    counted: list[UUID] = []
    for promotion in _limited(fresh).for_update():
        reached = (
            promotion.usage_limit is not None and promotion.used_count >= promotion.usage_limit
        )
        if promotion.per_customer_limit is not None and not reached:
            uses = PromotionUse.objects.filter(
                promotion=promotion, customer_key=customer_key, returned_at=None
            ).count()
            reached = uses > promotion.per_customer_limit  # ours is among them
        if reached:
            code = taken[promotion.id].code
            raise DiscountLimitReached(
                extra={"code": code, "promotionId": str(promotion.id), "reason": engine.USED_UP}
            )
        counted.append(promotion.id)
    if counted:
        Promotion.objects.filter(id__in=counted).update(used_count=F("used_count") + 1)


@transaction.atomic
def return_uses(*, actor: Actor, order_id: UUID, now: datetime) -> int:
    """Give back the uses that an order took up, and return how many; a second call gives back none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE promotion_usages SET returned_at = %s WHERE order_id = %s AND returned_at IS NULL"
            " RETURNING promotion_id",
            [now, order_id],
        )
        returned = [promotion_id for (promotion_id,) in cursor.fetchall()]
    if returned:
        counted = [promotion.id for promotion in _limited(returned).for_update()]
        Promotion.objects.filter(id__in=counted).update(used_count=F("used_count") - 1)
    return len(returned)


def _limited(promotion_ids: Collection[UUID]) -> LockingQuerySet:
    return Promotion.objects.filter(id__in=promotion_ids).filter(
        Q(usage_limit__isnull=False) | Q(per_customer_limit__isnull=False)
    )


def _insert_uses(
    taken: dict[UUID, engine.Discount],
    *,
    order_id: UUID,
    customer_key: str,
    currency: str,
    now: datetime,
) -> list[UUID]:
    """Write the uses and return the promotions whose use is new, or was given back before."""
    ids = sorted(taken)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO promotion_usages
                (id, promotion_id, code, order_id, customer_key, amount, currency, used_at, returned_at)
            SELECT use.id, use.promotion_id, use.code, %s, %s, use.amount, %s, %s, NULL
              FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::numeric[])
                   AS use (id, promotion_id, code, amount)
            ON CONFLICT (promotion_id, order_id) DO UPDATE
               SET returned_at = NULL, used_at = excluded.used_at, amount = excluded.amount
             WHERE promotion_usages.returned_at IS NOT NULL
            RETURNING promotion_id
            """,
            [
                order_id,
                customer_key,
                currency,
                now,
                [new_id() for _ in ids],
                ids,
                [taken[id].code or "" for id in ids],
                [taken[id].amount for id in ids],
            ],
        )
        return [promotion_id for (promotion_id,) in cursor.fetchall()]
