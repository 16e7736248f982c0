"""The tax report for programs and spreadsheets: JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse

from config.platform.sheets import guard, write_line
from orders.taxes import COLLECTED, Period, TaxEntry, TaxKey, TaxRow
from pricing.money import format_amount

_KEY_COLUMNS = ("Currency", "Country", "State", "Type", "Tax", "Rate", "Relief")


def report_lines(rows: Iterable[TaxRow]) -> Iterator[str]:
    """Yield the report as CSV, amounts as plain decimals, texts so that no spreadsheet takes them for a formula."""
    yield write_line(
        (*_KEY_COLUMNS, "Base", "Collected", "Refunded base", "Refunded", "Net base", "Net", "Orders"),
        end="\r\n",
    )  # fmt: skip
    for row in rows:
        amounts = (
            row.base, row.collected, row.refunded_base, row.refunded, row.net_base, row.net,
        )  # fmt: skip
        yield write_line(
            (
                *_key_cells(row.key),
                *(format_amount(amount, row.key.currency) for amount in amounts),
                str(len(row.orders)),
            ),
            end="\r\n",
        )


def entry_lines(entries: Iterable[TaxEntry]) -> Iterator[str]:
    """Yield what the report adds up, an order's tax a line; what went back is negative, so columns can be summed."""
    yield write_line(("At", "Order", "Kind", *_KEY_COLUMNS, "Base", "Amount"), end="\r\n")
    for entry in entries:
        sign = 1 if entry.kind == COLLECTED else -1
        yield write_line(
            (
                entry.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                entry.number,
                entry.kind,
                *_key_cells(entry.key),
                format_amount(sign * entry.base, entry.key.currency),
                format_amount(sign * entry.amount, entry.key.currency),
            ),
            end="\r\n",
        )


def _key_cells(key: TaxKey) -> tuple[str, ...]:
    texts = (key.currency, key.country, key.state, key.type, key.name)
    return (*map(guard, texts), f"{key.rate:f}", key.relief)


def render_row(row: TaxRow) -> dict[str, Any]:
    """Return a row of the report for the API."""
    amounts = {
        "base": row.base,
        "collected": row.collected,
        "refundedBase": row.refunded_base,
        "refunded": row.refunded,
        "netBase": row.net_base,
        "net": row.net,
    }
    return {
        "currency": row.key.currency,
        "jurisdiction": row.key.jurisdiction,
        "country": row.key.country,
        "state": row.key.state,
        "type": row.key.type,
        "name": row.key.name,
        "rate": f"{row.key.rate:f}",
        "relief": row.key.relief or None,
        **{name: format_amount(amount, row.key.currency) for name, amount in amounts.items()},
        "orders": len(row.orders),
    }


def totals_by_currency(rows: Iterable[TaxRow]) -> list[dict[str, Any]]:
    """Return what all taxes came to, currency by currency; bases are not added, as taxes may share one."""
    sums: dict[str, list[Decimal]] = {}
    for row in rows:
        sum_of = sums.setdefault(row.key.currency, [Decimal(0), Decimal(0)])
        sum_of[0] += row.collected
        sum_of[1] += row.refunded
    return [
        {
            "currency": currency,
            "collected": format_amount(collected, currency),
            "refunded": format_amount(refunded, currency),
            "net": format_amount(collected - refunded, currency),
        }
        for currency, (collected, refunded) in sorted(sums.items())
    ]


def csv_file(lines: Iterable[str], name: str, period: Period) -> StreamingHttpResponse:
    """Return lines as a file to keep, named by its period; nobody between us and the reader may store it."""
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="{name}-{period.first:%Y%m%d}-{period.last:%Y%m%d}.csv"'
    )
    response["Cache-Control"] = "no-store"
    return response
