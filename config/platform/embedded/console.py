"""What the person at the terminal sees."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """Something the person can put right; the message says how. Shown without a traceback."""


def say(text: str = "") -> None:
    """Print one line at once, also where the output is a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Step:
    """One line that tells how far a step has come; on a terminal it is rewritten in place."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.note = ""
        self.started = time.monotonic()
        self._shown = ""
        self._live = sys.stdout.isatty()
        self._done = threading.Event()

    def update(self, note: str) -> None:
        """Show how far the step is. A pipe gets only the end, so that logs stay short."""
        self.note = note
        self._draw()

    def _draw(self) -> None:
        if self._live:
            seconds = time.monotonic() - self.started
            self._write(f"  {self.title:<14} {self.note or '…'}  {seconds:.0f} s", end="")

    def _tick(self) -> None:
        while not self._done.wait(0.5):
            self._draw()

    def _write(self, text: str, *, end: str) -> None:
        padding = " " * max(0, len(self._shown) - len(text))
        sys.stdout.write(f"\r{text}{padding}{end}" if self._live else f"{text}{end}")
        sys.stdout.flush()
        self._shown = "" if end else text

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def finish(self, outcome: str) -> None:
        self._done.set()
        self._write(f"  {self.title:<14} {outcome}  ({self.seconds:.1f} s)", end="\n")


@contextmanager
def step(title: str, *, ticking: bool = False) -> Iterator[Step]:
    """
    Show a step that takes time, from its start to its outcome; its last note is the outcome.

    `ticking` counts the seconds from a thread while the step itself is busy. Not for a process that forks: the
    supervisor runs code between fork and exec, where a second thread could have left a lock behind.
    """
    line = Step(title)
    line.update("…")
    if ticking and line._live:
        threading.Thread(target=line._tick, daemon=True).start()
    try:
        yield line
    except BaseException:
        line.finish("failed")
        raise
    line.finish(line.note if line.note != "…" else "ready")
