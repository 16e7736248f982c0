"""Price lists as files: `sku,price[,compareAt]`, judged as a whole, each problem with its line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from config.platform import sheets
from config.platform.sheets import Source
from pricing.money import exponent, parse_amount
from pricing.services.bulk import MOST_PRICES, ListedPrice

LARGEST_LIST = 1_000_000  # bytes
MOST_PROBLEMS = 100
SKU, PRICE, FORMER = "sku", "price", "compareat"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a file: the line, the column as it is named there (empty: the row), and why."""

    line: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of a file by SKU, and what is wrong with it."""

    prices: dict[str, ListedPrice]
    problems: Sequence[Problem]

    def text(self) -> str:
        """Return the list as a file of the same form."""
        lines = [sheets.write_line(("sku", "price", "compareAt"))]
        for sku, price in self.prices.items():
            former = "" if price.compare_at is None else f"{price.compare_at:f}"
            lines.append(sheets.write_line((sheets.guard(sku), f"{price.amount:f}", former)))
        return "".join(lines)


def read_price_list(source: Source, *, currency: str) -> PriceList:
    """
    Return the prices in a file and its first problems; more than `MOST_PRICES` rows are one.

    :raises ImportUnreadable: if it is no text, too large, or lacks the columns `sku` and `price`
    """
    sheet = sheets.inspect(source, required=(SKU, PRICE), most_bytes=LARGEST_LIST)
    names = {column.casefold(): column for column in sheet.columns}
    prices: dict[str, ListedPrice] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for row in sheets.read(sheet):
        if len(problems) >= MOST_PROBLEMS:
            break
        if row.problem:
            problems.append(Problem(row.line, "", row.problem))
            continue
        cells = {name.casefold(): value for name, value in row.cells.items()}
        sku = sheets.unguard(cells[SKU])
        found: dict[str, Decimal | None] = {}
        for column in (PRICE, FORMER):
            try:
                found[column] = _amount(cells.get(column, ""), currency)
            except ValueError as wrong:
                problems.append(Problem(row.line, names[column], str(wrong)))
        amount, former = found.get(PRICE), found.get(FORMER)
        if not sku:
            problems.append(Problem(row.line, names[SKU], _("There is no SKU.")))
        elif sku in lines:
            said = _("This SKU stands on line %(line)d already.") % {"line": lines[sku]}
            problems.append(Problem(row.line, names[SKU], said))
        elif PRICE in found and amount is None:
            problems.append(Problem(row.line, names[PRICE], _("There is no price.")))
        elif amount is not None and former is not None and former <= amount:
            said = _("A former price is higher than the price.")
            problems.append(Problem(row.line, names[FORMER], said))
        elif amount is not None:
            prices[sku] = ListedPrice(amount, former)
        lines.setdefault(sku, row.line)
        if len(lines) > MOST_PRICES:
            said = _("More than %(most)d rows. Split the file.") % {"most": MOST_PRICES}
            problems.append(Problem(row.line, "", said))
            break
    if not prices and not problems:
        problems.append(Problem(2, "", _("The file has no rows.")))
    return PriceList(prices, problems)


def _amount(text: str, currency: str) -> Decimal | None:
    if not text:
        return None
    try:
        amount = parse_amount(text, currency)
    except ValueError:
        words = {"text": text[:40], "places": exponent(currency)}
        raise ValueError(
            _("“%(text)s” is no price: figures, a point, at most %(places)d decimals.") % words
        ) from None
    if amount < 0:
        raise ValueError(_("A price is not below zero."))
    return amount
