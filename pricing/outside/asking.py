"""Asking outside of transactions, with the answer at hand when the service runs again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from config.platform import metrics
from config.platform.breaker import Breaker
from config.platform.errors import DependencyUnavailable
from pricing.outside.http import HttpEngine
from pricing.outside.question import Question, Unusable

P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger(__name__)

OWN_TABLES: Mapping[str, Any] = {}  # in place of an answer: the shop's own tables serve
REST_SECONDS = 15.0
_ROUNDS = (
    6  # one for each kind of question; and one may change between two tries, when the cart does
)


class Engine(Protocol):
    """Whoever answers questions about tax, shipping or prices."""

    def answer(self, question: Question) -> Mapping[str, Any]:
        """
        Return the answer as plain JSON, unchecked.

        :raises Unusable: if there is none, or none in time
        """


class _NotAsked(Exception):
    """An answer is needed that is not at hand; whoever catches this asks, and tries again."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.kind)
        self.question = question


# The answers at hand while a service runs under `asking`; None outside of it, where nobody is asked.
_AT_HAND: ContextVar[dict[str, Any] | None] = ContextVar("answers", default=None)


def asking(run: Callable[P, T]) -> Callable[P, T]:
    """
    Let a function that prices use the outside engines. It must leave nothing behind when it raises: a transaction of
    its own, or reads only. Put it outside of `transaction.atomic`.

    Called within a transaction of somebody else it asks nobody: what is kept serves, else the own tables.

    :raises DependencyUnavailable: if an engine fails and the own tables may not serve in its place
    """

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if _AT_HAND.get() is not None or not any(settings.OUTSIDE_ENGINES.values()):
            return run(*args, **kwargs)
        answers: dict[str, Any] = {}
        may_ask = not _is_in_transaction()
        token = _AT_HAND.set(answers)
        try:
            for _ in range(_ROUNDS):
                try:
                    return run(*args, **kwargs)
                except _NotAsked as missing:
                    answers.update(_ask(missing.question, may_ask=may_ask))
            raise _unavailable()
        finally:
            _AT_HAND.reset(token)

    return wrapped


def is_asking() -> bool:
    """Return whether answers can be had here."""
    return _AT_HAND.get() is not None


def answers_to(keys: Collection[str], question: Callable[[list[str]], Question]) -> dict[str, Any]:
    """
    Return what is known under these keys; what is not is asked for by one question about those that are missing.

    Only under `asking`.
    """
    at_hand = _AT_HAND.get()
    assert at_hand is not None
    missing = [key for key in keys if key not in at_hand]
    if missing:
        at_hand.update(cache.get_many(missing))
        missing = [key for key in missing if key not in at_hand]
    if missing:
        raise _NotAsked(question(missing))
    return {key: at_hand[key] for key in keys}


def engine_for(kind: str) -> Engine | None:
    """Return the engine that is set up for a kind of question; None where the own tables serve."""
    url = settings.OUTSIDE_ENGINES.get(kind)
    return HttpEngine(url) if url else None


def _ask(question: Question, *, may_ask: bool) -> Mapping[str, Any]:
    """Return what is kept of the answer by its keys; `OWN_TABLES` for each where there is none to be had."""
    engine = engine_for(question.kind)
    breaker = _breaker(question.kind)
    outcome = "unusable"
    try:
        if engine is None or not may_ask:
            outcome = "not_asked"
            raise Unusable("it is not asked within a transaction")
        if breaker.is_open:
            outcome = "resting"
            raise Unusable("it did not answer a moment ago")
        try:
            kept = question.read(question, engine.answer(question))
        except Unusable as failure:
            breaker.trip(failure)
            raise
        breaker.reset()
    except Unusable as failure:
        metrics.count("outside_engine_answers_total", kind=question.kind, outcome=outcome)
        logger.warning("an outside engine is of no use", kind=question.kind, reason=str(failure))
        if not settings.OUTSIDE_ENGINE_FALLBACK:
            raise _unavailable() from None
        return dict.fromkeys(question.keys, OWN_TABLES)
    metrics.count("outside_engine_answers_total", kind=question.kind, outcome="used")
    cache.set_many(dict(kept), question.keep.total_seconds())
    return kept


def _unavailable() -> DependencyUnavailable:
    return DependencyUnavailable("The total cannot be worked out at the moment.", retry_after=30)


def _is_in_transaction() -> bool:
    """Return whether a transaction is open; those that a test is wrapped in count for none, as for `durable`."""
    blocks = connection.atomic_blocks
    return any(not block._from_testcase for block in blocks)  # type: ignore[attr-defined]  # the stubs lack it


@functools.cache
def _breaker(kind: str) -> Breaker:
    return Breaker(f"{kind}-engine", rest=REST_SECONDS)
