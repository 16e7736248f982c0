"""The tax report for staff: figures, a chart, and the orders and refunds behind each number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.platform.actor import Actor
from config.platform.charts import Bar
from config.platform.errors import ValidationFailed
from config.platform.http import actor_of
from orders.models import Order
from orders.taxes import COLLECTED, Period, TaxKey, TaxRow, tax_entries, tax_report
from orders.taxfiles import csv_file, entry_lines, report_lines
from pricing.display import country_name, percent_text
from pricing.models import TaxRate
from pricing.templatetags.money import money_text

SHOWN_ENTRIES = 200
RELIEFS = {
    "exempt": gettext_lazy("exempt"),
    "reverse_charge": gettext_lazy("reverse charge"),
}


class PeriodForm(forms.Form):
    """The days asked for; `from` and `to` as in the API."""

    date_from = forms.DateField(
        label=gettext_lazy("From"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    date_to = forms.DateField(
        label=gettext_lazy("To"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    currency = forms.ChoiceField(
        label=gettext_lazy("Currency"), required=False, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].choices = [  # type: ignore[attr-defined]
            ("", _("all")),
            *((code, code) for code in currencies),
        ]


def report_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Show the taxes of a period, with `row` the entries behind one number, with `file` either as CSV."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    actor, today = actor_of(request), timezone.localdate()
    form = PeriodForm(request.GET, currencies=_currencies(actor))
    period, problem = _period(form, today)
    currency = form.cleaned_data.get("currency", "")
    asked: dict[str, Any] = {"actor": actor, "period": period, "currency": currency}
    if request.GET.get("file") == "entries":
        return csv_file(entry_lines(tax_entries(**asked)), "tax-entries", period)
    rows = tax_report(**asked)
    if request.GET.get("file") == "report":
        return csv_file(report_lines(rows), "tax", period)
    address = {"date_from": period.first, "date_to": period.last, "currency": currency}
    chosen = next((row for row in rows if _token(row.key) == request.GET.get("row", "")), None)
    if not form.is_bound or not (request.GET.get("date_from") or request.GET.get("date_to")):
        form = PeriodForm(initial=address, currencies=_currencies(actor))
    return TemplateResponse(
        request,
        "orders/admin/taxes.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Tax report"),
            "opts": admin.model._meta,
            "form": form,
            "problem": problem,
            "period": period,
            "presets": _presets(today, currency),
            "figures": _figures(rows),
            "rows": [_shown(row, address) for row in rows],
            "bars": _bars(rows, address),
            "report_url": f"?{urlencode({**address, 'file': 'report'})}",
            "entries_url": f"?{urlencode({**address, 'file': 'entries'})}",
            "chosen": chosen and _shown(chosen, address),
            "entries": _entries(asked, chosen) if chosen else [],
            "shown_entries": SHOWN_ENTRIES,
            "close_url": f"?{urlencode(address)}",
        },
    )


def _currencies(actor: Actor) -> list[str]:
    orders = Order.objects.filter(company_id=actor.company_id, confirmed_at__isnull=False)
    return sorted(set(orders.order_by().values_list("currency", flat=True).distinct()))


def _period(form: PeriodForm, today: date) -> tuple[Period, str]:
    """Return the period asked for, or the month so far with what is wrong with it."""
    problem = "" if form.is_valid() else _("Enter days such as 2026-11-01.")
    try:
        period = Period.of(
            first=form.cleaned_data.get("date_from"),
            last=form.cleaned_data.get("date_to"),
            today=today,
        )
    except ValidationFailed as refused:
        return Period(today.replace(day=1), today), str(refused.errors[0].message)
    return period, problem


def _presets(today: date, currency: str) -> list[tuple[str, str]]:
    month = today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    quarter = month.replace(month=3 * ((month.month - 1) // 3) + 1)
    earlier = ((quarter - timedelta(days=1)).replace(day=1) - timedelta(days=32)).replace(day=1)
    earlier = earlier.replace(month=3 * ((earlier.month - 1) // 3) + 1)
    return [
        (label, f"?{urlencode({'date_from': first, 'date_to': last, 'currency': currency})}")
        for label, first, last in (
            (_("this month"), month, today),
            (_("last month"), before, month - timedelta(days=1)),
            (_("this quarter"), quarter, today),
            (_("last quarter"), earlier, quarter - timedelta(days=1)),
            (_("this year"), today.replace(month=1, day=1), today),
        )
    ]


def _figures(rows: Sequence[TaxRow]) -> list[dict[str, str]]:
    sums: dict[str, list[Decimal]] = {}
    for row in rows:
        entry = sums.setdefault(row.key.currency, [Decimal(0), Decimal(0)])
        entry[0] += row.collected
        entry[1] += row.refunded
    return [
        {
            "label": _("Owed in %(currency)s") % {"currency": currency},
            "value": money_text(collected - refunded, currency),
            "note": _("%(collected)s collected, %(refunded)s gone back")
            % {
                "collected": money_text(collected, currency),
                "refunded": money_text(refunded, currency),
            },
        }
        for currency, (collected, refunded) in sorted(sums.items())
    ]


def _token(key: TaxKey) -> str:
    return "|".join(
        (key.currency, key.country, key.state, key.type, key.name, f"{key.rate:f}", key.relief)
    )


def _url(key: TaxKey, address: dict[str, Any]) -> str:
    return f"?{urlencode({**address, 'row': _token(key)})}#entries"


def _place(key: TaxKey) -> str:
    name = country_name(key.country) if key.country else _("unknown")
    return f"{name}, {key.state}" if key.state else name


def _note(key: TaxKey) -> str:
    """Return what the name of a tax leaves open: its type, and why it is not charged."""
    kind = str(dict(TaxRate.Type.choices).get(key.type, key.type))
    said = [] if kind.casefold() in key.name.casefold() else [kind]
    if key.relief:
        said.append(str(RELIEFS.get(key.relief, key.relief)))
    return ", ".join(said)


def _shown(row: TaxRow, address: dict[str, Any]) -> dict[str, Any]:
    currency = row.key.currency
    return {
        "url": _url(row.key, address),
        "place": _place(row.key),
        "name": row.key.name,
        "rate": percent_text(row.key.rate),
        "note": _note(row.key),
        "currency": currency,
        "orders": ngettext("%(count)d order", "%(count)d orders", len(row.orders))
        % {"count": len(row.orders)},
        **{
            name: money_text(amount, currency)
            for name, amount in (
                ("base", row.base),
                ("collected", row.collected),
                ("refunded", row.refunded),
                ("net", row.net),
            )
        },
    }


def _bars(rows: Sequence[TaxRow], address: dict[str, Any]) -> list[Bar]:
    """Return the net amounts as bars, longest first, each currency by its own measure."""
    most: dict[str, Decimal] = {}
    for row in rows:
        most[row.key.currency] = max(most.get(row.key.currency, Decimal(0)), abs(row.net))
    told = [row for row in rows if row.net]
    return [
        Bar(
            label=f"{_place(row.key)}: {row.key.name}",
            note=percent_text(row.key.rate),
            value=money_text(row.net, row.key.currency),
            width=max(float(100 * abs(row.net) / most[row.key.currency]), 1.0),
            url=_url(row.key, address),
            tone="danger" if row.net < 0 else "",
        )
        for row in sorted(told, key=lambda row: (row.key.currency, -row.net))
    ]


def _entries(asked: dict[str, Any], row: TaxRow) -> list[dict[str, Any]]:
    found = (entry for entry in tax_entries(**asked) if entry.key == row.key)
    return [
        {
            "number": entry.number,
            "url": reverse("admin:orders_order_change", args=[entry.order_id]),
            "at": entry.at,
            "kind": _("collected") if entry.kind == COLLECTED else _("gone back"),
            "is_back": entry.kind != COLLECTED,
            "base": money_text(entry.base, row.key.currency),
            "amount": money_text(entry.amount, row.key.currency),
        }
        for entry in islice(found, SHOWN_ENTRIES)
    ]
