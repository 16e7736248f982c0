"""
The price engine: lines, rules and a moment in; a quote with every step explained out.

Pure Python. The same basket gives the same quote, whatever the order of its lines and codes. Inside, amounts are
whole numbers of the currency's smallest unit, so that every sum and split is exact; what leaves is `Decimal`.

A price is made in lanes: bundles, then promotions on lines, then promotions on the order, then shipping and what
lowers it, then taxes. Inside a lane promotions apply by priority (highest first), each on what the earlier ones left.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any
from uuid import UUID

from pricing.money import exponent, format_amount, from_minor, split_minor, to_minor

PERCENTAGE = "PERCENTAGE"
FIXED_AMOUNT = "FIXED_AMOUNT"
FREE_SHIPPING = "FREE_SHIPPING"
BUY_X_GET_Y = "BUY_X_GET_Y"
TIERED_QUANTITY = "TIERED_QUANTITY"
BUNDLE = "BUNDLE"

ANYWHERE = "*"  # a zone or rate for every country
SHIPPING_CLASS = "shipping"  # tax class of the shipping charge, where a place has one
STANDARD_CLASS = "standard"
NO_SHIPPING_ZONE = "NO_SHIPPING_ZONE"

# Why a code did not apply.
UNKNOWN = "unknown"
NOT_STARTED = "not_started"
EXPIRED = "expired"
WRONG_CURRENCY = "wrong_currency"
NOT_ELIGIBLE = "not_eligible"
MINIMUM_NOT_MET = "minimum_not_met"
NO_MATCHING_ITEMS = "no_matching_items"
NO_SHIPPING = "no_shipping"
NOT_COMBINABLE = "not_combinable"
USED_UP = "used_up"
NO_EFFECT = "no_effect"

REASONS: Mapping[str, str] = {
    UNKNOWN: "There is no such code.",
    NOT_STARTED: "This code is not valid yet.",
    EXPIRED: "This code is no longer valid.",
    WRONG_CURRENCY: "This code is not valid in this currency.",
    NOT_ELIGIBLE: "This code is for other customers.",
    MINIMUM_NOT_MET: "The order is below the minimum for this code.",
    NO_MATCHING_ITEMS: "Nothing in the cart qualifies for this code.",
    NO_SHIPPING: "Nothing in the cart is shipped.",
    NOT_COMBINABLE: "This code cannot be combined with a better offer.",
    USED_UP: "This code has been used up.",
    NO_EFFECT: "There is nothing left to discount.",
}


# --- what is asked --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where the goods go, as far as it is known. `country` is an ISO code of two letters."""

    country: str
    state: str = ""
    postal_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line to be priced.

    `unit_price` is what one unit costs this customer (a promised price may be below `list_price`, the current one).
    Lines that share `bundle_group` were added as one bundle.
    """

    id: UUID
    variant_id: UUID
    product_id: UUID
    sku: str
    quantity: int
    unit_price: Decimal
    list_price: Decimal | None = None
    category_ids: Sequence[UUID] = ()
    tax_class: str = STANDARD_CLASS
    is_taxable: bool = True
    weight_grams: int = 0
    requires_shipping: bool = True
    bundle_id: UUID | None = None
    bundle_group: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """
    What a customer wants to buy, and where it goes.

    `used_up` names promotions whose limit is reached, in all or for this customer; `services.quote` fills it in.
    """

    lines: Sequence[Line]
    currency: str
    destination: Place | None = None
    codes: Sequence[str] = ()
    shipping_option: str | None = None
    user_id: UUID | None = None
    customer_key: str = ""
    is_tax_exempt: bool = False
    used_up: frozenset[UUID] = frozenset()


# --- the rules --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRule:
    """
    A reason to pay less. Empty targets mean everything and everybody; an empty currency, any.

    `kind` and `scope` carry the names of `Promotion.Kind` and `Promotion.Scope`. `details` are those of the kind:
    FIXED_AMOUNT `{"per_unit": true}`; BUY_X_GET_Y `{"buy": 2, "get": 1, "percent": "100"}`;
    TIERED_QUANTITY `{"tiers": [{"from": 5, "percent": "10"}]}`; shipping `{"options": ["standard"]}`.
    """

    id: UUID
    name: str
    kind: str
    scope: str = "CART"
    value: Decimal = Decimal(0)
    currency: str = ""
    product_ids: frozenset[UUID] = frozenset()
    category_ids: frozenset[UUID] = frozenset()
    user_ids: frozenset[UUID] = frozenset()
    minimum_order: Decimal | None = None
    maximum_discount: Decimal | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_automatic: bool = False
    is_stackable: bool = True
    is_limited: bool = False
    priority: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        if self.kind == FREE_SHIPPING or self.scope == "SHIPPING":
            return "shipping"
        if self.scope in {"PRODUCT", "CATEGORY"} or self.kind in {BUY_X_GET_Y, TIERED_QUANTITY}:
            return "line"
        return "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRule:
    """A tax on goods of a class sent to a place; `rate` is a fraction, the period is half-open."""

    id: UUID
    name: str
    type: str
    country: str
    rate: Decimal
    state: str = ""
    postal_prefix: str = ""
    tax_class: str = STANDARD_CLASS
    is_included: bool = False
    is_compound: bool = False
    on_shipping: bool = True
    priority: int = 0
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingMethod:
    """One way to ship and what it costs; the band of orders is half-open."""

    id: UUID
    code: str
    name: str
    type: str
    currency: str
    base_price: Decimal = Decimal(0)
    per_unit: Decimal = Decimal(0)
    per_kilogram: Decimal = Decimal(0)
    free_over: Decimal | None = None
    minimum_order: Decimal | None = None
    maximum_order: Decimal | None = None
    min_days: int = 2
    max_days: int = 5
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Where we ship: every country listed, narrowed by states and beginnings of postal codes where given."""

    id: UUID
    name: str
    countries: Sequence[str]
    states: Sequence[str] = ()
    postal_prefixes: Sequence[str] = ()
    priority: int = 0
    methods: Sequence[ShippingMethod] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOffer:
    """What a bundle costs as a whole, by currency, and how many of which variants complete it."""

    id: UUID
    name: str
    prices: Mapping[str, Decimal]
    parts: Mapping[UUID, int]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything a company has decided about prices, as of one revision."""

    revision: int = 0
    promotions: Sequence[PromotionRule] = ()
    coupons: Mapping[str, UUID] = field(default_factory=dict)
    tax_rules: Sequence[TaxRule] = ()
    zones: Sequence[Zone] = ()
    bundles: Mapping[UUID, BundleOffer] = field(default_factory=dict)

    @cached_property
    def promotions_by_id(self) -> Mapping[UUID, PromotionRule]:
        return {promotion.id: promotion for promotion in self.promotions}

    @cached_property
    def automatic(self) -> Sequence[PromotionRule]:
        return [promotion for promotion in self.promotions if promotion.is_automatic]

    @cached_property
    def tax_rules_by_country(self) -> Mapping[str, Sequence[TaxRule]]:
        by_country: dict[str, list[TaxRule]] = {}
        for rule in self.tax_rules:
            by_country.setdefault(rule.country.upper(), []).append(rule)
        return by_country

    @cached_property
    def moments(self) -> Sequence[datetime]:
        """When a promotion or a tax begins or ends, in order: a quote holds at most until the next of these."""
        days = [day for rule in self.tax_rules for day in (rule.valid_from, rule.valid_to) if day]
        moments = {datetime.combine(day, time.min, UTC) for day in days}
        for promotion in self.promotions:
            moments.update(moment for moment in (promotion.starts_at, promotion.ends_at) if moment)
        return sorted(moments)

    def with_coupons(self, coupons: Mapping[str, UUID]) -> Rules:
        """Return the same rules knowing these codes; a shop may have millions, so they are looked up by need."""
        # A plain copy keeps what has been worked out once per revision; `replace` would work it out again.
        twin = copy(self)
        twin.__dict__["coupons"] = coupons
        return twin

    def without_promotions(self) -> Rules:
        """Return the same rules with every promotion switched off; bundle prices stay."""
        return replace(self, promotions=(), coupons={})


# --- the answer -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """One tax: on a line, on shipping, or summed over the quote. `included` means prices contain it."""

    name: str
    type: str
    rate: Decimal
    included: bool
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Discount:
    """A promotion or bundle price that applied, and what it took off in all; `promotion_id` is null for bundles."""

    promotion_id: UUID | None
    code: str | None
    name: str
    kind: str
    lane: str  # "bundle", "line", "order" or "shipping"
    amount: Decimal


@dataclass(frozen=True, slots=True)
class NotApplied:
    """A code that did not apply, and why."""

    code: str
    promotion_id: UUID | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """
    A priced line. `total` = subtotal − discount + the tax that prices do not include.

    `shares` says which of the quote's discounts took how much: `(index, amount)`.
    """

    id: UUID
    variant_id: UUID
    sku: str
    quantity: int
    list_price: Decimal
    unit_price: Decimal
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    included_tax: Decimal
    total: Decimal
    taxes: Sequence[TaxAmount]
    shares: Sequence[tuple[int, Decimal]]


@dataclass(frozen=True, slots=True)
class ShippingOption:
    """A way to ship that is open to this basket; `id` is what `Basket.shipping_option` names."""

    id: str
    name: str
    price: Decimal
    currency: str
    min_days: int
    max_days: int


@dataclass(frozen=True, slots=True)
class ShippingCharge:
    """The chosen way to ship: `price` is before the discount, `total` after it with tax not included."""

    option: str
    name: str
    price: Decimal
    discount: Decimal
    tax: Decimal
    included_tax: Decimal
    total: Decimal
    min_days: int
    max_days: int
    taxes: Sequence[TaxAmount]
    shares: Sequence[tuple[int, Decimal]]


@dataclass(frozen=True, slots=True)
class Totals:
    """
    `grand_total` = subtotal − discount_total + shipping_total + (tax_total − included_tax_total).

    `discount_total` contains `shipping_discount`; `shipping_total` is before it; `tax_total` contains `shipping_tax`.
    """

    subtotal: Decimal
    discount_total: Decimal
    shipping_total: Decimal
    shipping_discount: Decimal
    shipping_tax: Decimal
    tax_total: Decimal
    included_tax_total: Decimal
    grand_total: Decimal


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way from list prices to the grand total."""

    kind: str
    label: str
    item_id: UUID | None
    amount: Decimal
    running_total: Decimal


