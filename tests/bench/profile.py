"""Where the time of one operation goes, function by function, served in this process."""

from __future__ import annotations

import cProfile
import functools
import io
import pstats
import time
from collections.abc import Callable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from rich.console import Console

from tests.bench import shop
from tests.bench.load import CONSUMING, FLOWS, Answer, Ask
from tests.bench.serve import BenchError

ROUNDS = 300
WARM_UP = 30
SHOWN = 45


def run(name: str, *, fill: Callable[..., list[dict[str, Any]]], console: Console) -> None:
    """Run an operation some hundred times under cProfile and print what it spends its time on."""
    count = ROUNDS + 2 * WARM_UP + 1 if name in CONSUMING else 64
    numbers = shop.SHARED if name == "checkout" else shop.SPREAD
    carts = fill("profile", shop.carts(count, numbers), tell=True)
    turns = iter(range(10**9))

    def rounds(count: int, serve: Callable[[Ask], Answer] = _serve) -> int:
        requests = 0
        for _ in range(count):
            flow = FLOWS[name](carts[next(turns) % len(carts)])
            ask = next(flow)
            while True:
                requests += 1
                answer = serve(ask)
                try:
                    ask = flow.send(answer)
                except StopIteration:
                    break
        return requests

    rounds(WARM_UP)
    rounds(1, lambda ask: _tell_statements(ask, console))
    started = time.process_time()
    plain = rounds(WARM_UP)
    cost = (time.process_time() - started) / plain
    profile = cProfile.Profile()
    profile.enable()
    requests = rounds(ROUNDS)
    profile.disable()
    console.print(
        f"{name}: {cost * 1000:.2f} ms CPU a request in this process, unprofiled; "
        f"below, {requests} requests under cProfile."
    )
    for order in ("cumulative", "tottime"):
        output = io.StringIO()
        pstats.Stats(profile, stream=output).sort_stats(order).print_stats(SHOWN)
        console.print(output.getvalue(), markup=False, highlight=False, soft_wrap=True)


def _tell_statements(ask: Ask, console: Console) -> Answer:
    """Serve a request and show its SQL, with what each round trip took as seen from here."""
    console.print(f"SQL of {ask.kind}:")

    def tell(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        result = execute(sql, params, many, context)
        seconds = time.perf_counter() - started
        text = " ".join(sql.split())[:120]
        console.print(f"  {seconds * 1000:6.2f} ms  {text}", markup=False, highlight=False)
        return result

    with connection.execute_wrapper(tell):
        return _serve(ask)


@functools.cache
def _application() -> WSGIHandler:
    return WSGIHandler()


def _serve(ask: Ask) -> Answer:
    head, _, content = ask.encode().partition(b"\r\n\r\n")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": ask.method,
        "PATH_INFO": ask.path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for line in head.decode().split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        key = key.upper().replace("-", "_")
        environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
    said: list[Any] = []
    response = _application()(environ, lambda status, headers, *_: said.extend((status, headers)))
    body = b"".join(response)
    response.close()
    status = int(said[0].split()[0])
    if status != ask.expected:
        raise BenchError(f"{ask.method} {ask.path} answered {said[0]}: {body[:600]!r}")
    lines = "\r\n".join(f"{key}: {value}" for key, value in said[1])
    return Answer(status, f"HTTP/1.1\r\n{lines}".encode(), body)
