"""The report of prices for programs and spreadsheets: JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from django.http import StreamingHttpResponse

from config.platform.sheets import guard, write_line
from pricing.money import format_amount
from pricing.selectors.reports import Moved


def moved_json(row: Moved, currency: str) -> dict[str, Any]:
    return {
        "sku": row.sku or None,
        "name": row.name,
        "category": row.category,
        "kind": row.kind,
        "fromQuantity": row.from_quantity,
        "group": row.group or None,
        "changes": row.changes,
        "firstPrice": format_amount(row.first, currency),
        "lastPrice": None if row.last is None else format_amount(row.last, currency),
        "lowestPrice": format_amount(row.lowest, currency),
        "highestPrice": format_amount(row.highest, currency),
        "averagePrice": format_amount(row.average, currency),
        "weightedPrice": format_amount(row.weighted, currency),
    }


def report_lines(rows: Iterable[Moved], currency: str) -> Iterator[str]:
    """Yield the report as CSV, amounts as plain decimals, texts so that no spreadsheet takes them for a formula."""
    yield write_line(
        ("SKU", "Name", "Category", "Currency", "Changes", "First", "Last", "Lowest", "Highest", "Average", "Weighted", "Kind", "From quantity", "Group"),
        end="\r\n",
    )  # fmt: skip
    for row in rows:
        shown = moved_json(row, currency)
        texts = (row.sku, row.name, row.category)
        figures = [shown[f"{name}Price"] or "" for name in ("first", "last", "lowest", "highest", "average", "weighted")]  # fmt: skip
        yield write_line(
            (
                *map(guard, texts),
                currency,
                str(row.changes),
                *figures,
                row.kind,
                str(row.from_quantity),
                guard(row.group),
            ),
            end="\r\n",
        )


def csv_file(lines: Iterable[str], first: date, last: date) -> StreamingHttpResponse:
    """Return lines as a file to keep, named by its period; nobody between us and the reader may store it."""
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="prices-{first:%Y%m%d}-{last:%Y%m%d}.csv"'
    )
    response["Cache-Control"] = "no-store"
    return response
