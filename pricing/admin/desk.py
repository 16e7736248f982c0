"""The price desk: all prices of one variant on one page, to be read, tried and changed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import dropwhile
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.platform import charts
from config.platform.backoffice import people
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from inventory.errors import ProductNotFound
from inventory.models import Variant
from pricing import selectors, services
from pricing.admin.deskforms import SPECIAL_FORMS, BaseForm, ReasonForm, TryForm
from pricing.models import PriceChange, SpecialPrice
from pricing.money import EXPONENTS, format_amount
from pricing.selectors.desk import PriceDesk, find_sold_variant, price_desk
from pricing.services.edits import edit_prices
from pricing.templatetags.money import money_text
from pricing.trial import try_price


def find_page(admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask for a SKU and lead to its desk."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    sku = request.GET.get("sku", "").strip()[:255]
    known = Variant.objects.filter(company_id=actor_of(request).company_id)
    found = known.filter(sku__iexact=sku).order_by("sku").first() if sku else None
    if found is not None:
        return HttpResponseRedirect(reverse("admin:pricing_price_desk", args=[found.pk]))
    near = known.filter(sku__icontains=sku).select_related("product").order_by("sku")[:20]
    return TemplateResponse(
        request,
        "pricing/admin/desk_find.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Price desk"),
            "opts": admin.model._meta,
            "sku": sku,
            "near": list(near),
        },
    )


def desk_page(admin: Any, request: HttpRequest, variant_id: UUID) -> HttpResponseBase:
    """Show the prices of a variant, and change them: each form of the page is one service call."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    return once(_desk)(request, admin, variant_id)


def _desk(request: HttpRequest, admin: Any, variant_id: UUID) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    asked = request.GET.get("currency", "")
    currency = asked if asked in EXPONENTS else ""
    try:
        variant = find_sold_variant(actor=actor, variant_id=variant_id)
    except ProductNotFound as missing:
        raise Http404 from missing
    currency = currency or selectors.home_currency(company_id=actor.company_id)
    forms_of: dict[str, Any] = {}
    if request.method == "POST":
        step = _STEPS.get(request.POST.get("do", ""))
        if step is None:
            raise Http404
        if (done := step(request, variant, currency, now, forms_of)) is not None:
            messages.success(request, done)
            return HttpResponseRedirect(f"{request.path}?{urlencode({'currency': currency})}")
    desk = price_desk(actor=actor, variant_id=variant_id, currency=currency, now=now)
    return render(
        request,
        "pricing/admin/desk.html",
        {
            **admin.admin_site.each_context(request),
            "title": variant.sku,
            "opts": admin.model._meta,
            "key": form_key(),
            "options": ", ".join(str(value) for value in variant.options.values()),
            **_shown(request, desk, forms_of, now),
        },
    )


def _need(request: HttpRequest, right: str) -> None:
    if not request.user.has_perm(f"pricing.{right}"):
        raise PermissionDenied


def _change_base(
    request: HttpRequest, variant: Variant, currency: str, now: datetime, forms_of: dict[str, Any]
) -> str | None:
    _need(request, "change_price")
    rows = {
        code: BaseForm(request.POST, prefix=f"base-{code}", currency=code, name=code)
        for code in request.POST.getlist("currency")[:20]
        if code in EXPONENTS
    }
    reason = ReasonForm(request.POST, prefix="base")
    forms_of.update(base=rows, base_reason=reason)
    fresh = request.POST.get("new-currency", "").strip().upper()
    forms_of["new_currency"] = fresh
    if fresh and fresh not in EXPONENTS:
        forms_of["new_error"] = _("We do not sell in this currency.")
    elif fresh and fresh not in rows:
        _need(request, "add_price")
        rows[fresh] = BaseForm(request.POST, prefix="new", currency=fresh, name=fresh)
    are_valid = [form.is_valid() for form in [*rows.values(), reason]]
    if not all(are_valid) or forms_of.get("new_error"):
        return None
    edits = [edit for form in rows.values() if (edit := form.edit()) is not None]
    try:
        count = edit_prices(
            actor=actor_of(request),
            variant_id=variant.id,
            edits=edits,
            reason=reason.cleaned_data["reason"],
            now=now,
        )
    except ApplicationError as refused:
        for error in refused.errors:
            form = rows.get(error.field, reason)
            form.add_error("amount" if error.field in rows else None, str(error.message))
        if not refused.errors:
            reason.add_error(None, refused.detail)
        return None
    if not count:
        return _("Nothing differed, so nothing was changed.")
    return ngettext("%(n)d price was changed.", "%(n)d prices were changed.", count) % {"n": count}


