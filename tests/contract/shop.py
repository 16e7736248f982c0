"""Starts the real shop for the suite: engines where none are given, migrations, demo data, web, worker and beat."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests import pristine
from tests.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
LOGS = CHECKOUT / "test-results" / "contract-shop"
START_SECONDS = 600


def _environment(var: Path, port: int, database: str, **more: str) -> dict[str, str]:
    """The caller's environment without what configures a shop: the suite's settings are not the shop's."""
    configured = {
        line.split("=", 1)[0].strip("# ")
        for line in (CHECKOUT / ".env.example").read_text().splitlines()
        if "=" in line
    }
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in configured
        and not key.startswith(("PYTEST", "MAKE", "MFLAGS", "DJANGO_", "CONTRACT_"))
    }
    kept |= {
        "VAR_DIR": str(var),
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "ENV_FILE": os.devnull,
        "RATE_LIMITS": "off",
        "DB_PREPARE_STATEMENTS": "off",
        "LOG_LEVEL": "warning",
        "DJANGO_SETTINGS_MODULE": "config.settings.local",
    }
    if database:
        kept["DATABASE_URL"] = database
    return kept | more


@contextmanager
def running() -> Iterator[tuple[str, str]]:
    """Run a shop without limits and a second web process with them, over one fresh database; yield their addresses."""
    var = Path(tempfile.mkdtemp(prefix="contract-"))
    var.chmod(0o711)  # PostgreSQL passes through as another user when we are root
    started: list[subprocess.Popen[bytes]] = []
    try:
        with _database(os.environ.get("DATABASE_URL", "")) as database:
            port, limited_port = free_port(), free_port()
            try:
                started.append(
                    _start(
                        var / "up.out",
                        ["up"],
                        _environment(var, port, database),
                    )
                )
                _wait(started[0], port, var)
                more = {"RATE_LIMITS": "on", "STOREFRONT_URL": f"http://localhost:{limited_port}"}
                command = ["web", "--host", "127.0.0.1", "--port", str(limited_port)]
                started.append(
                    _start(
                        var / "limited.out",
                        command,
                        _environment(var, limited_port, database, **more),
                    )
                )
                _wait(started[1], limited_port, var)
                yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{limited_port}"
            finally:
                for process in reversed(started):
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.wait(timeout=40)
                    except subprocess.TimeoutExpired:
                        process.kill()
    finally:
        # What it said stays behind with the report of the run.
        with suppress(OSError):
            shutil.copytree(var, LOGS, dirs_exist_ok=True, ignore=_all_but_logs)
        shutil.rmtree(var, ignore_errors=True)


def _all_but_logs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name != "log" and not name.endswith((".log", ".out"))]


def _start(log: Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "config.platform.embedded", *command],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=_die_with_us,  # noqa: PLW1509 - started before any thread of ours
        )


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes], port: int, var: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    said = "\n".join(
        f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
        for path in [*var.glob("*.out"), *(var / "log").glob("*.log")]
    )
    raise RuntimeError(f"The shop does not answer on port {port}.\n{said}")


@contextmanager
def _database(given: str) -> Iterator[str]:
    """A database of our own on the server of `given`; nothing where the shop brings its own server."""
    if not given:
        yield ""
        return
    name = f"contract_{secrets.token_hex(4)}"
    pristine.copy(given, name)
    try:
        yield pristine.address(given, name)
    finally:
        pristine.drop(given, name)
