"""
Work at the shelves, as pages: fill in, look at the effect, apply.

The preview runs the very service inside a transaction that is rolled back, so what it shows and what it refuses is what
applying will do. A form that is sent twice is applied once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, ValidationFailed
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.ids import as_uuid
from inventory import selectors, services
from inventory.models import Category, StockLevel, StockMovement, Warehouse
from inventory.services import DeliveryLine, ShelfChange, ShelfCount, ShelfUnits

MOST_UNITS = 1_000_000_000
MOST_SHELVES = 100  # of one page: more is no longer read before it is applied
DELIVERY_LINES, MOST_DELIVERY_LINES = 8, 100
OPERATE = "inventory.operate_stock"


def may_operate(request: HttpRequest) -> bool:
    return request.user.has_perm(OPERATE)


# --- what may be done -------------------------------------------------------------------------


class PaperForm(forms.Form):
    """By which paper, and why."""

    reference = forms.CharField(
        label=gettext_lazy("Paper"),
        help_text=gettext_lazy("The number of an order, a delivery or a report."),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    notes = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(
        self,
        *args: Any,
        company_id: UUID,
        needs_reason: bool = False,
        leaving: Collection[UUID] = (),
        **rest: Any,
    ):
        super().__init__(*args, **rest)
        self.fields["notes"].required = needs_reason
        self.order_fields([*(name for name in self.fields if name not in _PAPER), *_PAPER])
        place = self.fields.get("warehouse")
        if isinstance(place, forms.ChoiceField):
            warehouses = Warehouse.objects.filter(company_id=company_id).order_by(
                "-is_default", "priority", "code"
            )
            place.choices = [
                (warehouse.code, f"{warehouse.code} · {warehouse.name}") for warehouse in warehouses
            ]
            # What leaves a warehouse goes to another one, unless there is none.
            elsewhere = [warehouse.code for warehouse in warehouses if warehouse.pk not in leaving]
            place.initial = elsewhere[0] if elsewhere else None


_PAPER = ("reference", "notes")


class AdjustForm(PaperForm):
    type = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[
            (kind.value, kind.label)
            for kind in (
                StockMovement.Type.ADJUSTMENT,
                StockMovement.Type.PURCHASE,
                StockMovement.Type.RETURN,
                StockMovement.Type.DAMAGE,
            )
        ],
        widget=UnfoldAdminSelectWidget,
    )


class TransferForm(PaperForm):
    warehouse = forms.ChoiceField(
        label=gettext_lazy("To the warehouse"), widget=UnfoldAdminSelectWidget
    )


class DamageForm(PaperForm):
    release_holds = forms.BooleanField(
        label=gettext_lazy("Give up what carts hold"),
        help_text=gettext_lazy(
            "As far as it is needed, the newest hold first. What belongs to an order is never given up."
        ),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )


class DeliveryForm(PaperForm):
    warehouse = forms.ChoiceField(
        label=gettext_lazy("Into the warehouse"), widget=UnfoldAdminSelectWidget
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody typed for a shelf, and the total that stood beside it."""

    level: StockLevel
    quantity: int
    seen: int | None


@dataclass(frozen=True, slots=True)
class Verb:
    """One kind of work: its words, its form, and the service that does it."""

    name: str
    title: Any
    column: Any
    button: Any
    done: Any
    form: type[PaperForm]
    run: Callable[[Actor, Sequence[Entry], dict[str, Any], datetime], list[ShelfChange]]
    lowest: int = 1
    needs_reason: bool = False


