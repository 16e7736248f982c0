"""What stock looks like: the figures of all of it, and the timeline of one SKU."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.platform import charts
from config.platform.backoffice import name_people, status
from config.platform.http import actor_of
from inventory import selectors
from inventory.errors import ProductNotFound
from inventory.models import Category, StockLevel, Variant

WINDOWS = (30, 90)
REMEMBERED_SECONDS = 60
SHOWN_ROWS = 12
TIMELINE_ROWS = 50
TIMELINE_DAYS = 90

BAND_NAMES = {
    "none": gettext_lazy("nothing there"),
    "week": gettext_lazy("less than a week"),
    "fortnight": gettext_lazy("one to two weeks"),
    "month": gettext_lazy("two weeks to a month"),
    "quarter": gettext_lazy("one to three months"),
    "long": gettext_lazy("three months and more"),
    "still": gettext_lazy("nothing sold"),
}
BAND_TONES = {"none": "danger", "week": "warning"}
KIND_TONES = {
    "PURCHASE": "success",
    "RETURN": "success",
    "SALE": "info",
    "DAMAGE": "danger",
    "ADJUSTMENT": "warning",
}


def signed(number: int) -> str:
    """Return a change as a stock book writes it, with its sign."""
    return f"{number:+d}".replace("-", "−")


def window(asked: str) -> int:
    """Return the days the figures look back, of those that are offered."""
    return next((days for days in WINDOWS if str(days) == asked), WINDOWS[0])


# --- all of it --------------------------------------------------------------------------------


def overview(admin: Any, request: HttpRequest) -> HttpResponse:
    """The stock dashboard: what somebody would rather look at than read, each number with the rows behind it."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    actor, now, days = actor_of(request), timezone.now(), window(request.GET.get("days", ""))
    key = f"stock-overview:{actor.company_id}:{days}"
    known: tuple[datetime, selectors.StockOverview] | None = cache.get(key)
    if known is None:
        known = now, selectors.stock_overview(actor=actor, now=now, days=days)
        cache.set(key, known, REMEMBERED_SECONDS)
    at, found = known
    low = selectors.low_stock(actor=actor)
    shelves = reverse("admin:inventory_stocklevel_changelist")
    holds = reverse("admin:inventory_reservation_changelist")
    movements = reverse("admin:inventory_stockmovement_changelist")
    lasts = selectors.cover(found.units, found.sold, days)
    rate = round(100 * found.expired / found.ended) if found.ended else None
    period = _("last %(days)d days") % {"days": days}
    low_rows = list(low.order_by("available", "variant__sku")[:SHOWN_ROWS])
    return render(
        request,
        "inventory/admin/figures.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Stock figures"),
            "opts": admin.model._meta,
            "at": at,
            "days": days,
            "windows": WINDOWS,
            "figures": [
                (_("On the shelves"), found.units, _("units on sale"), shelves),
                (_("Held now"), found.held, _("for carts and orders"), f"{holds}?time=live"),
                (_("None left"), found.out, _shelves(found.shelves), f"{shelves}?stock=out"),
                (_("Owed"), found.owed, _("sold beyond stock"), f"{shelves}?stock=owed"),
                (_("Sold"), found.sold, period, f"{movements}?type__exact=SALE"),
                (
                    _("Lasts"),
                    "–" if lasts is None else _("%(days)d days") % {"days": lasts},
                    _("at the pace of the %(period)s") % {"period": period},
                    "",
                ),
            ],
            "cover": _cover_bars(found, shelves, days),
            "categories": _category_bars(found, actor.company_id, shelves),
            "holds": _hold_chart(found, rate),
            "holds_url": f"{holds}?status__exact=EXPIRED",
            "low": [(level, selectors.suggested_order(level)) for level in low_rows],
            "low_url": f"{shelves}?stock=low",
            "low_count": low.order_by().count(),
            "delivery_url": reverse("admin:inventory_stocklevel_delivery")
            + "?"
            + "&".join(f"shelf={level.pk}" for level in low_rows),
            "may_operate": request.user.has_perm("inventory.operate_stock"),
        },
    )


def _shelves(count: int) -> str:
    return ngettext("of %(count)d shelf", "of %(count)d shelves", count) % {"count": count}


def _cover_bars(found: selectors.StockOverview, shelves: str, days: int) -> list[charts.Bar]:
    return [
        charts.Bar(
            BAND_NAMES[band.name],
            band.shelves,
            width,
            f"{shelves}?cover={band.name}" + (f"-{days}" if days != WINDOWS[0] else ""),
            tone=BAND_TONES.get(band.name, ""),
        )
        for band, width in zip(
            found.cover, charts.widths([band.shelves for band in found.cover]), strict=True
        )
    ]


