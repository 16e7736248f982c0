"""Many prices at once, as a page: choose, see every price before and after, apply exactly that."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.sheets import Source
from inventory.models import Category
from pricing import selectors
from pricing.admin.desk import moment_text
from pricing.admin.deskforms import moment_field
from pricing.admin.reports import priced_currencies
from pricing.money import EXPONENTS, format_amount
from pricing.repricing import AMOUNT, LISTED, PERCENT, SET, WHOLE, Repricing
from pricing.services import bulk
from pricing.services.bulk import BulkTerms, PlannedPrice, PricePlan, PriceSelection
from pricing.services.pricelists import PriceList, Problem, read_price_list
from pricing.templatetags.money import money_text

WARNINGS = {
    bulk.BELOW_LOWEST: gettext_lazy("below the lowest price of 30 days"),
    bulk.LARGE: gettext_lazy("moves by more than half"),
    bulk.SCHEDULED: gettext_lazy("a scheduled price stands in its place for now"),
    bulk.FORMER_DROPPED: gettext_lazy("the former price is no longer higher and is dropped"),
}


def _select(label: Any, choices: Any, **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=choices,
        widget=forms.Select(attrs={"class": "office__input"}),
        **options,
    )


def _text(label: Any, **options: Any) -> forms.CharField:
    return forms.CharField(
        label=label, widget=forms.TextInput(attrs={"class": "office__input"}), **options
    )


class BulkForm(forms.Form):
    """Which prices, how, when and why. A file goes before a rule: its prices are taken as they stand."""

    currency = _select(gettext_lazy("Currency"), ())
    category = _select(gettext_lazy("Category"), (), required=False)
    search = _text(gettext_lazy("Words in SKU or name"), required=False, max_length=200)
    skus = forms.CharField(
        label=gettext_lazy("Or these SKUs, one a line"),
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"class": "office__input office__input--area", "rows": 4}),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a price list (CSV: sku, price, compareAt)"),
        required=False,
        widget=forms.FileInput(attrs={"class": "office__input", "accept": ".csv,text/csv"}),
    )
    kind = _select(
        gettext_lazy("Change"),
        [
            (PERCENT, gettext_lazy("by percent")),
            (AMOUNT, gettext_lazy("by an amount")),
            (SET, gettext_lazy("to an amount")),
            (LISTED, gettext_lazy("to the prices of the list")),
        ],
    )
    value = forms.DecimalField(
        label=gettext_lazy("Value, such as −10 or 2.50"),
        required=False,
        max_digits=14,
        decimal_places=3,
        widget=forms.TextInput(attrs={"class": "office__input"}),
    )
    ending = _select(
        gettext_lazy("Rounded to"),
        [
            ("", gettext_lazy("as it comes out")),
            ("99", gettext_lazy("the nearest .99")),
            ("95", gettext_lazy("the nearest .95")),
            (WHOLE, gettext_lazy("whole")),
        ],
        required=False,
    )
    former = _select(
        gettext_lazy("Former price shown"),
        [
            (bulk.KEEP, gettext_lazy("as it is")),
            (bulk.OLD, gettext_lazy("the price until now")),
            (bulk.CLEAR, gettext_lazy("none")),
        ],
    )
    starts_at = moment_field(gettext_lazy("From (UTC), empty: at once"))
    ends_at = moment_field(gettext_lazy("Until (UTC), empty: for good"))
    reason = _text(gettext_lazy("Reason"), max_length=200)

    def __init__(self, *args: Any, company_id: Any, currencies: list[str], **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.fields["currency"].choices = [(code, code) for code in currencies]  # type: ignore[attr-defined]
        categories = Category.objects.filter(company_id=company_id, is_active=True)
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", _("any")),
            *categories.order_by("name").values_list("slug", "name"),
        ]

    def clean(self) -> dict[str, Any]:
        values = dict(super().clean() or {})
        needs_value = values.get("kind") in (PERCENT, AMOUNT, SET) and not values.get("file")
        if needs_value and values.get("value") is None and not self.has_error("value"):
            self.add_error("value", _("By how much?"))
        return values


def bulk_page(admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Ask, show the plan, apply it: all on one address."""
    if not request.user.has_perms(["pricing.view_price", "pricing.change_price"]):
        raise PermissionDenied
    return once(_bulk)(request, admin)


def chosen_page(admin: Any, request: HttpRequest, skus: list[str], currency: str) -> HttpResponse:
    """Show the page for prices that were selected in the list."""
    return _page(request, admin, _form(request, initial={"skus": "\n".join(skus), "currency": currency}))  # fmt: skip


def _form(request: HttpRequest, *given: Any, **options: Any) -> BulkForm:
    actor = actor_of(request)
    home = selectors.home_currency(company_id=actor.company_id)
    sold = set(priced_currencies(actor.company_id))
    currencies = [home, *sorted(sold & EXPONENTS.keys() - {home})]
    return BulkForm(*given, company_id=actor.company_id, currencies=currencies, **options)


def _bulk(request: HttpRequest, admin: Any) -> HttpResponse:
    if request.method != "POST":
        return _page(request, admin, _form(request))
    form = _form(request, request.POST, request.FILES)
    step = request.POST.get("step", "")
    if not form.is_valid() or step == "edit":
        return _page(request, admin, form)
    listed = _listed(request, form)
    if form.errors or (listed is not None and listed.problems):
        return _page(request, admin, form, listed=listed)
    return _plan_or_apply(request, admin, form, listed, step, timezone.now())


