"""The HTTP side: keys of idempotency, faults on demand, lists, expansion, and the routes."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.stripe import forms
from tests.stripe.books import Books, Object, StripeProblem, invalid
from tests.stripe.webhooks import Courier

Mode = Literal["500", "429", "reset", "hang", "delay", "act_then_500", "act_then_reset", "act_then_hang"]  # fmt: skip
METHODS_OF_INTENTS = {"amount", "automatic_payment_methods", "capture_method", "confirm", "currency",
                      "customer", "description", "metadata", "payment_method", "payment_method_types",
                      "receipt_email", "return_url", "setup_future_usage", "shipping",
                      "statement_descriptor_suffix", "expand"}  # fmt: skip
PAGING = {"limit", "starting_after", "ending_before", "expand", "created"}


@dataclass
class Fault:
    """
    What goes wrong with the next `times` requests of a path: before they act, or (`act_then_…`) after.

    A 500 is saved for its key like any other answer; a cut connection saves what was done behind it.
    """

    path: str  # a regular expression of `METHOD path`
    mode: Mode
    times: int = 1
    seconds: float = 30.0  # how long `hang` hangs and `delay` delays


@dataclass
class _Saved:
    fingerprint: str
    status: int = 0  # 0: on its way
    body: bytes = b""


class StripeServer(ThreadingHTTPServer):
    """Runs on loopback until `stop`. `url` is what `STRIPE_API_HOST` is set to."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, *, log: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.books = Books(log)
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.saved: dict[str, _Saved] = {}
        self.guard = threading.Lock()
        self.stopped = threading.Event()
        self.courier: Courier | None = None
        self.thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> StripeServer:
        self.thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()

    def deliver_to(self, url: str, secret: str) -> Courier:
        """Send each event to `url` from now on."""
        self.courier = Courier(url, secret)
        self.books.tell = self.courier.take
        return self.courier

    def fail(self, path: str, mode: Mode, *, times: int = 1, seconds: float = 30.0) -> None:
        """Let something go wrong; `path` is a regular expression of `METHOD path`."""
        with self.guard:
            self.faults.append(Fault(path, mode, times, seconds))

    def fault_of(self, request: str) -> Fault | None:
        with self.guard:
            for fault in self.faults:
                if fault.times > 0 and re.fullmatch(fault.path, request):
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of the server's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StripeServer
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length).decode()
        parts = urlsplit(self.path)
        if parts.path.startswith("/_fake/"):
            self._control(parts.path, content)
            return
        self.server.asked.append((self.command, parts.path))
        fault = self.server.fault_of(f"{self.command} {parts.path}")
        if fault is not None and not self._before(fault):
            return
        params = forms.parse(content if self.command == "POST" else parts.query)
        status, body, replayed = self._answer(parts.path, params, content, fault)
        if fault is None or self._after(fault):
            self._send(status, body, replayed=replayed)

    do_GET = do_POST = do_DELETE = _serve

    def _before(self, fault: Fault) -> bool:
        match fault.mode:
            case "500":
                if key := self.headers.get("Idempotency-Key"):
                    self.server.saved[key] = _Saved("*", 500, _dump(_BROKEN))
                self._send(500, _dump(_BROKEN))
            case "429":
                self._send(429, _dump(_SLOWER))
            case "reset":
                self._reset()
            case "hang":
                self.server.stopped.wait(fault.seconds)
                self._reset()
            case "delay":
                time.sleep(fault.seconds)
                return True
            case _:
                return True
        return False

    def _after(self, fault: Fault) -> bool:
        match fault.mode:
            case "act_then_500":
                if key := self.headers.get("Idempotency-Key"):
                    self.server.saved[key] = _Saved("*", 500, _dump(_BROKEN))
                self._send(500, _dump(_BROKEN))
            case "act_then_reset":
                self._reset()
            case "act_then_hang":
                self.server.stopped.wait(fault.seconds)
                self._reset()
            case _:
                return True
        return False

    def _answer(
        self, path: str, params: Object, content: str, fault: Fault | None
    ) -> tuple[int, bytes, bool]:
        """Run a request once for its key, or repeat what was answered before."""
        key = self.headers.get("Idempotency-Key", "") if self.command == "POST" else ""
        if not re.fullmatch(r"Bearer (sk|rk)_test_\w+", self.headers.get("Authorization", "")):
            return 401, _dump(_error("invalid_request_error", "Invalid API Key provided.")), False
        if not key:
            return *self._run(path, params, ""), False
        fingerprint = f"{path} {content}"
        with self.server.guard:
            known = self.server.saved.get(key)
            if known is None:
                self.server.saved[key] = _Saved(fingerprint)
            elif known.fingerprint not in {fingerprint, "*"}:
                message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                return 400, _dump(_error("idempotency_error", message)), False
            elif not known.status:
                message = "There is currently another in-progress request using this key."
                return 409, _dump(_error("invalid_request_error", message, code="idempotency_key_in_use")), False  # fmt: skip
            else:
                return known.status, known.body, True
        status, body = 0, b""
        try:
            status, body = self._run(path, params, key)
        finally:
            with self.server.guard:
                if status in {0, 400, 404}:  # nothing began, so nothing is saved
                    del self.server.saved[key]
                else:
                    self.server.saved[key] = _Saved(fingerprint, status, body)
        return status, body, False

    def _run(self, path: str, params: Object, key: str) -> tuple[int, bytes]:
        books = self.server.books
        try:
            for method, pattern, allowed, act in ROUTES:
                match = re.fullmatch(pattern, path)
                if match is None or method != self.command:
                    continue
                if unknown := sorted(set(params) - allowed - {"expand"}):
                    raise invalid(
                        f"Received unknown parameter: {unknown[0]}",
                        code="parameter_unknown",
                        param=unknown[0],
                    )
                with books.lock:
                    found = act(books, params, key, *match.groups())
                    return 200, _dump(_expanded(books, found, params.get("expand") or []))
            raise invalid(f"Unrecognized request URL ({self.command}: {path}).", status=404)
        except StripeProblem as problem:
            return problem.status, _dump(problem.body)

    # --- the remote control -----------------------------------------------------------------------

    def _control(self, path: str, content: str) -> None:
        """`/_fake/log` tells each movement; `/_fake/<verb>` takes the parameters of the method of that name as JSON."""
        server, books = self.server, self.server.books
        verbs: dict[str, Callable[..., Any]] = {
            "log": lambda: books.movements,
            "fail": server.fail,
            "confirm": books.confirm,
            "authenticate": books.authenticate,
            "dispute": books.dispute,
            "warn": books.warn,
            "fail_refund": books.fail_refund,
            "deliver_to": lambda url, secret: bool(server.deliver_to(url, secret)),
            "deliver": self._deliver,
        }
        verb = verbs.get(path.removeprefix("/_fake/"))
        try:
            if verb is None:
                raise invalid("There is no such button.", status=404)
            self._send(200, _dump(verb(**(json.loads(content) if content else {}))))
        except StripeProblem as problem:
            self._send(problem.status, _dump(problem.body))
        except (TypeError, ValueError) as mistake:
            self._send(400, _dump(_error("invalid_request_error", str(mistake))))

    def _deliver(self, manner: str) -> bool:
        courier = self.server.courier
        if courier is None:
            raise invalid("Say first where to deliver to.")
        if manner == "flush":
            courier.flush()
        else:
            courier.manner = manner
        return True

    # --- bytes ------------------------------------------------------------------------------------

    def _send(self, status: int, body: bytes, *, replayed: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", f"req_{len(self.server.asked)}")
        if replayed:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """Cut the connection with a reset, as a crashed machine does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def _error(kind: str, message: str, **more: Any) -> Object:
    return {"error": {"type": kind, "message": message, **more}}


def _dump(found: Any) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()


_BROKEN = _error("api_error", "Sorry, something broke at our end.")
_SLOWER = _error("invalid_request_error", "Too many requests.", code="rate_limit")


def _expanded(books: Books, found: Object, paths: list[str]) -> Object:
    """Return a copy with the named ids replaced by the objects they stand for."""
    copy = deepcopy(found)
    for path in paths:
        _expand(books, copy, path.split("."))
    return copy


def _expand(books: Books, into: Any, path: list[str]) -> None:
    if isinstance(into, list):
        for each in into:
            _expand(books, each, path)
        return
    if not path or not isinstance(into, dict) or path[0] not in into:
        return
    value = into[path[0]]
    if isinstance(value, str) and value in books.objects:
        into[path[0]] = value = deepcopy(books.objects[value])
    _expand(books, value, path[1:])


def _listing(kind: str, *filters: str) -> Callable[..., Object]:
    def run(books: Books, params: Object, key: str) -> Object:
        found = books.all(kind)
        for name in filters:
            if name in params:
                found = [each for each in found if each.get(name) == params[name]]
        created = params.get("created") or {}
        if isinstance(created, dict):
            found = [each for each in found if _within(each["created"], created)]
        ids = [each["id"] for each in found]
        if after := params.get("starting_after"):
            if after not in ids:
                raise invalid(f"No such {kind}: '{after}'", code="resource_missing", param="starting_after")  # fmt: skip
            found = found[ids.index(after) + 1 :]
        limit = min(int(params.get("limit", 10)), 100)
        return {
            "object": "list",
            "url": f"/v1/{kind}s",
            "has_more": len(found) > limit,
            "data": found[:limit],
        }

    return run


def _within(moment: int, bounds: Object) -> bool:
    compare: dict[str, Callable[[int, int], bool]] = {
        "gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__,
    }  # fmt: skip
    return all(compare[name](moment, int(value)) for name, value in bounds.items())


def _one(kind: str) -> Callable[..., Object]:
    return lambda books, params, key, id: books.get(kind, id)


_ID = r"([A-Za-z0-9_]+)"
# method, path, parameters that are known, what is done
ROUTES: list[tuple[str, str, set[str], Callable[..., Object]]] = [
    ("GET", "/v1/account", set(), lambda books, params, key: books.account),
    ("GET", f"/v1/accounts/{_ID}", set(), _one("account")),
    ("POST", "/v1/payment_intents", METHODS_OF_INTENTS, lambda b, p, k: b.create_intent(p, k)),
    ("GET", "/v1/payment_intents", PAGING | {"customer"}, _listing("payment_intent", "customer")),
    ("GET", f"/v1/payment_intents/{_ID}", {"client_secret"}, _one("payment_intent")),
    ("POST", f"/v1/payment_intents/{_ID}", METHODS_OF_INTENTS, lambda b, p, k, id: b.update_intent(id, p)),
    ("POST", f"/v1/payment_intents/{_ID}/confirm", {"payment_method", "return_url"},
     lambda b, p, k, id: b.confirm(id, p.get("payment_method"), key=k)),
    ("POST", f"/v1/payment_intents/{_ID}/capture", {"amount_to_capture", "metadata"},
     lambda b, p, k, id: b.capture(id, p, k)),
    ("POST", f"/v1/payment_intents/{_ID}/cancel", {"cancellation_reason"}, lambda b, p, k, id: b.cancel(id, p)),
    ("GET", "/v1/charges", PAGING | {"payment_intent"}, _listing("charge", "payment_intent")),
    ("GET", f"/v1/charges/{_ID}", set(), _one("charge")),
    ("POST", "/v1/refunds", {"amount", "charge", "metadata", "payment_intent", "reason"}, lambda b, p, k: b.refund(p, k)),
    ("GET", "/v1/refunds", PAGING | {"payment_intent", "charge"}, _listing("refund", "payment_intent", "charge")),
    ("GET", f"/v1/refunds/{_ID}", set(), _one("refund")),
    ("GET", f"/v1/payment_methods/{_ID}", set(), _one("payment_method")),
    ("GET", "/v1/disputes", PAGING | {"payment_intent"}, _listing("dispute", "payment_intent")),
    ("GET", f"/v1/disputes/{_ID}", set(), _one("dispute")),
    ("GET", "/v1/radar/early_fraud_warnings", PAGING | {"payment_intent"},
     _listing("radar.early_fraud_warning", "payment_intent")),
    ("POST", "/v1/customers", {"email", "name", "metadata"}, lambda b, p, k: b.create_customer(p)),
    ("GET", "/v1/customers", PAGING | {"email"}, _listing("customer", "email")),
    ("GET", f"/v1/customers/{_ID}", set(), _one("customer")),
    ("GET", "/v1/events", PAGING | {"type"}, _listing("event", "type")),
    ("GET", f"/v1/events/{_ID}", set(), _one("event")),
    ("GET", "/v1/balance_transactions", PAGING | {"source", "type"}, _listing("balance_transaction", "source", "type")),
    ("GET", f"/v1/balance_transactions/{_ID}", set(), _one("balance_transaction")),
    ("GET", f"/v1/balance/history/{_ID}", set(), _one("balance_transaction")),
    ("POST", "/v1/webhook_endpoints", {"url", "enabled_events", "metadata", "description", "api_version"},
     lambda b, p, k: b.create_endpoint(p)),
    ("GET", "/v1/webhook_endpoints", PAGING, _listing("webhook_endpoint")),
    ("GET", f"/v1/webhook_endpoints/{_ID}", set(), _one("webhook_endpoint")),
]  # fmt: skip