def _category_bars(
    found: selectors.StockOverview, company_id: UUID, shelves: str
) -> list[charts.Bar]:
    names = dict(Category.objects.filter(company_id=company_id).values_list("id", "name"))
    rows = found.categories[:SHOWN_ROWS]
    return [
        charts.Bar(
            names.get(row.category_id, _("without a category"))
            if row.category_id
            else _("without a category"),
            f"{row.turnover_percent} %",
            width,
            f"{shelves}?variant__product__category__id__exact={row.category_id}"
            if row.category_id
            else f"{shelves}?variant__product__category__isnull=True",
            note=_("%(sold)d sold, %(units)d there") % {"sold": row.sold, "units": row.units},
        )
        for row, width in zip(
            rows, charts.widths([row.turnover_percent for row in rows]), strict=True
        )
    ]


def _hold_chart(found: selectors.StockOverview, rate: int | None) -> charts.Chart:
    days = [date_format(row.day, "j M") for row in found.holds]
    words = [
        _("%(day)s: %(expired)d of %(ended)d, %(percent)d %%")
        % {"day": day, "expired": row.expired, "ended": row.ended, "percent": row.percent}
        for day, row in zip(days, found.holds, strict=True)
    ]
    return charts.Chart(
        title=_("Holds that ran out, by the day they began"),
        summary=_("No hold has ended yet.")
        if rate is None
        else _("%(expired)d of %(ended)d holds ran out: %(rate)d %%.")
        % {"expired": found.expired, "ended": found.ended, "rate": rate},
        top="100 %",
        first=days[0],
        last=days[-1],
        heads=(_("Day"), _("Ended"), _("Ran out"), _("Share")),
        table=[
            (day, row.ended, row.expired, f"{row.percent} %")
            for day, row in zip(days, found.holds, strict=True)
            if row.ended
        ],
        columns=charts.columns([row.percent for row in found.holds], 100, words),
    )


# --- one SKU ----------------------------------------------------------------------------------


def timeline(admin: Any, request: HttpRequest, variant_id: UUID) -> HttpResponse:
    """Everything that ever changed a SKU, over all warehouses, with what lay there afterwards."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    actor, now = actor_of(request), timezone.now()
    try:
        rows = selectors.sku_movements(actor=actor, variant_id=variant_id)
    except ProductNotFound as missing:
        raise Http404 from missing
    totals = selectors.daily_totals(actor=actor, variant_id=variant_id, now=now, days=TIMELINE_DAYS)
    variant = Variant.objects.select_related("product").get(pk=variant_id)
    page = Paginator(rows, TIMELINE_ROWS).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    name_people(shown, ["actor"])
    orders = selectors.orders_of_movements(movements=shown)
    levels = list(
        StockLevel.objects.filter(variant=variant)
        .select_related("warehouse")
        .order_by("warehouse__priority", "warehouse__code")
    )
    return render(
        request,
        "inventory/admin/timeline.html",
        {
            **admin.admin_site.each_context(request),
            "title": variant.sku,
            "opts": admin.model._meta,
            "variant": variant,
            "options": ", ".join(str(value) for value in variant.options.values()),
            "levels": [(level, admin.state(level)) for level in levels],
            "chart": _total_chart(totals),
            "page": page,
            "rows": [
                {
                    "movement": movement,
                    "kind": status(movement.get_type_display(), KIND_TONES[movement.type]),
                    "change": signed(movement.quantity),
                    "by": movement.people_named[movement.actor],
                    "order": orders.get(movement.order_line_id) if movement.order_line_id else None,
                }
                for movement in shown
            ],
        },
    )


def _total_chart(totals: list[tuple[Any, int]]) -> charts.Chart:
    numbers = [total for _day, total in totals]
    most = max(numbers, default=0)
    line, area = charts.stairs(numbers, most)
    days = [date_format(day, "j M") for day, _total in totals]
    return charts.Chart(
        title=_("On all shelves, last %(days)d days") % {"days": len(totals)},
        summary=_("Between %(least)d and %(most)d units; %(now)d now.")
        % {"least": min(numbers, default=0), "most": most, "now": numbers[-1]},
        top=most,
        first=days[0],
        last=days[-1],
        heads=(_("Day"), _("Units")),
        table=[
            (day, total)
            for index, (day, total) in enumerate(zip(days, numbers, strict=True))
            if index == 0 or total != numbers[index - 1]
        ],
        line=line,
        area=area,
    )
