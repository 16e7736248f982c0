"""
Tax rates, shipping and codes of the demo shop.

Rates are general figures for showing how the shop behaves (US state level, EU and UK standard and
reduced rates as published for 2026); a real shop enters its own, with its adviser's blessing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from config.platform.actor import Actor
from inventory.models import Company
from pricing.models import Coupon, Promotion, ShippingRule, ShippingZone, TaxRate
from pricing.services.revision import bump

US_STATES = {
    "AL": "4", "AZ": "5.6", "AR": "6.5", "CA": "7.25", "CO": "2.9", "CT": "6.35", "DC": "6", "FL": "6", "GA": "4",
    "HI": "4", "ID": "6", "IL": "6.25", "IN": "7", "IA": "6", "KS": "6.5", "KY": "6", "LA": "5", "ME": "5.5",
    "MD": "6", "MA": "6.25", "MI": "6", "MN": "6.875", "MS": "7", "MO": "4.225", "NE": "5.5", "NV": "6.85",
    "NJ": "6.625", "NM": "4.875", "NY": "4", "NC": "4.75", "ND": "5", "OH": "5.75", "OK": "4.5", "PA": "6",
    "RI": "7", "SC": "6", "SD": "4.2", "TN": "7", "TX": "6.25", "UT": "4.85", "VT": "6", "VA": "4.3", "WA": "6.5",
    "WV": "6", "WI": "5", "WY": "4",
}  # fmt: skip
# States that tax groceries at state level; everywhere else in the US food is free of it.
US_FOOD = {
    "AL": "3",
    "HI": "4",
    "ID": "6",
    "MS": "5",
    "MO": "1.225",
    "SD": "4.2",
    "TN": "4",
    "UT": "1.75",
    "VA": "1",
}
# country: (standard, food, books)
EUROPE = {
    "AT": ("20", "10", "10"), "BE": ("21", "6", "6"), "BG": ("20", "20", "9"), "CY": ("19", "5", "3"),
    "CZ": ("21", "12", "0"), "DE": ("19", "7", "7"), "DK": ("25", "25", "25"), "EE": ("24", "24", "9"),
    "ES": ("21", "10", "4"), "FI": ("25.5", "13.5", "13.5"), "FR": ("20", "5.5", "5.5"), "GB": ("20", "0", "0"),
    "GR": ("24", "13", "6"), "HR": ("25", "5", "5"), "HU": ("27", "18", "5"), "IE": ("23", "0", "0"),
    "IT": ("22", "10", "4"), "LT": ("21", "21", "5"), "LU": ("17", "3", "3"), "LV": ("21", "21", "5"),
    "MT": ("18", "0", "5"), "NL": ("21", "9", "9"), "PL": ("23", "5", "5"), "PT": ("23", "6", "6"),
    "RO": ("21", "11", "11"), "SE": ("25", "12", "6"), "SI": ("22", "9.5", "5"), "SK": ("23", "19", "5"),
}  # fmt: skip
REST_OF_WORLD = ["AU", "BH", "CA", "CH", "IL", "IS", "JE", "JP", "KR", "LI", "NO", "NZ", "SG"]

# zone: (countries, [(code, name, {currency: price}, {currency: free from}, min days, max days)])
SHIPPING: dict[
    str, tuple[list[str], list[tuple[str, str, dict[str, str], dict[str, str], int, int]]]
] = {
    "United States": (
        ["US"],
        [
            (
                "standard",
                "Standard",
                {"USD": "6.90", "EUR": "6.50"},
                {"USD": "75", "EUR": "70"},
                3,
                5,
            ),
            ("express", "Express", {"USD": "19.00", "EUR": "18.00"}, {}, 1, 2),
        ],
    ),
    "European Union": (
        sorted(set(EUROPE) - {"GB"}),
        [
            (
                "standard",
                "Standard",
                {"EUR": "5.90", "USD": "6.90"},
                {"EUR": "70", "USD": "75"},
                2,
                5,
            ),
            ("express", "Express", {"EUR": "16.00", "USD": "18.00"}, {}, 1, 2),
        ],
    ),
    "United Kingdom": (
        ["GB"],
        [
            (
                "standard",
                "Standard",
                {"EUR": "9.90", "USD": "11.00"},
                {"EUR": "120", "USD": "130"},
                3,
                6,
            )
        ],
    ),
    "Rest of the world": (
        REST_OF_WORLD,
        [("standard", "International", {"EUR": "22.00", "USD": "24.00"}, {}, 6, 14)],
    ),
}


@transaction.atomic
def seed_rules(*, company: Company, now: datetime) -> None:
    """Write the demo's tax rates, zones, shipping rules and codes; a second run changes nothing."""
    TaxRate.objects.bulk_create(_tax_rates(company), ignore_conflicts=True)
    for name, (countries, rules) in SHIPPING.items():
        zone, _ = ShippingZone.objects.get_or_create(
            company=company, name=name, defaults={"countries": countries}
        )
        ShippingRule.objects.bulk_create(
            [
                ShippingRule(
                    zone=zone,
                    code=code,
                    name=label,
                    type=ShippingRule.Type.FLAT_RATE,
                    currency=currency,
                    base_price=Decimal(price),
                    free_over=Decimal(free_over[currency]) if currency in free_over else None,
                    min_days=min_days,
                    max_days=max_days,
                )
                for code, label, prices, free_over, min_days, max_days in rules
                for currency, price in prices.items()
            ],
            ignore_conflicts=True,
        )
    _seed_codes(company, now)
    # A shop that runs already must not go on pricing by what it remembers.
    bump(actor=Actor.system(company.id, source="seed"), what="demo", now=now)


