"""
The load generator: a process of its own that speaks HTTP/1.1 over kept-alive sockets of this machine.

It reads one JSON job per line from standard input and writes one JSON answer per line. Every client sends its next
request when the last one was answered (a closed loop), stops at the deadline or at a count, and never talks to
anything but 127.0.0.1. It knows nothing of Django, so that it stays cheap: about 40 µs a request.

A *flow* is a generator that yields requests and is sent the answers; a whole checkout is one flow.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

ADDRESS = "127.0.0.1"
STALL_SECONDS = 15.0
ADDRESS_BODY = {
    "name": "Bench Buyer",
    "line1": "1 Harbour Street",
    "city": "Portland",
    "state": "ME",
    "postalCode": "04101",
    "country": "US",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, under the name it is measured as, with the status that counts as success."""

    kind: str
    method: str
    path: str
    expected: int
    cart: dict[str, Any] | None = None
    body: Any = None
    headers: str = ""

    def encode(self, extra: str = "") -> bytes:
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\n{extra}{self.headers}"
        if self.cart is not None:
            # Every buyer comes from an address of their own, as in life: holds are also counted by address.
            head += f"X-Forwarded-For: {self.cart['address']}\r\n"
            if token := self.cart.get("token"):
                head += f"X-Session-Token: {token}\r\n"
        if self.body is None:
            return f"{head}\r\n".encode()
        content = json.dumps(self.body, separators=(",", ":")).encode()
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode().lower() == name:
                return value.strip().decode()
        return ""


Flow = Generator[Ask, Answer, None]


class Unexpected(Exception):
    """An answer that is not the expected one; it ends the flow and is counted."""


# --- what the clients do --------------------------------------------------------------------------


def constant(_: dict[str, Any]) -> Flow:
    yield Ask("constant", "GET", "/bench/constant", 200)


def fill(cart: dict[str, Any]) -> Flow:
    """Make a guest's cart with the lines it is to have."""
    answer = yield Ask("create", "POST", "/api/v1/public/cart", 201, cart, {})
    cart["token"] = answer.json()["sessionToken"]
    items = [{"sku": sku, "quantity": 1} for sku in cart["skus"]]
    answer = yield Ask(
        "fill", "POST", "/api/v1/cart/bulk/items", 200, cart, {"items": items, "atomic": True}
    )
    lines = answer.json()["cart"]["items"]
    if len(lines) != len(items):
        raise Unexpected(f"{len(lines)} lines instead of {len(items)}")
    cart["lines"] = [{"id": line["id"], "sku": line["sku"]} for line in lines]


def read(cart: dict[str, Any]) -> Flow:
    yield Ask("read", "GET", "/api/v1/cart", 200, cart)


def unchanged(cart: dict[str, Any]) -> Flow:
    """Read a cart that the caller has already, as a page that polls does."""
    if "etag" not in cart:
        answer = yield Ask("prime", "GET", "/api/v1/cart", 200, cart)
        cart["etag"] = answer.header("etag")
    yield Ask(
        "unchanged", "GET", "/api/v1/cart", 304, cart, headers=f"If-None-Match: {cart['etag']}\r\n"
    )


def add(cart: dict[str, Any]) -> Flow:
    """Add a further SKU to a cart of three lines."""
    yield Ask(
        "add", "POST", "/api/v1/cart/items", 201, cart, {"sku": cart["further"], "quantity": 1}
    )


def again(cart: dict[str, Any]) -> Flow:
    """Add one more of a SKU that is in the cart."""
    turn = cart["turn"] = cart.get("turn", -1) + 1
    line = cart["lines"][turn % len(cart["lines"])]
    yield Ask("again", "POST", "/api/v1/cart/items", 201, cart, {"sku": line["sku"], "quantity": 1})


