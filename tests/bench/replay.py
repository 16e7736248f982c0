"""
The shop's own SQL through pgbench: what a request would cost if Python cost nothing.

A request is served in this process inside a transaction that is rolled back, and the text of each statement is kept.
It becomes a pgbench script: savepoints of the outer transaction become BEGIN and COMMIT again, and ids born during the
request get random digits, so that the script can be run over and over. Batches stay batches.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.test import Client

from config.platform.embedded.console import Refusal
from config.platform.embedded.engines import postgres_binaries
from tests.bench.load import FLOWS, Answer, Ask
from tests.bench.serve import BenchError
from tests.bench.statements import split

_UUID7 = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", re.IGNORECASE
)
_SAVEPOINT = re.compile(r'SAVEPOINT "(\w+)"')
_RELEASE = re.compile(r'RELEASE SAVEPOINT "(\w+)"')
_MOMENT_MS = 60_000


def pgbench() -> str | None:
    """Return the path of pgbench: beside the embedded engine, else the system's."""
    try:
        beside = postgres_binaries() / "pgbench"
    except Refusal:
        return shutil.which("pgbench")
    return str(beside) if beside.exists() else shutil.which("pgbench")


@dataclass
class Capture:
    """The statements of one request, in order, as the server received them."""

    started_ms: int
    statements: list[str] = field(default_factory=list)


@contextmanager
def _captured(now_ms: int) -> Iterator[Capture]:
    capture = Capture(now_ms)

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if many:
            raise BenchError("executemany cannot be replayed")
        cursor = context["cursor"].cursor
        text = cursor.mogrify(sql, params) if params is not None else sql
        capture.statements.append(text if isinstance(text, str) else text.decode())
        return execute(sql, params, many, context)

    outer = transaction.atomic()
    # What tests do: the services' own transactions, durable ones too, become savepoints of this one.
    outer._from_testcase = True  # type: ignore[attr-defined]
    with outer:
        with connection.execute_wrapper(keep):
            yield capture
        transaction.set_rollback(True)


def capture(name: str, cart: dict[str, Any]) -> Capture:
    """
    Serve one operation on a cart in this process, undo it, and return the SQL of its last request.

    :raises BenchError: if a request is not answered as expected
    """
    flow = FLOWS[name](cart)
    ask = next(flow)
    while True:
        with _captured(time.time_ns() // 1_000_000) as captured:
            answer = serve(ask)
        try:
            ask = flow.send(answer)
        except StopIteration:
            return captured


def serve(ask: Ask) -> Answer:
    """
    Answer a request of the load generator in this process.

    :raises BenchError: if the status is not the expected one
    """
    head, _, content = ask.encode().partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers.pop("Content-Length", None)
    response = Client().generic(
        ask.method,
        ask.path,
        content,
        content_type=headers.pop("Content-Type", ""),
        headers=headers,
    )
    if response.status_code != ask.expected:
        raise BenchError(
            f"{ask.method} {ask.path} answered {response.status_code} in this process, not "
            f"{ask.expected}: {response.content.decode(errors='replace')[:600]}"
        )
    lines = "\r\n".join(f"{key}: {value}" for key, value in response.headers.items())
    return Answer(response.status_code, f"HTTP/1.1\r\n{lines}".encode(), response.content)


def script(captured: Capture) -> str:
    """Turn a capture into the body of a pgbench script."""
    lines: list[str] = []
    depth = 0
    for statement in captured.statements:
        if _SAVEPOINT.match(statement):
            lines.append("BEGIN;" if depth == 0 else f"{statement};")
            depth += 1
        elif _RELEASE.match(statement):
            depth -= 1
            lines.append("COMMIT;" if depth == 0 else f"{statement};")
        else:
            # "\;" keeps a batch together in one message.
            lines.append(" \\; ".join(part.strip() for part in split(statement)) + ";")
    if depth:
        raise BenchError("the request left a savepoint open")
    born: dict[str, str] = {}

    def fresh(match: re.Match[str]) -> str:
        text = match[0]
        plain = text.replace("-", "").lower()
        age = int(plain[:12], 16) - captured.started_ms
        if not 0 <= age < _MOMENT_MS:
            return text
        name = born.setdefault(plain, f"born{len(born)}")
        # Twelve decimal digits are twelve digits of an id, too.
        return f"{text[:-12]}:{name}"

    body = _UUID7.sub(fresh, "\n".join(lines))
    draws = [f"\\set {name} random(100000000000, 999999999999)" for name in born.values()]
    return "\n".join([*draws, body])


def combine(scripts: Sequence[str], clients: int) -> str:
    """Join scripts, one per cart, so that each client works through carts of its own, as over HTTP."""
    share = max(1, len(scripts) // clients)
    lines = [f"\\set cart :client_id * {share} + random(0, {share - 1})"]
    for number, text in enumerate(scripts[: share * clients]):
        lines += [f"\\{'elif' if number else 'if'} :cart = {number}", text]
    return "\n".join([*lines, "\\endif", ""])


def run(binary: str, file: Path, *, clients: int, seconds: int) -> dict[str, float]:
    """
    Run a script and return its rate and mean latency.

    :raises BenchError: if pgbench fails or a statement does
    """
    settings = connection.settings_dict
    command = [
        *(binary, "--no-vacuum", "--protocol=simple", f"--file={file}"),
        *(f"--client={clients}", f"--jobs={min(2, clients)}", f"--time={seconds}"),
    ]
    for option, key in (("--host", "HOST"), ("--port", "PORT"), ("--username", "USER")):
        if settings[key]:
            command.append(f"{option}={settings[key]}")
    host = settings["OPTIONS"].get("host")
    if host:
        command.append(f"--host={host}")
    result = subprocess.run(
        [*command, settings["NAME"]],
        env={**os.environ, "PGPASSWORD": settings["PASSWORD"] or ""},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    rate = re.search(r"tps = ([\d.]+)", result.stdout)
    latency = re.search(r"latency average = ([\d.]+) ms", result.stdout)
    count = re.search(r"number of transactions actually processed: (\d+)", result.stdout)
    if result.returncode or not (rate and latency and count):
        raise BenchError(f"pgbench failed: {(result.stderr or result.stdout)[-1500:]}")
    return {
        "per_second": float(rate[1]),
        "mean": float(latency[1]),
        "count": int(count[1]),
    }
