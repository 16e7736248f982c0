"""The one function: a basket, rules and a moment in; a quote out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from uuid import UUID

from pricing.engine.bundles import bundle_savings
from pricing.engine.deductions import Deductions, Share
from pricing.engine.eligibility import changes
from pricing.engine.goods import Goods
from pricing.engine.points import spend_points
from pricing.engine.promotions import Outcome, Promotions
from pricing.engine.quote import (
    POINTS_WORDS,
    RELIEF_NAMES,
    Conversion,
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
    ShippingMethod,
    TaxRule,
)

TaxRow = tuple[TaxRule, int, int]  # a tax, what it is charged on, and what it comes to
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
        self.deductions = Deductions(self.goods)

    def quote(self) -> Quote:
        left = self._take_bundles()
        outcome, code_of, refused = Promotions(self.goods, self.rules).choose(left)
        self._take_promotions(outcome, code_of, refused)
        points = self._take_points(outcome)
        taxed, relief = self._take_relief(outcome)
        parts = spread(taxed, self.rules.tax_rounding)
        taxes_of = [
            taxes.rows(amount, part) for (taxes, amount), part in zip(taxed, parts, strict=True)
        ]
        lines = tuple(
            [
                self._line(line, index, taxed[index][1], taxes_of[index])
                for index, line in enumerate(self.goods.lines)
            ]
        )
        charge = None
        if outcome.chosen is not None:
            charge = self._charge(*outcome.chosen, taxed[-1][1], taxes_of[-1])
        taxes = self._sums(taxes_of)
        return Quote(
            currency=self.goods.currency,
            lines=lines,
            discounts=tuple(self.deductions.discounts),
            not_applied=tuple(
                NotApplied(code, self.rules.coupons.get(code), reason, REASONS[reason])
                for code, reason in sorted(refused.items())
            ),
            shipping=charge,
            shipping_options=self._shipping_options(outcome),
            # A zone without a way to ship this order in this currency is, to the customer, no zone.
            shipping_code=NO_SHIPPING_ZONE
            if self.goods.shipped
            and self.goods.basket.destination is not None
            and not outcome.options
            else None,
            requires_shipping=bool(self.goods.shipped),
            taxes=taxes,
            totals=self._totals(lines, charge, taxes),
            prices_include_tax=bool(taxes) and all(tax.included for tax in taxes),
            is_estimated=self.goods.basket.destination is None
            or (bool(self.goods.shipped) and charge is None),
            revision=self.rules.revision,
            tax_rounding=self.rules.tax_rounding,
            points=points,
            valid_until=self._valid_until(),
            relief=TaxRelief(relief.reason, relief.reference) if relief else None,
            conversion=self._conversion(outcome),
        )

    # --- what is taken off, in this order -------------------------------------------------------

    def _take_bundles(self) -> list[int]:
        """Take off what bundles save, and return what each line still costs."""
        left = list(self.goods.subtotals)
        for offer, parts in bundle_savings(self.goods, self.rules):
            for index, part in parts.items():
                left[index] -= part
            self.deductions.add(
                offer.name,
                BUNDLE,
                "bundle",
                {index: part for index, part in parts.items() if part},
                is_converted=bool(offer.converted_from),
            )
        return left

    def _take_promotions(
        self, outcome: Outcome, code_of: Mapping[UUID, str], refused: Mapping[str, str]
    ) -> None:
        for applied in outcome.applied:
            rule, code = applied.rule, code_of.get(applied.rule.id)
            taken = sum(applied.parts.values()) + applied.shipping
            if not taken and (code is None or code in refused):
                continue
            self.deductions.add(
                rule.name,
                rule.kind,
                rule.lane,
                applied.parts,
                shipping=applied.shipping,
                promotion_id=rule.id,
                code=code,
                is_converted=bool(rule.converted_from),
            )

    def _take_points(self, outcome: Outcome) -> int:
        """Take points off what the lines still cost, and return how many."""
        points, worth = spend_points(self.goods, self.rules, outcome.left)
        if points:
            for index, part in enumerate(worth):
                outcome.left[index] -= part
            value = self.rules.point_value
            self.deductions.add(
                POINTS_WORDS.format(points),
                LOYALTY,
                "loyalty",
                {index: part for index, part in enumerate(worth) if part},
                is_converted=value is not None and bool(value.converted_from),
            )
        return points

    def _take_relief(self, outcome: Outcome) -> tuple[list[tuple[Taxes, int]], Relief | None]:
        """
        Take off the taxes that prices contain and this customer is not charged.

        Returns the taxes on each line with the amount that is left of it; shipping comes last, where it is charged.
        """
        shown, relief = self._shown(outcome)
        taken_out = relieved(shown, self.rules.tax_rounding)
        if relief is not None and any(taken_out):
            parts = {index: off for index, off in enumerate(taken_out) if off}
            shipping = parts.pop(len(self.goods.lines), 0)
            name = RELIEF_NAMES[relief.reason]
            self.deductions.add(name, TAX_RELIEF, "tax", parts, shipping=shipping)
        taxed = [
            (taxes, amount - off) for (taxes, amount), off in zip(shown, taken_out, strict=True)
        ]
        return taxed, relief

    # --- what it comes to -----------------------------------------------------------------------

    def _sums(self, taxes_of: list[list[TaxRow]]) -> tuple[TaxAmount, ...]:
        """Return each tax once, with what it comes to on everything."""
        sums: dict[TaxKey, list[int]] = {}
        for rule, base, amount in chain.from_iterable(taxes_of):
            key = (rule.name, rule.type, rule.rate, rule.is_included, rule.relief)
            entry = sums.setdefault(key, [0, 0])
            entry[0] += base
            entry[1] += amount
        exact = self.goods.amount
        return tuple(
            TaxAmount(name, kind, rate, included, exact(base), exact(amount), reason)
            for (name, kind, rate, included, reason), (base, amount) in sorted(sums.items())
        )

    def _totals(
        self,
        lines: Sequence[QuoteLine],
        charge: ShippingCharge | None,
        taxes: Sequence[TaxAmount],
    ) -> Totals:
        zero = self.goods.amount(0)
        subtotal = self.goods.amount(self.goods.subtotal)
        discounted = sum((line.discount for line in lines), zero)
        shipping_total = charge.price if charge else zero
        shipping_discount = charge.discount if charge else zero
        tax_total = sum((tax.amount for tax in taxes), zero)
        included = sum((tax.amount for tax in taxes if tax.included), zero)
        return Totals(
            subtotal=subtotal,
            discount_total=discounted + shipping_discount,
            shipping_total=shipping_total,
            shipping_discount=shipping_discount,
            shipping_tax=charge.tax if charge else zero,
            tax_total=tax_total,
            included_tax_total=included,
            grand_total=subtotal
            - discounted
            - shipping_discount
            + shipping_total
            + tax_total
            - included,
        )

    def _shipping_options(self, outcome: Outcome) -> tuple[ShippingOption, ...]:
        return tuple(
            ShippingOption(
                method.code,
                method.name,
                self.goods.amount(cost),
                self.goods.currency,
                method.min_days,
                method.max_days,
            )
            for cost, method in outcome.options
        )

    def _valid_until(self) -> datetime | None:
        """Return the first moment at which the answer could be another one."""
        moments = [
            *[moment for moment in self.rules.moments if moment > self.goods.now],
            *([self.rules.rate_until] if self.rules.rate_until else []),
            *self._ends_of_reliefs(),
            *self._changes_of_promotions(),
        ]
        return min(moments, default=None)

    def _conversion(self, outcome: Outcome) -> Conversion | None:
        """Return what was converted from the company's own currency; None where nothing was."""
        rate, discounts = self.rules.rate, self.deductions.converted
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
        taxes: list[TaxRow],
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
            shares=self._shares(self.deductions.of_lines[index]),
            price_kind=line.price_kind,
        )

    def _charge(
        self, cost: int, method: ShippingMethod, left: int, taxes: list[TaxRow]
    ) -> ShippingCharge:
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
            shares=self._shares(self.deductions.of_shipping),
        )

    def _shares(self, taken: list[Share]) -> tuple[tuple[int, Decimal], ...]:
        return tuple([(number, self.goods.amount(part)) for number, part in taken])

    def _tax_amounts(self, taxes: list[TaxRow]) -> tuple[TaxAmount, ...]:
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


def _taken(taxes: list[TaxRow]) -> tuple[int, int]:
    """Return all taxes on one item, and those of them that its price contains."""
    tax = included = 0
    for rule, _, amount in taxes:
        tax += amount
        if rule.is_included:
            included += amount
    return tax, included
