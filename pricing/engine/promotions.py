"""Promotions: lane by lane, each on what the earlier ones left, and the best set of them for the customer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from pricing.engine.eligibility import refuses_customer
from pricing.engine.goods import Goods, percent, share
from pricing.engine.shipping import options_in, zone_for
from pricing.engine.terms import (
    BUY_X_GET_Y,
    EXPIRED,
    FIXED_AMOUNT,
    MINIMUM_NOT_MET,
    NO_EFFECT,
    NO_MATCHING_ITEMS,
    NO_SHIPPING,
    NOT_COMBINABLE,
    NOT_ELIGIBLE,
    NOT_STARTED,
    OUTSIDE_HOURS,
    PERCENTAGE,
    QUANTITY_NOT_MET,
    SWITCHED_OFF,
    TIERED_QUANTITY,
    UNKNOWN,
    USED_UP,
    WRONG_CURRENCY,
    PromotionRule,
    Rules,
    ShippingMethod,
)
from pricing.money import split_minor


@dataclass(slots=True)
class Applied:
    """A promotion at work: what it took from each line (by index) or from shipping."""

    rule: PromotionRule
    parts: Mapping[int, int]
    shipping: int = 0


@dataclass(slots=True)
class Outcome:
    """One admissible set of promotions, applied."""

    left: list[int]
    applied: list[Applied]
    options: list[tuple[int, ShippingMethod]]
    chosen: tuple[int, ShippingMethod] | None
    shipping_left: int

    @property
    def cost(self) -> int:
        return sum(self.left) + self.shipping_left


class Promotions:
    """The promotions of a company at work on one basket."""

    def __init__(self, goods: Goods, rules: Rules) -> None:
        self.goods = goods
        self.rules = rules
        self.zone = zone_for(rules.zones, goods.basket.destination) if goods.shipped else None

    def refusal(self, rule: PromotionRule) -> str | None:
        """Return why this promotion cannot apply to the basket at all."""
        if rule.ends_at is not None and rule.ends_at <= self.goods.now:
            return EXPIRED
        if rule.starts_at is not None and rule.starts_at > self.goods.now:
            return NOT_STARTED
        if rule.weekly is not None and not rule.weekly.holds(self.goods.now):
            return OUTSIDE_HOURS
        if rule.id in self.goods.basket.used_up:
            return USED_UP
        if rule.currency and rule.currency != self.goods.currency:
            return WRONG_CURRENCY
        if refuses_customer(rule, self.goods.basket, self.goods.now):
            return NOT_ELIGIBLE
        units = sum(self.goods.lines[index].quantity for index in self.goods.target(rule))
        if not units:
            return NO_MATCHING_ITEMS
        if rule.lane == "shipping" and not self.goods.shipped:
            return NO_SHIPPING
        if rule.minimum_order is not None and self.goods.subtotal < self.goods.minor(
            rule.minimum_order
        ):
            return MINIMUM_NOT_MET
        if rule.minimum_quantity is not None and units < rule.minimum_quantity:
            return QUANTITY_NOT_MET
        return None

    def apply(self, promotions: Sequence[PromotionRule], left: list[int]) -> Outcome:
        """Apply a set of promotions, lane by lane; `left` is what bundles left of each line."""
        left = list(left)
        applied = []
        for lane, take in (("line", self._take_from_lines), ("order", self._take_from_order)):
            for rule in promotions:
                if rule.lane != lane:
                    continue
                indexes = [index for index in self.goods.target(rule) if left[index]]
                amounts = [left[index] for index in indexes]
                parts = self._capped(rule, take(rule, indexes, amounts)) if indexes else []
                for index, part in zip(indexes, parts, strict=True):
                    left[index] -= part
                applied.append(
                    Applied(rule, {i: part for i, part in zip(indexes, parts, strict=True) if part})
                )
        options = options_in(self.zone, self.goods, sum(left))
        chosen = next(
            (option for option in options if option[1].code == self.goods.basket.shipping_option),
            None,
        )
        shipping_left = chosen[0] if chosen else 0
        for rule in promotions:
            if rule.lane == "shipping":
                part = self._take_from_shipping(rule, chosen, shipping_left)
                shipping_left -= part
                applied.append(Applied(rule, {}, part))
        return Outcome(left, applied, options, chosen, shipping_left)

    def _worth(self, amount: Decimal) -> int:
        """Return an amount of a rule in minor units; no promotion makes anything dearer, whatever was stored."""
        return max(self.goods.minor(amount), 0)

    def _capped(self, rule: PromotionRule, parts: list[int]) -> list[int]:
        if rule.maximum_discount is None:
            return parts
        ceiling = self._worth(rule.maximum_discount)
        return split_minor(ceiling, parts) if sum(parts) > ceiling else parts

    def _take_from_lines(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what a promotion takes off each of its lines, rounded line by line."""
        if rule.kind == PERCENTAGE:
            numerator, denominator = percent(rule.value)
            return [share(amount, numerator, denominator) for amount in amounts]
        if rule.kind == TIERED_QUANTITY:
            numerator, denominator = percent(self._tier(rule, indexes))
            return [share(amount, numerator, denominator) for amount in amounts]
        if rule.kind == BUY_X_GET_Y:
            return self._take_free_units(rule, indexes, amounts)
        if rule.is_per_unit:
            return self._take_from_units(rule, indexes, amounts)
        return split_minor(min(self._worth(rule.value), sum(amounts)), amounts)

    def _take_from_units(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what an amount off each unit takes off the lines; none falls below zero."""
        value = self._worth(rule.value)
        return [
            min(amount, value * self.goods.lines[index].quantity)
            for index, amount in zip(indexes, amounts, strict=True)
        ]

    def _tier(self, rule: PromotionRule, indexes: Sequence[int]) -> Decimal:
        """Return the percentage of the highest tier that the units of the promotion's lines reach."""
        units = sum(self.goods.lines[index].quantity for index in indexes)
        reached = [tier for tier in rule.details.get("tiers", ()) if units >= int(tier["from"])]
        if not reached:
            return Decimal(0)
        return Decimal(str(max(reached, key=lambda tier: int(tier["from"]))["percent"]))

    def _take_free_units(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what "buy some, get some" takes off: the cheapest units of all, as many as full sets give."""
        buy, get = int(rule.details.get("buy", 0)), int(rule.details.get("get", 0))
        quantities = [self.goods.lines[index].quantity for index in indexes]
        if buy < 1 or get < 1:
            return [0] * len(indexes)
        sets = sum(quantities) // (buy + get)
        if times := int(rule.details.get("times") or 0):
            sets = min(sets, times)
        free = sets * get
        numerator, denominator = percent(Decimal(str(rule.details.get("percent", 100))))
        parts = [0] * len(indexes)
        # what one unit costs, as a whole number of parts of a cent that suit every line
        scale = math.lcm(*quantities)
        costs = [
            amount * (scale // count) for amount, count in zip(amounts, quantities, strict=True)
        ]
        # sorted() is stable: of equals the first
        for position in sorted(range(len(indexes)), key=costs.__getitem__):
            units = min(free, quantities[position])
            parts[position] = share(
                amounts[position], numerator * units, denominator * quantities[position]
            )
            free -= units
        return parts

    def _take_from_order(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what a promotion on the whole takes off, split over the lines by what is left of them."""
        if rule.is_per_unit:
            return self._take_from_units(rule, indexes, amounts)
        whole = sum(amounts)
        if rule.kind == PERCENTAGE:
            taken = share(whole, *percent(rule.value))
        else:
            taken = min(self._worth(rule.value), whole)
        if rule.maximum_discount is not None:
            taken = min(taken, self._worth(rule.maximum_discount))
        return split_minor(taken, amounts)

    def _take_from_shipping(
        self, rule: PromotionRule, chosen: tuple[int, ShippingMethod] | None, left: int
    ) -> int:
        if chosen is None or chosen[1].code not in (
            rule.details.get("options") or [chosen[1].code]
        ):
            return 0
        if rule.kind == PERCENTAGE:
            taken = share(left, *percent(rule.value))
        elif rule.kind == FIXED_AMOUNT:
            taken = min(self._worth(rule.value), left)
        else:
            taken = left
        if rule.maximum_discount is not None:
            taken = min(taken, self._worth(rule.maximum_discount))
        return taken

    def usable(self) -> tuple[list[PromotionRule], dict[UUID, str], dict[str, str]]:
        """Return what may apply in its order, the code behind each promotion, and why other codes may not."""
        refused: dict[str, str] = {}
        code_of: dict[UUID, str] = {}
        usable = {rule.id: rule for rule in self.rules.automatic if self.refusal(rule) is None}
        for code in sorted(set(self.goods.basket.codes)):
            rule = self.rules.promotions_by_id.get(self.rules.coupons.get(code))  # type: ignore[arg-type]
            if rule is None:
                refused[code] = UNKNOWN if self.rules.takes_promotions else SWITCHED_OFF
            elif code in self.rules.refused_codes:
                refused[code] = self.rules.refused_codes[code]
            elif (reason := self.refusal(rule)) is not None:
                refused[code] = reason
            elif rule.id in code_of:
                refused[code] = NOT_COMBINABLE
            else:
                usable[rule.id] = rule
                code_of[rule.id] = code
        ordered = sorted(usable.values(), key=lambda rule: (-rule.priority, rule.id))
        return ordered, code_of, refused

    def choose(self, left: list[int]) -> tuple[Outcome, dict[UUID, str], dict[str, str]]:
        """
        Return the best outcome for the customer, the code behind each promotion, and why other codes did nothing.

        A promotion that does not combine stands alone against all that do; the lowest cost wins.
        """
        usable, code_of, refused = self.usable()
        best, *others = [self.apply(rules, left) for rules in together(usable)]
        for alone in others:
            # Of equals, the one that the customer asked for by code.
            if alone.cost < best.cost or (
                alone.cost == best.cost
                and any(applied.rule.id in code_of for applied in alone.applied)
                and not any(applied.rule.id in code_of for applied in best.applied)
            ):
                best = alone

        at_work = {applied.rule.id: applied for applied in best.applied}
        for rule_id, code in code_of.items():
            if rule_id not in at_work:
                refused[code] = NOT_COMBINABLE
            elif not _had_effect(at_work[rule_id], best):
                refused[code] = NO_EFFECT
        return best, code_of, refused


def together(usable: Sequence[PromotionRule]) -> list[list[PromotionRule]]:
    """Return the sets that may apply: all that combine, and each of the others alone."""
    alone = [[rule] for rule in usable if not rule.is_stackable]
    return [[rule for rule in usable if rule.is_stackable], *alone]


def _had_effect(applied: Applied, outcome: Outcome) -> bool:
    if applied.parts or applied.shipping:
        return True
    # A code for shipping waits while no way to ship is chosen, or the chosen one is free anyway.
    return applied.rule.lane == "shipping" and (outcome.chosen is None or not outcome.chosen[0])
