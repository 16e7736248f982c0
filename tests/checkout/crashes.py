"""
Killing the shop at every step: before and after each statement, commit and provider call.

`explore` runs a scenario in a forked process that sends itself SIGKILL at the n-th point, for n = 1, 2, …
until a run survives. After each death the world is what a real crash leaves: what was committed stays,
everything else is gone, callbacks never ran.

The suite tries every n-th point and begins at another one each time; `make crash` tries them all.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from unittest.mock import patch
from zlib import crc32

import stripe
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import get_resolver

from checkout import services as checkout
from checkout.gateway import TestGateway
from config.platform import invariants, relay
from inventory import services as inventory
from notifications import services as notifications

S = TypeVar("S")
SURVIVED, BROKEN = 0, 3
PROVIDER_CALLS = ("create", "retrieve", "capture", "cancel", "refund")
EVERY_POINT = bool(os.environ.get("CRASH_EVERY_POINT"))

SAFETY = invariants.select(invariants.all_checks(), klass="S")
LIVENESS = invariants.select(invariants.all_checks(), klass="L")


@dataclass
class Report:
    """How many points were tried of how many, and what was wrong after which."""

    tried: int = 0
    points: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)


class _Nemesis:
    def __init__(self, kill_at: int) -> None:
        self.left = kill_at

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        self.tick()
        result = execute(sql, params, many, context)
        self.tick()
        return result

    def around(self, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            result = original(*args, **kwargs)
            self.tick()
            return result

        return call


@contextmanager
def _killing(kill_at: int) -> Iterator[None]:
    nemesis = _Nemesis(kill_at)
    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(nemesis.execute))
        commit = BaseDatabaseWrapper._commit
        stack.enter_context(patch.object(BaseDatabaseWrapper, "_commit", nemesis.around(commit)))
        for name in PROVIDER_CALLS:
            original = getattr(TestGateway, name)
            stack.enter_context(patch.object(TestGateway, name, nemesis.around(original)))
        # Not around our methods but around each request of Stripe's library: some of ours make two.
        request = stripe.RequestsClient.request
        stack.enter_context(patch.object(stripe.RequestsClient, "request", nemesis.around(request)))
        yield


def _first(name: str, step: int) -> int:
    """Return where a sample begins: elsewhere for each scenario, and at the same point in each run."""
    return crc32(name.encode()) % step + 1


def explore(
    *,
    prepare: Callable[[], S],
    scenario: Callable[[S], None],
    verify: Callable[[S, int], list[str]],
    name: str = "",
    step: int = 1,
    until_found: bool = False,
    most: int = 2_000,
) -> Report:
    """
    Kill `scenario(prepare())` at every `step`-th point and collect what `verify` finds wrong afterwards.

    `verify` is also given the point, and recovers as the running shop would before it judges. With
    `until_found` the first problem is enough: that is for designs that are wrong.
    """
    if EVERY_POINT:
        step = 1
    _ = get_resolver().reverse_dict  # loads what children would each load by themselves
    report = Report()
    for point in range(1 if until_found else _first(name or scenario.__name__, step), most, step):
        subject = prepare()
        survived = _run(scenario, subject, point)
        report.problems += [(point, problem) for problem in verify(subject, point)]
        if survived:
            report.points = point - 1
            told = f"{report.tried} points killed, every {step}. of at most {report.points}"
            print(f"{name or scenario.__name__}: {told}, {len(report.problems)} problems")
            return report
        report.tried += 1
        if until_found and report.problems:
            return report
    raise AssertionError("The scenario never came to its end.")


def recover(now: datetime) -> None:
    """Run what the scheduler runs."""
    checkout.drain_inbox(now=now)
    checkout.reconcile(now=now)
    checkout.execute_refunds(now=now)
    checkout.expire_due(now=now)
    checkout.cancel_due_drafts(now=now)
    inventory.release_expired(now=now)
    relay.relay_due(now=now)
    notifications.send_due(now=now)


def wrong(checks: list[invariants.Check]) -> list[str]:
    """Return which of these do not hold, with the rows that break them."""
    return [
        f"{result.check.id}: {result.rows or result.error}"
        for result in invariants.run(checks, grace=timedelta(seconds=-1))
        if not result.holds
    ]


def _run(scenario: Callable[[S], None], subject: S, kill_at: int) -> bool:
    connections.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            with _killing(kill_at):
                scenario(subject)
        except BaseException:  # noqa: BLE001 - nothing of the child may reach the tests' own machinery
            traceback.print_exc()
            os._exit(BROKEN)
        os._exit(SURVIVED)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == SURVIVED, "the scenario failed by itself"
    return True
