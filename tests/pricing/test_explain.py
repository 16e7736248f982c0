"""Why a cart costs what it costs: every kind of step, sums that add up, and codes that did not apply."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given

from pricing.engine import (
    KEEP_GROSS,
    PER_LINE,
    PER_ORDER,
    REASONS,
    Basket,
    BundleOffer,
    Place,
    Relief,
    Rules,
    price,
)
from tests.pricing.carts import NOW, cases
from tests.pricing.test_oracle import carts
from tests.pricing.words import (
    SHOES,
    applied_codes,
    basket,
    line,
    method,
    new_id,
    promotion,
    tax,
    with_code,
    zone,
)

# What the API promises a client may see (api.md: "Explain").
KINDS = {
    *("list_price", "quantity_break", "promotion", "coupon"),
    *("loyalty", "shipping", "tax", "rounding"),
}


@carts(100)
@given(cases())
def test_steps_add_up_to_the_grand_total(case: tuple[Basket, Rules]) -> None:
    asked, rules = case

    quote = price(asked, rules, NOW)

    said = quote.explain()
    running = Decimal(0)
    for step in said["steps"]:
        running += Decimal(step["amount"])
        assert Decimal(step["runningTotal"]) == running
        assert step["kind"] in KINDS
        assert step["label"]
    assert running == quote.totals.grand_total
    assert said["steps"][-1]["runningTotal"] == quote.format(quote.totals.grand_total)
    # the first is the first line, and what names a line is a line
    ids = [str(item.id) for item in quote.lines]
    assert said["steps"][0]["itemId"] == ids[0]
    assert {step["itemId"] for step in said["steps"]} <= {None, *ids}
    assert {item["code"] for item in said["notApplied"]} == (
        set(asked.codes) - set(applied_codes(quote))
    )
    assert all(item["message"] == REASONS[item["reason"]] for item in said["notApplied"])


def test_every_kind_of_step_has_its_place() -> None:
    code, coupons = with_code(promotion("PERCENTAGE", "10"))
    late, late_coupons = with_code(promotion("PERCENTAGE", "5", ends_at=NOW), "LATE")
    mug, pot, group = new_id(), new_id(), new_id()
    tea = BundleOffer(id=new_id(), name="Tea", prices={"USD": Decimal(25)}, parts={mug: 2, pot: 1})
    parts = {"bundle_id": tea.id, "bundle_group": group}
    asked = basket(
        line("9.00", 10, sku="NAIL", list_price=Decimal(10), price_kind="quantity_break"),
        line("8.00", sku="TRADE", list_price=Decimal(10), price_kind="customer_group"),
        line("6.00", sku="HELD", list_price=Decimal(7), category_ids=(SHOES,)),
        line("5.00", 2, sku="MUG", list_price=Decimal(5), variant_id=mug, **parts),
        line("20.00", sku="POT", list_price=Decimal(20), variant_id=pot, **parts),
        destination=Place("DE"),
        shipping_option="standard",
        codes=["CODE", "LATE", "NOPE"],
    )
    rules = Rules(
        promotions=(
            code,
            late,
            promotion("FIXED_AMOUNT", "1", scope="CATEGORY", name="Shoes", category_ids=frozenset({SHOES})),
            promotion("FREE_SHIPPING", scope="SHIPPING", name="Shipping"),
        ),
        coupons=coupons | late_coupons,
        tax_rules=(tax("0.10"),),
        zones=(zone(method()),),
        bundles={tea.id: tea},
        tax_rounding=PER_ORDER,
    )  # fmt: skip

    said = price(asked, rules, NOW).explain()

    assert [
        (step["kind"], step["label"], step["amount"], step["runningTotal"])
        for step in said["steps"]
    ] == [
        ("list_price", "10 × NAIL", "100.00", "100.00"),
        ("quantity_break", "Price of NAIL for so many", "-10.00", "90.00"),
        ("list_price", "1 × TRADE", "10.00", "100.00"),
        ("list_price", "Your price of TRADE", "-2.00", "98.00"),
        ("list_price", "1 × HELD", "7.00", "105.00"),
        ("list_price", "Promised price of HELD", "-1.00", "104.00"),
        ("list_price", "2 × MUG", "10.00", "114.00"),
        ("list_price", "1 × POT", "20.00", "134.00"),
        ("promotion", "Tea", "-1.67", "132.33"),
        ("promotion", "Tea", "-3.33", "129.00"),
        ("promotion", "Shoes", "-1.00", "128.00"),
        ("coupon", "PERCENTAGE 10", "-12.80", "115.20"),
        ("shipping", "Standard", "5.00", "120.20"),
        ("promotion", "Shipping", "-5.00", "115.20"),
        ("rounding", "Each tax is rounded once, on the whole order", "0.00", "115.20"),
        ("tax", "VAT 10 %", "11.52", "126.72"),
    ]
    assert said["notApplied"] == [
        {"code": "LATE", "reason": "expired", "message": "This code is no longer valid."},
        {"code": "NOPE", "reason": "unknown", "message": "There is no such code."},
    ]


@pytest.mark.parametrize(
    ("rounding", "reliefs", "steps"),
    [
        (PER_LINE, (), [("tax", "VAT 19 %, included: 19.00", "0.00", "119.00")]),
        (
            KEEP_GROSS,
            (),
            [
                ("rounding", "Prices stay as shown; what they are without tax is rounded once, on the whole order", "0.00", "119.00"),
                ("tax", "VAT 19 %, included: 19.00", "0.00", "119.00"),
            ],
        ),
        (
            PER_LINE,
            (Relief(reason="exempt", reference="C-1", countries=frozenset({"*"})),),
            [
                ("tax", "Tax taken out: exempt", "-19.00", "100.00"),
                ("tax", "VAT 19 % not charged: exempt, C-1", "0.00", "100.00"),
            ],
        ),
    ],
)  # fmt: skip
def test_included_taxes_are_said_and_change_nothing(
    rounding: str, reliefs: tuple[Relief, ...], steps: list[tuple[str, str, str, str]]
) -> None:
    asked = basket(line("119.00"), destination=Place("DE"), reliefs=reliefs)
    rules = Rules(tax_rules=(tax("0.19", is_included=True),), tax_rounding=rounding)

    said = price(asked, rules, NOW).explain()

    assert [
        (step["kind"], step["label"], step["amount"], step["runningTotal"])
        for step in said["steps"]
    ][1:] == steps


def test_an_empty_cart_has_nothing_to_explain() -> None:
    asked = replace(basket(line("1.00")), lines=(), codes=("NOPE",))

    said = price(asked, Rules(), NOW).explain()

    assert said["steps"] == []
    assert [item["reason"] for item in said["notApplied"]] == ["unknown"]
