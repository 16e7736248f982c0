"""Rules from a file and into one: look at what would change, then confirm exactly that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.platform import sheets
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.sheets import Source
from pricing import selectors
from pricing.services import shippingfiles, taxfiles
from pricing.services.rulefiles import Column, FilePlan


class RuleFileForm(forms.Form):
    file = forms.FileField(
        label=_("File (CSV, up to 1 MB)"),
        widget=forms.FileInput(attrs={"class": "office__input", "accept": ".csv,text/csv"}),
    )


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One kind of file: its columns, who plans, writes and gives it, where it lives in the admin, and its words."""

    columns: Sequence[Column]
    required: Sequence[str]
    plan: Callable[..., FilePlan]
    apply: Callable[..., FilePlan]
    lines: Callable[[Actor], Iterator[str]]
    name: str
    list_page: str
    permissions: Sequence[str]
    title: str | Promise
    known_by: str | Promise
    written: str | Promise


def _tax_lines(actor: Actor) -> Iterator[str]:
    rates = selectors.tax_rates(actor=actor).iterator(chunk_size=500)
    return taxfiles.tax_file_lines(rates=rates)


def _shipping_lines(actor: Actor) -> Iterator[str]:
    return shippingfiles.shipping_file_lines(
        zones=selectors.shipping_zones(actor=actor), rules=selectors.shipping_rules(actor=actor)
    )


TAX_RATES = RuleFile(
    columns=taxfiles.COLUMNS,
    required=taxfiles.REQUIRED,
    plan=taxfiles.plan_tax_file,
    apply=taxfiles.apply_tax_file,
    lines=_tax_lines,
    name="tax-rates.csv",
    list_page="admin:pricing_taxrate_changelist",
    permissions=("pricing.add_taxrate", "pricing.change_taxrate"),
    title=_("Import tax rates"),
    known_by=_(
        "A rate is known again by type, name, country, state, postal codes, tax class and first day."
    ),
    written=_("%(new)d tax rates are new, %(changed)d were changed."),
)
SHIPPING = RuleFile(
    columns=shippingfiles.COLUMNS,
    required=shippingfiles.REQUIRED,
    plan=shippingfiles.plan_shipping_file,
    apply=shippingfiles.apply_shipping_file,
    lines=_shipping_lines,
    name="shipping.csv",
    list_page="admin:pricing_shippingzone_changelist",
    permissions=(
        "pricing.add_shippingzone",
        "pricing.change_shippingzone",
        "pricing.add_shippingrule",
        "pricing.change_shippingrule",
    ),
    title=_("Import zones and ways to ship"),
    known_by=_(
        "A row is a way to ship with its zone, or a zone alone where it has no code. A zone is known again by its name, a"
        " way by zone, code and currency; a bar stands between several countries, states or postal codes."
    ),
    written=_("%(new)d zones and ways to ship are new, %(changed)d were changed."),
)


def may_bring(kind: RuleFile, request: HttpRequest) -> bool:
    """Return whether whoever asks may enter and change all that such a file holds."""
    return request.user.has_perms(kind.permissions)


def file_of(kind: RuleFile, request: HttpRequest) -> StreamingHttpResponse:
    """Answer with all rules of the company, in the form that can be brought back."""
    response = StreamingHttpResponse(
        kind.lines(actor_of(request)), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{kind.name}"'
    response["Cache-Control"] = "no-store"
    return response


def bring_page(kind: RuleFile, admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Ask for a file, show what it would change or what is wrong with it, write it when that is confirmed."""
    if not may_bring(kind, request):
        raise PermissionDenied
    return once(_bring)(request, kind, admin)


def _bring(request: HttpRequest, kind: RuleFile, admin: Any) -> HttpResponse:
    if request.method != "POST":
        return _page(request, kind, admin, RuleFileForm())
    actor, text = actor_of(request), request.POST.get("text", "")
    refused = ""
    if request.POST.get("step") == "apply":
        source = Source.of(request.POST.get("name", "").replace("\x00", "")[:200], text.encode())
        try:
            plan = kind.apply(
                actor=actor,
                source=source,
                plan_id=request.POST.get("plan", ""),
                now=timezone.now(),
            )
        except ApplicationError as refusal:
            refused = _said(refusal)
        else:
            words = {"new": len(plan.created), "changed": len(plan.changed)}
            messages.success(request, str(kind.written) % words)
            return HttpResponseRedirect(reverse(kind.list_page))
        form = RuleFileForm()
    else:
        form = RuleFileForm(request.POST, request.FILES)
        if not form.is_valid():
            return _page(request, kind, admin, form)
        file = form.cleaned_data["file"]
        source = Source.of(file.name, file.read())
    try:
        plan = kind.plan(actor=actor, source=source)
    except ApplicationError as refusal:
        return _page(request, kind, admin, form, refused=refused or _said(refusal))
    return _page(request, kind, admin, form, source=source, plan=plan, refused=refused)


def _said(refusal: ApplicationError) -> str:
    said = [str(error.message) for error in refusal.errors] or [refusal.detail]
    return " ".join(dict.fromkeys(said))


def _page(
    request: HttpRequest,
    kind: RuleFile,
    admin: Any,
    form: RuleFileForm,
    *,
    source: Source | None = None,
    plan: FilePlan | None = None,
    refused: str = "",
) -> HttpResponse:
    return render(
        request,
        "pricing/admin/rule_file.html",
        {
            **admin.admin_site.each_context(request),
            "title": kind.title,
            "known_by": kind.known_by,
            "opts": admin.model._meta,
            "key": form_key(),
            "form": form,
            "columns": [(column.name, column.name in kind.required) for column in kind.columns],
            "refused": refused,
            "plan": plan,
            "name": source.name if source else "",
            "text": _text(source) if source and plan and plan.is_sound else "",
            "unchanged": len(plan.rows) - len(plan.created) - len(plan.changed) if plan else 0,
            "back": reverse(kind.list_page),
        },
    )


def _text(source: Source) -> str:
    """Return the content of a file that could be read, for the form that confirms it."""
    sheet = sheets.inspect(source)
    with source.open() as stream:
        return stream.read().decode(sheet.encoding)
