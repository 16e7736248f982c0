"""
Buyers, staff and sweeps in processes of their own, and a watcher that checks the invariants each second meanwhile.

Each reads a JSON job per line, `{"calls": [[verb, arguments], …]}`, does all calls in a few threads from the agreed moment on
and answers with what came of each.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID, uuid4

from config.environment import BASE_DIR, required

PROCESSES, THREADS = 3, 6
LIFE = timedelta(minutes=15)
Call = tuple[str, dict[str, Any]]


class Peer:
    """One of the processes, seen from the test."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.file = ours.makefile("rw")

    def send(self, message: Any) -> None:
        self.file.write(json.dumps(message, default=str) + "\n")
        self.file.flush()

    def receive(self) -> Any:
        line = self.file.readline()
        assert line, "a process of the crowd died"
        return json.loads(line)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Crowd:
    """Some processes that act at one moment. Their outcomes are words: "bought", "held", a code of refusal."""

    def __init__(self, database: str) -> None:
        pairs = [socket.socketpair() for _ in range(PROCESSES + 1)]
        # One process loads everything, then becomes several.
        self.parent = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.concurrency.crowd"),
                *(str(theirs.fileno()) for _, theirs in pairs),
            ],
            cwd=BASE_DIR,
            env={
                **os.environ,
                "DATABASE_URL": database_url(database),
                "DJANGO_SETTINGS_MODULE": "config.settings.test",
                "PYTEST_XDIST_WORKER": "gw0",  # our Redis databases are ours already
            },
            pass_fds=[theirs.fileno() for _, theirs in pairs],
        )
        for _, theirs in pairs:
            theirs.close()
        self.watcher, *self.actors = [Peer(ours) for ours, _ in pairs]

    def act(self, calls: Sequence[Call], *, without: str = "") -> list[str]:
        """Do all calls, shared out in turn, and return their outcomes in order."""
        for number, actor in enumerate(self.actors):
            actor.send({"calls": calls[number::PROCESSES], "without": without})
        for actor in self.actors:
            assert actor.receive() == "connected"
        for actor in self.actors:
            actor.send("go")
        outcomes = [""] * len(calls)
        for number, actor in enumerate(self.actors):
            outcomes[number::PROCESSES] = actor.receive()
        return outcomes

    @contextmanager
    def watched(self, only: Sequence[str] = ("I01", "I02", "I03", "I04", "I08")) -> Iterator[None]:
        """Check these invariants at once, each second and at the end; what did not hold at any of these is an error."""
        self.watcher.send({"only": list(only)})
        try:
            yield
        finally:
            self.watcher.send("stop")
            rounds, broken = self.watcher.receive()
        assert not broken, f"did not hold meanwhile: {broken}"
        assert rounds >= 2

    def close(self) -> None:
        for peer in [self.watcher, *self.actors]:
            peer.close()
        try:
            self.parent.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.parent.kill()
            self.parent.wait()


def database_url(name: str) -> str:
    parts = urlsplit(required("DATABASE_URL"))
    return urlunsplit(parts._replace(path=f"/{quote(name)}"))


# --- what they do ---------------------------------------------------------------------------------


def _demands(lines: Sequence[Sequence[Any]]) -> list[Any]:
    from inventory.services import Demand

    return [Demand(UUID(line), UUID(variant), quantity) for line, variant, quantity in lines]


def _guest(company: str) -> Any:
    from config.platform.actor import Actor, ActorKind

    return Actor(kind=ActorKind.GUEST, company_id=UUID(company), session_hash=uuid4().bytes * 2)


def hold(company: str, lines: Sequence[Sequence[Any]], at: datetime) -> str:
    from inventory import services as inventory

    inventory.reserve(
        actor=_guest(company),
        cart_id=uuid4(),
        demands=_demands(lines),
        expires_at=at + LIFE,
        now=at,
    )
    return "held"


def buy(company: str, lines: Sequence[Sequence[Any]], at: datetime, then: str = "") -> str:
    """Hold, order and pay, each in a transaction of its own; with `then` "leave", let go instead of paying."""
    from inventory import services as inventory

    actor, cart, order = _guest(company), uuid4(), uuid4()
    demands = _demands(lines)
    inventory.reserve(actor=actor, cart_id=cart, demands=demands, expires_at=at + LIFE, now=at)
    if then == "leave":
        inventory.release(actor=actor, line_ids=[demand.line_id for demand in demands], now=at)
        return "left"
    becomes = {demand.line_id: uuid4() for demand in demands}
    inventory.assign(
        actor=actor,
        cart_id=cart,
        order_id=order,
        line_map=becomes,
        demands=demands,
        expires_at=at + LIFE,
        now=at,
    )
    inventory.confirm(
        actor=actor,
        order_id=order,
        demands=_demands(
            [(str(becomes[UUID(line)]), variant, quantity) for line, variant, quantity in lines]
        ),
        now=at,
    )
    return "bought"


