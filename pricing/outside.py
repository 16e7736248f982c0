"""
Taxes and shipping by somebody else's engine, for shops that have one; off unless its address is set.

An engine answers with *rules*: the rates of a place, the ways to ship there and their prices. The totals are still made
by `pricing.engine`, so they add up and explain themselves whoever said what applies. A service that needs an answer
while it holds locks does not ask: its transaction is given up, the engine is asked outside of it, and the service runs
again with the answer at hand (`asking`). Answers are kept by what was asked. An engine that does not answer, or whose
answer cannot be true, is left aside: the shop's own tables serve, or, where that is switched off, the price is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, ParamSpec, Protocol, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
import structlog
from django.conf import settings
from django.core.cache import cache

from config.platform.breaker import Breaker
from config.platform.errors import DependencyUnavailable
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

P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger(__name__)

TAX, SHIPPING = "tax", "shipping"
KINDS = (SHIPPING, TAX)
OWN_TABLES: Mapping[str, Any] = {}  # in place of an answer: the shop's own tables serve
MOST_BYTES = 200_000
MOST_ROWS = 50
REST_SECONDS = 15.0
_ROUNDS = len(KINDS) + 3  # a question may change between two tries, when the cart does

_OPTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAX_TYPES = {"VAT", "GST", "SALES_TAX"}


class Unusable(Exception):
    """No answer, or one that cannot be true; the text says which."""


class Engine(Protocol):
    """Whoever answers questions about tax or shipping."""

    def answer(self, question: Question) -> Mapping[str, Any]:
        """
        Return the answer as plain JSON, unchecked.

        :raises Unusable: if there is none, or none in time
        """


@dataclass(frozen=True, slots=True)
class Question:
    """What an engine is asked. Equal content is the same question and has the same answer for a while."""

    kind: str
    content: Mapping[str, Any]

    @property
    def key(self) -> str:
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return f"outside:{self.kind}:{hashlib.sha256(text.encode()).hexdigest()}"


class _NotAsked(Exception):
    """An answer is needed that is not at hand; whoever catches this asks, and tries again."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.kind)
        self.question = question


# The answers at hand while a service runs under `asking`; None outside of it, where the own tables serve.
_AT_HAND: ContextVar[dict[str, Mapping[str, Any]] | None] = ContextVar("answers", default=None)


# --- asking ---------------------------------------------------------------------------------------


def asking(run: Callable[P, T]) -> Callable[P, T]:
    """
    Let a function that prices use the outside engines. It must leave nothing behind when it raises: a transaction of
    its own, or reads only. Put it outside of `transaction.atomic`.

    :raises DependencyUnavailable: if an engine fails and the own tables may not serve in its place
    """

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if not any(map(engine_for, KINDS)) or _AT_HAND.get() is not None:
            return run(*args, **kwargs)
        answers: dict[str, Mapping[str, Any]] = {}
        token = _AT_HAND.set(answers)
        try:
            for _ in range(_ROUNDS):
                try:
                    return run(*args, **kwargs)
                except _NotAsked as missing:
                    answers[missing.question.key] = _ask(missing.question)
            raise _unavailable()
        finally:
            _AT_HAND.reset(token)

    return wrapped


def _ask(question: Question) -> Mapping[str, Any]:
    engine = engine_for(question.kind)
    breaker = _breaker(question.kind)
    try:
        if engine is None or breaker.is_open:
            raise Unusable("it did not answer a moment ago")
        try:
            answer = engine.answer(question)
            _CHECKS[question.kind](question, answer)
        except Unusable as failure:
            breaker.trip(failure)
            raise
        breaker.reset()
    except Unusable as failure:
        logger.warning("an outside engine is of no use", kind=question.kind, reason=str(failure))
        if not settings.OUTSIDE_ENGINE_FALLBACK:
            raise _unavailable() from None
        return OWN_TABLES
    cache.set(question.key, answer, settings.OUTSIDE_ENGINE_KEEP.total_seconds())
    return answer


def _unavailable() -> DependencyUnavailable:
    return DependencyUnavailable("The total cannot be worked out at the moment.", retry_after=30)


def _answer_to(question: Question) -> Mapping[str, Any]:
    at_hand = _AT_HAND.get()
    assert at_hand is not None
    if question.key in at_hand:
        return at_hand[question.key]
    kept = cache.get(question.key)
    if kept is None:
        raise _NotAsked(question)
    at_hand[question.key] = kept
    return kept  # type: ignore[no-any-return]


def engine_for(kind: str) -> Engine | None:
    """Return the engine that is set up for a kind of question; None where the own tables serve."""
    url = settings.OUTSIDE_ENGINES.get(kind)
    return HttpEngine(url) if url else None


@functools.cache
def _breaker(kind: str) -> Breaker:
    return Breaker(f"{kind}-engine", rest=REST_SECONDS)


# --- what comes of it -----------------------------------------------------------------------------


