"""A server that speaks the protocol of outside engines, and what may be wrong with one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.core.cache import cache

from pricing.outside.asking import _breaker


class Fake(ThreadingHTTPServer):
    """Answers each kind of question with whatever a test puts there, and notes what it was asked."""

    daemon_threads = True
    answers: dict[str, Any]
    asked: list[tuple[str, dict[str, Any], dict[str, str]]]


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.path.strip("/")
        self.server.asked.append((kind, question, dict(self.headers)))
        answer = self.server.answers[kind]
        if callable(answer):
            answer = answer(self, question)
            if answer is None:
                return
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving(settings: Any, answers: dict[str, Any]) -> Iterator[Fake]:
    """Run an engine for these kinds of questions, and let the shop ask it."""
    cache.clear()
    server = Fake(("127.0.0.1", 0), Handler)
    server.answers, server.asked = answers, []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    settings.OUTSIDE_ENGINES = {kind: f"{address}/{kind}" for kind in answers}
    settings.OUTSIDE_ENGINE_TIMEOUT = 10  # a busy machine is no broken engine
    settings.OUTSIDE_ENGINE_KEY = "secret-of-the-shop"
    yield server
    server.shutdown()
    server.server_close()
    cache.clear()
    for kind in answers:
        _breaker(kind).reset()


def hang(handler: Any, question: Any) -> None:
    time.sleep(0.6)


def drip(handler: Any, question: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(12):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.06)
