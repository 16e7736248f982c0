"""Starts the measured shop and the load generator, and stops both by their process ids."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from config.environment import BASE_DIR
from tests.ports import free_port

START_SECONDS = 300
# The shop must not outlive a bench that is killed. Set by the child itself, as the bench has threads when it starts one.
MORTAL = """
import os, signal, sys
from config.platform.embedded.process import follow_parent
follow_parent(signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])
"""


class BenchError(Exception):
    """The bench cannot go on; the sentence says why. Shown without a traceback."""


@contextmanager
def shop(environment: Mapping[str, str], *, log: Path) -> Iterator[tuple[int, int]]:
    """
    Serve the shop by granian as `make serve` does; yield its port and process id, and stop it afterwards.

    :raises BenchError: if it does not answer within minutes
    """
    port = free_port()
    command = [
        *(sys.executable, "-c", MORTAL, sys.executable, "-m", "config.serve"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        _wait_for(process, port, log)
        yield port, process.pid
    finally:
        _stop(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"The shop ended with status {process.returncode}:\n{_end_of(log)}")
        if _answers(port):
            return
        time.sleep(0.1)
    raise BenchError(f"The shop does not answer on port {port}:\n{_end_of(log)}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(
                b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            return probe.recv(12).endswith(b"200")
    except OSError:
        return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill what is left of the process group that we made."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


class Loader:
    """The load generator's process, seen from the bench; it ends when its input does."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send(self, **job: Any) -> dict[str, Any]:
        """
        Have one job done and return what came of it.

        :raises BenchError: if the generator failed
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it died"}
        if "error" in answer:
            raise BenchError(f"The load generator failed: {answer['error']}")
        return dict(answer)