def _add_special(
    request: HttpRequest, variant: Variant, currency: str, now: datetime, forms_of: dict[str, Any]
) -> str | None:
    _need(request, "add_specialprice")
    name = request.POST["do"]
    form = _special_form(name, request, currency, request.POST)
    forms_of[name] = form
    if not form.is_valid():
        return None
    given = dict(form.cleaned_data)
    group = given.pop("group", None)
    try:
        services.set_special_price(
            actor=actor_of(request),
            terms=services.SpecialTerms(
                variant_id=variant.id,
                currency=currency,
                group_id=group.id if group else None,
                **given,
            ),
            now=now,
        )
    except ApplicationError as refused:
        known = {"startsAt": "starts_at", "endsAt": "ends_at", "fromQuantity": "from_quantity"}
        for error in refused.errors:
            field = known.get(error.field, error.field)
            form.add_error(field if field in form.fields else None, str(error.message))
        if not refused.errors:
            form.add_error(None, refused.detail)
        return None
    return _("The price is set.")


def _end_special(
    request: HttpRequest, variant: Variant, currency: str, now: datetime, forms_of: dict[str, Any]
) -> str | None:
    _need(request, "change_specialprice")
    reason = request.POST.get("reason", "").replace("\x00", "").strip()
    forms_of["end"] = {"id": request.POST.get("special", ""), "reason": reason}
    if not reason:
        forms_of["end"]["error"] = _("Say why.")
        return None
    try:
        found = SpecialPrice.objects.filter(variant=variant.id).get(
            id=UUID(request.POST.get("special", ""))
        )
    except (ValueError, SpecialPrice.DoesNotExist):
        raise Http404 from None
    try:
        left = services.end_special_price(
            actor=actor_of(request), special_id=found.id, reason=reason[:200], now=now
        )
    except ApplicationError as refused:
        said = [str(error.message) for error in refused.errors] or [refused.detail]
        forms_of["end"]["error"] = " ".join(said)
        return None
    return _("The price is taken back.") if left is None else _("The price has ended.")


_Step = Callable[[HttpRequest, Variant, str, datetime, dict[str, Any]], str | None]
_STEPS: dict[str, _Step] = {
    "base": _change_base,
    "end": _end_special,
    **dict.fromkeys(SPECIAL_FORMS, _add_special),
}


def _special_form(name: str, request: HttpRequest, currency: str, given: Any = None) -> Any:
    more = {"company_id": actor_of(request).company_id} if name == "group" else {}
    return SPECIAL_FORMS[name](given, prefix=name, currency=currency, **more)


def _shown(
    request: HttpRequest, desk: PriceDesk, forms_of: dict[str, Any], now: datetime
) -> dict[str, Any]:
    may = {
        name: request.user.has_perm(f"pricing.{right}")
        for name, right in {
            "change": "change_price",
            "add": "add_price",
            "see_specials": "view_specialprice",
            "add_special": "add_specialprice",
            "end": "change_specialprice",
            "see_history": "view_pricechange",
        }.items()
    }
    end = forms_of.get("end", {})

    def money(amount: Decimal | None) -> str:
        return "" if amount is None else money_text(amount, desk.currency)

    def special(row: SpecialPrice) -> dict[str, Any]:
        is_asked = str(row.id) == end.get("id")
        return {
            "id": row.id,
            "group": row.group.name if row.group else _("everybody"),
            "from_quantity": row.from_quantity,
            "amount": money(row.amount),
            "compare_at": money(row.compare_at),
            "starts_at": moment_text(row.starts_at),
            "ends_at": moment_text(row.ends_at) if row.ends_at else _("open"),
            "has_begun": row.starts_at <= now,
            "reason": row.reason,
            "error": end.get("error", "") if is_asked else "",
        }

    return {
        "desk": desk,
        "may": may,
        "tabs": [
            (code, "?" + urlencode({"currency": code}), code == desk.currency)
            for code in desk.currencies
        ],
        "base_rows": _base_rows(desk, forms_of, may),
        "new_row": forms_of.get("base", {}).get(forms_of.get("new_currency") or "")
        or BaseForm(prefix="new", currency=desk.currency, name=_("another currency")),
        "new_currency": forms_of.get("new_currency", ""),
        "new_error": forms_of.get("new_error", ""),
        "base_reason": forms_of.get("base_reason") or ReasonForm(prefix="base"),
        "spans": [
            {
                "amount": money(span.amount),
                "starts_at": _("now") if span.starts_at == now else moment_text(span.starts_at),
                "ends_at": moment_text(span.ends_at) if span.ends_at else "",
                "special": special(span.special) if span.special else None,
            }
            for span in desk.spans
        ],
        # what is over has no form of its own any more beside which this could stand
        "refused": end.get("error", ""),
        "over": [special(row) for row in desk.over],
        "breaks": [special(row) for row in desk.steps if row.group_id is None],
        "group_prices": [special(row) for row in desk.steps if row.group_id is not None],
        "forms": {
            name: forms_of.get(name) or _special_form(name, request, desk.currency)
            for name in SPECIAL_FORMS
        },
        "chart": _chart(desk) if may["see_history"] else None,
        "lowest": money(desk.lowest),
        "lowest_before": money(desk.lowest_before),
        "changes": _change_rows(desk) if may["see_history"] else [],
        **_tried(request, desk, now),
    }


