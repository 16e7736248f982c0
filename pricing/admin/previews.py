"""The page "which promotions would this cart get, and why not the others"."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as say
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from inventory.selectors import VariantRef
from pricing import engine, selectors, services
from pricing.templatetags.money import money_text

MOST_LINES = 100
_LINE = re.compile(r"(\S+?)(?:\s*[\s:x×]\s*(\d{1,4}))?")


class PreviewForm(forms.Form):
    lines = forms.CharField(
        label=_("Cart"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("A SKU on each line, with how many: LANTERN-BRASS 2"),
        max_length=5_000,
    )
    codes = forms.CharField(
        label=_("Codes"), required=False, max_length=500, widget=UnfoldAdminTextInputWidget
    )
    email = forms.EmailField(
        label=_("Customer"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The address of an account or a guest. Empty: somebody unknown."),
    )
    currency = forms.CharField(
        label=_("Currency"), required=False, max_length=3, widget=UnfoldAdminTextInputWidget
    )
    country = forms.RegexField(
        r"^[A-Za-z]{2}\Z",
        label=_("Sent to (country)"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    shipping_option = forms.CharField(
        label=_("Shipped by"), required=False, max_length=40, widget=UnfoldAdminTextInputWidget
    )
    moment = forms.SplitDateTimeField(
        label=_("At"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Empty: now. Prices of goods are today's, whatever the moment."),
    )

    def clean_lines(self) -> list[selectors.Wanted]:
        """Return the lines that were typed."""
        wanted = []
        for number, text in enumerate(self.cleaned_data["lines"].splitlines(), start=1):
            if not text.strip():
                continue
            found = _LINE.fullmatch(text.strip())
            quantity = int(found[2] or 1) if found else 0
            if found is None or not quantity:
                raise forms.ValidationError(
                    _("Line %(number)d is no SKU with how many."), params={"number": number}
                )
            wanted.append(selectors.Wanted(ref=VariantRef(sku=found[1]), quantity=quantity))
        if not 1 <= len(wanted) <= MOST_LINES:
            raise forms.ValidationError(
                _("One to %(most)d lines, please."), params={"most": MOST_LINES}
            )
        return wanted


def preview_view(page: admin.ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Ask the engine and show what came of every promotion; a GET, because nothing is written."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    form = PreviewForm(request.GET if "lines" in request.GET else None)
    found: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        try:
            found = _shown(request, form.cleaned_data)
        except ApplicationError as refused:
            form.add_error("lines" if refused.errors else "codes", refused.detail)
            for error in refused.errors:
                form.add_error("lines", str(error.message))
    context = {
        **page.admin_site.each_context(request),
        "title": _("Which promotions would this cart get?"),
        "opts": page.model._meta,
        "form": form,
        "back": reverse("admin:pricing_promotion_changelist"),
        **found,
    }
    return TemplateResponse(request, "pricing/admin/preview.html", context)


def _shown(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    actor = actor_of(request)
    comparison = services.preview_promotions(
        actor=actor,
        wanted=given["lines"],
        currency=selectors.shown_currency(actor=actor, currency=given["currency"].upper() or None),
        codes=given["codes"].split(),
        email=given["email"],
        destination=engine.Place(given["country"].upper()) if given["country"] else None,
        shipping_option=given["shipping_option"] or None,
        moment=given["moment"] or timezone.now(),
    )
    quote = comparison.quote

    def money(amount: Any) -> str:
        return money_text(amount, quote.currency)

    words = selectors.words_of(
        actor=actor,
        promotions=selectors.promotions(actor=actor).filter(
            id__in=[item.rule.id for item in comparison.considered]
        ),
    )
    numbers = {item.promotion_id: index for index, item in enumerate(quote.discounts)}
    applied = [item for item in comparison.considered if not item.reason]
    known = {item.code for item in comparison.considered}
    goods = quote.totals.discount_total - quote.totals.shipping_discount
    return {
        "totals": {
            "subtotal": money(quote.totals.subtotal),
            "saved": money(goods),
            "total": money(quote.totals.subtotal - goods),
        },
        "applied": [
            {
                "promotion": item.rule.name,
                "words": words.get(item.rule.id, ""),
                "code": item.code,
                "amount": money(item.amount),
                "shares": [
                    {"sku": line.sku, "amount": money(amount)}
                    for line in quote.lines
                    for number, amount in line.shares
                    if number == numbers.get(item.rule.id)
                ],
            }
            for item in applied
        ],
        "others": [
            {
                "promotion": item.rule.name,
                "words": words.get(item.rule.id, ""),
                "code": item.code,
                "why": say(engine.REASONS[item.reason]),
            }
            for item in comparison.considered
            if item.reason
        ],
        "unknown": [
            {"code": item.code, "why": say(item.message)}
            for item in quote.not_applied
            if item.code not in known
        ],
        "combinations": [
            {
                "names": ", ".join(rule.name for rule in option.rules),
                "saves": money(option.saves),
                "loses_by": money(option.loses_by),
                "is_chosen": option.is_chosen,
            }
            for option in comparison.combinations
        ],
    }
