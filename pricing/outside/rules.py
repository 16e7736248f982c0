"""Taxes and ways to ship, as an outside engine says them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings

from pricing.engine import (
    SHIPPING_CLASS,
    STANDARD_CLASS,
    Basket,
    Rules,
    ShippingMethod,
    TaxRule,
    Zone,
)
from pricing.money import exponent
from pricing.outside.asking import answers_to, engine_for, is_asking
from pricing.outside.question import Question, Unusable
from pricing.outside.reading import amount, rows_of, switch, text, whole

TAX, SHIPPING = "tax", "shipping"
KINDS = (SHIPPING, TAX)
MOST_ROWS = 50

_OPTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAX_TYPES = {"VAT", "GST", "SALES_TAX"}


def applied(basket: Basket, rules: Rules) -> tuple[Rules, dict[str, str]]:
    """
    Return the rules with what the outside engines say in place of the own tables, and who served for what.

    Only under `asking`, for a basket that has a destination.
    """
    if not is_asking() or basket.destination is None or not basket.lines:
        return rules, {}
    served: dict[str, str] = {}
    for kind in KINDS:
        if engine_for(kind) is None:
            continue
        question = question_of(kind, basket)
        answer = _answer_to(question)
        served[kind] = "outside" if answer else "own tables"
        if answer:
            rules = _RULES[kind](question, answer, rules)
    return rules, served


def _answer_to(question: Question) -> Any:
    return answers_to(question.keys, lambda _missing: question)[question.key]


def question_of(kind: str, basket: Basket) -> Question:
    """Return what is asked of a basket with a destination: lines with what they cost, weigh and are, and the place."""
    place = basket.destination
    assert place is not None
    classes = {line.tax_class for line in basket.lines if line.is_taxable}
    return Question(
        kind,
        {
            "kind": kind,
            "currency": basket.currency,
            "destination": {
                "country": place.country,
                "state": place.state,
                "postalCode": place.postal_code,
            },
            "lines": sorted(
                (
                    {
                        "sku": line.sku,
                        "quantity": line.quantity,
                        "unitPrice": f"{line.unit_price:f}",
                        "taxClass": line.tax_class if line.is_taxable else None,
                        "weightGrams": line.weight_grams,
                        "requiresShipping": line.requires_shipping,
                    }
                    for line in basket.lines
                ),
                key=lambda line: json.dumps(line, sort_keys=True),
            ),
            "taxClasses": sorted({*classes, STANDARD_CLASS, SHIPPING_CLASS}),
        },
        read=_READERS[kind],
        keep=settings.OUTSIDE_ENGINE_KEEP,
    )


def _read_taxes(question: Question, answer: Mapping[str, Any]) -> dict[str, Any]:
    _tax_rules(question, answer)
    return {question.key: answer}


def _read_shipping(question: Question, answer: Mapping[str, Any]) -> dict[str, Any]:
    _methods(question, answer)
    return {question.key: answer}


def _with_taxes(question: Question, answer: Mapping[str, Any], rules: Rules) -> Rules:
    return dataclasses.replace(rules, tax_rules=_tax_rules(question, answer))


def _with_shipping(question: Question, answer: Mapping[str, Any], rules: Rules) -> Rules:
    country = question.content["destination"]["country"]
    zone = Zone(
        id=_id(question, "zone"),
        name=country,
        countries=(country,),
        methods=_methods(question, answer),
    )
    return dataclasses.replace(rules, zones=(zone,))


_READERS = {TAX: _read_taxes, SHIPPING: _read_shipping}
_RULES: dict[str, Callable[[Question, Mapping[str, Any], Rules], Rules]] = {
    TAX: _with_taxes,
    SHIPPING: _with_shipping,
}


def _tax_rules(question: Question, answer: Mapping[str, Any]) -> tuple[TaxRule, ...]:
    """:raises Unusable: if a rate is none, is for something else, or stands there twice"""
    destination = question.content["destination"]
    found: dict[tuple[str, str, str], TaxRule] = {}
    for row in rows_of(answer, "rates", most=MOST_ROWS):
        kind, name, tax_class = (
            text(row, "type", 9),
            text(row, "name", 100),
            row.get("taxClass", ""),
        )
        if kind not in _TAX_TYPES:
            raise Unusable(f"{kind!r} is no type of tax")
        if tax_class != "" and tax_class not in question.content["taxClasses"]:
            raise Unusable("a rate is for a tax class that was not asked about")
        if row.get("country", destination["country"]) != destination["country"]:
            raise Unusable("a rate is for another country")
        if row.get("state") not in (None, "", destination["state"]):
            raise Unusable("a rate is for another state")
        rate = amount(row, "rate", places=6)
        if rate > 1:
            raise Unusable("a rate is above 100 %")
        key = (tax_class, kind, name)
        if key in found:
            raise Unusable(f"{name!r} is there twice for one tax class")
        found[key] = TaxRule(
            id=_id(question, "/".join(key)),
            name=name,
            type=kind,
            country=destination["country"],
            state=row.get("state") or "",
            rate=rate,
            tax_class=tax_class,
            is_included=switch(row, "included", False),
            is_compound=switch(row, "compound", False),
            on_shipping=switch(row, "onShipping", True),
        )
    return tuple(found.values())


def _methods(question: Question, answer: Mapping[str, Any]) -> tuple[ShippingMethod, ...]:
    """:raises Unusable: if a way to ship is priced in another currency, costs less than nothing, or is there twice"""
    currency = question.content["currency"]
    found: dict[str, ShippingMethod] = {}
    for row in rows_of(answer, "options", most=MOST_ROWS):
        code = text(row, "id", 40)
        if not _OPTION.fullmatch(code) or code in found:
            raise Unusable(f"{code!r} is no id of a way to ship, or is there twice")
        if row.get("currency") != currency:
            raise Unusable("a way to ship is priced in another currency")
        least, most = whole(row, "minDays", most=365), whole(row, "maxDays", most=365)
        if least > most:
            raise Unusable("a way to ship takes longer at least than at most")
        found[code] = ShippingMethod(
            id=_id(question, code),
            code=code,
            name=text(row, "name", 100),
            type="FLAT_RATE",
            currency=currency,
            base_price=amount(row, "price", places=exponent(currency)),
            min_days=least,
            max_days=most,
        )
    return tuple(found.values())


def _id(question: Question, name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"{question.key}/{name}")