def moment_text(moment: datetime) -> str:
    """Return a moment as the price desk writes it."""
    return date_format(moment, "j M Y, H:i")


def _base_rows(
    desk: PriceDesk, forms_of: dict[str, Any], may: dict[str, bool]
) -> list[dict[str, Any]]:
    typed = forms_of.get("base", {})
    rows = []
    for price in desk.prices:
        seen = {
            name: None if value is None else format_amount(value, price.currency)
            for name, value in (("amount", price.amount), ("compare_at", price.compare_at))
        }
        start = {**seen, **{f"seen_{name}": value for name, value in seen.items()}}
        form = typed.get(price.currency) or BaseForm(
            prefix=f"base-{price.currency}",
            currency=price.currency,
            name=price.currency,
            initial=start,
        )
        rows.append(
            {
                "currency": price.currency,
                "now": money_text(price.amount, price.currency),
                "was": ""
                if price.compare_at is None
                else money_text(price.compare_at, price.currency),
                "updated_at": price.updated_at,
                "form": form if may["change"] else None,
            }
        )
    return rows


def _change_rows(desk: PriceDesk) -> list[dict[str, Any]]:
    names = people(change.actor for change in desk.changes)
    groups = {group.id: group.name for group in desk.groups}

    def what(change: PriceChange) -> str:
        if change.special_id is None:
            return _("base price")
        kind = _("scheduled price")
        if change.group_id is not None:
            kind = groups.get(change.group_id, _("a group"))
        if change.from_quantity > 1:
            kind = f"{kind}, " + _("from %(n)d") % {"n": change.from_quantity}
        return kind if change.new_amount is not None else f"{kind}, " + _("ended")

    return [
        {
            "at": change.changed_at,
            "what": what(change),
            "old": ""
            if change.old_amount is None
            else money_text(change.old_amount, change.currency),
            "new": ""
            if change.new_amount is None
            else money_text(change.new_amount, change.currency),
            "by": names[change.actor],
            "reason": change.reason,
        }
        for change in desk.changes
    ]


def _chart(desk: PriceDesk) -> charts.Chart | None:
    told = list(dropwhile(lambda day: day[1] is None, desk.days))
    known = [amount for _day, amount in told if amount is not None]
    if not known:
        return None
    numbers = [float(amount or 0) for _day, amount in told]
    line, area = charts.stairs(numbers, max(numbers))
    days = [date_format(day, "j M") for day, _amount in told]

    def money(amount: Decimal | None) -> str:
        return "–" if amount is None else money_text(amount, desk.currency)

    return charts.Chart(
        title=_("What everybody paid, last %(days)d days") % {"days": len(days)},
        summary=_("Between %(least)s and %(most)s; %(now)s now.")
        % {"least": money(min(known)), "most": money(max(known)), "now": money(known[-1])},
        top=money(max(known)),
        first=days[0],
        last=days[-1],
        heads=(_("Day"), _("Price")),
        table=[
            (day, money(amount))
            for index, (day, (_at, amount)) in enumerate(zip(days, told, strict=True))
            if index == 0 or amount != told[index - 1][1]
        ],
        line=line,
        area=area,
    )


def _tried(request: HttpRequest, desk: PriceDesk, now: datetime) -> dict[str, Any]:
    """Return the question "what would they pay" as it was asked, and the engine's answer."""
    actor = actor_of(request)
    asked = request.GET if "quantity" in request.GET else None
    form = TryForm(asked, company_id=actor.company_id, now=now)
    if asked is None or not form.is_valid():
        return {"try_form": form, "tried": None}
    given = form.cleaned_data
    group = given["group"]
    found = try_price(
        actor=actor,
        variant=desk.variant,
        currency=desk.currency,
        quantity=given["quantity"],
        group_id=group.id if group else None,
        at=given["at"],
    )
    if found is None:
        return {"try_form": form, "tried": {"missing": True}}
    quote, unit = found.quote, found.ladder.at(given["quantity"])
    goods = quote.totals.subtotal - quote.totals.discount_total + quote.totals.shipping_discount
    return {
        "try_form": form,
        "tried": {
            "quantity": given["quantity"],
            "who": group.name if group else _("anybody"),
            "at": moment_text(given["at"]),
            "unit": money_text(unit, desk.currency),
            "total": money_text(goods, desk.currency),
            "public": money_text(found.ladder.public, desk.currency),
            "steps": [
                (step.label, money_text(step.amount, desk.currency), money_text(step.running_total, desk.currency))
                for step in quote.steps
            ],
            "open": [
                (
                    _("for the group") if step.for_group else _("for everybody"),
                    step.from_quantity,
                    money_text(step.amount, desk.currency),
                    step.from_quantity <= given["quantity"],
                )
                for step in found.ladder.steps
            ],
        },
    }  # fmt: skip