def pay(company: str, order: str, lines: Sequence[Sequence[Any]], at: datetime) -> str:
    from inventory import services as inventory

    inventory.confirm(actor=_guest(company), order_id=UUID(order), demands=_demands(lines), now=at)
    return "paid"


def sweep(at: datetime, limit: int = 5) -> str:
    from inventory import services as inventory

    released = 0
    for _ in range(20):
        released += inventory.release_expired(now=at, limit=limit)
    return str(released)


def adjust(company: str, level: str, quantity: int, at: datetime) -> str:
    from config.platform.actor import Actor
    from inventory import services as inventory

    inventory.adjust(
        actor=Actor.system(UUID(company)), stock_level_id=UUID(level), quantity=quantity, now=at
    )
    return "adjusted"


def transfer(company: str, level: str, quantity: int, warehouse: str, at: datetime) -> str:
    from config.platform.actor import Actor
    from inventory import services as inventory

    inventory.transfer(
        actor=Actor.system(UUID(company)),
        lines=[inventory.ShelfUnits(UUID(level), quantity)],
        warehouse=warehouse,
        now=at,
    )
    return "transferred"


VERBS = {verb.__name__: verb for verb in (hold, buy, pay, sweep, adjust, transfer)}


def _do(call: Call) -> str:
    from django.db import DatabaseError

    from config.platform.errors import ApplicationError

    verb, arguments = call
    moment = arguments.pop("pause", 0)
    if moment:
        time.sleep(moment)
    arguments["at"] = datetime.fromisoformat(arguments["at"])
    try:
        return str(VERBS[verb](**arguments))
    except ApplicationError as refused:
        return refused.code
    except DatabaseError as failure:
        return f"{type(failure).__name__}: {str(failure).splitlines()[0]}"


def act(peer: Peer) -> None:
    from django.db import connection, connections

    from inventory.services import books
    from tests.concurrency.unlocked import without_lock, without_order

    # What can be taken out, to show that the race is one.
    statements = {"": books.LOCK, "lock": without_lock(), "order": without_order()}
    for line in peer.file:
        job = json.loads(line)
        books.LOCK = statements[job["without"]]
        calls = job["calls"]
        moment = threading.Event()
        connected = threading.Barrier(THREADS + 1)

        def client(
            number: int,
            calls: list[Any] = calls,
            moment: threading.Event = moment,
            connected: threading.Barrier = connected,
        ) -> list[str]:
            try:
                connection.ensure_connection()
                connected.wait(timeout=300)
                moment.wait(timeout=300)
                return [_do(call) for call in calls[number::THREADS]]
            finally:
                connections.close_all()

        with ThreadPoolExecutor(THREADS) as pool:
            shares = [pool.submit(client, number) for number in range(THREADS)]
            connected.wait(timeout=300)
            peer.send("connected")
            peer.receive()
            moment.set()
            outcomes = [""] * len(calls)
            for number, share in enumerate(shares):
                outcomes[number::THREADS] = share.result()
        peer.send(outcomes)


def watch(peer: Peer) -> None:
    from config.platform import invariants

    while line := peer.file.readline():
        checks = invariants.select(invariants.all_checks(), only=json.loads(line)["only"])
        rounds, broken, stop = 0, {}, False
        while True:
            for found in invariants.run(checks):
                if not found.holds:
                    broken[found.check.id] = found.error or found.rows[:3]
            rounds += 1
            if stop:
                break
            stop = bool(select.select([peer.socket], [], [], 1.0)[0])
        peer.receive()
        peer.send([rounds, broken])


def main() -> None:
    import django

    django.setup()
    ends = [Peer(socket.socket(fileno=int(number))) for number in sys.argv[1:]]
    for number, peer in enumerate(ends):
        if os.fork() == 0:
            for other in ends:
                if other is not peer:
                    other.close()
            (act if number else watch)(peer)
            os._exit(0)
    for peer in ends:
        peer.close()
    for _ in ends:
        os.wait()


if __name__ == "__main__":
    main()