def _units(entries: Sequence[Entry]) -> list[ShelfUnits]:
    return [ShelfUnits(entry.level.pk, entry.quantity) for entry in entries]


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "adjust",
            gettext_lazy("Adjust stock"),
            gettext_lazy("Change, signed"),
            gettext_lazy("Adjust"),
            ngettext_lazy(
                "%(count)d shelf was adjusted.", "%(count)d shelves were adjusted.", "count"
            ),
            AdjustForm,
            lambda actor, entries, given, now: services.adjust_shelves(
                actor=actor, lines=_units(entries), now=now, **given
            ),
            lowest=-MOST_UNITS,
            needs_reason=True,
        ),
        Verb(
            "receive",
            gettext_lazy("Receive goods"),
            gettext_lazy("Units that came"),
            gettext_lazy("Receive"),
            ngettext_lazy("%(count)d shelf was filled.", "%(count)d shelves were filled.", "count"),
            PaperForm,
            lambda actor, entries, given, now: services.adjust_shelves(
                actor=actor,
                lines=_units(entries),
                type=StockMovement.Type.PURCHASE,
                now=now,
                **given,
            ),
        ),
        Verb(
            "transfer",
            gettext_lazy("Move to another warehouse"),
            gettext_lazy("Units to move"),
            gettext_lazy("Move"),
            ngettext_lazy("%(count)d shelf changed.", "%(count)d shelves changed.", "count"),
            TransferForm,
            lambda actor, entries, given, now: services.transfer(
                actor=actor, lines=_units(entries), now=now, **given
            ),
        ),
        Verb(
            "count",
            gettext_lazy("Count"),
            gettext_lazy("Counted"),
            gettext_lazy("Apply the count"),
            ngettext_lazy(
                "%(count)d shelf was counted.", "%(count)d shelves were counted.", "count"
            ),
            PaperForm,
            lambda actor, entries, given, now: services.count_shelves(
                actor=actor,
                counts=[
                    ShelfCount(entry.level.pk, entry.quantity, entry.seen) for entry in entries
                ],
                now=now,
                **given,
            ),
            lowest=0,
        ),
        Verb(
            "damage",
            gettext_lazy("Write off what is broken or lost"),
            gettext_lazy("Units lost"),
            gettext_lazy("Write off"),
            ngettext_lazy(
                "Units of %(count)d shelf were written off.",
                "Units of %(count)d shelves were written off.",
                "count",
            ),
            DamageForm,
            lambda actor, entries, given, now: services.write_off(
                actor=actor, lines=_units(entries), now=now, **given
            ),
            needs_reason=True,
        ),
    )
}


def rehearse(run: Callable[[], list[ShelfChange]]) -> list[ShelfChange]:
    """Return what a service would do, with its refusals; nothing stays."""
    with transaction.atomic():
        changes = run()
        transaction.set_rollback(True)
    return changes


# --- shelves that were chosen -----------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """A shelf on the page: what was typed, what speaks against it, what it would become."""

    level: StockLevel
    text: str = ""
    error: str = ""
    change: ShelfChange | None = None
    seen: int = 0


def work(admin: Any, request: HttpRequest, verb: str) -> HttpResponseBase:
    """The page of one kind of work on some shelves: chosen in the list, or those of a warehouse and category."""
    if not may_operate(request) or not admin.has_view_permission(request):
        raise PermissionDenied
    return once(_work)(request, admin, VERBS[verb])


def _work(request: HttpRequest, admin: Any, verb: Verb) -> HttpResponse:
    actor = actor_of(request)
    sheet = _Sheet(request, admin) if verb.name == "count" else None
    levels = _chosen(request, admin)
    if not levels and sheet and request.method != "POST":
        levels = sheet.levels()
    rows = [Row(level, request.POST.get(f"quantity-{level.pk}", "").strip()) for level in levels]
    for row in rows:
        seen = _number(request.POST.get(f"seen-{row.level.pk}", ""))
        row.seen = row.level.total if seen is None else seen
    form = verb.form(
        request.POST or None,
        company_id=actor.company_id,
        needs_reason=verb.needs_reason,
        leaving={level.warehouse_id for level in levels},
    )
    back = reverse("admin:inventory_stocklevel_changelist")
    step, refused, others = request.POST.get("step", ""), "", []
    if request.method == "POST" and step != "edit":
        entries, refused = _read(rows, verb)
        if form.is_valid() and not refused:
            now = timezone.now()
            run = lambda: verb.run(actor, entries, dict(form.cleaned_data), now)
            try:
                changes = run() if step == "apply" else rehearse(run)
            except ApplicationError as refusal:
                refused = _place(refusal, [row for row in rows if row.text], form)
            else:
                if step == "apply":
                    messages.success(request, verb.done % {"count": len(changes)})
                    only = len(rows) == 1 and not sheet
                    here = "admin:inventory_stocklevel_change"
                    return HttpResponseRedirect(
                        reverse(here, args=[levels[0].pk]) if only else back
                    )
                by_level = {change.stock_level_id: change for change in changes}
                for row in rows:
                    row.change = by_level.pop(row.level.pk, None)
                others = list(by_level.values())
    shown = any(row.change for row in rows)
    return render(
        request,
        "inventory/admin/work.html",
        {
            **admin.admin_site.each_context(request),
            "title": verb.title,
            "opts": admin.model._meta,
            "verb": verb,
            "rows": [row for row in rows if row.change] if shown else rows,
            "others": others,
            "form": form,
            "sheet": sheet,
            "preview": shown,
            "refused": refused,
            "key": form_key(),
            "back": back,
        },
    )


