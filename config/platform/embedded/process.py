"""Starting, watching and stopping one child process, so that none is ever left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
LARGEST_LOG = 20_000_000

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    """
    Return what a child runs between fork and exec, so that the kernel stops it when its parent dies.

    A supervisor killed with -9 gets no chance to clean up; without this, its children would keep port and data
    directory. Linux only; elsewhere a killed supervisor can leave children.
    """
    parent = os.getpid()

    def prepare() -> None:
        follow_parent(stop_signal)
        if os.getppid() != parent:  # it died between fork and prctl: the signal would never come
            os._exit(1)

    return prepare


def follow_parent(stop_signal: signal.Signals) -> None:
    """Ask the kernel to send this process `stop_signal` when its parent dies."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)


@dataclass
class Child:
    """A process of the supervisor, with its log and the way it likes to be stopped."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    # How to become another user (see `accounts`), as arguments of Popen.
    become: Mapping[str, Any] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0
    _log_start: int = 0

    def start(self) -> None:
        """Start the process in a process group of its own, which Ctrl-C at the terminal does not reach."""
        become = dict(self.become)
        before = become.pop("preexec_fn", None)
        mortal = die_with_parent(self.stop_signal)

        def prepare() -> None:
            if before is not None:
                before()
            mortal()  # last: changing the user clears the death signal

        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                process_group=0,
                pass_fds=self.pass_fds,
                preexec_fn=prepare,
                **become,
            )
        self.started_at = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def age(self) -> float:
        return time.monotonic() - self.started_at

    def ending(self) -> str:
        """Say how the process ended, in words."""
        code = self.process.returncode if self.process else None
        if code is None:
            return "is running"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def last_lines(self, count: int = 15) -> list[str]:
        """Return the end of what this run of the process wrote."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start if self._log_start <= end else 0, end - 20_000))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def ask_to_stop(self) -> None:
        if self.running and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def kill_group(self) -> None:
        """Kill whatever is left of the process and of those it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def stop(children: Sequence[Child], *, hurry: Callable[[], bool] = lambda: False) -> None:
    """Stop `children` side by side, each in its own time; kill those that take longer, or all when `hurry` says so."""
    for child in children:
        child.ask_to_stop()
    asked_at = time.monotonic()
    waiting = [child for child in children if child.running]
    while waiting:
        for child in list(waiting):
            late = time.monotonic() - asked_at > child.stop_seconds or hurry()
            if late and child.running:
                child.kill_group()
            if not child.running:
                waiting.remove(child)
        time.sleep(0.05)
    for child in children:
        child.kill_group()
