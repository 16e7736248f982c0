"""Tax rates from a file and into one: look at what would change, then confirm exactly that."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.platform import sheets
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.sheets import Source
from pricing import selectors
from pricing.services.taxfiles import (
    COLUMNS,
    REQUIRED,
    TaxFilePlan,
    apply_tax_file,
    plan_tax_file,
    tax_file_lines,
)


class TaxFileForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File (CSV, up to 1 MB)"),
        widget=forms.FileInput(attrs={"class": "office__input", "accept": ".csv,text/csv"}),
    )


def tax_file(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with all tax rates of the company, in the form that can be brought back."""
    rates = selectors.tax_rates(actor=actor_of(request)).iterator(chunk_size=500)
    response = StreamingHttpResponse(
        tax_file_lines(rates=rates), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = 'attachment; filename="tax-rates.csv"'
    response["Cache-Control"] = "no-store"
    return response


def bring_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Ask for a file, show what it would change or what is wrong with it, write it when that is confirmed."""
    if not (admin.has_add_permission(request) and admin.has_change_permission(request)):
        raise PermissionDenied
    return once(_bring)(request, admin)


def _bring(request: HttpRequest, admin: Any) -> HttpResponse:
    if request.method != "POST":
        return _page(request, admin, TaxFileForm())
    actor, text = actor_of(request), request.POST.get("text", "")
    refused = ""
    if request.POST.get("step") == "apply":
        source = Source.of(request.POST.get("name", "").replace("\x00", "")[:200], text.encode())
        try:
            plan = apply_tax_file(
                actor=actor,
                source=source,
                plan_id=request.POST.get("plan", ""),
                now=timezone.now(),
            )
        except ApplicationError as refusal:
            refused = _said(refusal)
        else:
            said = _("%(new)d tax rates are new, %(changed)d were changed.")
            words = {"new": len(plan.created), "changed": len(plan.changed)}
            messages.success(request, said % words)
            return HttpResponseRedirect(reverse("admin:pricing_taxrate_changelist"))
        form = TaxFileForm()
    else:
        form = TaxFileForm(request.POST, request.FILES)
        if not form.is_valid():
            return _page(request, admin, form)
        file = form.cleaned_data["file"]
        source = Source.of(file.name, file.read())
    try:
        plan = plan_tax_file(actor=actor, source=source)
    except ApplicationError as refusal:
        return _page(request, admin, form, refused=refused or _said(refusal))
    return _page(request, admin, form, source=source, plan=plan, refused=refused)


def _said(refusal: ApplicationError) -> str:
    said = [str(error.message) for error in refusal.errors] or [refusal.detail]
    return " ".join(dict.fromkeys(said))


def _page(
    request: HttpRequest,
    admin: Any,
    form: TaxFileForm,
    *,
    source: Source | None = None,
    plan: TaxFilePlan | None = None,
    refused: str = "",
) -> HttpResponse:
    return render(
        request,
        "pricing/admin/tax_file.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Import tax rates"),
            "opts": admin.model._meta,
            "key": form_key(),
            "form": form,
            "columns": [(column.name, column.name in REQUIRED) for column in COLUMNS],
            "refused": refused,
            "plan": plan,
            "name": source.name if source else "",
            "text": _text(source) if source and plan and plan.is_sound else "",
            "unchanged": len(plan.rows) - len(plan.created) - len(plan.changed) if plan else 0,
            "back": reverse("admin:pricing_taxrate_changelist"),
        },
    )


def _text(source: Source) -> str:
    """Return the content of a file that could be read, for the form that confirms it."""
    sheet = sheets.inspect(source)
    with source.open() as stream:
        return stream.read().decode(sheet.encoding)
