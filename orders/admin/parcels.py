"""Many orders on their way, as a page: a selection or a list with tracking numbers, looked at before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.sheets import Source
from orders import services
from orders.models import Order
from orders.selectors.picking import picking_tasks
from orders.services import MOST_PARCELS, Parcel, ParcelLine

_FIELDS = ("line", "number", "carrier", "tracking_number", "tracking_url", "seen")


def parcels_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Ask, show what would leave, send exactly that: all on one address."""
    if not (admin.has_view_permission(request) and admin.has_step_permission(request)):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request, admin)
    run = once(_send) if request.POST.get("step") == "send" else _look
    return run(request, admin)


def chosen_page(admin: Any, request: HttpRequest, chosen: QuerySet[Order]) -> HttpResponse:
    """Show the page for orders that were selected in the list, the oldest first."""
    numbers = list(
        chosen.order_by("placed_at", "number").values_list("number", flat=True)[: MOST_PARCELS + 1]
    )
    if len(numbers) > MOST_PARCELS:
        said = _("More than %(most)d orders. Send them in parts.") % {"most": MOST_PARCELS}
        messages.error(request, said)
        return HttpResponseRedirect(request.get_full_path())
    lines = [ParcelLine(line=line, number=number) for line, number in enumerate(numbers, 1)]
    return _page(request, admin, parcels=_plan(request, lines))


def _look(request: HttpRequest, admin: Any) -> HttpResponse:
    """Show what would leave; `step=change` shows the same lines to be typed over."""
    try:
        lines = [line for line, _seen in _rows(request)] or _listed(request)
    except ApplicationError as refusal:
        said = " ".join(str(error.message) for error in refusal.errors) or refusal.detail
        return _page(request, admin, problem=said)
    if not lines:
        return _page(request, admin, problem=_("Nothing is in the list."))
    carrier = request.POST.get("common", "").strip()
    if carrier:
        lines = [replace(line, carrier=line.carrier or carrier) for line in lines]
    is_change = request.POST.get("step") == "change"
    return _page(request, admin, parcels=_plan(request, lines), is_shown=not is_change)


def _send(request: HttpRequest, admin: Any) -> HttpResponse:
    """Send what was shown, as long as it still is so; what was refused comes back with its reason."""
    rows = _rows(request)
    planned = _plan(request, [line for line, _seen in rows])
    parcels = [
        replace(parcel, seen=seen, problems=parcel.problems or _unseen(seen))
        for parcel, (_line, seen) in zip(planned, rows, strict=True)
    ]
    done = services.ship_parcels(actor=actor_of(request), parcels=parcels, now=timezone.now())
    left = [replace(row.parcel, problems=[row.refused]) for row in done if row.refused]
    count = len(done) - len(left)
    if count:
        said = ngettext(
            "%(count)d order is on its way.", "%(count)d orders are on their way.", count
        )
        messages.success(request, said % {"count": count})
    if done and not left:
        return HttpResponseRedirect(reverse("admin:orders_order_changelist"))
    return _page(request, admin, parcels=left, is_result=True)


def _unseen(seen: str) -> list[str]:
    """Return what holds a parcel back that was not ready when somebody looked, although it is by now."""
    return [] if seen else [_("It could not leave when you looked. Look again before you send it.")]


def _rows(request: HttpRequest) -> list[tuple[ParcelLine, str]]:
    """Return the rows of the table that were sent, each with the state of its order that was shown; blank ones go."""
    found = []
    columns = [request.POST.getlist(field)[:MOST_PARCELS] for field in _FIELDS]
    for place, cells in enumerate(zip_longest(*columns, fillvalue=""), 1):
        line, number, carrier, tracking_number, tracking_url, seen = (
            cell.strip() for cell in cells
        )
        if not (number or carrier or tracking_number or tracking_url):
            continue
        row = ParcelLine(
            line=int(line) if line.isascii() and line.isdigit() and len(line) < 7 else place,
            number=number,
            carrier=carrier,
            tracking_number=tracking_number,
            tracking_url=tracking_url,
        )
        found.append((row, seen))
    return found


def _listed(request: HttpRequest) -> list[ParcelLine]:
    file, text = request.FILES.get("file"), request.POST.get("list", "")
    if file is not None:
        return services.read_parcels(Source.of(file.name or _("The file"), file.read()))
    if not text.strip():
        return []
    return services.read_parcels(Source.of(_("The list"), text.encode(errors="replace")))


def _plan(request: HttpRequest, lines: Sequence[ParcelLine]) -> list[Parcel]:
    return services.plan_parcels(actor=actor_of(request), lines=lines)


def _page(
    request: HttpRequest,
    admin: Any,
    *,
    parcels: Sequence[Parcel] = (),
    is_shown: bool = False,
    is_result: bool = False,
    problem: str = "",
) -> HttpResponse:
    """Show the page: empty, with rows to type over, or (`is_shown`) with what would leave."""
    owed: dict[Any, int] = {}
    lines_of: set[Any] = set()
    ids = [parcel.order_id for parcel in parcels if parcel.order_id]
    for task in picking_tasks(actor=actor_of(request), order_ids=ids) if ids else ():
        if (
            task.line_id not in lines_of
        ):  # a line that lies in two warehouses says twice what it waits for
            lines_of.add(task.line_id)
            owed[task.order_id] = owed.get(task.order_id, 0) + task.waiting
    ready = [parcel for parcel in parcels if not parcel.problems]
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Ship many orders"),
        "opts": admin.model._meta,
        "key": form_key(),
        "problem": problem,
        "text": request.POST.get("list", "") if problem else "",
        "rows": [{"parcel": parcel, "owed": owed.get(parcel.order_id, 0)} for parcel in parcels],
        "ready": len(ready),
        "units": sum(parcel.units for parcel in ready),
        "refused": len(parcels) - len(ready),
        "is_shown": is_shown,
        "is_result": is_result,
        "most": MOST_PARCELS,
        "here": reverse("admin:orders_order_parcels"),
        "back": reverse("admin:orders_order_changelist"),
    }
    return render(request, "orders/admin/parcels.html", context)