def _chosen(request: HttpRequest, admin: Any) -> list[StockLevel]:
    given = request.POST if request.method == "POST" else request.GET
    ids = [found for text in given.getlist("shelf")[:MOST_SHELVES] if (found := as_uuid(text))]
    return _listed(admin, request).filter(pk__in=ids) if ids else []


def _listed(admin: Any, request: HttpRequest) -> Any:
    return (
        admin.get_queryset(request)
        .select_related("variant__product", "warehouse")
        .order_by("variant__sku", "warehouse__priority", "pk")
    )


def _read(rows: Sequence[Row], verb: Verb) -> tuple[list[Entry], str]:
    """Return what was typed, and what is wrong with it in a sentence; errors stand beside their rows."""
    entries = []
    for row in rows:
        if not row.text:
            continue
        number = _number(row.text)
        if number is None or not verb.lowest <= number <= MOST_UNITS:
            row.error = _("Enter a whole number.")
        else:
            entries.append(Entry(row.level, number, row.seen))
    if any(row.error for row in rows):
        return [], _("Correct what is marked.")
    return entries, "" if entries else _("Enter a number for at least one shelf.")


def _place(refusal: ApplicationError, rows: Sequence[Any], form: PaperForm) -> str:
    """Put each part of a refusal beside the field it is about; return the sentence that stands above."""
    for problem in refusal.errors:
        head, *path = problem.field.split(".")
        if head == "quantity":
            rows[0].error = problem.message
        elif head == "lines" and path and path[0].isdigit() and int(path[0]) < len(rows):
            rows[int(path[0])].error = problem.message
        elif head in form.fields:
            form.add_error(head, problem.message)
    if isinstance(refusal, ValidationFailed):
        return _("Correct what is marked.")
    return " ".join(part for part in (refusal.detail, refusal.advice) if part)


def _number(text: str) -> int | None:
    text = text.strip().replace("−", "-")
    digits = text.removeprefix("-").removeprefix("+")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None


class _Sheet:
    """Which shelves a counting sheet shows: those of a warehouse, of a category, a hundred at a time."""

    def __init__(self, request: HttpRequest, admin: Any) -> None:
        company_id = actor_of(request).company_id
        self._request, self._admin = request, admin
        self.warehouses = list(
            Warehouse.objects.filter(company_id=company_id).order_by("priority", "code")
        )
        self.categories = list(
            Category.objects.filter(company_id=company_id).order_by("position", "name")
        )
        self.warehouse = request.GET.get("warehouse", "")
        self.category = request.GET.get("category", "")
        self.after = request.GET.get("after", "")
        self.next = ""

    def levels(self) -> list[StockLevel]:
        """Return the shelves of this sheet, by SKU; none before a warehouse was named."""
        warehouse = as_uuid(self.warehouse)
        if warehouse is None:
            return []
        found = _listed(self._admin, self._request).filter(
            warehouse_id=warehouse, variant__is_active=True
        )
        if category := as_uuid(self.category):
            branch = selectors.category_branch(
                company_id=actor_of(self._request).company_id, category_id=category
            )
            found = found.filter(variant__product__category__in=branch)
        if self.after and "\x00" not in self.after:
            found = found.filter(variant__sku__gt=self.after)
        levels = list(found[: MOST_SHELVES + 1])
        if len(levels) > MOST_SHELVES:
            levels = levels[:MOST_SHELVES]
            query = self._request.GET.copy()
            query["after"] = levels[-1].variant.sku
            self.next = f"?{query.urlencode()}"
        return levels


