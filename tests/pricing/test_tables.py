"""
Every kind of promotion, and how they meet: rules, lines in, amounts out.

Computed by hand; where the sum is not obvious, the comment shows it. Lines are "price*quantity"; what is expected is one
amount for each line, in the order of the lines.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from pricing.engine import (
    BundleOffer,
    Line,
    Place,
    PromotionRule,
    Quote,
    Rules,
    ShippingMethod,
    TaxRule,
    price,
)
from tests.pricing.carts import NOW
from tests.pricing.words import (
    HATS,
    SHOES,
    applied_codes,
    basket,
    line,
    method,
    new_id,
    promotion,
    tax,
    zone,
)


def lines_of(text: str) -> list[Line]:
    """Read "10.00*2 shoe:5.00": two at 10.00 and one at 5.00, which is a shoe."""
    lines = []
    for word in text.split():
        kind, _, rest = word.rpartition(":")
        unit, _, quantity = rest.partition("*")
        category = {"shoe": (SHOES,), "hat": (HATS,), "": ()}[kind]
        lines.append(line(unit, int(quantity or 1), category_ids=category))
    return lines


def quoted(
    text: str,
    *promotions: PromotionRule,
    currency: str = "USD",
    taxes: tuple[TaxRule, ...] = (),
    ways: tuple[ShippingMethod, ...] = (),
    codes: tuple[PromotionRule, ...] = (),
) -> Quote:
    """Price lines sent to Germany; promotions in `codes` need a code, which is typed: A for the first, then B."""
    coupons = {chr(ord("A") + number): rule.id for number, rule in enumerate(codes)}
    return price(
        basket(
            *lines_of(text),
            currency=currency,
            destination=Place("DE"),
            shipping_option="standard" if ways else None,
            codes=tuple(coupons),
        ),
        Rules(
            promotions=[*promotions, *(replace(rule, is_automatic=False) for rule in codes)],
            coupons=coupons,
            tax_rules=taxes,
            zones=[zone(*ways)] if ways else (),
        ),
        NOW,
    )


def off(quote: Quote) -> str:
    return " ".join(str(item.discount) for item in quote.lines)


def percentage(value: str, **fields: object) -> PromotionRule:
    return promotion("PERCENTAGE", value, **fields)


def fixed(value: str, **fields: object) -> PromotionRule:
    return promotion("FIXED_AMOUNT", value, **{"currency": "", **fields})


def on_shoes(**fields: object) -> dict[str, object]:
    return {"scope": "CATEGORY", "category_ids": frozenset({SHOES}), **fields}


def buy_get(
    buy: int, get: int, percent: str = "100", times: int | None = None, **fields: object
) -> PromotionRule:
    details: dict[str, object] = {"buy": buy, "get": get, "percent": percent}
    if times is not None:
        details["times"] = times
    return promotion("BUY_X_GET_Y", details=details, **fields)


def tiered(*tiers: tuple[int, str], **fields: object) -> PromotionRule:
    steps = [{"from": start, "percent": percent} for start, percent in tiers]
    return promotion("TIERED_QUANTITY", details={"tiers": steps}, **fields)


# --- one promotion ----------------------------------------------------------------------------------

PERCENT = [
    # on the order: once on the whole, then split by largest remainder
    ("USD", percentage("10"), "10.00 20.00*2", "1.00 4.00"),
    ("USD", percentage("33.33"), "10.00", "3.33"),
    ("USD", percentage("33.33"), "0.10 0.20", "0.03 0.07"),  # 0.09999 is 0.10: 0.033, 0.067
    ("USD", percentage("15"), "0.10", "0.02"),  # 0.015
    ("USD", percentage("15"), "0.03 0.03 0.03 0.01", "0.01 0.01 0.00 0.00"),  # 0.015 is 0.02: 0.006 0.006 0.006 0.002
    ("USD", percentage("100"), "9.99*3 0.01", "29.97 0.01"),
    ("USD", percentage("0.01"), "49.99", "0.00"),  # 0.004999
    ("USD", percentage("0.01"), "50.00", "0.01"),  # 0.005
    # on products: each line on its own
    ("USD", percentage("50", scope="PRODUCT"), "0.01 0.01 0.03", "0.01 0.01 0.02"),
    ("USD", percentage("10", **on_shoes()), "shoe:10.00 hat:10.00 10.00", "1.00 0.00 0.00"),
    # no cents
    ("JPY", percentage("10"), "95", "10"),  # 9.5
    ("JPY", percentage("10"), "94", "9"),
    ("JPY", percentage("50"), "1 1 1", "1 1 0"),  # 1.5 is 2
    ("JPY", percentage("50", scope="PRODUCT"), "1 1 1", "1 1 1"),
    ("JPY", percentage("33"), "100*3 50", "99 17"),  # 115.5 is 116: 99.43 and 16.57
    # three places
    ("KWD", percentage("10"), "1.005", "0.101"),  # 0.1005
    ("KWD", percentage("12.5"), "0.333*3 0.001", "0.125 0.000"),  # 0.125: 0.124875, 0.000125
    ("KWD", percentage("50", scope="PRODUCT"), "0.001 0.003", "0.001 0.002"),
]  # fmt: skip

FIXED = [
    ("USD", fixed("10"), "10.00 20.00", "3.33 6.67"),
    ("USD", fixed("10"), "10.00 10.00 10.00", "3.34 3.33 3.33"),
    ("USD", fixed("0.02"), "1.00 1.00 1.00", "0.01 0.01 0.00"),
    ("USD", fixed("10"), "4.00 5.99", "4.00 5.99"),  # never more than there is
    ("USD", fixed("10"), "0.00 20.00", "0.00 10.00"),  # what costs nothing gets no part
    ("USD", fixed("3", scope="PRODUCT"), "2.00 5.00*2", "0.50 2.50"),  # once, over the lines
    ("USD", fixed("3", scope="PRODUCT", details={"per_unit": True}), "2.00*2 5.00*2", "4.00 6.00"),
    ("USD", fixed("3", details={"per_unit": True}), "2.00*2 5.00*2", "4.00 6.00"),
    (
        "USD",
        fixed("3", details={"per_unit": True}, maximum_discount="5"),
        "2.00*2 5.00*2",
        "2.00 3.00",
    ),
    ("USD", fixed("5", **on_shoes()), "shoe:3.00 hat:50.00", "3.00 0.00"),
    ("JPY", fixed("100"), "1000 1000 1000", "34 33 33"),
    ("JPY", fixed("100"), "30 50", "30 50"),
    ("KWD", fixed("1"), "1.000 1.000 1.000", "0.334 0.333 0.333"),
    ("KWD", fixed("0.0005"), "1.000", "0.001"),  # an amount is rounded to what can be paid
]

BUY_SOME = [
    # two paid, the third free, for every full three; the cheapest units are the free ones
    ("USD", buy_get(2, 1), "5.00*2", "0.00"),
    ("USD", buy_get(2, 1), "5.00*3", "5.00"),
    ("USD", buy_get(2, 1), "5.00*5", "5.00"),
    ("USD", buy_get(2, 1), "5.00*6", "10.00"),
    ("USD", buy_get(2, 1), "9.00 4.00 5.00", "0.00 4.00 0.00"),
    ("USD", buy_get(2, 1), "100.00*3 1.00*3", "0.00 2.00"),  # two sets: the two cheapest of all six
    ("USD", buy_get(2, 1), "4.00 1.00 3.00 2.00 6.00 5.00", "0.00 1.00 0.00 2.00 0.00 0.00"),
    ("USD", buy_get(2, 1), "5.00 5.00 5.00", "5.00 0.00 0.00"),  # of equals the first
    ("USD", buy_get(1, 2), "5.00*2 3.00", "5.00 3.00"),
    ("USD", buy_get(1, 1), "5.00*3", "5.00"),
    # once, or twice, however many there are
    ("USD", buy_get(2, 1, times=1), "5.00*9", "5.00"),
    ("USD", buy_get(2, 1, times=2), "5.00*9", "10.00"),
    ("USD", buy_get(2, 1, times=9), "5.00*3", "5.00"),
    ("USD", buy_get(1, 1, times=1), "8.00*2 3.00*2", "0.00 3.00"),
    # the second at half, the third at a third off
    ("USD", buy_get(1, 1, "50"), "5.00*2", "2.50"),
    ("USD", buy_get(1, 1, "50"), "4.99*4", "4.99"),
    ("USD", buy_get(1, 1, "50"), "0.01*2", "0.01"),  # 0.005
    ("USD", buy_get(1, 1, "50"), "0.01*4", "0.01"),  # two of them: 0.01, rounded once a line
    ("USD", buy_get(2, 1, "33.33"), "10.00*3", "3.33"),
    ("USD", buy_get(2, 1, "0"), "10.00*3", "0.00"),
    # only what the promotion is about counts
    ("USD", buy_get(2, 1, **on_shoes()), "shoe:9.00*2 hat:1.00*5", "0.00 0.00"),
    ("USD", buy_get(2, 1, **on_shoes()), "shoe:9.00*2 hat:1.00*5 shoe:7.00", "0.00 0.00 7.00"),
    # what costs nothing neither counts nor is given away
    ("USD", buy_get(2, 1), "0.00*5 9.00*2", "0.00 0.00"),
    ("JPY", buy_get(1, 1, "50"), "333*2", "167"),  # 166.5
    ("JPY", buy_get(1, 1, "50"), "333*4", "333"),
    ("KWD", buy_get(1, 1, "50"), "0.333*2", "0.167"),
]  # fmt: skip

MORE_FOR_LESS = [
    ("USD", tiered((3, "10"), (5, "20")), "5.00*2", "0.00"),
    ("USD", tiered((3, "10"), (5, "20")), "5.00*3", "1.50"),
    ("USD", tiered((3, "10"), (5, "20")), "5.00*4", "2.00"),
    ("USD", tiered((3, "10"), (5, "20")), "5.00*5", "5.00"),
    ("USD", tiered((5, "20"), (3, "10")), "5.00*5", "5.00"),  # in whatever order they were written
    ("USD", tiered((3, "10"), (5, "20")), "5.00*2 8.00", "1.00 0.80"),  # lines count together
    ("USD", tiered((3, "20"), (5, "10")), "5.00*5", "2.50"),  # the highest that is reached, not the best
    ("USD", tiered((3, "10"), **on_shoes()), "shoe:5.00*2 hat:5.00", "0.00 0.00"),
    ("USD", tiered((3, "10"), **on_shoes()), "shoe:5.00*2 hat:5.00 shoe:9.00", "1.00 0.00 0.90"),
    ("USD", tiered((2, "10")), "0.05 0.05", "0.01 0.01"),  # 0.005 each
    ("USD", tiered((2, "10")), "0.00*9 5.00", "0.00 0.00"),  # what costs nothing does not count
    ("JPY", tiered((2, "10")), "55 44", "6 4"),  # 5.5 and 4.4
    ("KWD", tiered((2, "33.3")), "0.500 0.250", "0.167 0.083"),  # 0.1665, 0.08325
]  # fmt: skip

CAPPED = [
    # on the order: the ceiling is split like any amount
    ("USD", percentage("50", maximum_discount="6"), "10.00 20.00", "2.00 4.00"),
    ("USD", percentage("50", maximum_discount="15"), "10.00 20.00", "5.00 10.00"),  # just reached
    ("USD", percentage("50", maximum_discount="14.99"), "10.00 20.00", "5.00 9.99"),  # 4.9967, 9.9933
    ("USD", percentage("50", maximum_discount="0"), "10.00", "0.00"),
    ("USD", fixed("10", maximum_discount="4"), "10.00 10.00", "2.00 2.00"),
    # on lines: split by what each would have got
    ("USD", percentage("50", scope="PRODUCT", maximum_discount="1"), "3.00 1.00 2.00", "0.50 0.17 0.33"),
    ("USD", buy_get(1, 1, maximum_discount="4"), "5.00*2 9.00*2", "4.00 0.00"),  # the two at 5.00 are the free ones
    ("USD", buy_get(1, 1, maximum_discount="4"), "5.00 5.00 5.00 5.00", "2.00 2.00 0.00 0.00"),
    ("USD", tiered((2, "50"), maximum_discount="1"), "4.00 4.00", "0.50 0.50"),
    ("USD", fixed("3", scope="PRODUCT", details={"per_unit": True}, maximum_discount="5"), "9.00 9.00*2", "1.67 3.33"),
    ("JPY", percentage("50", maximum_discount="100"), "1000 1000 1000", "34 33 33"),
    ("KWD", percentage("50", maximum_discount="0.100"), "1.000 1.000 1.000", "0.034 0.033 0.033"),
]  # fmt: skip

FROM_AN_AMOUNT = [
    ("USD", percentage("10", minimum_order="30"), "10.00 20.00", "1.00 2.00"),  # just reached
    ("USD", percentage("10", minimum_order="30.01"), "10.00 20.00", "0.00 0.00"),
    # it is the whole subtotal that counts, not what the promotion is about
    ("USD", percentage("10", **on_shoes(minimum_order="30")), "shoe:10.00 hat:20.00", "1.00 0.00"),
    ("USD", buy_get(1, 1, minimum_order="10"), "5.00*2", "5.00"),
    ("USD", tiered((2, "50"), minimum_order="10.01"), "5.00*2", "0.00"),
    ("JPY", fixed("100", minimum_order="1000"), "999", "0"),
    ("JPY", fixed("100", minimum_order="1000"), "1000", "100"),
    ("KWD", fixed("0.100", minimum_order="1"), "0.999", "0.000"),
    ("KWD", fixed("0.100", minimum_order="1"), "1.000", "0.100"),
]


@pytest.mark.parametrize(
    ("currency", "rule", "lines", "expected"),
    [*PERCENT, *FIXED, *BUY_SOME, *MORE_FOR_LESS, *CAPPED, *FROM_AN_AMOUNT],
)
def test_a_promotion_takes_this_off_each_line(
    currency: str, rule: PromotionRule, lines: str, expected: str
) -> None:
    quote = quoted(lines, rule, currency=currency)

    assert off(quote) == expected


NONSENSE = [
    # the admin, the API and the database refuse these; even so nothing gets dearer, and nothing costs less than nothing
    (percentage("150"), "150.00"),
    (percentage("150", scope="PRODUCT"), "150.00"),
    (percentage("-10"), "0.00"),
    (fixed("-10"), "0.00"),
    (fixed("-10", scope="PRODUCT"), "0.00"),
    (fixed("-10", scope="PRODUCT", details={"per_unit": True}), "0.00"),
    (percentage("10", maximum_discount="-1"), "0.00"),
    (percentage("10", scope="PRODUCT", maximum_discount="-1"), "0.00"),
    (buy_get(1, 1, "300"), "50.00"),
    (buy_get(1, 1, "-50"), "0.00"),
    (buy_get(0, 1), "0.00"),
    (tiered((1, "300")), "150.00"),
    (promotion("TIERED_QUANTITY"), "0.00"),
]


@pytest.mark.parametrize(("rule", "expected"), NONSENSE)
def test_terms_that_make_no_sense_never_raise_a_price_or_exceed_it(
    rule: PromotionRule, expected: str
) -> None:
    quote = quoted("50.00*3", rule)

    assert off(quote) == expected
    assert Decimal(0) <= quote.totals.grand_total <= Decimal(150)


# --- several ----------------------------------------------------------------------------------------

TOGETHER = [
    # in one lane by priority, each on what the earlier ones left
    ([fixed("10", priority=2), percentage("10", priority=1)], "100.00", "19.00"),
    ([fixed("10", priority=1), percentage("10", priority=2)], "100.00", "20.00"),
    ([percentage("10", priority=2), percentage("10", priority=1)], "100.00", "19.00"),
    # lines come before the order, whatever the priority
    ([fixed("10", priority=9), percentage("10", scope="PRODUCT")], "100.00", "20.00"),
    ([percentage("10", priority=9), buy_get(1, 1)], "30.00*2", "33.00"),  # 30 free, 10 % of the other 30
    ([percentage("10", priority=9), tiered((2, "50"))], "30.00*2", "33.00"),
    # what is free does not count for the next
    ([buy_get(2, 1, priority=2), tiered((3, "50"), priority=1)], "6.00*3", "12.00"),  # 6 free, 50 % of 12: still three units
    ([percentage("100", priority=2, **on_shoes()), tiered((3, "50"), priority=1)], "shoe:6.00*2 hat:6.00", "12.00 0.00"),
    # a minimum looks at the subtotal before discounts
    ([fixed("60", priority=2), percentage("10", priority=1, minimum_order="100")], "100.00", "64.00"),
    # together never more than there is
    ([fixed("70", priority=2), fixed("70", priority=1)], "100.00", "100.00"),
    # order discounts are split by what line discounts left: 90 and 50
    ([percentage("10", **on_shoes()), fixed("14")], "shoe:100.00 hat:50.00", "19.00 5.00"),
]  # fmt: skip

ALONE = {"is_stackable": False}
BEST_OF = [
    # one that does not combine stands alone against all that do
    ([percentage("10"), percentage("15", **ALONE)], "100.00", "15.00"),
    ([percentage("10"), percentage("8"), percentage("15", **ALONE)], "100.00", "17.20"),  # 10 + 8 % of 90
    ([percentage("10"), percentage("6"), percentage("15.4", **ALONE)], "100.00", "15.40"),  # same as 10 + 5.40
    ([percentage("5", **ALONE), percentage("7", **ALONE)], "100.00", "7.00"),
    ([percentage("5", **ALONE, priority=9), percentage("7", **ALONE)], "100.00", "7.00"),  # priority is not value
    ([percentage("10", **ALONE)], "100.00", "10.00"),
    # what is best depends on the cart
    ([fixed("10", **ALONE), percentage("15", **ALONE)], "60.00", "10.00"),
    ([fixed("10", **ALONE), percentage("15", **ALONE)], "70.00", "10.50"),
    ([buy_get(2, 1, **ALONE), percentage("20")], "10.00*3", "10.00"),
    ([buy_get(2, 1, **ALONE), percentage("20")], "10.00*4 10.00", "8.00 2.00"),  # 10.00 either way: those that combine
    ([buy_get(2, 1, **ALONE), percentage("20")], "10.00*2 20.00", "10.00 0.00"),  # 10.00 against 8.00
    ([buy_get(2, 1, **ALONE), percentage("30")], "10.00*2 20.00", "6.00 6.00"),  # 10.00 against 12.00
]  # fmt: skip


@pytest.mark.parametrize(("rules", "lines", "expected"), TOGETHER)
def test_promotions_that_combine_follow_one_another(
    rules: list[PromotionRule], lines: str, expected: str
) -> None:
    assert off(quoted(lines, *rules)) == expected


@pytest.mark.parametrize(("rules", "lines", "expected"), BEST_OF)
def test_of_what_does_not_combine_the_best_for_the_customer_counts(
    rules: list[PromotionRule], lines: str, expected: str
) -> None:
    assert off(quoted(lines, *rules)) == expected


# A code is typed, the others apply by themselves; what is expected: off each line, codes that apply, why others do not.
CODES = [
    ([], [percentage("10")], "100.00", "10.00", ["A"], {}),
    ([percentage("10")], [percentage("10")], "100.00", "19.00", ["A"], {}),
    ([], [percentage("10", priority=1), fixed("10")], "100.00", "20.00", ["A", "B"], {}),
    # a typed one that stands alone wins only where it is better, or as good
    ([percentage("10")], [percentage("15", **ALONE)], "100.00", "15.00", ["A"], {}),
    ([percentage("10")], [percentage("5", **ALONE)], "100.00", "10.00", [], {"A": "not_combinable"}),
    ([percentage("10")], [percentage("10", **ALONE)], "100.00", "10.00", ["A"], {}),
    ([percentage("10", **ALONE)], [percentage("10", **ALONE)], "100.00", "10.00", ["A"], {}),
    # an exclusive offer that is better puts a typed code aside
    ([percentage("20", **ALONE)], [percentage("10")], "100.00", "20.00", [], {"A": "not_combinable"}),
    ([], [percentage("10", **ALONE), percentage("20", **ALONE)], "100.00", "20.00", ["B"], {"A": "not_combinable"}),
    # nothing left, or nothing there that it is about
    ([percentage("100", priority=1)], [fixed("5")], "100.00", "100.00", [], {"A": "no_effect"}),
    ([], [percentage("10", **on_shoes())], "hat:100.00", "0.00", [], {"A": "no_matching_items"}),
    ([], [tiered((3, "10"))], "5.00*2", "0.00", [], {"A": "no_effect"}),
    ([], [buy_get(2, 1)], "5.00*2", "0.00", [], {"A": "no_effect"}),
    ([], [percentage("10", minimum_order="100.01")], "100.00", "0.00", [], {"A": "minimum_not_met"}),
    ([], [promotion("FREE_SHIPPING", scope="SHIPPING", minimum_order="100.01")], "100.00", "0.00", [], {"A": "minimum_not_met"}),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "codes", "lines", "expected", "applied", "refused"), CODES)
def test_codes_apply_or_say_why_not(
    rules: list[PromotionRule],
    codes: list[PromotionRule],
    lines: str,
    expected: str,
    applied: list[str],
    refused: dict[str, str],
) -> None:
    quote = quoted(lines, *rules, codes=tuple(codes))

    assert off(quote) == expected
    assert applied_codes(quote) == applied
    assert {item.code: item.reason for item in quote.not_applied} == refused


# --- bundles, and promotions after them -----------------------------------------------------------------

TEA = [  # two mugs at 5.00 and a pot at 20.00 for 25.00: mugs 10, pot 20, off 5: 1.67 and 3.33
    ([], "1.67 3.33"),
    ([percentage("10")], "2.50 5.00"),  # 2.50 of 25.00 more, split over 8.33 and 16.67: 0.83, 1.67
    ([percentage("10", minimum_order="30")], "2.50 5.00"),  # a minimum looks at 30.00
    ([percentage("10", minimum_order="30.01")], "1.67 3.33"),
    ([fixed("30")], "10.00 20.00"),
    ([percentage("50", scope="PRODUCT")], "5.84 11.67"),  # half of 8.33 is 4.17 (4.165), of 16.67 8.34 (8.335)
    ([buy_get(2, 1)], "5.84 3.33"),  # a mug costs 4.165 now
    ([tiered((3, "10"))], "2.50 5.00"),
    # a bundle keeps its price whatever else stands alone
    ([percentage("1"), percentage("10", **ALONE)], "2.50 5.00"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "expected"), TEA)
def test_promotions_work_on_what_a_bundle_left(rules: list[PromotionRule], expected: str) -> None:
    mug, pot, group = new_id(), new_id(), new_id()
    tea = BundleOffer(id=new_id(), name="Tea", prices={"USD": Decimal(25)}, parts={mug: 2, pot: 1})
    lines = [
        line("5.00", 2, variant_id=mug, bundle_id=tea.id, bundle_group=group),
        line("20.00", 1, variant_id=pot, bundle_id=tea.id, bundle_group=group),
    ]

    quote = price(basket(*lines), Rules(promotions=rules, bundles={tea.id: tea}), NOW)

    assert off(quote) == expected


# --- shipping -------------------------------------------------------------------------------------------

FREE = promotion("FREE_SHIPPING", scope="SHIPPING")
SHIPPING = [
    # lines, ways, promotions; shipping before, off it, to pay in all
    ("50.00", [method()], [], "5.00", "0.00", "55.00"),
    ("50.00", [method()], [FREE], "5.00", "5.00", "50.00"),
    ("50.00", [method()], [replace(FREE, details={"options": ["express"]})], "5.00", "0.00", "55.00"),
    ("50.00", [method()], [replace(FREE, maximum_discount=Decimal(3))], "5.00", "3.00", "52.00"),
    ("50.00", [method()], [percentage("50", scope="SHIPPING")], "5.00", "2.50", "52.50"),
    ("50.00", [method(base_price="4.95")], [percentage("50", scope="SHIPPING")], "4.95", "2.48", "52.47"),  # 2.475
    ("50.00", [method()], [fixed("2", scope="SHIPPING")], "5.00", "2.00", "53.00"),
    ("50.00", [method()], [fixed("9", scope="SHIPPING")], "5.00", "5.00", "50.00"),
    # two of them, the second on what the first left
    ("50.00", [method()], [percentage("50", scope="SHIPPING"), percentage("10", scope="SHIPPING")], "5.00", "2.75", "52.25"),
    # shipping comes last: free over 50.00 looks at what discounts left
    ("50.00", [method(free_over="50")], [], "0.00", "0.00", "50.00"),
    ("50.00", [method(free_over="50")], [percentage("1")], "5.00", "0.00", "54.50"),
    # so an offer for 1.00 less would cost more: alone, it loses against paying no shipping
    ("50.00", [method(free_over="50")], [fixed("1", **ALONE)], "0.00", "0.00", "50.00"),
    # goods and shipping count together: 5.00 of 55.00 against free shipping, the same; 4.99 is worse, 5.01 better
    ("50.00", [method()], [FREE, fixed("4.99", **ALONE)], "5.00", "5.00", "50.00"),
    ("50.00", [method()], [FREE, fixed("5", **ALONE)], "5.00", "5.00", "50.00"),
    ("50.00", [method()], [FREE, fixed("5.01", **ALONE)], "5.00", "0.00", "49.99"),
    ("50.00", [method()], [replace(FREE, is_stackable=False), percentage("20")], "5.00", "0.00", "45.00"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "ways", "rules", "before", "less", "to_pay"), SHIPPING)
def test_shipping_costs_this(
    lines: str, ways: list[ShippingMethod], rules: list[PromotionRule], before: str, less: str, to_pay: str
) -> None:  # fmt: skip
    totals = quoted(lines, *rules, ways=tuple(ways)).totals

    assert [
        str(totals.shipping_total),
        str(totals.shipping_discount),
        str(totals.grand_total),
    ] == [before, less, to_pay]


# --- taxes on what is left ------------------------------------------------------------------------------

ADDED, INSIDE = tax("0.19"), tax("0.19", is_included=True)
GST, QST = tax("0.05", name="GST"), tax("0.09975", name="QST", is_compound=True)
TAXED = [
    # currency, taxes, promotions, lines; off each line, tax of each line, to pay
    ("USD", [ADDED], [], "100.00 50.00", "0.00 0.00", "19.00 9.50", "178.50"),
    ("USD", [INSIDE], [], "119.00 59.50", "0.00 0.00", "19.00 9.50", "178.50"),
    # 10 % off: the tax falls with the price
    ("USD", [ADDED], [percentage("10")], "100.00 50.00", "10.00 5.00", "17.10 8.55", "160.65"),
    ("USD", [INSIDE], [percentage("10")], "119.00 59.50", "11.90 5.95", "17.10 8.55", "160.65"),
    ("USD", [ADDED], [percentage("100")], "100.00", "100.00", "0.00", "0.00"),
    ("USD", [INSIDE], [percentage("100")], "119.00", "119.00", "0.00", "0.00"),
    # a fixed amount is taken off prices as they are shown
    ("USD", [ADDED], [fixed("10")], "100.00", "10.00", "17.10", "107.10"),
    ("USD", [INSIDE], [fixed("10")], "100.00", "10.00", "14.37", "90.00"),  # 90 × 19 / 119 = 14.3697
    # by line: each line's tax on its own; 3 × 0.33 less 10 % is 0.89: 0.30, 0.30, 0.29
    ("USD", [ADDED], [percentage("10")], "0.33 0.33 0.33", "0.04 0.03 0.03", "0.06 0.06 0.06", "1.07"),
    ("USD", [ADDED], [buy_get(2, 1)], "10.00*3", "10.00", "3.80", "23.80"),
    ("USD", [INSIDE], [buy_get(2, 1)], "10.00*3", "10.00", "3.19", "20.00"),  # 20 × 19 / 119 = 3.1933
    ("USD", [ADDED], [tiered((2, "25"))], "9.99*2", "5.00", "2.85", "17.83"),  # 4.995; 14.98 × 0.19 = 2.8462
    # one tax on another: 95.00 × 0.05 = 4.75; 99.75 × 0.09975 = 9.9501
    ("USD", [GST, QST], [percentage("5")], "100.00", "5.00", "14.70", "109.70"),
    # one in the price, one on top: 107 holds 7, the other is on 100
    ("USD", [tax("0.07", is_included=True), tax("0.05", name="Eco")], [], "107.00", "0.00", "12.00", "112.00"),
    # no cents: 1000 less 10 % is 900; 171, or 143.697 inside
    ("JPY", [tax("0.10")], [], "105", "0", "11", "116"),  # 10.5
    ("JPY", [tax("0.10", is_included=True)], [], "105", "0", "10", "105"),  # 9.545
    ("JPY", [ADDED], [percentage("10")], "1000", "100", "171", "1071"),
    ("JPY", [INSIDE], [percentage("10")], "1000", "100", "144", "900"),
    ("JPY", [ADDED], [fixed("100")], "333 333 333", "34 33 33", "57 57 57", "1070"),  # 299 and 300 × 0.19: 56.81, 57
    ("JPY", [INSIDE], [buy_get(1, 1, "50")], "333*2", "167", "80", "499"),  # 499 × 19 / 119 = 79.67
    # three places
    ("KWD", [ADDED], [percentage("10")], "1.005", "0.101", "0.172", "1.076"),  # 0.904 × 0.19 = 0.17176
    ("KWD", [INSIDE], [percentage("10")], "1.005", "0.101", "0.144", "0.904"),  # 0.14434
    ("KWD", [ADDED], [fixed("1")], "1.000 1.000 1.000", "0.334 0.333 0.333", "0.127 0.127 0.127", "2.381"),
    ("KWD", [INSIDE], [tiered((2, "33.3"))], "0.500 0.250", "0.167 0.083", "0.053 0.027", "0.500"),  # 0.333 and 0.167
]  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "taxes", "rules", "lines", "expected", "tax_of_each", "to_pay"), TAXED
)
def test_taxes_are_on_what_discounts_leave(
    currency: str, taxes: list[TaxRule], rules: list[PromotionRule], lines: str, expected: str, tax_of_each: str, to_pay: str
) -> None:  # fmt: skip
    quote = quoted(lines, *rules, currency=currency, taxes=tuple(taxes))

    assert off(quote) == expected
    assert " ".join(str(item.tax) for item in quote.lines) == tax_of_each
    assert str(quote.totals.grand_total) == to_pay


EVERYTHING = [
    # 30.00 and 2 × 20.00; shoes −10 % (3.00); 10 % of 67.00 (6.70: 2.70 and 4.00); shipping 5.00 less 50 %
    # added: goods 24.30 and 36.00, shipping 2.50, 19 % of each: 4.617, 6.84, 0.475
    (False, "5.70 4.00", "4.62 6.84", "0.48", "74.74"),
    # inside: 24.30 × 19/119 = 3.8798, 36 × 19/119 = 5.7479, 2.50 × 19/119 = 0.3992
    (True, "5.70 4.00", "3.88 5.75", "0.40", "62.80"),
]


@pytest.mark.parametrize(("included", "expected", "taxes", "shipping_tax", "to_pay"), EVERYTHING)
def test_all_lanes_together(
    included: bool, expected: str, taxes: str, shipping_tax: str, to_pay: str
) -> None:
    quote = quoted(
        "shoe:30.00 20.00*2",
        percentage("10", **on_shoes()),
        percentage("50", scope="SHIPPING"),
        percentage("8", **ALONE),
        codes=(percentage("10"),),
        taxes=(tax("0.19", is_included=included),),
        ways=(method(),),
    )

    assert off(quote) == expected
    assert " ".join(str(item.tax) for item in quote.lines) == taxes
    assert str(quote.totals.shipping_tax) == shipping_tax
    assert str(quote.totals.grand_total) == to_pay
    assert applied_codes(quote) == ["A"]
