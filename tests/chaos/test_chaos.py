"""
F03, F04, L09, L11: while customers buy and staff undo it, processes are killed, and what must be true is true each second.

`CHAOS_SECONDS=60` runs it for a minute, `CHAOS_SEED` repeats the choices of a run, 0 draws new ones (`make chaos`).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from checkout.models import Payment, TestCharge
from config.environment import BASE_DIR
from config.platform import invariants, tokens
from config.platform.actor import Actor
from config.platform.models import User
from inventory.models import Company, StockLevel
from orders.models import Order
from pricing import services as pricing
from pricing.demo import seed_rules
from tests import factories
from tests.bench import serve
from tests.bench.serve import MORTAL
from tests.chaos.people import Shop, Who, customers, staff
from tests.checkout.crashes import LIVENESS, SAFETY, recover, wrong
from tests.concurrency.test_flash_sale import environment_of

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "1")) or random.SystemRandom().randrange(1, 1_000_000)
CUSTOMERS, MEMBERS, STAFF = 12, 6, 3
MIXED = {"points", "edit", "capture", "refund", "cancel-items", "receive"}
LONGEST = 300  # seconds that a slow machine has on top
EVERY = 4.0  # seconds from one kill to the next
SAFE, UNSAFE = "tests.chaos.settings", "tests.chaos.unsafe_settings"


class Checker(threading.Thread):
    """Looks each second whether everything of class S holds, in one snapshot, while the shop runs."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()
        self.rounds = 0
        self.seconds: list[float] = []
        self.broken: dict[str, Any] = {}

    def run(self) -> None:
        try:
            while True:
                stop = self.over.is_set()
                started = time.monotonic()
                for found in invariants.run(SAFETY):
                    if not found.holds:
                        self.broken.setdefault(found.check.id, found.error or found.rows[:3])
                self.rounds += 1
                self.seconds.append(time.monotonic() - started)
                if stop:
                    return
                self.over.wait(1.0)
        finally:
            connection.close()


def served(place: Path, module: str) -> AbstractContextManager[tuple[int, int]]:
    """Serve the shop on this test's database; return its port and process id."""
    return serve.shop(environment_of(module), log=place / "web.log")