# --- a delivery -------------------------------------------------------------------------------


@dataclass(slots=True)
class DeliveryRow:
    index: int
    sku: str = ""
    text: str = ""
    sku_error: str = ""
    error: str = ""
    change: ShelfChange | None = None


def deliver(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """The page where a delivery is taken in: SKUs and units, typed, scanned or pasted."""
    if not may_operate(request) or not admin.has_view_permission(request):
        raise PermissionDenied
    return once(_deliver)(request, admin)


def _deliver(request: HttpRequest, admin: Any) -> HttpResponse:
    actor = actor_of(request)
    form = DeliveryForm(request.POST or None, company_id=actor.company_id)
    step = request.POST.get("step", "")
    rows = _delivered(request) if request.method == "POST" else _wanted(request, admin)
    refused = ""
    if request.method == "POST" and step in {"preview", "apply"}:
        typed = [row for row in rows if row.sku or row.text]
        lines = []
        for row in typed:
            number = _number(row.text)
            if number is None:
                row.error = refused = _("Enter a whole number.")
            lines.append(DeliveryLine(row.sku, number or 0))
        if not typed:
            refused = _("Enter at least one SKU and how many came.")
        if form.is_valid() and not refused:
            now = timezone.now()
            run = lambda: services.receive_delivery(
                actor=actor, lines=lines, now=now, **form.cleaned_data
            )
            try:
                changes = run() if step == "apply" else rehearse(run)
            except ApplicationError as refusal:
                refused = _place(refusal, typed, form)
                for problem in refusal.errors:
                    if problem.field.endswith(".sku"):
                        row = typed[int(problem.field.split(".")[1])]
                        row.sku_error, row.error = problem.message, ""
            else:
                if step == "apply":
                    messages.success(request, VERBS["receive"].done % {"count": len(changes)})
                    return HttpResponseRedirect(reverse("admin:inventory_stocklevel_changelist"))
                by_sku = {change.sku: change for change in changes}
                for row in typed:
                    row.change = by_sku.get(row.sku)
                rows = typed
    shown = any(row.change for row in rows)
    if not shown:
        wanted = DELIVERY_LINES + (DELIVERY_LINES if step == "more" else 0)
        blank = range(
            len(rows), min(max(len(rows) + (step == "more") * 8, wanted), MOST_DELIVERY_LINES)
        )
        rows = [*rows, *(DeliveryRow(index) for index in blank)]
    return render(
        request,
        "inventory/admin/delivery.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Receive a delivery"),
            "opts": admin.model._meta,
            "rows": rows,
            "form": form,
            "preview": shown,
            "refused": refused,
            "key": form_key(),
            "back": reverse("admin:inventory_stocklevel_changelist"),
        },
    )


def _delivered(request: HttpRequest) -> list[DeliveryRow]:
    """Return the lines that were typed, and those that were pasted as `SKU quantity`."""
    post = request.POST
    rows = [
        DeliveryRow(index, sku.strip()[:255], quantity.strip())
        for index, (sku, quantity) in enumerate(
            zip(post.getlist("sku"), post.getlist("quantity"), strict=False)
        )
        if sku.strip() or quantity.strip()
    ]
    for line in post.get("pasted", "").splitlines():
        sku, _gap, quantity = line.strip().replace("\t", " ").replace(";", " ").rpartition(" ")
        if line.strip():
            rows.append(DeliveryRow(0, (sku.strip() or quantity)[:255], quantity if sku else ""))
    for index, row in enumerate(rows[:MOST_DELIVERY_LINES]):
        row.index = index
    return rows[:MOST_DELIVERY_LINES]


def _wanted(request: HttpRequest, admin: Any) -> list[DeliveryRow]:
    """Return the lines to begin with: of the shelves in the address, what should be ordered of each."""
    return [
        DeliveryRow(index, level.variant.sku, str(selectors.suggested_order(level)))
        for index, level in enumerate(_chosen(request, admin))
    ]
