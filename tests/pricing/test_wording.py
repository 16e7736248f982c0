"""A promotion in words: every kind, and every term tells; one that is added and not told is found."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import translation

from pricing.models import Promotion
from pricing.terms import PromotionTerms
from pricing.wording import Setting, promotion_words

LAMP, ROPE, GALLEY, BRASS, TRADE, ANNA = (UUID(int=number) for number in range(1, 7))
SHOP = Setting(
    names={LAMP: "Lamp", ROPE: "Rope", GALLEY: "Galley", BRASS: "Brass", TRADE: "Trade"},
    currency="USD",
    time_zone="Europe/Berlin",
)
TEN = PromotionTerms(name="Ten", kind="PERCENTAGE", value=Decimal("10.000"), codes=("TEN",))


def words(**changes: Any) -> str:
    return promotion_words(dataclasses.replace(TEN, **changes), SHOP)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "10 % off the whole order, with the code TEN"),
        (
            {"value": Decimal("12.50"), "scope": "PRODUCT", "product_ids": (LAMP, ROPE)},
            "12.5 % off products, only on Lamp and Rope, with the code TEN",
        ),
        (
            {"kind": "FIXED_AMOUNT", "value": Decimal("5.000"), "currency": "EUR"},
            "€5.00 off the whole order, with the code TEN",
        ),
        (
            {"kind": "FIXED_AMOUNT", "value": Decimal(5), "settings": {"per_unit": True}},
            "$5.00 for each unit off the whole order, with the code TEN",
        ),
        (
            {"kind": "FREE_SHIPPING", "scope": "SHIPPING", "codes": (), "is_automatic": True},
            "Free shipping, by itself",
        ),
        (
            {"kind": "FREE_SHIPPING", "settings": {"options": ["standard", "express"]}},
            "Free shipping, only shipped by standard and express, with the code TEN",
        ),
        (
            {"scope": "SHIPPING", "value": Decimal(50)},
            "50 % off shipping, with the code TEN",
        ),
        (
            {
                "kind": "BUY_X_GET_Y",
                "settings": {"buy": 2, "get": 1, "percent": "50"},
                "starts_at": datetime(2026, 11, 23, 8, tzinfo=UTC),
                "ends_at": datetime(2026, 11, 30, 23, tzinfo=UTC),
                "per_customer_limit": 1,
                "is_stackable": False,
            },
            ("Buy 2, get the cheapest 1 of every 3 at 50 % off, from Mon 23 Nov 2026 09:00 to Tue 1 Dec 2026 00:00,"
             " once per customer, with the code TEN, not together with others"),
        ),
        (
            {"kind": "BUY_X_GET_Y", "settings": {"buy": 3, "get": 2, "times": 1}},
            "Buy 3, get 2 of every 5 free, the cheapest, for 1 set only, with the code TEN",
        ),
        (
            {
                "kind": "TIERED_QUANTITY",
                "settings": {"tiers": [{"from": 10, "percent": "20"}, {"from": 5, "percent": 10}]},
            },
            "10 % off from 5 units, 20 % off from 10 units, with the code TEN",
        ),
        (
            {"codes": (), "excluded_category_ids": (BRASS,), "weekdays": (5, 1), "opens_at": time(22),
             "closes_at": time(2)},
            ("10 % off the whole order, not on Brass, on Monday and Friday, between 22:00 and 02:00,"
             " with codes of batches"),
        ),
        (
            {"codes": ("A", "B", "C", "D", "E", "F"), "is_active": False},
            "Paused: 10 % off the whole order, with one of the codes A, B, C, D and 2 more",
        ),
    ],
)  # fmt: skip
def test_it_says_what_the_terms_say(changes: dict[str, Any], said: str) -> None:
    assert words(**changes) == said


# What each term may be other than in TEN; all of them have to be told.
OTHER: dict[str, list[Any]] = {
    "kind": [kind for kind in Promotion.Kind.values if kind != TEN.kind],
    "scope": [scope for scope in Promotion.Scope.values if scope != TEN.scope],
    "value": [Decimal(11)],
    "currency": ["EUR"],
    "settings": [{"options": ["standard"]}],
    "product_ids": [(LAMP,)],
    "category_ids": [(GALLEY,)],
    "excluded_product_ids": [(ROPE,)],
    "excluded_category_ids": [(BRASS,)],
    "user_ids": [(ANNA,)],
    "group_ids": [(TRADE,)],
    "first_order_only": [True],
    "new_customer_days": [1, 30],
    "minimum_order": [Decimal(0), Decimal(50)],
    "minimum_quantity": [1, 3],
    "maximum_discount": [Decimal(20)],
    "starts_at": [datetime(2026, 11, 23, tzinfo=UTC)],
    "ends_at": [datetime(2026, 11, 23, tzinfo=UTC)],
    "weekdays": [(1,), (1, 2, 3, 4, 5, 6, 7)],
    "opens_at": [time(9)],
    "closes_at": [time(17)],
    "usage_limit": [1, 100],
    "per_customer_limit": [1, 3],
    "reminder_stage": [2],
    "is_automatic": [True],
    "is_stackable": [False],
    "is_advertised": [True],
    "is_active": [False],
    "priority": [5, -5],
    "codes": [(), ("ELSE",), ("TEN", "TWO")],
}
UNTOLD = {"name"}  # it stands beside the words


def test_every_term_is_told() -> None:
    terms = {field.name for field in dataclasses.fields(PromotionTerms)}
    assert OTHER.keys() == terms - UNTOLD, (
        "a term is not in the table, so nobody looked at its words"
    )

    said = {
        (name, number): words(**{name: value})
        for name, values in OTHER.items()
        for number, value in enumerate(values)
    }

    assert [key for key, text in said.items() if text == words()] == []
    assert len(set(said.values())) == len(said)


# The details of each kind, with another value each; `pricing.services` knows of no others.
DETAILS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("FIXED_AMOUNT", {}, {"per_unit": True}),
    ("FREE_SHIPPING", {}, {"options": ["express"]}),
    ("BUY_X_GET_Y", {"buy": 2, "get": 1}, {"buy": 3, "get": 1}),
    ("BUY_X_GET_Y", {"buy": 2, "get": 1}, {"buy": 2, "get": 2}),
    ("BUY_X_GET_Y", {"buy": 2, "get": 1}, {"buy": 2, "get": 1, "percent": "50"}),
    ("BUY_X_GET_Y", {"buy": 2, "get": 1}, {"buy": 2, "get": 1, "times": 3}),
    ("TIERED_QUANTITY", {"tiers": [{"from": 5, "percent": "10"}]}, {"tiers": [{"from": 6, "percent": "10"}]}),
    ("TIERED_QUANTITY", {"tiers": [{"from": 5, "percent": "10"}]}, {"tiers": [{"from": 5, "percent": "15"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "before", "after"), DETAILS)
def test_every_detail_of_a_kind_is_told(
    kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert words(kind=kind, settings=before) != words(kind=kind, settings=after)


@pytest.mark.parametrize("kind", Promotion.Kind.values)
@pytest.mark.parametrize("scope", Promotion.Scope.values)
def test_every_scope_of_every_kind_is_told_apart(kind: str, scope: str) -> None:
    others = [
        words(kind=kind, scope=other)
        for other in Promotion.Scope.values
        if other != scope
        and not (kind == "FREE_SHIPPING" and {other, scope} == {"CART", "SHIPPING"})
    ]  # free shipping is the same for the whole cart

    assert words(kind=kind, scope=scope) not in others


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "BUY_X_GET_Y", "settings": {"buy": "two", "percent": "lots"}},
        {"kind": "TIERED_QUANTITY", "settings": {"tiers": [3, {"from": None}]}},
        {"kind": "TIERED_QUANTITY", "settings": {}},
        {"kind": "GIFT"},
        {"settings": {"options": "standard"}},
        {"product_ids": (UUID(int=99),)},
        {"weekdays": (0, 9)},
    ],
)
def test_what_makes_no_sense_still_has_words(changes: dict[str, Any]) -> None:
    assert words(**changes)


def test_moments_are_by_the_clock_of_the_shop_and_in_the_language_of_the_reader() -> None:
    with translation.override("de"):
        assert "Mo. 23 Nov. 2026 09:00" in words(starts_at=datetime(2026, 11, 23, 8, tzinfo=UTC))