def _plan_or_apply(
    request: HttpRequest,
    admin: Any,
    form: BulkForm,
    listed: PriceList | None,
    step: str,
    now: datetime,
) -> HttpResponse:
    actor, given = actor_of(request), form.cleaned_data
    selection, terms = _asked(given, listed)
    refused = ""
    try:
        plan = bulk.plan_prices(actor=actor, selection=selection, terms=terms, now=now)
        if step == "apply":
            if not request.user.has_perms(bulk.rights_needed(plan)):
                raise PermissionDenied
            try:
                plan = bulk.apply_prices(
                    actor=actor,
                    selection=selection,
                    terms=terms,
                    plan_id=request.POST.get("plan", ""),
                    reason=given["reason"],
                    now=now,
                )
            except ApplicationError as refusal:
                refused = _said(refusal)
            else:
                count = len(plan.writes)
                said = ngettext("%(n)d price was changed.", "%(n)d prices were changed.", count)
                messages.success(request, said % {"n": count})
                return HttpResponseRedirect(reverse("admin:pricing_price_changelist"))
    except ApplicationError as refusal:
        form.add_error(None, _said(refusal))
        return _page(request, admin, form, listed=listed)
    return _page(request, admin, form, listed=listed, plan=plan, refused=refused)


def _said(refusal: ApplicationError) -> str:
    said = [str(error.message) for error in refusal.errors] or [refusal.detail]
    return " ".join(dict.fromkeys(said))


def _listed(request: HttpRequest, form: BulkForm) -> PriceList | None:
    """Return the price list that was sent, as a file or as the text that the preview carries along."""
    file, text = form.cleaned_data["file"], request.POST.get("listed", "")
    if file is None and (form.cleaned_data["kind"] != LISTED or not text):
        return None
    name, content = (file.name, file.read()) if file is not None else ("list", text.encode())
    try:
        return read_price_list(Source.of(name, content), currency=form.cleaned_data["currency"])
    except ApplicationError as refusal:
        form.add_error("file", _said(refusal))
        return None


def _asked(given: dict[str, Any], listed: PriceList | None) -> tuple[PriceSelection, BulkTerms]:
    rule = Repricing(given["kind"], given["value"] or Decimal(0), given["ending"])
    terms = BulkTerms(
        currency=given["currency"],
        rule=rule,
        former=given["former"],
        starts_at=given["starts_at"],
        ends_at=given["ends_at"],
    )
    if listed is not None:
        terms = replace(terms, rule=Repricing(LISTED), listed=listed.prices)
    selection = PriceSelection(
        category=given["category"],
        search=given["search"],
        skus=() if listed else given["skus"].split(),
    )
    return selection, terms


# --- what is shown ----------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    admin: Any,
    form: BulkForm,
    *,
    listed: PriceList | None = None,
    plan: PricePlan | None = None,
    refused: str = "",
) -> HttpResponse:
    problems: list[Problem] = list(listed.problems) if listed else []
    return render(
        request,
        "pricing/admin/bulk.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Change many prices"),
            "opts": admin.model._meta,
            "key": form_key(),
            "form": form,
            "problems": problems,
            "refused": refused,
            "listed": "" if listed is None else listed.text(),
            "plan": plan,
            "kept": [field for field in form if field.name not in ("file", "kind")],
            # what came from a file is a list from now on
            "kind": LISTED if listed else form["kind"].value(),
            **({} if plan is None else _plan_shown(plan, form, listed)),
            "back": reverse("admin:pricing_price_changelist"),
        },
    )


def _plan_shown(plan: PricePlan, form: BulkForm, listed: PriceList | None) -> dict[str, Any]:
    totals = plan.totals()

    def money(amount: Decimal | None) -> str:
        return "–" if amount is None else money_text(amount, plan.currency)

    def row(planned: PlannedPrice) -> dict[str, Any]:
        percent = planned.percent
        signed = "" if percent is None else f"{percent:+} %".replace("-", "−")
        return {
            "sku": planned.sku,
            "name": planned.name,
            "variant_id": planned.variant_id,
            "old": money(planned.old),
            "new": format_amount(planned.new, plan.currency) if planned.new < 0 else money(planned.new),
            "was": "" if planned.compare_at is None else money(planned.compare_at),
            "difference": money(planned.difference).replace("-", "−"),
            "percent": signed,
            "same": not planned.changes and not plan.terms.is_scheduled,
            "warnings": [WARNINGS[code] for code in planned.warnings],
            "problem": planned.problem,
        }  # fmt: skip

    when = ""
    if plan.terms.is_scheduled:
        starts, ends = plan.terms.starts_at, plan.terms.ends_at
        words = {
            "start": moment_text(starts) if starts else _("at once"),
            "end": moment_text(ends) if ends else _("it is ended"),
        }
        when = _("Scheduled, from %(start)s until %(end)s (UTC)") % words
    difference = totals["after"] - totals["old"]
    return {
        "rows": [row(planned) for planned in plan.rows],
        "when": when or _("At once, as the base price"),
        "what": _("to the prices of the list") if listed else _rule_text(form),
        "figures": [
            (_("Prices"), totals["prices"]),
            (_("Dearer"), totals["raised"]),
            (_("Cheaper"), totals["lowered"]),
            (_("As they are"), totals["unchanged"]),
            (_("To look at"), totals["warnings"]),
            (_("Refused"), totals["problems"]),
        ],
        "sums": {
            "old": money(totals["old"]),
            "new": money(totals["after"]),
            "difference": money(difference).replace("-", "−"),
        },
        "can_apply": plan.is_sound,
    }


def _rule_text(form: BulkForm) -> str:
    kinds = dict(form.fields["kind"].choices)  # type: ignore[attr-defined]
    endings = dict(form.fields["ending"].choices)  # type: ignore[attr-defined]
    given = form.cleaned_data
    value = f"{given['value'].normalize():f}".replace("-", "−")
    return f"{kinds[given['kind']]}: {value}; {endings[given['ending']]}"
