"""Any cart, under any rules: what hypothesis draws from for the tests of the engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from pricing.engine import (
    Basket,
    BundleOffer,
    Line,
    Place,
    PointValue,
    PromotionRule,
    Rate,
    Relief,
    Rules,
    ShippingMethod,
    TaxRule,
    WeeklyHours,
    Zone,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLACES = {"USD": 2, "JPY": 0, "KWD": 3}
CATEGORIES = [UUID(int=5_000 + index) for index in range(3)]
CUSTOMER = UUID(int=2_001)
GROUPS = [UUID(int=2_101), UUID(int=2_102)]
DESTINATIONS = [
    Place("DE"),
    Place("DE", "BE", "10115"),
    Place("DE", "BE", "10115"),
    Place("FR"),
    None,
]

_moments = st.sampled_from([None, None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])
_days = st.sampled_from([None, None, date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)])
_few_days = st.none() | st.none() | st.none() | _days  # most rates are in force
_percents = st.one_of(
    st.sampled_from([Decimal(10), Decimal("33.33"), Decimal(50), Decimal(100)]),
    st.decimals(0, 100, places=2),
)
_rates = st.one_of(
    st.sampled_from([Decimal("0.19"), Decimal("0.05"), Decimal("0.09975"), Decimal("0.20")]),
    st.decimals(0, 1, places=4),
)
_clocks = st.sampled_from([time(0), time(6), time(12), time(13, 30), time(23, 59)])
_hours = st.builds(
    WeeklyHours,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Los_Angeles"]),
    days=st.frozensets(st.integers(1, 7), min_size=1),
    opens=_clocks,
    closes=_clocks,
)


@st.composite
def cases(draw: st.DrawFn, *, promotions: bool = True) -> tuple[Basket, Rules]:
    """Return a basket of one to eight lines, and rules of every kind that may apply to it."""
    currency = draw(st.sampled_from(sorted(PLACES)))
    places = PLACES[currency]
    # small amounts are where rounding hurts
    money = (st.integers(0, 50) | st.integers(0, 50_000)).map(
        lambda minor: Decimal(minor).scaleb(-places)
    )
    tea = BundleOffer(
        id=UUID(int=70_000),
        name="Tea",
        prices={currency: draw(money)},
        parts={UUID(int=20_000): draw(st.integers(1, 2)), UUID(int=20_001): 1},
    )
    bundled = draw(st.integers(0, 3))  # 0: none
    lines = []
    for index in range(draw(st.integers(1, 8))):
        quantity = draw(st.integers(1, 9))
        in_bundle = bundled > 0 and index < 2
        if in_bundle and draw(st.booleans()):
            quantity = bundled * tea.parts[UUID(int=20_000 + index)]
        lines.append(
            Line(
                id=UUID(int=10_000 + index),
                variant_id=UUID(int=20_000 + index),
                product_id=UUID(int=30_000 + index % 5),
                category_ids=draw(st.lists(st.sampled_from(CATEGORIES), max_size=2, unique=True)),
                sku=f"S{index}",
                quantity=quantity,
                unit_price=draw(money),
                list_price=draw(st.none() | money),
                tax_class=draw(st.sampled_from(["standard", "standard", "reduced", "exempt"])),
                is_taxable=draw(st.integers(0, 4)) > 0,
                requires_shipping=draw(st.integers(0, 3)) > 0,
                weight_grams=draw(st.integers(0, 5_000)),
                bundle_id=tea.id if in_bundle else None,
                bundle_group=UUID(int=71_000) if in_bundle else None,
            )
        )
    rules = []
    coupons = {}
    for index in range(draw(st.integers(0, 5)) if promotions else 0):
        rules.append(draw(_promotions(index, currency, money)))
        coupons[f"C{index}"] = rules[-1].id
    asked = Basket(
        lines=lines,
        currency=currency,
        destination=draw(st.sampled_from(DESTINATIONS)),
        codes=draw(st.lists(st.sampled_from([*coupons, "NOPE"]), unique=True, max_size=4)),
        shipping_option=draw(st.sampled_from([None, "standard", "express"])),
        user_id=draw(st.sampled_from([None, CUSTOMER])),
        reliefs=draw(_some_reliefs | _some_reliefs | _certificate_and_number()),
        used_up=frozenset(draw(st.lists(st.sampled_from([UUID(int=40_000)]), max_size=1))),
        group_ids=frozenset(draw(st.lists(st.sampled_from(GROUPS), max_size=2))),
        has_ordered=draw(st.booleans()),
        customer_since=draw(st.sampled_from([None, NOW - timedelta(days=7), NOW])),
        points=draw(st.sampled_from([0, 0, 1, 7, 1_000])) if promotions else 0,
    )
    return asked, Rules(
        promotions=rules,
        coupons=coupons,
        refused_codes=draw(st.sampled_from([{}, {}, {"C1": "expired"}])) if "C1" in coupons else {},
        tax_rules=draw(_taxes()),
        zones=[draw(_zones(index, currency, money)) for index in range(draw(st.integers(0, 3)))],
        bundles={tea.id: tea},
        tax_rounding=draw(st.sampled_from(["line", "order", "keep_gross"])),
        point_value=draw(st.none() | _point_values(currency, places)),
    )


@st.composite
def cases_abroad(draw: st.DrawFn) -> tuple[Basket, Rules, Rate]:
    """Return a case whose rules may say their amounts in EUR, and what a euro is worth in its currency."""
    asked, rules = draw(cases())
    currency = asked.currency
    home = st.sampled_from(["EUR", "EUR", currency])
    rate = Rate(
        id=UUID(int=80_000),
        base="EUR",
        quote=currency,
        rate=Decimal(draw(st.sampled_from(["0.9137", "149.55", "0.30745", "1.005", "0.0001"]))),
        valid_from=NOW,
    )
    asked = replace(
        asked,
        lines=[replace(line, is_converted=draw(st.booleans())) for line in asked.lines],
    )
    rules = replace(
        rules,
        promotions=[
            replace(rule, currency=draw(st.sampled_from(["EUR", "EUR", "GBP", currency])))
            for rule in rules.promotions
        ],
        zones=[
            replace(zone, methods=[replace(m, currency=draw(home)) for m in zone.methods])
            for zone in rules.zones
        ],
        bundles={
            id: replace(offer, prices={draw(home): amount for amount in offer.prices.values()})
            for id, offer in rules.bundles.items()
        },
    )
    return asked, rules, rate


def _point_values(currency: str, places: int) -> st.SearchStrategy[PointValue]:
    """Whole units of the currency and parts of them, and now and then a value in another currency."""
    return st.builds(
        PointValue,
        amount=st.sampled_from(["1", "0.3", "1.5", "10"]).map(
            lambda text: Decimal(text).scaleb(-places)
        ),
        currency=st.sampled_from([currency, currency, currency, "EUR"]),
    )


@st.composite
def _promotions(
    draw: st.DrawFn, index: int, currency: str, money: st.SearchStrategy[Decimal]
) -> PromotionRule:
    kind = draw(
        st.sampled_from(
            ["PERCENTAGE", "FIXED_AMOUNT", "FREE_SHIPPING", "BUY_X_GET_Y", "TIERED_QUANTITY"]
        )
    )
    scope = "CART"
    details: dict[str, object] = {}
    if kind in {"PERCENTAGE", "FIXED_AMOUNT"}:
        scope = draw(st.sampled_from(["CART", "CART", "PRODUCT", "CATEGORY", "SHIPPING", "USER"]))
        if kind == "FIXED_AMOUNT" and draw(st.booleans()):
            details["per_unit"] = True
    elif kind == "BUY_X_GET_Y":
        details = {
            "buy": draw(st.integers(1, 3)),
            "get": draw(st.integers(1, 2)),
            "percent": str(draw(_percents)),
            **draw(st.sampled_from([{}, {}, {"times": 1}, {"times": 2}])),
        }
    elif kind == "TIERED_QUANTITY":
        starts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True))
        details = {"tiers": [{"from": start, "percent": str(draw(_percents))} for start in starts]}
    elif draw(st.booleans()):
        details = {"options": ["express"]}
    return PromotionRule(
        id=UUID(int=40_000 + index),
        name=f"P{index}",
        kind=kind,
        scope=scope,
        value=draw(_percents),
        currency=draw(st.sampled_from([currency, currency, currency, "EUR"]))
        if kind == "FIXED_AMOUNT"
        else "",
        category_ids=frozenset(draw(st.lists(st.sampled_from(CATEGORIES), max_size=2))),
        product_ids=frozenset(draw(st.lists(st.just(UUID(int=30_001)), max_size=1))),
        maximum_discount=draw(st.none() | money),
        is_stackable=draw(st.integers(0, 3)) > 0,
        is_automatic=draw(st.booleans()),
        priority=draw(st.integers(-1, 1)),
        details=details,
        # two of three are for everybody, at any time: with each condition fewer promotions do anything
        **(draw(_conditions(money)) if draw(st.integers(0, 2)) == 0 else {}),
    )


@st.composite
def _conditions(draw: st.DrawFn, money: st.SearchStrategy[Decimal]) -> dict[str, Any]:
    """What a promotion asks of the cart, the customer and the clock."""
    return {
        "user_ids": frozenset(draw(st.sampled_from([(), (), (), (CUSTOMER,)]))),
        "minimum_order": draw(st.none() | st.none() | money),
        "minimum_quantity": draw(st.none() | st.none() | st.integers(1, 20)),
        "excluded_category_ids": frozenset(draw(st.sampled_from([(), (), (CATEGORIES[0],)]))),
        "excluded_product_ids": frozenset(draw(st.sampled_from([(), (), (UUID(int=30_000),)]))),
        "group_ids": frozenset(draw(st.sampled_from([(), (), (), (GROUPS[0],)]))),
        "first_order_only": draw(st.integers(0, 4)) == 0,
        "new_customer_days": draw(st.sampled_from([None, None, None, 7, 8])),
        "weekly": draw(st.none() | st.none() | _hours),
        "starts_at": draw(_moments),
        "ends_at": draw(_moments),
    }


@st.composite
def _reliefs(draw: st.DrawFn) -> Relief:
    return Relief(
        reason=draw(st.sampled_from(["exempt", "reverse_charge"])),
        reference=draw(st.sampled_from(["R1", "R2", "R3"])),
        countries=frozenset({draw(st.sampled_from(["DE", "DE", "FR", "*"]))}),
        state=draw(st.sampled_from(["", "", "", "Be"])),
        tax_types=frozenset(draw(st.sampled_from([(), ("VAT",), ("VAT",), ("SALES_TAX",)]))),
        valid_from=draw(_few_days),
        valid_to=draw(_few_days),
    )


_some_reliefs = st.lists(_reliefs(), max_size=2, unique_by=lambda relief: relief.reference)


@st.composite
def _certificate_and_number(draw: st.DrawFn) -> list[Relief]:
    """Return two grounds that compete at the same place: one frees of everything, one of VAT; either may be over."""
    certificate = Relief(
        reason="exempt",
        reference="R1",
        countries=frozenset({draw(st.sampled_from(["DE", "*", "FR"]))}),
        valid_to=draw(_days),
    )
    number = Relief(
        reason="reverse_charge",
        reference="R2",
        countries=frozenset({"DE", "FR"}),
        tax_types=frozenset({"VAT"}),
    )
    return draw(st.permutations([certificate, number]))


@st.composite
def _taxes(draw: st.DrawFn) -> list[TaxRule]:
    # all included, none, or each as it comes
    included = draw(st.sampled_from([True, False, None]))
    names = [
        draw(st.sampled_from(["VAT 1", "VAT 2", "SALES_TAX 1"]))
        for _ in range(draw(st.integers(0, 4)))
    ]
    return [
        TaxRule(
            id=UUID(int=50_000 + index),
            name=name,
            type=name.split()[0],
            country=draw(st.sampled_from(["DE", "DE", "*"])),
            state=draw(st.sampled_from(["", "", "be"])),
            postal_prefix=draw(st.sampled_from(["", "", "", "10", "101*"])),
            rate=draw(_rates),
            tax_class=draw(st.sampled_from(["standard", "standard", "reduced", "shipping", ""])),
            is_included=draw(st.booleans()) if included is None else included,
            is_compound=draw(st.booleans()),
            on_shipping=draw(st.integers(0, 3)) > 0,
            priority=draw(st.integers(0, 1)),
            valid_from=draw(_few_days),
            valid_to=draw(_few_days),
        )
        for index, name in enumerate(names)
    ]


@st.composite
def _zones(draw: st.DrawFn, index: int, currency: str, money: st.SearchStrategy[Decimal]) -> Zone:
    return Zone(
        id=UUID(int=60_000 + index),
        name=f"Z{index}",
        countries=draw(st.sampled_from([("DE",), ("DE", "FR"), ("*",)])),
        states=draw(st.sampled_from([(), (), ("BE",)])),
        postal_prefixes=draw(st.sampled_from([(), (), ("10*", "9")])),
        priority=draw(st.integers(0, 1)),
        methods=[
            ShippingMethod(
                id=UUID(int=61_000 + 10 * index + number),
                code=code,
                name=code.title(),
                type=draw(
                    st.sampled_from(
                        ["FLAT_RATE", "WEIGHT_BASED", "ITEM_COUNT", "PRICE_BASED", "FREE"]
                    )
                ),
                currency=draw(st.sampled_from([currency, currency, currency, "EUR"])),
                base_price=draw(money),
                per_unit=draw(money),
                per_kilogram=draw(money),
                free_over=draw(st.none() | st.none() | money),
                minimum_order=draw(st.none() | st.none() | money),
                maximum_order=draw(st.none() | st.none() | st.none() | money),
            )
            for number, code in enumerate(("standard", "express"))
        ],
    )
