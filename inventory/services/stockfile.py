"""The file for counting days: which shelves there are, written in walking order; what was found on them, read back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from config.platform import sheets
from config.platform.actor import Actor
from config.platform.errors import ImportUnreadable
from config.platform.sheets import Source
from inventory.models import Product, StockLevel
from inventory.services.counts import MOST_ROWS, CountRow, Problem

COLUMNS = ("SKU", "Product", "Options", "Warehouse", "Expected", "Counted", "Counted at")
REQUIRED = ("SKU", "Counted")
# How the file calls the fields that problems name.
TITLES = {
    "sku": "SKU",
    "warehouse": "Warehouse",
    "quantity": "Counted",
    "expected": "Expected",
    "counted_at": "Counted at",
}
LARGEST_FILE = 20_000_000
_WHOLE = re.compile(r"[0-9]{1,12}(\.0+)?", re.ASCII)
_FETCHED = 2_000


@dataclass(frozen=True, slots=True)
class CountFile:
    """What a file of counts says: `blank` rows have no figure, so their shelves were not counted."""

    rows: tuple[CountRow, ...]
    problems: tuple[Problem, ...]
    blank: int


def shelves_to_count(*, actor: Actor, warehouse: str = "") -> QuerySet[StockLevel]:
    """Return the stock records of a counting list: by warehouse, then product and variant as the shop shows them."""
    levels = StockLevel.objects.filter(company_id=actor.company_id).exclude(
        variant__product__status=Product.Status.DISCONTINUED, total=0
    )
    if warehouse:
        levels = levels.filter(warehouse__code=warehouse)
    return levels.order_by(
        "warehouse__priority",
        "warehouse__code",
        "variant__product__name",
        "variant__product_id",
        "variant__position",
        "variant__sku",
    )


def write_counting_list(
    *, levels: QuerySet[StockLevel], with_figures: bool = False
) -> Iterator[str]:
    """
    Yield the lines of a counting list, as they come from the database.

    `Expected` is the total of each shelf, held units among them. `Counted` stays empty for whoever counts, or says
    the same figure with `with_figures`. UTF-8 with a mark and CRLF, as spreadsheets like it; no cell is a formula.
    """
    yield "\ufeff" + sheets.write_line(COLUMNS, end="\r\n")
    rows = levels.values_list(
        "variant__sku",
        "variant__product__name",
        "variant__options",
        "variant__product__option_names",
        "warehouse__code",
        "total",
    )
    for sku, product, options, names, warehouse, total in rows.iterator(chunk_size=_FETCHED):
        texts = [sku, product, _choice(options, names), warehouse]
        figures = [str(total), str(total) if with_figures else "", ""]
        yield sheets.write_line([*map(sheets.guard, texts), *figures], end="\r\n")


def read_counts(source: Source) -> CountFile:
    """
    Return the counts in a file; a row that cannot be understood is a problem that names its line and column.

    Only `SKU` and `Counted` are needed; other columns may be missing and foreign ones are not looked at. Times
    without an offset are in the current time zone.

    :raises ImportUnreadable: if it is no text, too large, lacks columns, or has too many rows
    """
    sheet = sheets.inspect(source, required=REQUIRED, most_bytes=LARGEST_FILE)
    known = {name.casefold(): name for name in COLUMNS}
    rows: list[CountRow] = []
    problems: list[Problem] = []
    blank = 0
    for record in sheets.read(sheet):
        if record.problem:
            problems.append(Problem(record.line, "row", "bad_row", record.problem))
            continue
        cells = {
            known[name.casefold()]: sheets.unguard(value)
            for name, value in record.cells.items()
            if name.casefold() in known
        }
        if not cells["Counted"]:
            blank += 1
            continue
        found = _row(record.line, cells, timezone.get_current_timezone())
        if isinstance(found, Problem):
            problems.append(found)
        else:
            rows.append(found)
        if len(rows) + len(problems) > MOST_ROWS:
            raise ImportUnreadable(
                f"{source.name} has more than {MOST_ROWS} rows. Split it and import the parts."
            )
    return CountFile(tuple(rows), tuple(problems), blank)


# --- parts ----------------------------------------------------------------------------------


def _choice(options: Mapping[str, str], names: Sequence[str]) -> str:
    ordered = [*(name for name in names if name in options), *sorted(options.keys() - set(names))]
    return " / ".join(str(options[name]) for name in ordered)


def _row(line: int, cells: Mapping[str, str], zone: tzinfo) -> CountRow | Problem:
    sku = cells["SKU"]
    if not sku:
        return Problem(line, "sku", "required", "This row has no SKU.")

    def refuse(column: str, message: str) -> Problem:
        return Problem(line, column, "invalid", f"{sku[:80]}: {message}", sku)

    counted = cells["Counted"]
    if not _WHOLE.fullmatch(counted):
        return refuse("quantity", f"Counted is {counted[:40]!r}; a whole number is needed.")
    expected = cells.get("Expected", "")
    if expected and not _WHOLE.fullmatch(expected):
        return refuse("expected", f"Expected is {expected[:40]!r}; a whole number is needed.")
    moment = cells.get("Counted at", "")
    counted_at = _moment(moment, zone) if moment else None
    if moment and counted_at is None:
        return refuse(
            "counted_at",
            f"Counted at is {moment[:40]!r}; a time such as 2026-11-21 10:00 is needed.",
        )
    return CountRow(
        sku=sku,
        quantity=int(counted.partition(".")[0]),
        warehouse=cells.get("Warehouse", ""),
        expected=int(expected.partition(".")[0]) if expected else None,
        counted_at=counted_at,
        row=line,
    )


def _moment(text: str, zone: tzinfo) -> datetime | None:
    try:
        if parse_date(text) is not None:
            return None  # a day is not a time: was it before or after the morning's sales?
    except ValueError:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone)
