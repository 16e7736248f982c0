"""The words of the engine: what is asked of it, and the rules it goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from pricing.engine.hours import WeeklyHours

PERCENTAGE = "PERCENTAGE"
FIXED_AMOUNT = "FIXED_AMOUNT"
FREE_SHIPPING = "FREE_SHIPPING"
BUY_X_GET_Y = "BUY_X_GET_Y"
TIERED_QUANTITY = "TIERED_QUANTITY"
BUNDLE = "BUNDLE"
LOYALTY = "LOYALTY"  # the kind of the discount that points were spent for

# Where taxes are rounded.
PER_LINE = "line"
PER_ORDER = "order"
KEEP_GROSS = "keep_gross"

ANYWHERE = "*"  # a zone or rate for every country
SHIPPING_CLASS = "shipping"  # tax class of the shipping charge, where a place has one
STANDARD_CLASS = "standard"
EXEMPT_CLASS = "exempt"  # goods of this class bear no tax anywhere

# Why a customer is not charged a tax that others are.
EXEMPT = "exempt"
REVERSE_CHARGE = "reverse_charge"
TAX_RELIEF = (
    "TAX_RELIEF"  # the kind of the discount that takes such a tax out of prices that include it
)
NO_SHIPPING_ZONE = "NO_SHIPPING_ZONE"

# Why a code did not apply.
UNKNOWN = "unknown"
NOT_STARTED = "not_started"
EXPIRED = "expired"
WRONG_CURRENCY = "wrong_currency"
NOT_ELIGIBLE = "not_eligible"
OUTSIDE_HOURS = "outside_hours"
MINIMUM_NOT_MET = "minimum_not_met"
QUANTITY_NOT_MET = "quantity_not_met"
NO_MATCHING_ITEMS = "no_matching_items"
NO_SHIPPING = "no_shipping"
NOT_COMBINABLE = "not_combinable"
USED_UP = "used_up"
NO_EFFECT = "no_effect"
SWITCHED_OFF = "switched_off"
NEEDS_CODE = "needs_code"  # only said to staff: customers are not told of codes they do not have

# What another cart could mend: it says nothing against the code itself.
ABOUT_THE_BASKET = frozenset(
    {
        MINIMUM_NOT_MET,
        QUANTITY_NOT_MET,
        NO_MATCHING_ITEMS,
        NO_SHIPPING,
        NO_EFFECT,
        NOT_COMBINABLE,
    }
)

REASONS: Mapping[str, str] = {
    UNKNOWN: "There is no such code.",
    NOT_STARTED: "This code is not valid yet.",
    EXPIRED: "This code is no longer valid.",
    WRONG_CURRENCY: "This code is not valid in this currency.",
    NOT_ELIGIBLE: "This code is for other customers.",
    OUTSIDE_HOURS: "This code is valid on other days or at other hours.",
    MINIMUM_NOT_MET: "The order is below the minimum for this code.",
    QUANTITY_NOT_MET: "This code needs more units of what it is for.",
    NO_MATCHING_ITEMS: "Nothing in the cart qualifies for this code.",
    NO_SHIPPING: "Nothing in the cart is shipped.",
    NOT_COMBINABLE: "This code cannot be combined with a better offer.",
    USED_UP: "This code has been used up.",
    NO_EFFECT: "There is nothing left to discount.",
    SWITCHED_OFF: "Codes cannot be used at the moment.",
    NEEDS_CODE: "None of its codes was typed.",
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
    `price_kind` says why it is: `quantity_break`, `customer_group`, `outside`, `exchange`, or empty (the current price, or a
    promised one). `is_converted` says that it has no price in the currency of the basket, and has that of the company's
    own converted.
    Lines that share `bundle_group` were added as one bundle.
    """

    id: UUID
    variant_id: UUID
    product_id: UUID
    sku: str
    quantity: int
    unit_price: Decimal
    list_price: Decimal | None = None
    price_kind: str = ""
    is_converted: bool = False
    category_ids: Sequence[UUID] = ()
    tax_class: str = STANDARD_CLASS
    is_taxable: bool = True
    weight_grams: int = 0
    requires_shipping: bool = True
    bundle_id: UUID | None = None
    bundle_group: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """
    A ground on which a customer is not charged taxes: a certificate, or a VAT number abroad.

    It counts for goods sent to one of `countries` (`*` for any), narrowed to a state where one is given, and for the
    tax types named (none means all). The period is half-open. `reference` is what an invoice names.
    """

    reason: str  # EXEMPT or REVERSE_CHARGE
    reference: str
    countries: frozenset[str]
    state: str = ""
    tax_types: frozenset[str] = frozenset()
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """
    What a customer wants to buy, and where it goes.

    `used_up` names promotions whose limit is reached, in all or for this customer; `reliefs` are the customer's
    grounds not to be charged taxes; `group_ids`, `has_ordered` and `customer_since` (when the account was made) are
    what promotions may ask about the customer. `services.quote` fills all of them in. `points` are what the customer
    wants to spend; it lowers them to what they have. What is sent in exchange takes no promotions: what they gave is in
    its price already.
    """

    lines: Sequence[Line]
    currency: str
    destination: Place | None = None
    codes: Sequence[str] = ()
    shipping_option: str | None = None
    user_id: UUID | None = None
    customer_keys: Sequence[str] = ()  # under which names promotions count this customer
    reliefs: Sequence[Relief] = ()
    used_up: frozenset[UUID] = frozenset()
    group_ids: frozenset[UUID] = frozenset()
    has_ordered: bool = False
    customer_since: datetime | None = None
    points: int = 0
    takes_promotions: bool = True
    # what each way to ship costs, in place of its rule: the rest of a parcel of which a part is paid
    shipping_prices: Mapping[str, Decimal] | None = None


