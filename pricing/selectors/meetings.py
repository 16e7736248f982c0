"""Which promotions may meet on the same goods at the same time, and which of them wins: told to staff, never in the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.models import Product
from pricing.models import Promotion
from pricing.selectors.promotions import promotion_terms
from pricing.selectors.rules import promotions_with_targets
from pricing.terms import PromotionTerms

BOTH, EXCLUSIVE = "both", "exclusive"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_LANES = ("line", "order", "shipping")  # in the order in which the engine goes through them


@dataclass(frozen=True, slots=True)
class Meeting:
    """
    Another promotion that may meet one; `rule` says what happens: both apply, or only the better one.

    Where both apply, `is_first` says that the other one comes first, and `is_lane` that what they are about says so, not
    their priority.
    """

    promotion_id: UUID
    name: str
    rule: str
    is_first: bool
    is_lane: bool


def meetings(
    *, actor: Actor, promotions: Iterable[Promotion], now: datetime
) -> dict[UUID, list[Meeting]]:
    """
    Return, for each of these rows of `promotions`, the others in force or to come that it may meet, by name.

    "May": goods, period, days, hours, currency and customers do not rule it out. A paused one is told what it would
    meet. Three statements.
    """
    wanted = [row for row in promotions if row.deleted_at is None]
    others = list(
        promotions_with_targets(actor.company_id).exclude(ends_at__lte=now).order_by("name", "id")
    )
    if not wanted or not others:
        return {row.id: [] for row in wanted}
    terms_of = {row.id: promotion_terms(row) for row in wanted}
    terms_of |= {row.id: _terms(row) for row in others}
    shelves = _Shelves(actor, list(terms_of.values()))
    told: dict[UUID, list[Meeting]] = {}
    for row in wanted:
        terms = terms_of[row.id]
        is_over = terms.ends_at is not None and terms.ends_at <= now
        told[row.id] = [
            _meeting(row, terms, other, terms_of[other.id])
            for other in others
            if other.id != row.id and not is_over and _may_meet(terms, terms_of[other.id], shelves)
        ]
    return told


def _terms(row: Any) -> PromotionTerms:
    """Return what of the terms of a row of `promotions_with_targets` decides whether it meets another one."""
    return PromotionTerms(
        name=row.name,
        kind=row.kind,
        scope=row.scope,
        currency=row.currency,
        product_ids=row.product_ids,
        category_ids=row.category_ids,
        excluded_product_ids=row.excluded_product_ids,
        excluded_category_ids=row.excluded_category_ids,
        user_ids=row.user_ids,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        weekdays=row.weekdays,
        opens_at=row.opens_at,
        closes_at=row.closes_at,
        is_stackable=row.is_stackable,
        priority=row.priority,
    )


def _meeting(
    row: Promotion, terms: PromotionTerms, other: Promotion, of_other: PromotionTerms
) -> Meeting:
    lanes = _LANES.index(lane(of_other)), _LANES.index(lane(terms))
    places = (lanes[0], -other.priority, other.id), (lanes[1], -row.priority, row.id)
    rule = BOTH if terms.is_stackable and of_other.is_stackable else EXCLUSIVE
    return Meeting(other.id, other.name, rule, places[0] < places[1], lanes[0] != lanes[1])


def lane(terms: PromotionTerms) -> str:
    """Return in which lane of the engine a promotion works: on lines, on the order, on shipping."""
    if terms.kind == Promotion.Kind.FREE_SHIPPING or terms.scope == Promotion.Scope.SHIPPING:
        return "shipping"
    if terms.scope in {Promotion.Scope.PRODUCT, Promotion.Scope.CATEGORY} or terms.kind in {
        Promotion.Kind.BUY_X_GET_Y,
        Promotion.Kind.TIERED_QUANTITY,
    }:
        return "line"
    return "order"


def _may_meet(one: PromotionTerms, two: PromotionTerms, shelves: _Shelves) -> bool:
    if one.currency and two.currency and one.currency != two.currency:
        return False
    if one.user_ids and two.user_ids and not set(one.user_ids) & set(two.user_ids):
        return False
    starts = max(one.starts_at or _FIRST, two.starts_at or _FIRST)
    if starts >= min(one.ends_at or _LAST, two.ends_at or _LAST):
        return False
    if not _minutes(one) & _minutes(two):
        return False
    apart = (lane(one) == "shipping") != (lane(two) == "shipping")
    if apart and one.is_stackable and two.is_stackable:
        return (
            False  # one is about goods, the other about shipping, and neither keeps the other out
        )
    return shelves.touch(one, two)


def _minutes(terms: PromotionTerms) -> set[int]:
    """Return the quarters of an hour of a week in which a promotion may apply, by the clock of the shop."""
    days = terms.weekdays or range(1, 8)
    opens, closes = terms.opens_at, terms.closes_at
    first = 0 if opens is None else opens.hour * 60 + opens.minute
    last = 0 if closes is None else closes.hour * 60 + closes.minute
    if last <= first:
        last += 24 * 60
    return {
        quarter % (7 * 96)
        for day in days
        for quarter in range((day - 1) * 96 + first // 15, (day - 1) * 96 + -(-last // 15))
    }


class _Shelves:
    """Which products and categories promotions are about, with the categories below: two statements for all of them."""

    def __init__(self, actor: Actor, terms: list[PromotionTerms]) -> None:
        self.above = inventory.category_paths(company_id=actor.company_id)
        named = {
            product_id
            for each in terms
            for product_id in (*each.product_ids, *each.excluded_product_ids)
        }
        self.category_of: Mapping[UUID, UUID | None] = dict(
            Product.objects.filter(id__in=named).values_list("id", "category_id")
        )

    def touch(self, one: PromotionTerms, two: PromotionTerms) -> bool:
        """Return whether there may be goods that both are about."""
        if not self._about_all(one) and not self._about_all(two):
            return self._meet_named(one, two)
        # One is about everything: the other one's goods meet it, unless it leaves out every one of them.
        wide, narrow = (one, two) if self._about_all(one) else (two, one)
        if self._about_all(narrow):
            return True
        left = [id for id in narrow.product_ids if not self._leaves_out(wide, id)]
        out = set(wide.excluded_category_ids)
        return bool(left) or any(not self._path(id) & out for id in narrow.category_ids)

    def _meet_named(self, one: PromotionTerms, two: PromotionTerms) -> bool:
        for here, there in ((one, two), (two, one)):
            for product_id in here.product_ids:
                if self._names(there, product_id) and not self._leaves_out(here, product_id):
                    return True
        return any(
            a in self._path(b) or b in self._path(a)
            for a in one.category_ids
            for b in two.category_ids
        )

    @staticmethod
    def _about_all(terms: PromotionTerms) -> bool:
        return not terms.product_ids and not terms.category_ids

    def _names(self, terms: PromotionTerms, product_id: UUID) -> bool:
        named = product_id in terms.product_ids or bool(
            self._shelf(product_id) & set(terms.category_ids)
        )
        return named and not self._leaves_out(terms, product_id)

    def _leaves_out(self, terms: PromotionTerms, product_id: UUID) -> bool:
        return product_id in terms.excluded_product_ids or bool(
            self._shelf(product_id) & set(terms.excluded_category_ids)
        )

    def _shelf(self, product_id: UUID) -> set[UUID]:
        category_id = self.category_of.get(product_id)
        return self._path(category_id) if category_id else set()

    def _path(self, category_id: UUID) -> set[UUID]:
        return set(self.above.get(category_id, (category_id,)))
