"""
Examples that others have published, to the cent. Each names where its numbers were read.

A difference here is no matter of taste: somebody's invoice, handbook or documentation says what it has to be.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from pricing.engine import (
    KEEP_GROSS,
    PER_LINE,
    PER_ORDER,
    BundleOffer,
    Place,
    Quote,
    Rules,
    TaxRule,
    price,
)
from tests.pricing.carts import NOW
from tests.pricing.words import basket, line, new_id, tax


def taxed(
    prices: list[str], rates: list[TaxRule], rounding: str = PER_LINE, classes: str = ""
) -> Quote:
    lines = [
        line(text, tax_class=classes[index] if classes else "standard")
        for index, text in enumerate(prices)
    ]
    rules = Rules(tax_rules=rates, tax_rounding=rounding)
    return price(basket(*lines, destination=Place("DE")), rules, NOW)


def column(quote: Quote, name: str) -> list[str]:
    return [str(getattr(item, name)) for item in quote.lines]


def net(quote: Quote) -> list[str]:
    return [str(item.subtotal - item.discount - item.included_tax) for item in quote.lines]


# --- five tickets: pretix, doc/development/algorithms/pricing.rst, "Rounding of taxes" ------------

TICKETS = [
    # rounding, prices, included; taxes, net prices, tax in all, to pay
    (PER_LINE, "100.00", True, ["15.97"] * 5, ["84.03"] * 5, "79.85", "500.00"),
    (PER_LINE, "84.03", False, ["15.97"] * 5, ["84.03"] * 5, "79.85", "500.00"),
    # "based on net total"; their table prints the sum as 78.83, its own rows and text make 79.83
    (PER_ORDER, "84.03", False, ["15.97"] * 3 + ["15.96"] * 2, ["84.03"] * 5, "79.83", "499.98"),
    # "with stable gross prices"
    (KEEP_GROSS, "100.00", True, ["15.97"] * 3 + ["15.96"] * 2, ["84.03"] * 3 + ["84.04"] * 2, "79.83", "500.00"),
    # ours: what is included is never charged otherwise than shown, so here both come to the same
    (PER_ORDER, "100.00", True, ["15.97"] * 3 + ["15.96"] * 2, ["84.03"] * 3 + ["84.04"] * 2, "79.83", "500.00"),
    # ours: what lines cost with tax stays as it is shown on each of them
    (KEEP_GROSS, "84.03", False, ["15.97"] * 5, ["84.03"] * 5, "79.85", "500.00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rounding", "each", "included", "taxes", "nets", "tax_total", "to_pay"), TICKETS
)
def test_five_tickets(
    rounding: str, each: str, included: bool, taxes: list[str], nets: list[str], tax_total: str, to_pay: str
) -> None:  # fmt: skip
    quote = taxed([each] * 5, [tax("0.19", is_included=included)], rounding)

    # which of equal lines carry the odd cents is ours to say (the first); how many there are is not
    assert column(quote, "tax") == taxes
    assert net(quote) == nets
    assert [str(quote.totals.tax_total), str(quote.totals.grand_total)] == [tax_total, to_pay]


# --- rounded on each line -----------------------------------------------------------------------


def test_two_rates_on_two_lines_of_a_fee() -> None:
    """support.stripe.com/questions/rounding-rules-for-stripe-fees: 0.43 and 4.84 at 15 % come to 6.06."""
    quote = taxed(["0.43", "4.84"], [tax("0.15")])

    assert column(quote, "tax") == ["0.06", "0.73"]
    assert [str(quote.totals.subtotal), str(quote.totals.tax_total), str(quote.totals.grand_total)] == ["5.27", "0.79", "6.06"]  # fmt: skip


def test_halves_are_rounded_up_on_each_line() -> None:
    """developer.wafeq.com/reference/calculations-and-rounding: 2.265 and 3.345 are taxes of 2.27 and 3.35."""
    rates = [tax("0.05", tax_class="a"), tax("0.10", tax_class="b")]

    quote = taxed(["45.30", "33.45"], rates, classes="ab")

    assert column(quote, "tax") == ["2.27", "3.35"]
    assert [str(quote.totals.subtotal), str(quote.totals.tax_total), str(quote.totals.grand_total)] == ["78.75", "5.62", "84.37"]  # fmt: skip


@pytest.mark.parametrize(("rounding", "tax_total"), [(PER_LINE, "4.20"), (PER_ORDER, "4.19")])
def test_three_things_at_6_99(rounding: str, tax_total: str) -> None:
    """help.cloudcart.com, "How taxes are calculated": three times 1.398 is 4.20 by line and 4.19 on the order."""
    quote = taxed(["6.99"] * 3, [tax("0.20")], rounding)

    assert str(quote.totals.tax_total) == tax_total


@pytest.mark.parametrize(
    ("net_price", "gross"), [("22.50", "27.00"), ("23.54", "28.25"), ("28.72", "34.46")]
)
def test_a_price_and_twenty_percent(net_price: str, gross: str) -> None:
    """success.greenlightpower.net, "Price rounding with taxes", column "Scientific"."""
    assert str(taxed([net_price], [tax("0.20")]).totals.grand_total) == gross


# --- rounding the net amount or the tax -----------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "without", "of_tax"),
    [(PER_LINE, "2.87", "0.12"), (PER_ORDER, "2.87", "0.12"), (KEEP_GROSS, "2.88", "0.11")],
)
def test_2_99_with_four_percent_in_it(rounding: str, without: str, of_tax: str) -> None:
    """docs.zuora.com, "Rounding rule for inclusive tax mode": 0.115 of tax, or 2.875 without it, is rounded up."""
    quote = taxed(["2.99"], [tax("0.04", is_included=True)], rounding)

    assert [net(quote)[0], str(quote.totals.tax_total)] == [without, of_tax]
    assert str(quote.totals.grand_total) == "2.99"


# --- two taxes, side by side and one on the other ---------------------------------------------------


@pytest.mark.parametrize(
    ("selling", "rates", "taxes", "total"),
    [
        # Revenu Québec's example for 2013 and later, as quoted at sinoquebec.com: QST on the price without GST
        ("100.00", [("GST", "0.05", False), ("QST", "0.09975", False)], ["5.00", "9.98"], "114.98"),
        # before 2013: 9.5 % on top of GST is the same amount (zen-cart.com, thread 1141349)
        ("100.00", [("GST", "0.05", False), ("QST", "0.095", True)], ["5.00", "9.98"], "114.98"),
        # "9 % x 105 = 114.45" (costcertified.atlassian.net, on taxes charged on top of other taxes)
        ("100.00", [("GST", "0.05", False), ("QST", "0.09", True)], ["5.00", "9.45"], "114.45"),
        # each rate rounded on its own: 36.85 + 73.52 (a question on Magento 1.9 about 737.08 at 5 % and 9.975 %)
        ("737.08", [("GST", "0.05", False), ("QST", "0.09975", False)], ["36.85", "73.52"], "847.45"),
    ],
)  # fmt: skip
def test_taxes_of_quebec(
    selling: str, rates: list[tuple[str, str, bool]], taxes: list[str], total: str
) -> None:
    rules = [tax(rate, name=name, is_compound=compound) for name, rate, compound in rates]

    quote = taxed([selling], rules)

    assert [str(item.amount) for item in quote.taxes] == taxes
    assert str(quote.totals.grand_total) == total


# --- what parts of a bundle cost: IFRS 15, paragraphs 76 and 81 ------------------------------------


@pytest.mark.parametrize(
    ("alone", "together", "allocated"),
    [
        # KPMG, Revenue: IFRS 15 handbook (2019), section 4.2, example 5: a discount of 10 on 20, 30 and 40
        (["20", "30", "40"], "80", ["18", "27", "35"]),
        # International GAAP, chapter 28, example 28.53: machine, installation, warranty for 100,000
        (["75000", "14000", "20000"], "100000", ["68807", "12844", "18349"]),
    ],
)
def test_a_bundle_is_shared_by_what_its_parts_cost_alone(
    alone: list[str], together: str, allocated: list[str]
) -> None:
    group, parts = new_id(), {new_id(): 1 for _ in alone}
    offer = BundleOffer(id=new_id(), name="Set", prices={"JPY": Decimal(together)}, parts=parts)
    lines = [
        line(text, variant_id=variant, bundle_id=offer.id, bundle_group=group)
        for text, variant in zip(alone, parts, strict=True)
    ]

    quote = price(basket(*lines, currency="JPY"), Rules(bundles={offer.id: offer}), NOW)

    assert column(quote, "total") == allocated
    assert str(quote.totals.grand_total) == together
