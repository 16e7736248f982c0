"""Which promotions a basket gets, which not and why, and by how much the other combinations lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pricing.engine.bundles import bundle_savings
from pricing.engine.goods import Goods
from pricing.engine.pricing import price
from pricing.engine.promotions import Promotions, together
from pricing.engine.quote import Quote
from pricing.engine.terms import NEEDS_CODE, NO_EFFECT, NOT_COMBINABLE, Basket, PromotionRule, Rules


@dataclass(frozen=True, slots=True)
class Considered:
    """One promotion: what it took, or the reason why it took nothing."""

    rule: PromotionRule
    code: str | None
    amount: Decimal
    reason: str  # empty where it applies


@dataclass(frozen=True, slots=True)
class Combination:
    """A set of promotions that may apply together: what it would save, and how much less that is than the best."""

    rules: Sequence[PromotionRule]
    saves: Decimal
    loses_by: Decimal
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    quote: Quote
    considered: Sequence[Considered]
    combinations: Sequence[Combination]


def compare(basket: Basket, rules: Rules, now: datetime) -> Comparison:
    """
    Return the quote of a basket, and beside it every promotion of the company with what came of it.

    :raises ValueError: as `price`
    """
    quote = price(basket, rules, now)
    goods = Goods(basket, now)
    left = list(goods.subtotals)
    for _, parts in bundle_savings(goods, rules):
        for index, part in parts.items():
            left[index] -= part
    promotions = Promotions(goods, rules)
    usable, code_of, _ = promotions.usable()
    taken = {item.promotion_id: item.amount for item in quote.discounts if item.promotion_id}
    chosen_ids = set(taken)
    codes = {id: code for code, id in rules.coupons.items()} | code_of
    considered = []
    for rule in sorted(rules.promotions, key=lambda rule: (-rule.priority, rule.id)):
        reason = ""
        code = codes.get(rule.id)
        if rule.id not in taken:
            if code is None and not rule.is_automatic:
                reason = NEEDS_CODE
            elif code is not None and not rule.is_automatic and code in rules.refused_codes:
                reason = rules.refused_codes[code]
            else:
                reason = promotions.refusal(rule) or ""
        considered.append(Considered(rule, code, taken.get(rule.id, goods.amount(0)), reason))

    tried = [(set_, promotions.apply(set_, left)) for set_ in together(usable)]
    best, _, _ = promotions.choose(left)
    at_work = [applied.rule.id for applied in best.applied]
    # What a way to ship costs depends on what is left of the goods, so savings are told against nothing at all.
    nothing = promotions.apply([], left).cost
    combinations = [
        Combination(
            rules=tuple(set_),
            saves=goods.amount(nothing - outcome.cost),
            loses_by=goods.amount(outcome.cost - best.cost),
            is_chosen=[applied.rule.id for applied in outcome.applied] == at_work,
        )
        for set_, outcome in tried
        if set_
    ]
    kept = {rule.id for option in combinations if option.is_chosen for rule in option.rules}
    considered = [
        Considered(
            item.rule, item.code, item.amount, NO_EFFECT if item.rule.id in kept else NOT_COMBINABLE
        )
        if not item.reason and item.rule.id not in chosen_ids
        else item
        for item in considered
    ]
    return Comparison(quote, considered, combinations)