@contextmanager
def worker(place: Path, module: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run a worker with its beat; what is in the list is stopped at the end, so a killed one may be replaced there."""
    running = [start_worker(place, module)]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                kill_group(process)
            kill_group(process)


def start_worker(place: Path, module: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-c",
        MORTAL,
        sys.executable,
        "-m",
        "celery",
        "-A",
        "config",
        "worker",
    ]
    options = [
        "-B",
        "--concurrency=2",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=WARNING",
    ]
    with (place / "worker.log").open("ab") as output:
        return subprocess.Popen(
            [*command, *options, f"--schedule={place / 'beat'}"],
            cwd=BASE_DIR,
            env={**os.environ, **environment_of(module), "DB_POOL": "off"},
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def kill_the_oldest(pid: int) -> None:
    """
    Kill the process that has served HTTP for the longest, whatever it is doing.

    Not one that has just begun: that granian takes for a loop of crashes, and ends for its supervisor to start it anew.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    born = {int(child): _born(int(child)) for child in children}
    os.kill(min(born, key=lambda child: born[child]), signal.SIGKILL)


def _born(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def signed_in(user: User) -> Who:
    return Who(bearer=tokens.issue(user=user, now=timezone.now()).access)


def member(company: Company, now: datetime) -> Who:
    """Return somebody with an account, and points to spend."""
    user = factories.make_user()
    pricing.adjust_points(
        actor=Actor.system(company.id), user_id=user.pk, points=20_000, reason="Welcome", now=now
    )
    return signed_in(user)


@pytest.fixture
def shop(company: Company, now: datetime) -> Shop:
    variants = [factories.make_variant(available=120, sku=f"CHAOS-{number}") for number in range(8)]
    for variant in variants:
        about: Any = {"actor": Actor.system(company.id), "variant_id": variant.id, "now": now}
        pricing.set_price(**about, currency="USD", amount=Decimal("10.00"))
    seed_rules(company=company, now=now)
    factories.make_promotion("CHAOS", value=Decimal(20), usage_limit=25)
    shelves = {level.variant_id: level for level in StockLevel.objects.all()}
    return Shop(
        port=0,
        skus=[variant.sku for variant in variants],
        shelves=[str(shelves[variant.id].id) for variant in variants],
        products=[str(variant.product_id) for variant in variants],
        staff=signed_in(factories.make_staff()),
        members=[member(company, now) for _ in range(MEMBERS)],
        code="CHAOS",
        chance=random.Random(SEED),
    )


async def busy(shop: Shop, seconds: float, has_enough: Callable[[], bool] = lambda: True) -> None:
    """Let everybody be busy for so long, and on a slow machine until there is enough to judge by."""
    everybody = [customers(shop) for _ in range(CUSTOMERS)] + [staff(shop) for _ in range(STAFF)]
    tasks = [asyncio.create_task(each) for each in everybody]
    await asyncio.sleep(seconds)
    for _ in range(LONGEST):
        if has_enough():
            break
        await asyncio.sleep(1)
    shop.is_open = False
    await asyncio.gather(*tasks)


def test_what_must_be_true_is_true_each_second_of_the_worst_hour(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"CHAOS_SEED={SEED}")  # shown where the test fails
    checker, killed = Checker(), Counter[str]()
    over = threading.Event()

    def has_enough() -> bool:
        told = shop.history
        enough = killed["web"] >= 1 and checker.rounds >= 3 and len(told.confirmed) >= 3
        return enough and told.done() >= MIXED

    def nemesis(web: int, workers: list[subprocess.Popen[bytes]]) -> None:
        turn = 0
        while shop.is_open and not over.wait(EVERY):
            turn += 1
            kill_the_oldest(web)
            killed["web"] += 1
            if turn % 3 == 1:
                kill_group(workers[-1])
                workers.append(start_worker(tmp_path, SAFE))
                killed["worker"] += 1

    with served(tmp_path, SAFE) as (shop.port, web), worker(tmp_path, SAFE) as workers:
        checker.start()
        enemy = threading.Thread(target=nemesis, args=(web, workers))
        enemy.start()
        started = time.monotonic()
        try:
            asyncio.run(busy(shop, SECONDS, has_enough))
        finally:
            over.set()
            enemy.join()
            checker.over.set()
            checker.join()
        took = time.monotonic() - started

    # What no customer came back for, the jobs of the next day find.
    for later in (timedelta(minutes=3), timedelta(hours=25), timedelta(hours=25, minutes=3)):
        recover(timezone.now() + later)
    told = shop.history
    with capsys.disabled():
        print(f"\nseed {SEED}: {took:.0f} s, {sum(told.answers.values())} answers, {len(told.confirmed)} orders told, "
              f"killed {dict(killed)}, {told.unanswered} without an answer of which {told.resolved} were resolved by the same key, "
              f"{told.of(503)} × 503; {checker.rounds} rounds of {len(SAFETY)} checks, slowest {max(checker.seconds) * 1000:.0f} ms")  # fmt: skip
        for (kind, status, code), count in sorted(told.answers.items()):
            if SECONDS > 20:
                print(f"  {kind:14} {status} {code:28} {count}")

    assert checker.broken == {}
    assert checker.rounds >= 3
    assert killed["web"] >= 1
    assert (told.wrong, told.unresolved) == ([], [])
    assert len(told.confirmed) >= 3
    assert told.done() >= MIXED
    assert wrong(SAFETY) + [each for each in wrong(LIVENESS) if not each.startswith("J01")] == []
    placed = {
        order.number: f"{order.grand_total:.2f}"
        for order in Order.objects.filter(number__in=told.confirmed)
    }
    assert placed == told.confirmed, "an order that was acknowledged is gone, or is another"
    books_agree()


def books_agree() -> None:
    """Compare the provider's books with ours: all of both, charge by charge."""
    theirs = {
        charge.id: (charge.captured_amount, charge.refunded_amount)
        for charge in TestCharge.objects.filter(captured_amount__gt=0)
    }
    ours = {
        payment.provider_id: (payment.captured_amount, payment.refunded_amount)
        for payment in Payment.objects.filter(captured_amount__gt=0)
    }
    assert theirs == ours
    for order in Order.objects.prefetch_related("payments"):
        kept = sum(each.captured_amount - each.refunded_amount for each in order.payments.all())
        if order.status in {"cancelled", "failed", "draft"}:
            assert kept == 0, order.number
        assert kept <= order.grand_total, order.number


def test_without_the_lock_on_stock_the_checker_sees_it(shop: Shop, tmp_path: Path) -> None:
    """The control: the same workload, nobody killed, the lock taken out."""
    checker = Checker()
    with served(tmp_path, UNSAFE) as (shop.port, _):
        checker.start()
        try:
            for _ in range(60):
                shop.is_open = True
                asyncio.run(busy(shop, 2))
                if checker.broken:
                    break
        finally:
            checker.over.set()
            checker.join()

    assert any(each.startswith("I") for each in checker.broken), checker.broken