def applied(basket: Basket, rules: Rules) -> tuple[Rules, dict[str, str]]:
    """
    Return the rules with what the outside engines say in place of the own tables, and who served for what.

    Only under `asking`, for a basket that has a destination.
    """
    if _AT_HAND.get() is None or basket.destination is None or not basket.lines:
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
    )


def _check_taxes(question: Question, answer: Mapping[str, Any]) -> None:
    _tax_rules(question, answer)


def _check_shipping(question: Question, answer: Mapping[str, Any]) -> None:
    _methods(question, answer)


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


_CHECKS: dict[str, Callable[[Question, Mapping[str, Any]], None]] = {
    TAX: _check_taxes,
    SHIPPING: _check_shipping,
}
_RULES: dict[str, Callable[[Question, Mapping[str, Any], Rules], Rules]] = {
    TAX: _with_taxes,
    SHIPPING: _with_shipping,
}


# --- reading answers: everything is believed only as far as it can be true ------------------------


def _tax_rules(question: Question, answer: Mapping[str, Any]) -> tuple[TaxRule, ...]:
    """:raises Unusable: if a rate is none, is for something else, or stands there twice"""
    destination = question.content["destination"]
    found: dict[tuple[str, str, str], TaxRule] = {}
    for row in _rows(answer, "rates"):
        kind, name, tax_class = (
            _text(row, "type", 9),
            _text(row, "name", 100),
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
        rate = _amount(row, "rate", places=6)
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
            is_included=_switch(row, "included", False),
            is_compound=_switch(row, "compound", False),
            on_shipping=_switch(row, "onShipping", True),
        )
    return tuple(found.values())


def _methods(question: Question, answer: Mapping[str, Any]) -> tuple[ShippingMethod, ...]:
    """:raises Unusable: if a way to ship is priced in another currency, costs less than nothing, or is there twice"""
    currency = question.content["currency"]
    found: dict[str, ShippingMethod] = {}
    for row in _rows(answer, "options"):
        code = _text(row, "id", 40)
        if not _OPTION.fullmatch(code) or code in found:
            raise Unusable(f"{code!r} is no id of a way to ship, or is there twice")
        if row.get("currency") != currency:
            raise Unusable("a way to ship is priced in another currency")
        least, most = _days(row, "minDays"), _days(row, "maxDays")
        if least > most:
            raise Unusable("a way to ship takes longer at least than at most")
        found[code] = ShippingMethod(
            id=_id(question, code),
            code=code,
            name=_text(row, "name", 100),
            type="FLAT_RATE",
            currency=currency,
            base_price=_amount(row, "price", places=exponent(currency)),
            min_days=least,
            max_days=most,
        )
    return tuple(found.values())


def _rows(answer: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    rows = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        raise Unusable(f"it lacks {name}, or has too many")
    if not all(isinstance(row, Mapping) for row in rows):
        raise Unusable(f"one of {name} is no object")
    return rows


def _text(row: Mapping[str, Any], name: str, most: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise Unusable(f"{name} is no text of up to {most} characters")
    return value


def _amount(row: Mapping[str, Any], name: str, *, places: int) -> Decimal:
    value = row.get(name)
    try:
        amount = Decimal(value) if isinstance(value, str) and len(value) <= 20 else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount < 10**9:
        raise Unusable(f"{name} is no amount")
    if amount != amount.quantize(Decimal(1).scaleb(-places)):
        raise Unusable(f"{name} is finer than {places} places")
    return amount


def _switch(row: Mapping[str, Any], name: str, default: bool) -> bool:
    value = row.get(name, default)
    if not isinstance(value, bool):
        raise Unusable(f"{name} is neither true nor false")
    return value


def _days(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 365:
        raise Unusable(f"{name} is no number of days")
    return value


def _id(question: Question, name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"{question.key}/{name}")


# --- the one adapter ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpEngine:
    """An engine behind one address: a question is posted there as JSON, with the shop's key; 200 and JSON is the answer."""

    url: str

    def answer(self, question: Question) -> Mapping[str, Any]:
        seconds = float(settings.OUTSIDE_ENGINE_TIMEOUT)
        ends = time.monotonic() + seconds
        headers = {"User-Agent": "Holdfast", "Idempotency-Key": question.key[-64:]}
        if settings.OUTSIDE_ENGINE_KEY:
            headers["Authorization"] = f"Bearer {settings.OUTSIDE_ENGINE_KEY}"
        body = bytearray()
        try:
            with (
                httpx.Client(timeout=seconds, trust_env=False) as client,
                client.stream(
                    "POST", self.url, json=dict(question.content), headers=headers
                ) as response,
            ):
                if response.status_code != 200:
                    raise Unusable(f"it answered {response.status_code}")
                for piece in response.iter_bytes(65_536):
                    body += piece
                    if len(body) > MOST_BYTES or time.monotonic() > ends:
                        raise Unusable("its answer is too long, or too slow")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            raise Unusable(f"{type(failure).__name__}: {failure}".rstrip(": ")) from failure
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise Unusable("its answer is no JSON") from None
        if not isinstance(answer, dict) or not answer:
            raise Unusable("its answer is no JSON object")
        return answer
