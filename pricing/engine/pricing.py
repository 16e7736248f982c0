"""The one function: a basket, rules and a moment in; a quote out."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from fractions import Fraction

from pricing.engine.bundles import bundle_savings
from pricing.engine.eligibility import changes
from pricing.engine.goods import Goods
from pricing.engine.points import spend_points
from pricing.engine.promotions import Outcome, Promotions
from pricing.engine.quote import (
    POINTS_WORDS,
    RELIEF_NAMES,
    Conversion,
    Discount,
    NotApplied,
    Quote,
    QuoteLine,
    ShippingCharge,
    ShippingOption,
    TaxAmount,
    TaxRelief,
    Totals,
)
from pricing.engine.rounding import relieved, spread
from pricing.engine.taxes import Taxes, taxes_for
from pricing.engine.terms import (
    BUNDLE,
    LOYALTY,
    NO_SHIPPING_ZONE,
    REASONS,
    SHIPPING_CLASS,
    STANDARD_CLASS,
    TAX_RELIEF,
    Basket,
    Line,
    Relief,
    Rules,
    TaxRule,
)

TaxKey = tuple[str, str, Decimal, bool, str]  # what makes two amounts the same tax


def price(basket: Basket, rules: Rules, now: datetime) -> Quote:
    """
    Price a basket by the rules as they stand at `now`.

    Never raises for a code that does not apply, nor for a place we do not ship to: both are part of the answer.

    :raises ValueError: if the currency is unknown, or a quantity or price is negative
    """
    return _Pricing(basket, rules, now).quote()


class _Pricing:
    """The workings of one `price` call."""

    def __init__(self, basket: Basket, rules: Rules, now: datetime) -> None:
        self.goods = Goods(basket, now)
        self.rules = rules

    def quote(self) -> Quote:
        left = list(self.goods.subtotals)
        shares: list[list[tuple[int, int]]] = [[] for _ in self.goods.lines]
        discounts: list[Discount] = []
        converted: set[int] = set()
        for offer, parts in bundle_savings(self.goods, self.rules):
            if offer.converted_from:
                converted.add(len(discounts))
            for index, part in parts.items():
                left[index] -= part
                if part:
                    shares[index].append((len(discounts), part))
            discounts.append(
                Discount(
                    None, None, offer.name, BUNDLE, "bundle", self.goods.amount(sum(parts.values()))
                )
            )

        outcome, code_of, refused = Promotions(self.goods, self.rules).choose(left)
        shipping_shares: list[tuple[int, int]] = []
        for applied in outcome.applied:
            rule, code = applied.rule, code_of.get(applied.rule.id)
            taken = sum(applied.parts.values()) + applied.shipping
            if not taken and (code is None or code in refused):
                continue
            for index, part in applied.parts.items():
                shares[index].append((len(discounts), part))
            if applied.shipping:
                shipping_shares.append((len(discounts), applied.shipping))
            if rule.converted_from:
                converted.add(len(discounts))
            discounts.append(
                Discount(rule.id, code, rule.name, rule.kind, rule.lane, self.goods.amount(taken))
            )

        points, worth = spend_points(self.goods, self.rules, outcome.left)
        if points:
            for index, part in enumerate(worth):
                outcome.left[index] -= part
                if part:
                    shares[index].append((len(discounts), part))
            if self.rules.point_value is not None and self.rules.point_value.converted_from:
                converted.add(len(discounts))
            discounts.append(
                Discount(
                    None,
                    None,
                    POINTS_WORDS.format(points),
                    LOYALTY,
                    "loyalty",
                    self.goods.amount(sum(worth)),
                )
            )

        summed: dict[TaxKey, list[int]] = {}
        shown, relief = self._shown(outcome)
        taken_out = relieved(shown, self.rules.tax_rounding)
        taxed = [
            (taxes, amount - off) for (taxes, amount), off in zip(shown, taken_out, strict=True)
        ]
        taxes_of = [
            taxes.rows(amount, parts)
            for (taxes, amount), parts in zip(
                taxed, spread(taxed, self.rules.tax_rounding), strict=True
            )
        ]
        for rows in taxes_of:
            _add_up(summed, rows)
        left = [amount for _, amount in taxed]
        for off, taking in zip(taken_out, (*shares, shipping_shares), strict=False):
            if off:
                taking.append((len(discounts), off))
        lines = [
            self._line(line, index, left[index], taxes_of[index], shares[index])
            for index, line in enumerate(self.goods.lines)
        ]
        charge = None
        if outcome.chosen is not None:
            charge = self._charge(outcome, left.pop(), taxes_of[-1], shipping_shares)
        if any(taken_out) and relief is not None:
            discounts.append(
                Discount(
                    None,
                    None,
                    RELIEF_NAMES[relief.reason],
                    TAX_RELIEF,
                    "tax",
                    self.goods.amount(sum(taken_out)),
                )
            )

        taxes_in_all = tuple(
            TaxAmount(
                name,
                kind,
                rate,
                included,
                self.goods.amount(base),
                self.goods.amount(amount),
                reason,
            )
            for (name, kind, rate, included, reason), (base, amount) in sorted(summed.items())
        )
        zero = self.goods.amount(0)
        discounted = self.goods.amount(sum(self.goods.subtotals) - sum(left))
        shipping_discount = charge.discount if charge else zero
        shipping_total = charge.price if charge else zero
        tax_total = sum((tax.amount for tax in taxes_in_all), zero)
        included = sum((tax.amount for tax in taxes_in_all if tax.included), zero)
        totals = Totals(
            subtotal=self.goods.amount(self.goods.subtotal),
            discount_total=discounted + shipping_discount,
            shipping_total=shipping_total,
            shipping_discount=shipping_discount,
            shipping_tax=charge.tax if charge else zero,
            tax_total=tax_total,
            included_tax_total=included,
            grand_total=self.goods.amount(self.goods.subtotal)
            - discounted
            - shipping_discount
            + shipping_total
            + tax_total
            - included,
        )
        promotions = self.rules.coupons
        return Quote(
            currency=self.goods.currency,
            lines=tuple(lines),
            discounts=tuple(discounts),
            not_applied=tuple(
                NotApplied(code, promotions.get(code), reason, REASONS[reason])
                for code, reason in sorted(refused.items())
            ),
            shipping=charge,
            shipping_options=tuple(
                ShippingOption(
                    method.code,
                    method.name,
                    self.goods.amount(cost),
                    self.goods.currency,
                    method.min_days,
                    method.max_days,
                )
                for cost, method in outcome.options
            ),
            # A zone without a way to ship this order in this currency is, to the customer, no zone.
            shipping_code=NO_SHIPPING_ZONE
            if self.goods.shipped
            and self.goods.basket.destination is not None
            and not outcome.options
            else None,
            requires_shipping=bool(self.goods.shipped),
            taxes=taxes_in_all,
            totals=totals,
            prices_include_tax=bool(taxes_in_all) and all(tax.included for tax in taxes_in_all),
            is_estimated=self.goods.basket.destination is None
            or (bool(self.goods.shipped) and charge is None),
            revision=self.rules.revision,
            tax_rounding=self.rules.tax_rounding,
            points=points,
            valid_until=min(
                filter(
                    None,
                    (
                        next(
                            (moment for moment in self.rules.moments if moment > self.goods.now),
                            None,
                        ),
                        *([self.rules.rate_until] if self.rules.rate_until else []),
                        *self._ends_of_reliefs(),
                        *self._changes_of_promotions(),
                    ),
                ),
                default=None,
            ),
            relief=TaxRelief(relief.reason, relief.reference) if relief else None,
            conversion=self._conversion(outcome, converted),
        )

    def _conversion(self, outcome: Outcome, discounts: set[int]) -> Conversion | None:
        """Return what was converted from the company's own currency; None where nothing was."""
        rate = self.rules.rate
        lines = frozenset(line.id for line in self.goods.lines if line.is_converted)
        shipping = outcome.chosen is not None and bool(outcome.chosen[1].converted_from)
        if rate is None or not (lines or discounts or shipping):
            return None
        return Conversion(
            base=rate.base,
            rate=rate.rate,
            lines=lines,
            discounts=frozenset(discounts),
            shipping=shipping,
        )

    def _ends_of_reliefs(self) -> list[datetime]:
        days = [
            day
            for relief in self.goods.basket.reliefs
            for day in (relief.valid_from, relief.valid_to)
            if day
        ]
        moments = [datetime.combine(day, time.min, UTC) for day in days]
        return [moment for moment in moments if moment > self.goods.now]

    def _changes_of_promotions(self) -> list[datetime]:
        of_codes = set(self.rules.coupons.values())
        moments = [
            moment
            for rule in self.rules.changeable
            if rule.is_automatic or rule.id in of_codes
            for moment in changes(rule, self.goods.basket, self.goods.now)
        ]
        if self.rules.coupons_until is not None:
            moments.append(self.rules.coupons_until)
        return moments

    def _shown(self, outcome: Outcome) -> tuple[list[tuple[Taxes, int]], Relief | None]:
        """
        Return the taxes on each line with the amount shown; shipping comes last, where it is charged.

        With it the ground of the customer's relief from one of them, where there is one.
        """
        none = Taxes([], Fraction(1))
        of_class: dict[str, Taxes] = {}
        for line in self.goods.lines:
            if line.is_taxable and line.tax_class not in of_class:
                of_class[line.tax_class] = taxes_for(self.goods, self.rules, line.tax_class)
        taxed = [
            (of_class[line.tax_class] if line.is_taxable else none, left)
            for line, left in zip(self.goods.lines, outcome.left, strict=True)
        ]
        if outcome.chosen is not None:
            of_shipping = taxes_for(self.goods, self.rules, SHIPPING_CLASS, shipping=True)
            if not of_shipping.parts and of_shipping.full is None:
                of_shipping = taxes_for(self.goods, self.rules, STANDARD_CLASS, shipping=True)
            taxed.append((of_shipping, outcome.shipping_left))
        relief = next((taxes.relief for taxes, _ in taxed if taxes.relief), None)
        return taxed, relief

    def _line(
        self,
        line: Line,
        index: int,
        left: int,
        taxes: list[tuple[TaxRule, int, int]],
        shares: list[tuple[int, int]],
    ) -> QuoteLine:
        tax, included = _taken(taxes)
        unit_price = self.goods.amount(self.goods.unit_prices[index])
        return QuoteLine(
            id=line.id,
            variant_id=line.variant_id,
            sku=line.sku,
            quantity=line.quantity,
            list_price=unit_price
            if line.list_price is None
            else self.goods.amount(self.goods.minor(line.list_price)),
            unit_price=unit_price,
            subtotal=self.goods.amount(self.goods.subtotals[index]),
            discount=self.goods.amount(self.goods.subtotals[index] - left),
            tax=self.goods.amount(tax),
            included_tax=self.goods.amount(included),
            total=self.goods.amount(left + tax - included),
            taxes=self._tax_amounts(taxes),
            shares=tuple([(number, self.goods.amount(part)) for number, part in shares]),
            price_kind=line.price_kind,
        )

    def _charge(
        self,
        outcome: Outcome,
        left: int,
        taxes: list[tuple[TaxRule, int, int]],
        shares: list[tuple[int, int]],
    ) -> ShippingCharge:
        assert outcome.chosen is not None
        cost, method = outcome.chosen
        tax, included = _taken(taxes)
        return ShippingCharge(
            option=method.code,
            name=method.name,
            price=self.goods.amount(cost),
            discount=self.goods.amount(cost - left),
            tax=self.goods.amount(tax),
            included_tax=self.goods.amount(included),
            total=self.goods.amount(left + tax - included),
            min_days=method.min_days,
            max_days=method.max_days,
            taxes=self._tax_amounts(taxes),
            shares=tuple([(number, self.goods.amount(part)) for number, part in shares]),
        )

    def _tax_amounts(self, taxes: list[tuple[TaxRule, int, int]]) -> tuple[TaxAmount, ...]:
        exact = self.goods.amount
        return tuple(
            [
                TaxAmount(
                    rule.name,
                    rule.type,
                    rule.rate,
                    rule.is_included,
                    exact(base),
                    exact(amount),
                    rule.relief,
                )
                for rule, base, amount in taxes
            ]
        )


def _taken(taxes: list[tuple[TaxRule, int, int]]) -> tuple[int, int]:
    """Return all taxes on one item, and those of them that its price contains."""
    tax = included = 0
    for rule, _, amount in taxes:
        tax += amount
        if rule.is_included:
            included += amount
    return tax, included


def _add_up(summed: dict[TaxKey, list[int]], taxes: list[tuple[TaxRule, int, int]]) -> None:
    for rule, base, amount in taxes:
        entry = summed.setdefault(
            (rule.name, rule.type, rule.rate, rule.is_included, rule.relief), [0, 0]
        )
        entry[0] += base
        entry[1] += amount
