"""How events leave: signed, repeated until they are taken, and as badly ordered as one wants."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

Object = dict[str, Any]


def sign(secret: str, body: bytes, *, at: int | None = None) -> str:
    """Return the `Stripe-Signature` header of a body."""
    moment = str(int(time.time()) if at is None else at)
    made = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={made}"


class Courier:
    """
    Sends events to one address. `manner`: `normal`, `duplicate`, `lost`, or `late`: kept until `flush`, in any order.

    What is not answered by 2xx is sent again, up to `tries` times; `failed` holds what nobody took.
    """

    def __init__(self, url: str, secret: str, *, tries: int = 5, pause: float = 0.1) -> None:
        self.url, self.secret, self.tries, self.pause = url, secret, tries, pause
        self.manner = "normal"
        self.kept: list[Object] = []
        self.failed: list[Object] = []
        self._threads: list[threading.Thread] = []

    def take(self, event: Object) -> None:
        match self.manner:
            case "lost":
                return
            case "late":
                self.kept.append(event)
            case manner:
                for _ in range(2 if manner == "duplicate" else 1):
                    self._start(event)

    def flush(self, *, order: random.Random | None = None) -> None:
        """Send what was kept, shuffled where `order` is given."""
        kept, self.kept = self.kept, []
        if order is not None:
            order.shuffle(kept)
        for event in kept:
            self._start(event)

    def wait(self) -> None:
        """Return when nothing is on its way any more."""
        for thread in self._threads:
            thread.join(timeout=120)
        self._threads = []

    def send(self, event: Object) -> int:
        """Send an event once and return the status of the answer, 0 where there is none."""
        body = json.dumps(event, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Stripe-Signature": sign(self.secret, body)}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            return 0

    def _start(self, event: Object) -> None:
        thread = threading.Thread(target=self._deliver, args=(event,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _deliver(self, event: Object) -> None:
        for attempt in range(self.tries):
            if 200 <= self.send(event) < 300:
                return
            time.sleep(self.pause * 2**attempt)
        self.failed.append(event)