@dataclass(frozen=True, kw_only=True)
class Quote:
    """
    A basket priced at one moment. `id` names exactly this content: same lines, prices, promotions, tax and shipping.

    `valid_until` is when a rule next begins or ends; null when none will. `is_estimated` is true while the
    destination, or the shipping of goods that need it, is open.
    """

    currency: str
    lines: Sequence[QuoteLine]
    discounts: Sequence[Discount]
    not_applied: Sequence[NotApplied]
    shipping: ShippingCharge | None
    shipping_options: Sequence[ShippingOption]
    shipping_code: str | None
    requires_shipping: bool
    taxes: Sequence[TaxAmount]
    totals: Totals
    prices_include_tax: bool
    is_estimated: bool
    revision: int = 0
    valid_until: datetime | None = None

    @cached_property
    def id(self) -> str:
        content = self.to_json()
        for passing in ("id", "not_applied", "options", "revision", "valid_until"):
            content.pop(passing, None)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @cached_property
    def lines_by_id(self) -> Mapping[UUID, QuoteLine]:
        return {line.id: line for line in self.lines}

    @cached_property
    def applied_codes(self) -> Sequence[str]:
        return [discount.code for discount in self.discounts if discount.code]

    def format(self, amount: Decimal) -> str:
        return format_amount(amount, self.currency)

    @cached_property
    def steps(self) -> Sequence[Step]:
        """From list prices to the grand total; the last running total is the grand total."""
        return _steps(self)

    def explain(self) -> dict[str, Any]:
        """Return the explanation as the API shows it."""
        return {
            "quoteId": self.id,
            "currency": self.currency,
            "steps": [
                {
                    "kind": step.kind,
                    "label": step.label,
                    "itemId": str(step.item_id) if step.item_id else None,
                    "amount": self.format(step.amount),
                    "runningTotal": self.format(step.running_total),
                }
                for step in self.steps
            ],
            "notApplied": [
                {"code": item.code, "reason": item.reason, "message": item.message}
                for item in self.not_applied
            ],
        }

    def to_json(self) -> dict[str, Any]:
        """Return a compact form for a JSON column; `from_json` gives an equal quote back."""
        keys: dict[tuple[str, str, Decimal, bool], int] = {}
        for index, tax in enumerate(self.taxes):
            keys[(tax.name, tax.type, tax.rate, tax.included)] = index

        def taxes(amounts: Sequence[TaxAmount]) -> list[list[Any]]:
            return [
                [keys[(tax.name, tax.type, tax.rate, tax.included)], str(tax.base), str(tax.amount)]
                for tax in amounts
            ]

        def shares(amounts: Sequence[tuple[int, Decimal]]) -> list[list[Any]]:
            return [[index, str(amount)] for index, amount in amounts]

        totals = self.totals
        content: dict[str, Any] = {
            "v": 1,
            "currency": self.currency,
            "lines": [
                [
                    str(line.id),
                    str(line.variant_id),
                    line.sku,
                    line.quantity,
                    str(line.list_price),
                    str(line.unit_price),
                    str(line.subtotal),
                    str(line.discount),
                    str(line.tax),
                    str(line.included_tax),
                    str(line.total),
                    taxes(line.taxes),
                    shares(line.shares),
                ]
                for line in self.lines
            ],
            "discounts": [
                [
                    str(item.promotion_id) if item.promotion_id else None,
                    item.code,
                    item.name,
                    item.kind,
                    item.lane,
                    str(item.amount),
                ]
                for item in self.discounts
            ],
            "not_applied": [
                [item.code, str(item.promotion_id) if item.promotion_id else None, item.reason]
                for item in self.not_applied
            ],
            "shipping": None,
            "options": [
                [option.id, option.name, str(option.price), option.min_days, option.max_days]
                for option in self.shipping_options
            ],
            "shipping_code": self.shipping_code,
            "requires_shipping": self.requires_shipping,
            "taxes": [
                [tax.name, tax.type, str(tax.rate), tax.included, str(tax.base), str(tax.amount)]
                for tax in self.taxes
            ],
            "totals": [
                str(totals.subtotal),
                str(totals.discount_total),
                str(totals.shipping_total),
                str(totals.shipping_discount),
                str(totals.shipping_tax),
                str(totals.tax_total),
                str(totals.included_tax_total),
                str(totals.grand_total),
            ],
            "included": self.prices_include_tax,
            "estimated": self.is_estimated,
            "revision": self.revision,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
        }
        if (charge := self.shipping) is not None:
            content["shipping"] = [
                charge.option,
                charge.name,
                str(charge.price),
                str(charge.discount),
                str(charge.tax),
                str(charge.included_tax),
                str(charge.total),
                charge.min_days,
                charge.max_days,
                taxes(charge.taxes),
                shares(charge.shares),
            ]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Quote:
        """Return the quote that `to_json` stored."""
        summed = [
            TaxAmount(name, kind, Decimal(rate), included, Decimal(base), Decimal(amount))
            for name, kind, rate, included, base, amount in content["taxes"]
        ]

        def taxes(rows: Sequence[Sequence[Any]]) -> tuple[TaxAmount, ...]:
            return tuple(
                TaxAmount(
                    summed[index].name,
                    summed[index].type,
                    summed[index].rate,
                    summed[index].included,
                    Decimal(base),
                    Decimal(amount),
                )
                for index, base, amount in rows
            )

        def shares(rows: Sequence[Sequence[Any]]) -> tuple[tuple[int, Decimal], ...]:
            return tuple((index, Decimal(amount)) for index, amount in rows)

        charge = content["shipping"]
        currency = content["currency"]
        return cls(
            currency=currency,
            lines=tuple(
                QuoteLine(
                    UUID(row[0]),
                    UUID(row[1]),
                    row[2],
                    row[3],
                    *map(Decimal, row[4:11]),
                    taxes(row[11]),
                    shares(row[12]),
                )
                for row in content["lines"]
            ),
            discounts=tuple(
                Discount(
                    UUID(row[0]) if row[0] else None,
                    row[1],
                    row[2],
                    row[3],
                    row[4],
                    Decimal(row[5]),
                )
                for row in content["discounts"]
            ),
            not_applied=tuple(
                NotApplied(
                    code,
                    UUID(promotion) if promotion else None,
                    reason,
                    REASONS.get(reason, reason),
                )
                for code, promotion, reason in content["not_applied"]
            ),
            shipping=charge
            and ShippingCharge(
                charge[0],
                charge[1],
                *map(Decimal, charge[2:7]),
                charge[7],
                charge[8],
                taxes(charge[9]),
                shares(charge[10]),
            ),
            shipping_options=tuple(
                ShippingOption(row[0], row[1], Decimal(row[2]), currency, row[3], row[4])
                for row in content["options"]
            ),
            shipping_code=content["shipping_code"],
            requires_shipping=content["requires_shipping"],
            taxes=tuple(summed),
            totals=Totals(*map(Decimal, content["totals"])),
            prices_include_tax=content["included"],
            is_estimated=content["estimated"],
            revision=content["revision"],
            valid_until=datetime.fromisoformat(content["valid_until"])
            if content["valid_until"]
            else None,
        )


