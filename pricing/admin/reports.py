"""The report of prices for staff: how base prices moved in a period, as a page and as a file."""

from __future__ import annotations

from datetime import UTC, date
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.platform.charts import Bar, widths
from config.platform.errors import ValidationFailed
from config.platform.http import actor_of
from inventory.models import Category
from pricing import selectors
from pricing.models import Price
from pricing.money import EXPONENTS
from pricing.pricefiles import csv_file, report_lines
from pricing.selectors.reports import (
    ALL,
    BASE,
    BY_CATEGORY,
    BY_VARIANT,
    SPECIAL,
    Moved,
    days_of,
    price_report,
)
from pricing.templatetags.money import money_text

SHOWN_ROWS = 500
KIND_WORDS: dict[str, Promise] = {
    "base": gettext_lazy("base price"),
    "scheduled": gettext_lazy("for a time"),
    "break": gettext_lazy("by quantity"),
    "group": gettext_lazy("of a group"),
    "group_break": gettext_lazy("of a group, by quantity"),
}
SHOWN_MOVERS = 10


def report_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Show how base prices moved, the month so far unless asked otherwise; `file` gives all rows as CSV."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    asked, now = request.GET, timezone.now()
    actor = actor_of(request)
    today = timezone.localdate(timezone=UTC)
    problem = ""
    try:
        first, last = days_of(
            first=_day(asked.get("date_from", "")),
            last=_day(asked.get("date_to", "")),
            today=today,
        )
    except (ValidationFailed, ValueError):
        problem = _("These days make no period of at most three years. Here is the month so far.")
        first, last = days_of(first=None, last=None, today=today)
    by = BY_CATEGORY if asked.get("by") == BY_CATEGORY else BY_VARIANT
    prices = asked.get("prices", "")
    prices = prices if prices in {BASE, SPECIAL} else ALL
    category = asked.get("category", "")[:120]
    home = selectors.home_currency(company_id=actor.company_id)
    currency = asked.get("currency", "").upper()
    currency = currency if currency in EXPONENTS else home
    found = price_report(
        actor=actor,
        first=first,
        last=last,
        currency=currency,
        now=now,
        by=by,
        category=category,
        prices=prices,
    )
    if asked.get("file"):
        return csv_file(report_lines(found, currency), first, last)
    rows = list(islice(found, SHOWN_ROWS + 1))
    shown = rows[:SHOWN_ROWS]
    query = {
        "date_from": first.isoformat(),
        "date_to": last.isoformat(),
        "by": by,
        "category": category,
        "currency": currency,
        "prices": prices,
    }
    categories = Category.objects.filter(company_id=actor.company_id).order_by("name")
    context = {
        **admin.admin_site.each_context(request),
        "title": _("How prices moved"),
        "opts": admin.model._meta,
        "problem": problem,
        "first": first,
        "last": last,
        "by": by,
        "prices": prices,
        "category": category,
        "currency": currency,
        "currencies": sorted({home, currency, *priced_currencies(actor.company_id)}),
        "categories": categories.values_list("slug", "name"),
        "bars": _movers(shown, by),
        "rows": [_row(row, currency) for row in shown],
        "is_cut": len(rows) > SHOWN_ROWS,
        "shown_rows": SHOWN_ROWS,
        "file_url": "?" + urlencode({**query, "file": 1}),
    }
    return TemplateResponse(request, "pricing/admin/report.html", context)


def _day(text: str) -> date | None:
    if not text:
        return None
    found = parse_date(text)
    if found is None:
        raise ValueError(text)
    return found


def priced_currencies(company_id: Any) -> list[str]:
    """Return the currencies in which a company has prices."""
    rows = Price.objects.filter(variant__company_id=company_id)
    return list(rows.order_by().values_list("currency", flat=True).distinct())


def _change(row: Moved) -> float:
    """Return by how many percent the last price differs from the first."""
    if row.last is None or not row.first:
        return 0.0
    return float((row.last - row.first) / row.first * 100)


def _movers(rows: list[Moved], by: str) -> list[Bar]:
    """Return what moved most, up or down."""
    base = [row for row in rows if row.kind == BASE]
    moved = sorted((row for row in base if _change(row)), key=lambda row: -abs(_change(row)))
    moved = moved[:SHOWN_MOVERS] if by == BY_VARIANT else []
    history = reverse("admin:pricing_pricechange_changelist")
    return [
        Bar(
            label=row.name,
            note=row.sku,
            value=f"{_change(row):+.1f} %".replace("-", "−"),
            width=width,
            url=f"{history}?{urlencode({'q': row.sku})}",
            tone="danger" if row.last is not None and row.last < row.first else "",
        )
        for row, width in zip(moved, widths([abs(_change(row)) for row in moved]), strict=True)
    ]


def _kind(row: Moved) -> str:
    """Say which price it is; nothing of the base price, which is what one expects."""
    if row.kind == BASE:
        return ""
    words = [str(KIND_WORDS[row.kind])]
    if row.group:
        words.append(row.group)
    if row.from_quantity > 1:
        words.append(_("from %(n)d on") % {"n": row.from_quantity})
    return ", ".join(words)


def _row(row: Moved, currency: str) -> dict[str, Any]:
    return {
        "name": row.name,
        "sku": row.sku,
        "category": row.category or "",
        "kind": _kind(row),
        "changes": ngettext("%(count)d change", "%(count)d changes", row.changes)
        % {"count": row.changes},
        **{
            name: "" if value is None else money_text(value, currency)
            for name, value in (
                ("first", row.first),
                ("last", row.last),
                ("lowest", row.lowest),
                ("highest", row.highest),
                ("average", row.average),
                ("weighted", row.weighted),
            )
        },
    }