def change(cart: dict[str, Any], kind: str = "change") -> Flow:
    """Give a line another quantity; never the one it has."""
    turn = cart["turn"] = cart.get("turn", -1) + 1
    lines = cart["lines"]
    line = lines[turn % len(lines)]
    yield Ask(
        kind, "PATCH", f"/api/v1/cart/items/{line['id']}", 200, cart,
        {"quantity": 2 + turn // len(lines) % 4},
    )  # fmt: skip


def hot(cart: dict[str, Any]) -> Flow:
    """The same, in carts that all hold one SKU: everybody waits for one row."""
    yield from change(cart, "hot")


def checkout(cart: dict[str, Any]) -> Flow:
    """Buy a cart as a guest: address, shipping, payment with the test provider, confirmation."""
    answer = yield Ask(
        "checkout.initialize", "POST", "/api/v1/checkout/initialize", 201, cart,
        {"email": f"bench-{cart['address']}@example.com"},
    )  # fmt: skip
    path = f"/api/v1/checkout/{answer.json()['id']}"
    answer = yield Ask(
        "checkout.address", "PATCH", path, 200, cart, {"shippingAddress": ADDRESS_BODY}
    )
    options = answer.json()["shippingOptions"]
    if not options:
        raise Unexpected("no shipping option after the address")
    answer = yield Ask(
        "checkout.option", "PATCH", path, 200, cart, {"shippingOption": options[0]["id"]}
    )
    answer = yield Ask(
        "checkout.payment", "POST", f"{path}/payment", 200, cart,
        {"method": "test", "quoteId": answer.json()["quoteId"]}, _key(),
    )  # fmt: skip
    payment = answer.json()["payment"]["id"]
    yield Ask(
        "checkout.simulate", "POST", f"/api/v1/payments/{payment}/simulate", 200, cart,
        {"outcome": "succeed"},
    )  # fmt: skip
    answer = yield Ask("checkout.complete", "POST", f"{path}/complete", 200, cart, {}, _key())
    if answer.json()["status"] != "confirmed":
        raise Unexpected(f"the order is {answer.json()['status']}, not confirmed")


def _key() -> str:
    return f"Idempotency-Key: {uuid.uuid4().hex}\r\n"


FLOWS: dict[str, Callable[[dict[str, Any]], Flow]] = {
    "constant": constant,
    "fill": fill,
    "read": read,
    "unchanged": unchanged,
    "add": add,
    "again": again,
    "change": change,
    "hot": hot,
    "checkout": checkout,
}
# A cart of these is used once; the others are gone through again and again, each by one client only.
CONSUMING = {"fill", "add", "checkout"}


# --- clients --------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came back. Times are (end, seconds) by kind; the flow's own name stands for the whole of it."""

    times: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    wrong: Counter[str] = field(default_factory=Counter)
    sample: str = ""
    sql: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    progress_at: float = field(default_factory=time.perf_counter)

    def failed(self, reason: str, detail: str) -> None:
        self.wrong[reason] += 1
        self.sample = self.sample or f"{reason}: {detail[:1500]}"


class Client(asyncio.Protocol):
    """One kept-alive connection that works through flows, one request at a time."""

    def __init__(self, name: str, flows: Iterator[Flow], tally: Tally, extra: str) -> None:
        self.name, self.flows, self.tally, self.extra = name, flows, tally, extra
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.flow: Flow | None = None
        self.asked: Ask | None = None
        self.flow_started = self.asked_at = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._next_flow()

    def connection_lost(self, failure: Exception | None) -> None:
        if not self.done.done():
            self.tally.failed("connection lost", str(failure or "closed by the server"))
            self.done.set_result(None)

    def data_received(self, chunk: bytes) -> None:
        self.buffer += chunk
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        status = int(head[9:12])
        mark = lowered.find(b"\r\ncontent-length:")
        if mark >= 0:
            length = int(lowered[mark + 17 :].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            content, self.buffer = rest[:length], rest[length:]
        elif status in (204, 304):
            content, self.buffer = b"", rest
        elif b"\r\ntransfer-encoding: chunked" in lowered:
            if not rest.endswith(b"0\r\n\r\n"):
                return
            content, self.buffer = _unchunk(rest), b""
        else:
            self.tally.failed("no length", head.decode(errors="replace"))
            self._end()
            return
        self._answered(Answer(status, head, content))

    def _next_flow(self) -> None:
        self.flow = next(self.flows, None)
        if self.flow is None:
            self._end()
            return
        self.flow_started = time.perf_counter()
        self._advance(None)

    def _advance(self, answer: Answer | None) -> None:
        assert self.flow is not None
        try:
            self.asked = next(self.flow) if answer is None else self.flow.send(answer)
        except StopIteration:
            if self.asked is not None and self.asked.kind != self.name:
                end = time.perf_counter()
                self.tally.times[self.name].append((end, end - self.flow_started))
            self._next_flow()
        except (Unexpected, KeyError, IndexError, ValueError) as failure:
            body = answer.content.decode(errors="replace") if answer else ""
            self.tally.failed(f"{self.name}: {failure!r}", body)
            self._next_flow()
        else:
            content = self.asked.encode(self.extra)
            self.asked_at = time.perf_counter()
            self.transport.write(content)

    def _answered(self, answer: Answer) -> None:
        end = self.tally.progress_at = time.perf_counter()
        asked = self.asked
        assert asked is not None
        if answer.status != asked.expected:
            self.tally.failed(
                f"{asked.kind}: {answer.status} instead of {asked.expected}",
                answer.content.decode(errors="replace"),
            )
            self._next_flow()
            return
        self.tally.times[asked.kind].append((end, end - self.asked_at))
        if self.extra:
            self.tally.sql[asked.kind].append(
                (
                    int(answer.header("x-statements") or -1),
                    int(answer.header("x-round-trips") or -1),
                )
            )
        self._advance(answer)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()


def _unchunk(body: bytes) -> bytes:
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content, body = content + body[:length], body[length + 2 :]
        if not length:
            break
    return content


# --- jobs -----------------------------------------------------------------------------------------


@dataclass
class Workbench:
    """The carts that the jobs use, by pool, and the jobs."""

    carts: dict[str, deque[dict[str, Any]]] = field(default_factory=lambda: defaultdict(deque))

    async def fill(self, job: dict[str, Any]) -> dict[str, Any]:
        """Make carts over HTTP and keep those that came out well; with `tell` also return them."""
        wanted = job["carts"]
        self.carts["fill"] = deque(wanted)
        answer = await self.run({**job, "flow": "fill", "pool": "fill"})
        made = [cart for cart in wanted if "lines" in cart]
        self.carts[job["pool"]].extend(made)
        return {**answer, "made": len(made), "carts": made if job.get("tell") else []}

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        name, clients = job["flow"], job["clients"]
        tally, make = Tally(), FLOWS[name]
        pool = self.carts[job.get("pool") or name]
        count = job.get("requests") or 0
        left = [count]
        cpu = time.process_time()
        started = time.perf_counter()
        deadline = started + job["seconds"]

        def flows(number: int) -> Iterator[Flow]:
            own = list(pool)[number::clients] if name not in CONSUMING else []
            turn = 0
            while time.perf_counter() < deadline:
                if count:
                    if not left[0]:
                        return
                    left[0] -= 1
                if name == "constant":
                    yield make({})
                elif name in CONSUMING:
                    if not pool:
                        return
                    yield make(pool.popleft())
                elif own:
                    yield make(own[turn % len(own)])
                    turn += 1
                else:
                    return

        extra = "X-Count-Statements: 1\r\n" if job.get("count_sql") else ""
        loop = asyncio.get_running_loop()
        open_ = [
            await loop.create_connection(
                lambda number=number: Client(name, flows(number), tally, extra),  # type: ignore[misc]
                ADDRESS,
                job["port"],
            )
            for number in range(clients)
        ]
        waiting = {client.done for _, client in open_}
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=1.0)
            if waiting and time.perf_counter() - tally.progress_at > STALL_SECONDS:
                tally.failed("stalled", f"no answer for {STALL_SECONDS:.0f} s")
                for _, client in open_:
                    client._end()
        ended = time.perf_counter()
        return _summary(
            name,
            tally,
            started=started,
            deadline=deadline,
            ended=ended,
            cpu=time.process_time() - cpu,
            drained=name in CONSUMING and not pool,
        )


def _summary(
    name: str,
    tally: Tally,
    *,
    started: float,
    deadline: float,
    ended: float,
    cpu: float,
    drained: bool,
) -> dict[str, Any]:
    """
    Rates count what ended within the window, which is shorter where the carts ran out; times are those of all.

    Of a flow of several requests, those within the window count in parts: else it would be too few, as no flow ends
    at the window's beginning.
    """
    until = min(deadline, ended)
    kinds: dict[str, dict[str, Any]] = {}
    for kind, times in tally.times.items():
        all_ = sorted(seconds for _, seconds in times)
        kinds[kind] = {
            "count": len(times),
            "per_second": sum(end <= until for end, _ in times) / (until - started),
            **{
                f"p{q}": all_[min(len(all_) - 1, len(all_) * q // 100)] * 1000 for q in (50, 95, 99)
            },
            "max": all_[-1] * 1000,
        }
    parts = [found["per_second"] for kind, found in kinds.items() if kind.startswith(f"{name}.")]
    if parts and name in kinds:
        kinds[name]["per_second"] = sum(parts) / len(parts)
    return {
        "kinds": kinds,
        "seconds": until - started,
        "lasted": ended - started,
        "loader_cpu": cpu,
        "wrong": dict(tally.wrong),
        "sample": tally.sample,
        "sql": dict(tally.sql),
        "ran_out": drained and ended < deadline,
    }


def main() -> None:
    """Work through jobs until the input ends, which it does when the bench dies."""
    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    generator = Workbench()
    with runner:
        for line in sys.stdin:
            job = json.loads(line)
            try:
                answer = runner.run(getattr(generator, job["do"])(job))
            except Exception as failure:  # noqa: BLE001 - told to the bench, which stops
                answer = {"error": repr(failure)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