# --- the price --------------------------------------------------------------------------------------


def price(basket: Basket, rules: Rules, now: datetime) -> Quote:
    """
    Price a basket by the rules as they stand at `now`.

    Never raises for a code that does not apply, nor for a place we do not ship to: both are part of the answer.

    :raises ValueError: if the currency is unknown, or a quantity or price is negative
    """
    return _Pricing(basket, rules, now).quote()


@dataclass(slots=True)
class _Applied:
    """A promotion at work: what it took from each line (by index) or from shipping."""

    rule: PromotionRule
    parts: Mapping[int, int]
    shipping: int = 0


@dataclass(slots=True)
class _Outcome:
    """One admissible set of promotions, applied."""

    left: list[int]
    applied: list[_Applied]
    options: list[tuple[int, ShippingMethod]]
    chosen: tuple[int, ShippingMethod] | None
    shipping_left: int

    @property
    def cost(self) -> int:
        return sum(self.left) + self.shipping_left


class _Pricing:
    """The workings of one `price` call."""

    def __init__(self, basket: Basket, rules: Rules, now: datetime) -> None:
        exponent(basket.currency)
        self.basket = basket
        self.rules = rules
        self.now = now
        self.currency = basket.currency
        self.lines = sorted(basket.lines, key=lambda line: line.id)
        if any(line.quantity < 0 or line.unit_price < 0 for line in self.lines):
            raise ValueError("Quantities and prices are not negative.")
        self.subtotals = [self._minor(line.unit_price) * line.quantity for line in self.lines]
        self.subtotal = sum(self.subtotals)
        self.shipped = [line for line in self.lines if line.requires_shipping and line.quantity]
        self.weight = sum(line.weight_grams * line.quantity for line in self.shipped)
        self.units = sum(line.quantity for line in self.shipped)
        self.zone = self._zone() if self.shipped else None
        self.by_product: dict[UUID, list[int]] = {}
        self.by_category: dict[UUID, list[int]] = {}
        for index, line in enumerate(self.lines):
            self.by_product.setdefault(line.product_id, []).append(index)
            for category_id in line.category_ids:
                self.by_category.setdefault(category_id, []).append(index)
        self.targets: dict[UUID, Sequence[int]] = {}
        self.everything = range(len(self.lines))

    def _minor(self, amount: Decimal) -> int:
        return to_minor(amount, self.currency)

    def _amount(self, minor: int) -> Decimal:
        return from_minor(minor, self.currency)

    # bundles

    def bundles(self) -> list[tuple[str, dict[int, int]]]:
        """Return what each complete bundle group takes off its lines, below the sum of its parts."""
        groups: dict[UUID, list[int]] = {}
        for index, line in enumerate(self.lines):
            if line.bundle_group is not None and line.bundle_id is not None:
                groups.setdefault(line.bundle_group, []).append(index)
        taken = []
        for group in sorted(groups):
            indexes = groups[group]
            bundle_ids = {self.lines[index].bundle_id for index in indexes}
            offer = self.rules.bundles.get(bundle_ids.pop()) if len(bundle_ids) == 1 else None  # type: ignore[arg-type]
            if offer is None or self.currency not in offer.prices:
                continue
            count = self._bundle_count(offer, indexes)
            whole = sum(self.subtotals[index] for index in indexes)
            saved = whole - count * self._minor(offer.prices[self.currency]) if count else 0
            if saved > 0:
                parts = split_minor(saved, [self.subtotals[index] for index in indexes])
                taken.append((offer.name, dict(zip(indexes, parts, strict=True))))
        return taken

    def _bundle_count(self, offer: BundleOffer, indexes: Sequence[int]) -> int:
        """Return how many times the group makes the bundle exactly; 0 when parts miss or are too many."""
        quantities: dict[UUID, int] = {}
        for index in indexes:
            line = self.lines[index]
            quantities[line.variant_id] = quantities.get(line.variant_id, 0) + line.quantity
        if not offer.parts or quantities.keys() != offer.parts.keys():
            return 0
        counts = {divmod(quantities[variant], needed) for variant, needed in offer.parts.items()}
        if len(counts) != 1:
            return 0
        count, remainder = counts.pop()
        return 0 if remainder else count

    # promotions

    def target(self, rule: PromotionRule) -> Sequence[int]:
        """Return the indexes of the lines this promotion is about."""
        if not rule.product_ids and not rule.category_ids:
            return self.everything
        found = self.targets.get(rule.id)
        if found is None:
            indexes: set[int] = set()
            for by, ids in (
                (self.by_product, rule.product_ids),
                (self.by_category, rule.category_ids),
            ):
                # the smaller side is walked: a promotion may name thousands of products
                for key in by.keys() & ids if len(by) < len(ids) else ids & by.keys():
                    indexes.update(by[key])
            found = self.targets[rule.id] = sorted(indexes)
        return found

    def refusal(self, rule: PromotionRule) -> str | None:
        """Return why this promotion cannot apply to the basket at all."""
        if rule.ends_at is not None and rule.ends_at <= self.now:
            return EXPIRED
        if rule.starts_at is not None and rule.starts_at > self.now:
            return NOT_STARTED
        if rule.id in self.basket.used_up:
            return USED_UP
        if rule.currency and rule.currency != self.currency:
            return WRONG_CURRENCY
        if (rule.user_ids and self.basket.user_id not in rule.user_ids) or (
            rule.scope == "USER" and self.basket.user_id is None
        ):
            return NOT_ELIGIBLE
        if not any(self.lines[index].quantity for index in self.target(rule)):
            return NO_MATCHING_ITEMS
        if rule.lane == "shipping" and not self.shipped:
            return NO_SHIPPING
        if rule.minimum_order is not None and self.subtotal < self._minor(rule.minimum_order):
            return MINIMUM_NOT_MET
        return None

    def apply(self, promotions: Sequence[PromotionRule], left: list[int]) -> _Outcome:
        """Apply a set of promotions, lane by lane; `left` is what bundles left of each line."""
        left = list(left)
        applied = []
        for lane, take in (("line", self._take_from_lines), ("order", self._take_from_order)):
            for rule in promotions:
                if rule.lane != lane:
                    continue
                indexes = [index for index in self.target(rule) if left[index]]
                amounts = [left[index] for index in indexes]
                parts = self._capped(rule, take(rule, indexes, amounts)) if indexes else []
                for index, part in zip(indexes, parts, strict=True):
                    left[index] -= part
                applied.append(
                    _Applied(
                        rule, {i: part for i, part in zip(indexes, parts, strict=True) if part}
                    )
                )
        options = self._options(sum(left))
        chosen = next(
            (option for option in options if option[1].code == self.basket.shipping_option), None
        )
        shipping_left = chosen[0] if chosen else 0
        for rule in promotions:
            if rule.lane == "shipping":
                part = self._take_from_shipping(rule, chosen, shipping_left)
                shipping_left -= part
                applied.append(_Applied(rule, {}, part))
        return _Outcome(left, applied, options, chosen, shipping_left)

    def _capped(self, rule: PromotionRule, parts: list[int]) -> list[int]:
        if rule.maximum_discount is None:
            return parts
        ceiling = self._minor(rule.maximum_discount)
        return split_minor(ceiling, parts) if sum(parts) > ceiling else parts

    def _take_from_lines(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what a promotion takes off each of its lines, rounded line by line."""
        if rule.kind == PERCENTAGE:
            numerator, denominator = _ratio(rule.value / 100)
            return [_share(amount, numerator, denominator) for amount in amounts]
        if rule.kind == TIERED_QUANTITY:
            numerator, denominator = _ratio(self._tier(rule, indexes) / 100)
            return [_share(amount, numerator, denominator) for amount in amounts]
        if rule.kind == BUY_X_GET_Y:
            return self._take_free_units(rule, indexes, amounts)
        value = self._minor(rule.value)
        if rule.details.get("per_unit"):
            return [
                min(amount, value * self.lines[index].quantity)
                for index, amount in zip(indexes, amounts, strict=True)
            ]
        return split_minor(min(value, sum(amounts)), amounts)

    def _tier(self, rule: PromotionRule, indexes: Sequence[int]) -> Decimal:
        """Return the percentage of the highest tier that the units of the promotion's lines reach."""
        units = sum(self.lines[index].quantity for index in indexes)
        reached = [tier for tier in rule.details.get("tiers", ()) if units >= int(tier["from"])]
        if not reached:
            return Decimal(0)
        return Decimal(str(max(reached, key=lambda tier: int(tier["from"]))["percent"]))

    def _take_free_units(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what "buy some, get some" takes off: of every full set, the cheapest units."""
        buy, get = int(rule.details.get("buy", 0)), int(rule.details.get("get", 0))
        quantities = [self.lines[index].quantity for index in indexes]
        if buy < 1 or get < 1:
            return [0] * len(indexes)
        free = sum(quantities) // (buy + get) * get
        numerator, denominator = _ratio(Decimal(str(rule.details.get("percent", 100))) / 100)
        parts = [0] * len(indexes)
        for position in sorted(
            range(len(indexes)), key=lambda i: (Fraction(amounts[i], quantities[i]), i)
        ):
            units = min(free, quantities[position])
            parts[position] = _share(
                amounts[position], numerator * units, denominator * quantities[position]
            )
            free -= units
        return parts

    def _take_from_order(
        self, rule: PromotionRule, indexes: list[int], amounts: list[int]
    ) -> list[int]:
        """Return what a promotion on the whole takes off, split over the lines by what is left of them."""
        whole = sum(amounts)
        if rule.kind == PERCENTAGE:
            taken = _share(whole, *_ratio(rule.value / 100))
        else:
            taken = min(self._minor(rule.value), whole)
        if rule.maximum_discount is not None:
            taken = min(taken, self._minor(rule.maximum_discount))
        return split_minor(taken, amounts)

    def _take_from_shipping(
        self, rule: PromotionRule, chosen: tuple[int, ShippingMethod] | None, left: int
    ) -> int:
        if chosen is None or chosen[1].code not in (
            rule.details.get("options") or [chosen[1].code]
        ):
            return 0
        if rule.kind == PERCENTAGE:
            taken = _share(left, *_ratio(rule.value / 100))
        elif rule.kind == FIXED_AMOUNT:
            taken = min(self._minor(rule.value), left)
        else:
            taken = left
        if rule.maximum_discount is not None:
            taken = min(taken, self._minor(rule.maximum_discount))
        return taken

    def choose(self, left: list[int]) -> tuple[_Outcome, dict[UUID, str], dict[str, str]]:
        """
        Return the best outcome for the customer, the code behind each promotion, and why other codes did nothing.

        A promotion that does not combine stands alone against all that do; the lowest cost wins.
        """
        refused: dict[str, str] = {}
        code_of: dict[UUID, str] = {}
        usable = {rule.id: rule for rule in self.rules.automatic if self.refusal(rule) is None}
        for code in sorted(set(self.basket.codes)):
            rule = self.rules.promotions_by_id.get(self.rules.coupons.get(code))  # type: ignore[arg-type]
            if rule is None:
                refused[code] = UNKNOWN
            elif (reason := self.refusal(rule)) is not None:
                refused[code] = reason
            elif rule.id in code_of:
                refused[code] = NOT_COMBINABLE
            else:
                usable[rule.id] = rule
                code_of[rule.id] = code

        ordered = sorted(usable.values(), key=lambda rule: (-rule.priority, rule.id))
        best = self.apply([rule for rule in ordered if rule.is_stackable], left)
        for rule in ordered:
            if not rule.is_stackable:
                alone = self.apply([rule], left)
                # Of equals, the one that the customer asked for by code.
                if alone.cost < best.cost or (
                    alone.cost == best.cost
                    and rule.id in code_of
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

    # shipping

    def _zone(self) -> Zone | None:
        place = self.basket.destination
        if place is None:
            return None
        country, state, postal = (
            place.country.upper(),
            _fold(place.state),
            _postal(place.postal_code),
        )
        best: tuple[tuple[int, bool, bool, int], Zone] | None = None
        for zone in sorted(self.rules.zones, key=lambda zone: zone.id):
            listed = country in zone.countries
            if not listed and ANYWHERE not in zone.countries:
                continue
            if zone.states and state not in {_fold(name) for name in zone.states}:
                continue
            lengths = [
                len(prefix)
                for prefix in map(_prefix, zone.postal_prefixes)
                if prefix and postal.startswith(prefix)
            ]
            if zone.postal_prefixes and not lengths:
                continue
            rank = (max(lengths, default=0), bool(zone.states), listed, zone.priority)
            if best is None or rank > best[0]:
                best = (rank, zone)
        return best[1] if best else None

    def _options(self, goods: int) -> list[tuple[int, ShippingMethod]]:
        """Return the ways to ship goods of this worth, cheapest first."""
        if self.zone is None:
            return []
        options = []
        for method in self.zone.methods:
            if method.currency != self.currency:
                continue
            if method.minimum_order is not None and goods < self._minor(method.minimum_order):
                continue
            if method.maximum_order is not None and goods >= self._minor(method.maximum_order):
                continue
            options.append((self._shipping_price(method, goods), method))
        return sorted(
            options,
            key=lambda option: (option[0], -option[1].priority, option[1].max_days, option[1].code),
        )

    def _shipping_price(self, method: ShippingMethod, goods: int) -> int:
        if method.type == "FREE":
            return 0
        if method.free_over is not None and goods >= self._minor(method.free_over):
            return 0
        cost = method.base_price
        if method.type == "WEIGHT_BASED":
            cost += method.per_kilogram * self.weight / 1000
        elif method.type == "ITEM_COUNT":
            cost += method.per_unit * self.units
        return self._minor(cost)

    # taxes

    def tax_coefficients(self, tax_class: str, *, shipping: bool = False) -> _Taxes:
        """Return the taxes on goods of a class at the destination, as fractions of the amount shown."""
        place = self.basket.destination
        if place is None or self.basket.is_tax_exempt:
            return _Taxes([], Fraction(1))
        country, state, postal = (
            place.country.upper(),
            _fold(place.state),
            _postal(place.postal_code),
        )
        today = self.now.astimezone(UTC).date()
        best: dict[tuple[str, str], tuple[tuple[Any, ...], TaxRule]] = {}
        by_country = self.rules.tax_rules_by_country
        for rule in (*by_country.get(country, ()), *by_country.get(ANYWHERE, ())):
            if rule.tax_class not in {tax_class, ""} or (shipping and not rule.on_shipping):
                continue
            if (rule.valid_from and today < rule.valid_from) or (
                rule.valid_to and today >= rule.valid_to
            ):
                continue
            if rule.state and _fold(rule.state) != state:
                continue
            prefix = _prefix(rule.postal_prefix)
            if prefix and not postal.startswith(prefix):
                continue
            rank = (
                len(prefix),
                bool(rule.state),
                rule.country != ANYWHERE,
                bool(rule.tax_class),
                rule.priority,
                rule.valid_from or date.min,
                rule.id,
            )
            level = (rule.type, rule.name)
            if level not in best or rank > best[level][0]:
                best[level] = (rank, rule)
        return _taxes([rule for _, rule in best.values()])

    # the whole

    def quote(self) -> Quote:
        left = list(self.subtotals)
        shares: list[list[tuple[int, int]]] = [[] for _ in self.lines]
        discounts: list[Discount] = []
        for name, parts in self.bundles():
            for index, part in parts.items():
                left[index] -= part
                if part:
                    shares[index].append((len(discounts), part))
            discounts.append(
                Discount(None, None, name, BUNDLE, "bundle", self._amount(sum(parts.values())))
            )

        outcome, code_of, refused = self.choose(left)
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
            discounts.append(
                Discount(rule.id, code, rule.name, rule.kind, rule.lane, self._amount(taken))
            )

        summed: dict[tuple[str, str, Decimal, bool], list[int]] = {}
        coefficients: dict[str, _Taxes] = {}
        lines = []
        for index, line in enumerate(self.lines):
            taxes: list[tuple[TaxRule, int, int]] = []
            if line.is_taxable:
                if line.tax_class not in coefficients:
                    coefficients[line.tax_class] = self.tax_coefficients(line.tax_class)
                taxes = coefficients[line.tax_class].on(outcome.left[index])
            lines.append(self._line(line, index, outcome.left[index], taxes, shares[index]))
            _add_up(summed, taxes)

        charge = None
        shipping_taxes: list[tuple[TaxRule, int, int]] = []
        if outcome.chosen is not None:
            of_shipping = self.tax_coefficients(SHIPPING_CLASS, shipping=True)
            if not of_shipping.parts:
                of_shipping = self.tax_coefficients(STANDARD_CLASS, shipping=True)
            shipping_taxes = of_shipping.on(outcome.shipping_left)
            _add_up(summed, shipping_taxes)
            charge = self._charge(outcome, shipping_taxes, shipping_shares)

        taxes_in_all = tuple(
            TaxAmount(name, kind, rate, included, self._amount(base), self._amount(amount))
            for (name, kind, rate, included), (base, amount) in sorted(summed.items())
        )
        zero = self._amount(0)
        discounted = self._amount(sum(self.subtotals) - sum(outcome.left))
        shipping_discount = charge.discount if charge else zero
        shipping_total = charge.price if charge else zero
        tax_total = sum((tax.amount for tax in taxes_in_all), zero)
        included = sum((tax.amount for tax in taxes_in_all if tax.included), zero)
        totals = Totals(
            subtotal=self._amount(self.subtotal),
            discount_total=discounted + shipping_discount,
            shipping_total=shipping_total,
            shipping_discount=shipping_discount,
            shipping_tax=charge.tax if charge else zero,
            tax_total=tax_total,
            included_tax_total=included,
            grand_total=self._amount(self.subtotal)
            - discounted
            - shipping_discount
            + shipping_total
            + tax_total
            - included,
        )
        promotions = self.rules.coupons
        return Quote(
            currency=self.currency,
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
                    self._amount(cost),
                    self.currency,
                    method.min_days,
                    method.max_days,
                )
                for cost, method in outcome.options
            ),
            # A zone without a way to ship this order in this currency is, to the customer, no zone.
            shipping_code=NO_SHIPPING_ZONE
            if self.shipped and self.basket.destination is not None and not outcome.options
            else None,
            requires_shipping=bool(self.shipped),
            taxes=taxes_in_all,
            totals=totals,
            prices_include_tax=bool(taxes_in_all) and all(tax.included for tax in taxes_in_all),
            is_estimated=self.basket.destination is None or (bool(self.shipped) and charge is None),
            revision=self.rules.revision,
            valid_until=next((moment for moment in self.rules.moments if moment > self.now), None),
        )

    def _line(
        self,
        line: Line,
        index: int,
        left: int,
        taxes: list[tuple[TaxRule, int, int]],
        shares: list[tuple[int, int]],
    ) -> QuoteLine:
        tax = sum(amount for _, _, amount in taxes)
        included = sum(amount for rule, _, amount in taxes if rule.is_included)
        unit_price = self._amount(self._minor(line.unit_price))
        return QuoteLine(
            id=line.id,
            variant_id=line.variant_id,
            sku=line.sku,
            quantity=line.quantity,
            list_price=unit_price
            if line.list_price is None
            else self._amount(self._minor(line.list_price)),
            unit_price=unit_price,
            subtotal=self._amount(self.subtotals[index]),
            discount=self._amount(self.subtotals[index] - left),
            tax=self._amount(tax),
            included_tax=self._amount(included),
            total=self._amount(left + tax - included),
            taxes=self._tax_amounts(taxes),
            shares=tuple((number, self._amount(part)) for number, part in shares),
        )

    def _charge(
        self,
        outcome: _Outcome,
        taxes: list[tuple[TaxRule, int, int]],
        shares: list[tuple[int, int]],
    ) -> ShippingCharge:
        assert outcome.chosen is not None
        cost, method = outcome.chosen
        tax = sum(amount for _, _, amount in taxes)
        included = sum(amount for rule, _, amount in taxes if rule.is_included)
        return ShippingCharge(
            option=method.code,
            name=method.name,
            price=self._amount(cost),
            discount=self._amount(cost - outcome.shipping_left),
            tax=self._amount(tax),
            included_tax=self._amount(included),
            total=self._amount(outcome.shipping_left + tax - included),
            min_days=method.min_days,
            max_days=method.max_days,
            taxes=self._tax_amounts(taxes),
            shares=tuple((number, self._amount(part)) for number, part in shares),
        )

    def _tax_amounts(self, taxes: list[tuple[TaxRule, int, int]]) -> tuple[TaxAmount, ...]:
        return tuple(
            TaxAmount(
                rule.name,
                rule.type,
                rule.rate,
                rule.is_included,
                self._amount(base),
                self._amount(amount),
            )
            for rule, base, amount in taxes
        )


@dataclass(slots=True)
class _Taxes:
    """The taxes on one class of goods; each part is a fraction of the net amount."""

    parts: list[tuple[TaxRule, Fraction]]
    gross: Fraction  # the amount shown as a multiple of the net amount: 1 + what is included

    def on(self, amount: int) -> list[tuple[TaxRule, int, int]]:
        """
        Return (rule, base, tax) for an amount shown, each tax rounded half-up.

        Included taxes are taken out together and then split, so that they never exceed what was shown.
        """
        if not self.parts:
            return []
        included = [(rule, part) for rule, part in self.parts if rule.is_included]
        taken: list[int] = []
        net = amount
        if included:
            inside = (self.gross - 1) / self.gross
            whole = _share(amount, inside.numerator, inside.denominator)
            scale = math.lcm(*(part.denominator for _, part in included))
            taken = (
                split_minor(whole, [int(part * scale) for _, part in included])
                if whole
                else [0] * len(included)
            )
            net = amount - whole
        result = []
        before = 0
        of_included = iter(taken)
        for rule, part in self.parts:
            if rule.is_included:
                tax = next(of_included)
            else:
                factor = part / self.gross
                tax = _share(amount, factor.numerator, factor.denominator)
            result.append((rule, net + before if rule.is_compound else net, tax))
            before += tax
        return result


def _taxes(rules: list[TaxRule]) -> _Taxes:
    """Work out each tax as a fraction of the net amount: plain ones first, then compound ones on top."""
    ordered = sorted(
        rules,
        key=lambda rule: (
            not rule.is_included,
            rule.is_compound,
            rule.priority,
            rule.type,
            rule.name,
        ),
    )
    parts: list[tuple[TaxRule, Fraction]] = []
    before = Fraction(0)
    included = Fraction(0)
    for rule in ordered:
        part = Fraction(rule.rate) * (1 + before if rule.is_compound else 1)
        parts.append((rule, part))
        before += part
        if rule.is_included:
            included += part
    return _Taxes(parts, 1 + included)


def _had_effect(applied: _Applied, outcome: _Outcome) -> bool:
    if applied.parts or applied.shipping:
        return True
    # A code for shipping waits while no way to ship is chosen, or the chosen one is free anyway.
    return applied.rule.lane == "shipping" and (outcome.chosen is None or not outcome.chosen[0])


def _add_up(
    summed: dict[tuple[str, str, Decimal, bool], list[int]], taxes: list[tuple[TaxRule, int, int]]
) -> None:
    for rule, base, amount in taxes:
        entry = summed.setdefault((rule.name, rule.type, rule.rate, rule.is_included), [0, 0])
        entry[0] += base
        entry[1] += amount


def _ratio(value: Decimal) -> tuple[int, int]:
    return value.as_integer_ratio()


def _share(amount: int, numerator: int, denominator: int) -> int:
    """Return amount × numerator / denominator, rounded half-up; none is negative."""
    return (2 * amount * numerator + denominator) // (2 * denominator)


def _fold(text: str) -> str:
    return text.strip().casefold()


def _postal(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()


def _prefix(text: str) -> str:
    return _postal(text).rstrip("*")


def _steps(quote: Quote) -> list[Step]:
    steps: list[Step] = []
    running = Decimal(0)

    def add(kind: str, label: str, amount: Decimal, item_id: UUID | None = None) -> None:
        nonlocal running
        running += amount
        steps.append(Step(kind, label, item_id, amount, running))

    for line in quote.lines:
        add("list_price", f"{line.quantity} × {line.sku}", line.list_price * line.quantity, line.id)
        if line.unit_price != line.list_price:
            add(
                "list_price",
                f"Promised price of {line.sku}",
                (line.unit_price - line.list_price) * line.quantity,
                line.id,
            )
    by_discount: dict[int, list[tuple[UUID, Decimal]]] = {}
    for line in quote.lines:
        for index, amount in line.shares:
            by_discount.setdefault(index, []).append((line.id, amount))
    for index, discount in enumerate(quote.discounts):
        if discount.lane in {"bundle", "line"}:
            for item_id, amount in by_discount.get(index, ()):
                add(_kind(discount), discount.name, -amount, item_id)
        elif discount.lane == "order":
            add(_kind(discount), discount.name, -discount.amount)
    if quote.shipping is not None:
        add("shipping", quote.shipping.name, quote.shipping.price)
        for discount in quote.discounts:
            if discount.lane == "shipping":
                add(_kind(discount), discount.name, -discount.amount)
    for tax in quote.taxes:
        percent = f"{(tax.rate * 100).normalize():f}"
        if tax.included:
            add(
                "tax",
                f"{tax.name} {percent} %, included: {quote.format(tax.amount)}",
                tax.amount * 0,
            )
        else:
            add("tax", f"{tax.name} {percent} %", tax.amount)
    return steps


def _kind(discount: Discount) -> str:
    return "coupon" if discount.code else "promotion"