def _tax_rates(company: Company) -> list[TaxRate]:
    def rate(name: str, kind: str, country: str, percent: str, **fields: object) -> TaxRate:
        return TaxRate(
            company=company,
            name=name,
            type=kind,
            country=country,
            rate=Decimal(percent) / 100,
            **fields,
        )

    rates = []
    for state, percent in US_STATES.items():
        for tax_class in ("standard", "books"):
            rates.append(
                rate(
                    f"{state} sales tax",
                    "SALES_TAX",
                    "US",
                    percent,
                    state=state,
                    tax_class=tax_class,
                    on_shipping=False,
                )
            )
    for state, percent in US_FOOD.items():
        rates.append(
            rate(
                f"{state} sales tax",
                "SALES_TAX",
                "US",
                percent,
                state=state,
                tax_class="food",
                on_shipping=False,
            )
        )
    for country, percents in EUROPE.items():
        for tax_class, percent in zip(("standard", "food", "books"), percents, strict=True):
            rates.append(
                rate("VAT", "VAT", country, percent, tax_class=tax_class, is_included=True)
            )
    return rates


def _seed_codes(company: Company, now: datetime) -> None:
    kinds = Promotion.Kind
    codes: list[tuple[str, dict[str, object]]] = [
        (
            "SAVE10",
            {"name": "10 % off", "kind": kinds.PERCENTAGE, "value": 10, "is_advertised": True},
        ),
        (
            "EXPIRED10",
            {
                "name": "10 % off, last season",
                "kind": kinds.PERCENTAGE,
                "value": 10,
                "starts_at": now - timedelta(days=90),
                "ends_at": now - timedelta(days=30),
            },
        ),
        (
            "LIMITED3",
            {
                "name": "15 % off, three times",
                "kind": kinds.PERCENTAGE,
                "value": 15,
                "usage_limit": 3,
            },
        ),
        (
            "ONCE5",
            {
                "name": "5 % off, once each",
                "kind": kinds.PERCENTAGE,
                "value": 5,
                "per_customer_limit": 1,
            },
        ),
        (
            "WELCOME5",
            {"name": "5.00 off", "kind": kinds.FIXED_AMOUNT, "value": 5, "currency": "USD"},
        ),
        (
            "FREESHIP",
            {
                "name": "Free shipping",
                "kind": kinds.FREE_SHIPPING,
                "scope": Promotion.Scope.SHIPPING,
            },
        ),
    ]
    for code, fields in codes:
        if Coupon.objects.filter(company=company, code=code).exists():
            continue
        promotion = Promotion.objects.create(company=company, **fields)
        Coupon.objects.create(company=company, promotion=promotion, code=code)