# --- the rules --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRule:
    """
    A reason to pay less. Empty targets mean everything and everybody; an empty currency, any. What is excluded is
    never touched. `minimum_quantity` counts the units it is about, `new_customer_days` the age of the account.

    `kind` and `scope` carry the names of `Promotion.Kind` and `Promotion.Scope`. `details` are those of the kind:
    FIXED_AMOUNT `{"per_unit": true}`; BUY_X_GET_Y `{"buy": 2, "get": 1, "percent": "100", "times": 1}`
    (without `times`, for every full set);
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
    excluded_product_ids: frozenset[UUID] = frozenset()
    excluded_category_ids: frozenset[UUID] = frozenset()
    user_ids: frozenset[UUID] = frozenset()
    group_ids: frozenset[UUID] = frozenset()
    first_order_only: bool = False
    new_customer_days: int | None = None
    minimum_order: Decimal | None = None
    minimum_quantity: int | None = None
    maximum_discount: Decimal | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekly: WeeklyHours | None = None
    is_automatic: bool = False
    is_stackable: bool = True
    is_limited: bool = False
    priority: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    converted_from: str = ""  # the currency in which staff set the amounts, where it is another one

    @property
    def lane(self) -> str:
        if self.kind == FREE_SHIPPING or self.scope == "SHIPPING":
            return "shipping"
        if self.scope in {"PRODUCT", "CATEGORY"} or self.kind in {BUY_X_GET_Y, TIERED_QUANTITY}:
            return "line"
        return "order"

    @property
    def is_per_unit(self) -> bool:
        """Whether the amount is taken off each unit, not once."""
        return self.kind == FIXED_AMOUNT and bool(self.details.get("per_unit"))


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
    relief: str = ""  # why this customer is not charged it


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
    converted_from: str = ""


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
    converted_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An exchange rate in force: one unit of `base`, the company's own currency, is worth `rate` of `quote`."""

    id: UUID
    base: str
    quote: str
    rate: Decimal
    valid_from: datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class PointValue:
    """
    What one point is worth when it is spent: an amount above zero, not rounded; `converted_from` names the currency that
    it was converted from.
    """

    amount: Decimal
    currency: str
    converted_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything a company has decided about prices, as of one revision."""

    revision: int = 0
    currency: str = ""  # the company's own
    promotions: Sequence[PromotionRule] = ()
    takes_promotions: bool = True  # else none applies, and codes are told so
    coupons: Mapping[str, UUID] = field(default_factory=dict)
    refused_codes: Mapping[str, str] = field(default_factory=dict)  # of `coupons`, with the reason
    coupons_until: datetime | None = None  # when the first of `coupons` ends
    has_reliefs: bool = False  # whether any customer has a ground not to be charged taxes
    tax_rules: Sequence[TaxRule] = ()
    zones: Sequence[Zone] = ()
    bundles: Mapping[UUID, BundleOffer] = field(default_factory=dict)
    tax_rounding: str = PER_LINE
    point_value: PointValue | None = None
    rate: Rate | None = None  # at which `in_currency` has converted amounts
    rate_until: datetime | None = None  # when another one begins, or this one is over

    @cached_property
    def promotions_by_id(self) -> Mapping[UUID, PromotionRule]:
        return {promotion.id: promotion for promotion in self.promotions}

    @cached_property
    def automatic(self) -> Sequence[PromotionRule]:
        return [promotion for promotion in self.promotions if promotion.is_automatic]

    @cached_property
    def asking(self) -> Sequence[PromotionRule]:
        """The promotions that ask who the customer is."""
        return [
            promotion
            for promotion in self.promotions
            if promotion.group_ids
            or promotion.first_order_only
            or promotion.new_customer_days is not None
        ]

    @cached_property
    def changeable(self) -> Sequence[PromotionRule]:
        """The promotions that begin and end for other reasons than their period."""
        return [
            promotion
            for promotion in self.promotions
            if promotion.weekly is not None or promotion.new_customer_days is not None
        ]

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

    def with_coupons(
        self,
        coupons: Mapping[str, UUID],
        refused: Mapping[str, str] | None = None,
        until: datetime | None = None,
    ) -> Rules:
        """Return the same rules knowing these codes; a shop may have millions, so they are looked up by need."""
        # A plain copy keeps what has been worked out once per revision; `replace` would work it out again.
        twin = copy(self)
        twin.__dict__.update(coupons=coupons, refused_codes=refused or {}, coupons_until=until)
        return twin

    def with_rate_until(self, until: datetime) -> Rules:
        """Return the same rules knowing when another exchange rate begins, or the one in force is over."""
        twin = copy(self)
        twin.__dict__.update(rate_until=until)
        return twin

    def without_promotions(self) -> Rules:
        """Return the same rules with every promotion switched off; bundle prices stay."""
        return replace(
            self,
            promotions=(),
            takes_promotions=False,
            coupons={},
            refused_codes={},
            coupons_until=None,
        )
