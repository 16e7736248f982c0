"""
A second price engine, written from docs/pricing.md in fractions of the main unit, to be compared with the first.

It shares no code with `pricing.engine` but the words of question and rules. It is slow and plain on purpose: promotions
are tried by brute force, units are laid out one by one, nothing is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from uuid import UUID
from zoneinfo import ZoneInfo

from pricing.engine import (
    Basket,
    Line,
    PromotionRule,
    Relief,
    Rules,
    ShippingMethod,
    TaxRule,
    WeeklyHours,
    Zone,
)

ZERO = Fraction(0)


@dataclass
class Share:
    """A part of an amount: what it came to, and what it would be if nothing had to be rounded."""

    amount: Fraction
    exact: Fraction


@dataclass
class Costs:
    """What a line, or shipping, comes to."""

    subtotal: Fraction
    left: Fraction
    shares: dict[str, Share] = field(default_factory=dict)  # by name of promotion or bundle
    taxes: dict[str, Share] = field(default_factory=dict)  # by name of tax
    included: Fraction = ZERO

    @property
    def tax(self) -> Fraction:
        return sum((share.amount for share in self.taxes.values()), ZERO)

    @property
    def total(self) -> Fraction:
        return self.left + self.tax - self.included


@dataclass
class Answer:
    lines: dict[UUID, Costs]
    shipping: Costs | None
    options: list[tuple[str, Fraction]]
    refused: dict[str, str]
    applied: set[str]
    points: int = 0
    relief: Relief | None = None

    @property
    def all(self) -> list[Costs]:
        return [*self.lines.values(), *([self.shipping] if self.shipping else [])]

    @property
    def grand_total(self) -> Fraction:
        return sum((costs.total for costs in self.all), ZERO)


class Oracle:
    def __init__(
        self,
        basket: Basket,
        rules: Rules,
        now: datetime,
        places: int,
        rate: tuple[str, Decimal] | None = None,
    ) -> None:
        """`rate` is a currency, and what one unit of it is worth in the basket's."""
        self.basket, self.rules, self.now = basket, rules, now
        self.home, self.rate = ("", Fraction(1)) if rate is None else (rate[0], Fraction(rate[1]))
        self.unit = Fraction(1, 10**places)
        self.lines = sorted(basket.lines, key=lambda line: line.id)
        self.subtotals = [
            self.rounded(Fraction(line.unit_price)) * line.quantity for line in self.lines
        ]

    # --- arithmetic -------------------------------------------------------------------------------

    def rounded(self, amount: Fraction) -> Fraction:
        """Half-up."""
        return floor(amount / self.unit + Fraction(1, 2)) * self.unit

    def here(self, amount: Decimal | Fraction, currency: str) -> Fraction:
        """An amount of a rule in the basket's currency, exactly."""
        return Fraction(amount) * (self.rate if currency == self.home else 1)

    def worth(self, amount: Decimal | Fraction, currency: str) -> Fraction:
        return self.rounded(self.here(amount, currency))

    def is_limited_to_another(self, rule: PromotionRule) -> bool:
        if rule.currency in {"", self.basket.currency}:
            return False
        says_an_amount = (
            rule.kind == "FIXED_AMOUNT"
            or rule.minimum_order is not None
            or rule.maximum_discount is not None
        )
        return not (rule.currency == self.home and says_an_amount)

    def divided(self, whole: Fraction, weights: Sequence[Fraction]) -> list[Fraction]:
        """By largest remainder, ties to the first; all nothing counts as all the same."""
        if not sum(weights):
            weights = [Fraction(1)] * len(weights)
        exact = [whole * weight / sum(weights) for weight in weights]
        parts = [floor(share / self.unit) * self.unit for share in exact]
        while sum(parts) < whole:
            behind = [share - part for share, part in zip(exact, parts, strict=True)]
            parts[behind.index(max(behind))] += self.unit
        return parts

    # --- the answer -------------------------------------------------------------------------------

    def answer(self) -> Answer:
        costs = [Costs(subtotal, subtotal) for subtotal in self.subtotals]
        self.take_bundles(costs)

        refused: dict[str, str] = {}
        typed: dict[UUID, str] = {}
        usable = [
            rule for rule in self.rules.promotions if rule.is_automatic and not self.why_not(rule)
        ]
        for code in sorted(set(self.basket.codes)):
            rule = next(
                (rule for rule in self.rules.promotions if rule.id == self.rules.coupons.get(code)),
                None,
            )
            if rule is None:
                refused[code] = "unknown"
            elif code in self.rules.refused_codes:
                refused[code] = self.rules.refused_codes[code]
            elif why := self.why_not(rule):
                refused[code] = why
            elif rule.id in typed:
                refused[code] = "not_combinable"
            else:
                typed[rule.id] = code
                if rule not in usable:
                    usable.append(rule)
        usable.sort(key=lambda rule: (-rule.priority, rule.id))

        # What the rules allow: all that combine together, or one of the others alone. Every one of them is tried.
        allowed = [[rule for rule in usable if rule.is_stackable]]
        allowed += [[rule] for rule in usable if not rule.is_stackable]
        tries = [self.applied(rules, costs) for rules in allowed]
        best = min(
            range(len(tries)),
            key=lambda i: (
                sum((item.left for item in tries[i].all), ZERO),
                not any(rule.id in typed for rule in allowed[i]),
                i,
            ),
        )
        answer = tries[best]
        for rule in usable:
            if rule.id in typed and rule not in allowed[best]:
                refused[typed[rule.id]] = "not_combinable"
            elif rule.id in typed and rule.name not in answer.applied:
                refused[typed[rule.id]] = "no_effect"
        answer.refused = refused
        self.take_points(answer)
        self.take_taxes(answer)
        return answer

    def take_points(self, answer: Answer) -> None:
        """As many points as the goods bear, each worth what the rules say; what a part of a cent is worth stays."""
        value = self.rules.point_value
        costs = [answer.lines[line.id] for line in self.lines]
        whole = sum((item.left for item in costs), ZERO)
        if value is None or value.currency not in {self.basket.currency, self.home} or not whole:
            return
        each = self.here(value.amount, value.currency)
        worth = floor(self.basket.points * each / self.unit) * self.unit
        taken = min(whole, worth)
        answer.points = next(
            count
            for count in range(self.basket.points + 1)
            if floor(count * each / self.unit) * self.unit >= taken
        )
        if taken:
            self.hand_out(f"{answer.points} points", taken, costs, range(len(costs)))

    # --- bundles and promotions -------------------------------------------------------------------

    def take_bundles(self, costs: list[Costs]) -> None:
        for group in sorted(
            {line.bundle_group for line in self.lines if line.bundle_group and line.bundle_id}
        ):
            members = [
                i
                for i, line in enumerate(self.lines)
                if line.bundle_group == group and line.bundle_id
            ]
            named = {self.lines[i].bundle_id for i in members}
            offer = self.rules.bundles.get(next(iter(named))) if len(named) == 1 else None  # type: ignore[arg-type]
            if offer is None or not {self.basket.currency, self.home} & offer.prices.keys():
                continue
            mine = self.basket.currency in offer.prices
            currency = self.basket.currency if mine else self.home
            cost = self.worth(offer.prices[currency], currency)
            there: dict[UUID, int] = defaultdict(int)
            for i in members:
                there[self.lines[i].variant_id] += self.lines[i].quantity
            for times in range(1, 100):
                if there == {variant: needed * times for variant, needed in offer.parts.items()}:
                    whole = sum((self.subtotals[i] for i in members), ZERO)
                    saved = whole - times * cost
                    if saved > 0:
                        self.hand_out(offer.name, saved, costs, members)

    def hand_out(
        self, name: str, taken: Fraction, costs: list[Costs], members: Sequence[int]
    ) -> None:
        """Take an amount off some lines in proportion to what they cost until now."""
        left = [costs[i].left for i in members]
        for i, part in zip(members, self.divided(taken, left), strict=True):
            exact = taken * costs[i].left / sum(left) if sum(left) else taken / len(left)
            self.take(name, part, exact, costs[i])

    @staticmethod
    def take(name: str, part: Fraction, exact: Fraction, costs: Costs) -> None:
        if part:
            costs.shares[name] = Share(part, exact)
            costs.left -= part

    def why_not(self, rule: PromotionRule) -> str | None:
        mine = self.targets(rule)
        checks = {
            "expired": rule.ends_at is not None and not self.now < rule.ends_at,
            "not_started": rule.starts_at is not None and self.now < rule.starts_at,
            "outside_hours": rule.weekly is not None and not self.is_open(rule.weekly),
            "used_up": rule.id in self.basket.used_up,
            "wrong_currency": self.is_limited_to_another(rule),
            "not_eligible": (bool(rule.user_ids) and self.basket.user_id not in rule.user_ids)
            or (rule.scope == "USER" and self.basket.user_id is None)
            or (
                bool(rule.group_ids)
                and not any(id in rule.group_ids for id in self.basket.group_ids)
            )
            or (rule.first_order_only and self.basket.has_ordered)
            or (rule.new_customer_days is not None and not self.is_new(rule.new_customer_days)),
            "no_matching_items": not sum(self.lines[i].quantity for i in mine),
            "no_shipping": self.about_shipping(rule) and not self.goes_out(),
            "minimum_not_met": rule.minimum_order is not None
            and sum(self.subtotals) < self.worth(rule.minimum_order, rule.currency),
            "quantity_not_met": rule.minimum_quantity is not None
            and sum(self.lines[i].quantity for i in mine) < rule.minimum_quantity,
        }
        return next((reason for reason, holds in checks.items() if holds), None)

    def is_open(self, weekly: WeeklyHours) -> bool:
        """Every minute of a week, laid out on the wall's clock: is it now one of those?"""
        wall = self.now.astimezone(ZoneInfo(weekly.zone))
        minute = 1440 * wall.weekday() + 60 * wall.hour + wall.minute
        first = 60 * weekly.opens.hour + weekly.opens.minute
        last = 60 * weekly.closes.hour + weekly.closes.minute
        length = last - first if last > first else last - first + 1440
        return any((minute - 1440 * (day - 1) - first) % 10_080 < length for day in weekly.days)

    def is_new(self, days: int) -> bool:
        since = self.basket.customer_since
        return since is not None and self.now - since < timedelta(days=days)

    def targets(self, rule: PromotionRule) -> list[int]:
        about_all = not rule.product_ids and not rule.category_ids
        return [
            i
            for i, line in enumerate(self.lines)
            if (
                about_all
                or line.product_id in rule.product_ids
                or rule.category_ids & set(line.category_ids)
            )
            and line.product_id not in rule.excluded_product_ids
            and not rule.excluded_category_ids & set(line.category_ids)
        ]

    @staticmethod
    def about_shipping(rule: PromotionRule) -> bool:
        return rule.kind == "FREE_SHIPPING" or rule.scope == "SHIPPING"

    @staticmethod
    def about_lines(rule: PromotionRule) -> bool:
        return rule.scope in {"PRODUCT", "CATEGORY"} or rule.kind in {
            "BUY_X_GET_Y",
            "TIERED_QUANTITY",
        }

    def goes_out(self) -> list[Line]:
        return [line for line in self.lines if line.requires_shipping and line.quantity]

    def applied(self, rules: list[PromotionRule], before: list[Costs]) -> Answer:
        costs = [Costs(item.subtotal, item.left, dict(item.shares)) for item in before]
        done: set[str] = set()
        goods = [rule for rule in rules if not self.about_shipping(rule)]
        for rule in [r for r in goods if self.about_lines(r)] + [
            r for r in goods if not self.about_lines(r)
        ]:
            # What costs nothing any more neither counts nor qualifies.
            mine = [i for i in self.targets(rule) if costs[i].left]
            ceiling = (
                None
                if rule.maximum_discount is None
                else self.worth(rule.maximum_discount, rule.currency)
            )
            by_unit = rule.kind == "FIXED_AMOUNT" and rule.details.get("per_unit")
            if mine and (by_unit or self.about_lines(rule)):
                self.off_lines(rule, costs, mine, ceiling)
            elif mine:
                whole = sum((costs[i].left for i in mine), ZERO)
                taken = self.of_amount(rule, whole, ceiling)
                self.hand_out(rule.name, taken, costs, mine)
            if any(rule.name in item.shares for item in costs):
                done.add(rule.name)

        worth = sum((item.left for item in costs), ZERO)
        options = self.options(worth)
        chosen = next(
            (cost for cost, method in options if method.code == self.basket.shipping_option), None
        )
        charge = None if chosen is None else Costs(chosen, chosen)
        for rule in rules:
            if self.about_shipping(rule):
                if charge is None or not charge.subtotal:
                    done.add(rule.name)  # it waits
                elif (rule.details.get("options") or [self.basket.shipping_option]).count(
                    self.basket.shipping_option
                ):
                    ceiling = (
                        None
                        if rule.maximum_discount is None
                        else self.worth(rule.maximum_discount, rule.currency)
                    )
                    part = self.of_amount(rule, charge.left, ceiling)
                    self.take(rule.name, part, part, charge)
                    if part:
                        done.add(rule.name)
        lines = {line.id: item for line, item in zip(self.lines, costs, strict=True)}
        return Answer(lines, charge, [(method.code, cost) for cost, method in options], {}, done)

    def of_amount(self, rule: PromotionRule, whole: Fraction, ceiling: Fraction | None) -> Fraction:
        if rule.kind == "PERCENTAGE":
            taken = self.rounded(whole * Fraction(rule.value) / 100)
        elif rule.kind == "FREE_SHIPPING":
            taken = whole
        else:
            taken = min(whole, self.worth(rule.value, rule.currency))
        return taken if ceiling is None else min(taken, ceiling)

    def off_lines(
        self, rule: PromotionRule, costs: list[Costs], mine: list[int], ceiling: Fraction | None
    ) -> None:
        left = [costs[i].left for i in mine]
        pieces = [self.lines[i].quantity for i in mine]
        exact: list[Fraction]
        if rule.kind == "FIXED_AMOUNT" and rule.details.get("per_unit"):
            value = self.worth(rule.value, rule.currency)
            exact = [min(amount, value * count) for amount, count in zip(left, pieces, strict=True)]
            parts = exact
        elif rule.kind == "FIXED_AMOUNT":
            whole = min(sum(left), self.worth(rule.value, rule.currency))
            exact = [whole * amount / sum(left) for amount in left]
            parts = self.divided(whole, left)
        elif rule.kind == "BUY_X_GET_Y":
            percent = Fraction(Decimal(str(rule.details.get("percent", 100)))) / 100
            buy, get = int(rule.details["buy"]), int(rule.details["get"])
            sets = min(sum(pieces) // (buy + get), int(rule.details.get("times", sum(pieces))))
            units = sorted(
                (left[n] / pieces[n], n) for n in range(len(mine)) for _ in range(pieces[n])
            )
            exact = [ZERO] * len(mine)
            for cost, n in units[: sets * get]:
                exact[n] += cost * percent
            parts = [self.rounded(amount) for amount in exact]
        else:
            if rule.kind == "TIERED_QUANTITY":
                tiers = sorted(
                    (int(tier["from"]), Fraction(str(tier["percent"])))
                    for tier in rule.details["tiers"]
                )
                percent = next(
                    (value for start, value in reversed(tiers) if sum(pieces) >= start), ZERO
                )
            else:
                percent = Fraction(rule.value)
            exact = [amount * percent / 100 for amount in left]
            parts = [self.rounded(amount) for amount in exact]
        if ceiling is not None and sum(parts) > ceiling:
            exact = [ceiling * part / sum(parts) for part in parts]
            parts = self.divided(ceiling, parts)
        for i, part, share in zip(mine, parts, exact, strict=True):
            self.take(rule.name, part, share, costs[i])

    # --- shipping -----------------------------------------------------------------------------------

    def options(self, worth: Fraction) -> list[tuple[Fraction, ShippingMethod]]:
        place, going = self.basket.destination, self.goes_out()
        if place is None or not going:
            return []
        ranks = [
            (rank, zone)
            for zone in sorted(self.rules.zones, key=lambda z: z.id, reverse=True)
            if (rank := self.fit(zone)) is not None
        ]
        if not ranks:
            return []
        zone = max(ranks, key=lambda pair: (pair[0], -pair[1].id.int))[1]
        found = []
        priced_here = {m.code for m in zone.methods if m.currency == self.basket.currency}
        for method in zone.methods:
            if method.currency == self.home:
                if method.code in priced_here:
                    continue
            elif method.currency != self.basket.currency:
                continue
            if (
                method.minimum_order is None
                or worth >= self.worth(method.minimum_order, method.currency)
            ) and (
                method.maximum_order is None
                or worth < self.worth(method.maximum_order, method.currency)
            ):
                cost = Fraction(method.base_price)
                if method.type == "WEIGHT_BASED":
                    cost += (
                        Fraction(method.per_kilogram)
                        * sum(line.weight_grams * line.quantity for line in going)
                        / 1000
                    )
                if method.type == "ITEM_COUNT":
                    cost += Fraction(method.per_unit) * sum(line.quantity for line in going)
                free = method.free_over is not None and worth >= self.worth(
                    method.free_over, method.currency
                )
                charged = self.worth(cost, method.currency)
                found.append((ZERO if free or method.type == "FREE" else charged, method))
        return sorted(
            found, key=lambda pair: (pair[0], -pair[1].priority, pair[1].max_days, pair[1].code)
        )

    def fit(self, zone: Zone) -> tuple[int, bool, bool, int] | None:
        place = self.basket.destination
        assert place is not None
        listed = place.country in zone.countries
        postal = place.postal_code.replace(" ", "").replace("-", "").upper()
        beginnings = [text.rstrip("*") for text in zone.postal_prefixes]
        if not listed and "*" not in zone.countries:
            return None
        if zone.states and place.state.lower() not in [state.lower() for state in zone.states]:
            return None
        if beginnings and not any(postal.startswith(text) for text in beginnings):
            return None
        longest = max((len(text) for text in beginnings if postal.startswith(text)), default=0)
        return (longest, bool(zone.states), listed, zone.priority)

    # --- taxes ----------------------------------------------------------------------------------------

    def rates(self, tax_class: str, *, shipping: bool = False) -> list[tuple[TaxRule, Fraction]]:
        """The taxes on a class of goods here and now for anybody, each as a fraction of the net amount."""
        place = self.basket.destination
        if place is None or tax_class == "exempt":
            return []
        today = self.now.astimezone(UTC).date()
        postal = place.postal_code.replace(" ", "").replace("-", "").upper()
        matching = [
            rule
            for rule in self.rules.tax_rules
            if rule.country in {place.country, "*"}
            and rule.tax_class in {tax_class, ""}
            and (rule.on_shipping or not shipping)
            and (rule.valid_from is None or rule.valid_from <= today)
            and (rule.valid_to is None or today < rule.valid_to)
            and (not rule.state or rule.state.lower() == place.state.lower())
            and postal.startswith(rule.postal_prefix.rstrip("*"))
        ]
        chosen = []
        for kind, name in {(rule.type, rule.name) for rule in matching}:
            same = [rule for rule in matching if (rule.type, rule.name) == (kind, name)]
            chosen.append(
                max(
                    same,
                    key=lambda rule: (
                        len(rule.postal_prefix.rstrip("*")),
                        bool(rule.state),
                        rule.country != "*",
                        bool(rule.tax_class),
                        rule.priority,
                        rule.valid_from is not None and rule.valid_from.toordinal(),
                        rule.id,
                    ),
                )
            )
        return self.on_net(chosen)

    @staticmethod
    def on_net(chosen: list[TaxRule]) -> list[tuple[TaxRule, Fraction]]:
        result: list[tuple[TaxRule, Fraction]] = []
        key = lambda rule: (rule.is_compound, rule.priority, rule.type, rule.name)
        inside = sorted((rule for rule in chosen if rule.is_included), key=key)
        on_top = sorted((rule for rule in chosen if not rule.is_included), key=key)
        for rule in inside + on_top:
            base = 1 + sum((part for _, part in result), ZERO) if rule.is_compound else Fraction(1)
            result.append((rule, Fraction(rule.rate) * base))
        return result

    def relief(self) -> Relief | None:
        """The customer's ground not to be charged: of several, one that frees of all taxes, then by its names."""
        place = self.basket.destination
        today = self.now.astimezone(UTC).date()
        valid = [
            relief
            for relief in self.basket.reliefs
            if place is not None
            and relief.countries & {place.country, "*"}
            and relief.state.lower() in {"", place.state.lower()}
            and (relief.valid_from is None or not today < relief.valid_from)
            and (relief.valid_to is None or today < relief.valid_to)
        ]
        valid.sort(key=lambda relief: (len(relief.tax_types) > 0, relief.reason, relief.reference))
        return valid[0] if valid else None

    def take_taxes(self, answer: Answer) -> None:
        everybody = [
            (answer.lines[line.id], self.rates(line.tax_class))
            for line in self.lines
            if line.is_taxable
        ]
        if answer.shipping:
            of_shipping = self.rates("shipping", shipping=True) or self.rates(
                "standard", shipping=True
            )
            everybody.append((answer.shipping, of_shipping))
        answer.relief = self.relief()
        taxed = self.take_out(everybody, answer.relief)
        for costs, rates in taxed:
            self.by_line(costs, rates)
        if self.rules.tax_rounding != "line":
            self.included_by_sum([(costs, rates) for costs, rates in taxed if rates])
        if self.rules.tax_rounding == "order":
            self.added_by_sum(taxed)

    def take_out(
        self, everybody: list[tuple[Costs, list[tuple[TaxRule, Fraction]]]], relief: Relief | None
    ) -> list[tuple[Costs, list[tuple[TaxRule, Fraction]]]]:
        """Take the taxes that this customer is not charged out of what is shown; return those that are."""
        if relief is None:
            return everybody
        name = {
            "exempt": "Tax taken out: exempt",
            "reverse_charge": "VAT taken out: reverse charge",
        }[relief.reason]
        taxed = []
        alike: dict[tuple[UUID, ...], list[tuple[Costs, Fraction]]] = defaultdict(list)
        for costs, rates in everybody:
            charged = [
                rule for rule, _ in rates if relief.tax_types and rule.type not in relief.tax_types
            ]
            for rule, _ in rates:
                if rule not in charged:
                    costs.taxes[rule.name] = Share(ZERO, ZERO)
            left = self.on_net(charged)
            taxed.append((costs, left))
            if len(charged) < len(rates):
                with_taxes, without = (
                    1 + sum((part for rule, part in of if rule.is_included), ZERO)
                    for of in (rates, left)
                )
                key = tuple(rule.id for rule, _ in rates if rule.is_included)
                alike[key].append((costs, without / with_taxes))
        for members in alike.values():
            if self.rules.tax_rounding == "line":
                for costs, kept in members:
                    exact = costs.left * (1 - kept)
                    self.take(name, self.rounded(exact), exact, costs)
            else:
                kept = members[0][1]
                shown = sum((costs.left for costs, _ in members), ZERO)
                if self.rules.tax_rounding == "order":
                    off = self.rounded(shown * (1 - kept))
                else:
                    off = shown - self.rounded(shown * kept)
                self.hand_out(name, off, [costs for costs, _ in members], range(len(members)))
        return taxed

    def included_by_sum(self, taxed: list[tuple[Costs, list[tuple[TaxRule, Fraction]]]]) -> None:
        """Once for all that bears the same included rates: lines get their part of it, then rates theirs of the lines'."""
        alike: dict[tuple[UUID, ...], list[Costs]] = defaultdict(list)
        inside: dict[tuple[UUID, ...], list[tuple[TaxRule, Fraction]]] = {}
        for costs, rates in taxed:
            key = tuple(rule.id for rule, _ in rates if rule.is_included)
            alike[key].append(costs)
            inside[key] = [(rule, part) for rule, part in rates if rule.is_included]
        for key, members in alike.items():
            if not key:
                continue
            shown = sum((costs.left for costs in members), ZERO)
            gross = 1 + sum((part for _, part in inside[key]), ZERO)
            if self.rules.tax_rounding == "order":
                whole = self.rounded(shown - shown / gross)
            else:
                whole = shown - self.rounded(shown / gross)
            held = self.divided(whole, [costs.left for costs in members])
            for costs, amount in zip(members, held, strict=True):
                costs.included = amount
            of_rates = (
                self.divided(whole, [part for _, part in inside[key]])
                if whole
                else [ZERO] * len(key)
            )
            for (rule, _), of_rate in zip(inside[key], of_rates, strict=True):
                parts = self.divided(of_rate, held)
                for n, (costs, part) in enumerate(zip(members, parts, strict=True)):
                    exact = of_rate * held[n] / sum(held) if sum(held) else ZERO
                    costs.taxes[rule.name] = Share(part, exact)
                held = [rest - part for rest, part in zip(held, parts, strict=True)]

    def added_by_sum(self, taxed: list[tuple[Costs, list[tuple[TaxRule, Fraction]]]]) -> None:
        exact: dict[UUID, list[tuple[Costs, str, Fraction]]] = defaultdict(list)
        for costs, rates in taxed:
            gross = 1 + sum((part for rule, part in rates if rule.is_included), ZERO)
            for rule, part in rates:
                if not rule.is_included:
                    exact[rule.id].append((costs, rule.name, costs.left * part / gross))
        for places in exact.values():
            total = sum((amount for *_, amount in places), ZERO)
            whole = self.rounded(total)
            parts = self.divided(whole, [amount for *_, amount in places])
            for (costs, name, amount), part in zip(places, parts, strict=True):
                costs.taxes[name] = Share(part, whole * amount / total if total else ZERO)

    def by_line(self, costs: Costs, rates: list[tuple[TaxRule, Fraction]]) -> None:
        inside = [(rule, part) for rule, part in rates if rule.is_included]
        gross = 1 + sum((part for _, part in inside), ZERO)
        costs.included = self.rounded(costs.left * (gross - 1) / gross)
        if inside:
            parts = self.divided(costs.included, [part for _, part in inside])
            for (rule, part), amount in zip(inside, parts, strict=True):
                costs.taxes[rule.name] = Share(
                    amount if costs.included else ZERO, costs.left * part / gross
                )
        for rule, part in rates:
            if not rule.is_included:
                exact = costs.left * part / gross
                costs.taxes[rule.name] = Share(self.rounded(exact), exact)
