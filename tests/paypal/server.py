"""The HTTP side: tokens, request ids, faults on demand, the approval page, signed webhooks, and the routes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
import secrets
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from tests.paypal.books import Books, Object, PayPalProblem, missing, shown, unprocessable

CLIENT = "paypal-client-for-tests"
SECRET = "paypal-secret-for-tests"
WEBHOOK_ID = "1JE4291016473214C"
Mode = Literal["500", "429", "reset", "hang", "act_then_500", "act_then_reset", "act_then_hang"]


class PayPalServer(ThreadingHTTPServer):
    """Runs on loopback until `stop`. `url` is what `PAYPAL_API_HOST` is set to."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, *, log: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.books = Books(log)
        self.books.url = self.url
        self.faults: list[list[Any]] = []  # [pattern, mode, how often still]
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.saved: dict[str, tuple[str, int, bytes]] = {}
        self.permissions = {"reports", "disputes"}
        self.guard = threading.Lock()
        self.stopped = threading.Event()
        self.signing = secrets.token_bytes(32)
        self.webhook = ""
        self.manner = "normal"
        self.kept: list[Object] = []
        self.failed: list[Object] = []
        self.couriers: list[threading.Thread] = []
        self.books.tell = self._take

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> PayPalServer:
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()

    def fail(self, path: str, mode: Mode, *, times: int = 1) -> None:
        """Let something go wrong; `path` is a regular expression of `METHOD path`."""
        with self.guard:
            self.faults.append([path, mode, times])

    def fault_of(self, request: str) -> str:
        with self.guard:
            for fault in self.faults:
                if fault[2] > 0 and re.fullmatch(fault[0], request):
                    fault[2] -= 1
                    return str(fault[1])
        return ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of the server's business."""

    # --- webhooks ---------------------------------------------------------------------------------

    def deliver_to(self, url: str) -> None:
        """Send each event to `url` from now on."""
        self.webhook = url

    def sign(self, body: bytes, *, webhook_id: str = WEBHOOK_ID) -> dict[str, str]:
        """Return the headers of a webhook."""
        sent_id, at = secrets.token_hex(16), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {
            "PayPal-Transmission-Id": sent_id,
            "PayPal-Transmission-Time": at,
            "PayPal-Auth-Algo": "SHA256withRSA",
            "PayPal-Cert-Url": f"{self.url}/v1/notifications/certs/CERT-360caa42",
            "PayPal-Transmission-Sig": self._signature(sent_id, at, webhook_id, body),
        }

    def verify(self, question: bytes) -> Object:
        """Say whether we sent a webhook. The event is taken as it stands in the question, byte for byte."""
        claim = json.loads(question)
        body = question.partition(b'"webhook_event": ')[2][:-1]
        made = self._signature(
            claim["transmission_id"], claim["transmission_time"], claim["webhook_id"], body
        )
        is_ours = hmac.compare_digest(made, claim["transmission_sig"]) and claim["webhook_id"] == WEBHOOK_ID  # fmt: skip
        return {"verification_status": "SUCCESS" if is_ours else "FAILURE"}

    def _signature(self, sent_id: str, at: str, webhook_id: str, body: bytes) -> str:
        text = f"{sent_id}|{at}|{webhook_id}|{zlib.crc32(body)}"
        return base64.b64encode(
            hmac.new(self.signing, text.encode(), hashlib.sha256).digest()
        ).decode()

    def _take(self, event: Object) -> None:
        if not self.webhook or self.manner == "lost":
            return
        if self.manner == "late":
            self.kept.append(event)
            return
        for _ in range(2 if self.manner == "duplicate" else 1):
            self._start(event)

    def flush(self) -> None:
        """Send what was kept, the last first."""
        kept, self.kept = self.kept, []
        for event in reversed(kept):
            self._start(event)

    def wait(self) -> None:
        """Return when nothing is on its way any more."""
        for thread in self.couriers:
            thread.join(timeout=120)
        self.couriers = []

    def _start(self, event: Object) -> None:
        thread = threading.Thread(target=self._deliver, args=(event,), daemon=True)
        thread.start()
        self.couriers.append(thread)

    def _deliver(self, event: Object) -> None:
        body = json.dumps(event).encode()
        for attempt in range(5):
            headers = {"Content-Type": "application/json", **self.sign(body)}
            request = urllib.request.Request(self.webhook, data=body, headers=headers, method="POST")  # noqa: S310  # fmt: skip
            try:
                with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - loopback
                    return
            except OSError:
                time.sleep(0.1 * 2**attempt)
        self.failed.append(event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PayPalServer
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path.startswith("/_fake/"):
            self._control(parts.path, content)
            return
        if parts.path == "/checkoutnow":
            self._approval(parse_qs(parts.query), content)
            return
        name = f"{self.command} {parts.path}"
        self.server.asked.append(name)
        fault = self.server.fault_of(name)
        match fault:
            case "500" | "429":
                self._send(int(fault), {"name": "INTERNAL_SERVER_ERROR" if fault == "500" else "RATE_LIMIT_REACHED"})  # fmt: skip
                return
            case "reset":
                self._reset()
                return
            case "hang":
                self.server.stopped.wait(30)
                self._reset()
                return
        status, body = self._answer(parts.path, parse_qs(parts.query), content)
        match fault:
            case "act_then_500":
                self._send(500, {"name": "INTERNAL_SERVER_ERROR"})
            case "act_then_reset":
                self._reset()
            case "act_then_hang":
                self.server.stopped.wait(30)
                self._reset()
            case _:
                self._send(status, body)

    do_GET = do_POST = do_PATCH = _serve

    def _answer(self, path: str, query: dict[str, list[str]], content: bytes) -> tuple[int, Any]:
        if path == "/v1/oauth2/token":
            return self._token(content)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.server.tokens:
            return 401, {"error": "invalid_token", "error_description": "Token signature verification failed"}  # fmt: skip
        if self.headers.get("Content-Type") != "application/json":
            return 415, {"name": "UNSUPPORTED_MEDIA_TYPE"}
        key = self.headers.get("PayPal-Request-Id", "") if self.command == "POST" else ""
        fingerprint = f"{path} {content.decode()}"
        with self.server.guard:
            if known := self.server.saved.get(key) if key else None:
                if known[0] != fingerprint:
                    return 422, unprocessable("DUPLICATE_REQUEST_ID").body
                return known[1], json.loads(known[2])
        try:
            with self.server.books.lock:
                status, body = self._run(path, query, content, key)
        except PayPalProblem as problem:
            return problem.status, problem.body
        except (KeyError, TypeError, ValueError):
            return 400, PayPalProblem(400, "INVALID_REQUEST", "MALFORMED_REQUEST_JSON").body
        if key:
            with self.server.guard:
                self.server.saved[key] = (fingerprint, status, json.dumps(body).encode())
        return status, body

    def _token(self, content: bytes) -> tuple[int, Any]:
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            return 401, {"error": "invalid_client", "error_description": "Client Authentication failed"}  # fmt: skip
        if content != b"grant_type=client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        token = secrets.token_urlsafe(30)
        self.server.tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 32400}

    def _run(self, path: str, query: dict[str, list[str]], content: bytes, key: str) -> tuple[int, Any]:  # fmt: skip
        server, books = self.server, self.server.books
        if path == "/v1/notifications/verify-webhook-signature":
            return 200, server.verify(content)
        body: Any = json.loads(content) if content else {}
        routes: list[tuple[str, str, int, Callable[..., Any]]] = [
            ("POST", "/v2/checkout/orders", 201, lambda: books.create(body)),
            ("GET", rf"/v2/checkout/orders/{_ID}", 200, books.order),
            ("PATCH", rf"/v2/checkout/orders/{_ID}", 204, lambda id: books.change(id, body)),
            ("POST", rf"/v2/checkout/orders/{_ID}/authorize", 201, books.authorize),
            ("POST", rf"/v2/checkout/orders/{_ID}/capture", 201, lambda id: books.capture(id, key)),
            ("POST", rf"/v2/payments/authorizations/{_ID}/capture", 201,
             lambda id: books.capture_authorization(id, body, key)),
            ("POST", rf"/v2/payments/authorizations/{_ID}/void", 200, books.void),
            ("GET", rf"/v2/payments/captures/{_ID}", 200, books.part),
            ("POST", rf"/v2/payments/captures/{_ID}/refund", 201, lambda id: books.refund(id, body, key)),
            ("GET", "/v1/customer/disputes", 200, lambda: self._disputes(query)),
            ("GET", "/v1/reporting/transactions", 200, lambda: self._reports(query)),
        ]  # fmt: skip
        for method, pattern, status, act in routes:
            match = re.fullmatch(pattern, path)
            if match is not None and method == self.command:
                found = act(*match.groups())
                return status, shown(found) if found is not None else None
        raise missing()

    def _disputes(self, query: dict[str, list[str]]) -> Object:
        self._need("disputes")
        found = self.server.books.disputes.get(query["disputed_transaction_id"][0])
        return {"items": [found] if found else []}

    def _reports(self, query: dict[str, list[str]]) -> Object:
        self._need("reports")
        size, page = int(query["page_size"][0]), int(query["page"][0])
        found = self.server.books.reports()
        return {
            "transaction_details": found[(page - 1) * size : page * size],
            "page": page,
            "total_items": len(found),
            "total_pages": max(1, -(-len(found) // size)),
        }

    def _need(self, permission: str) -> None:
        if permission not in self.server.permissions:
            raise PayPalProblem(403, "NOT_AUTHORIZED", "PERMISSION_DENIED")

    # --- the approval page and the remote control -------------------------------------------------

    def _approval(self, query: dict[str, list[str]], content: bytes) -> None:
        """What the customer sees: agree with a choice of wallets, or leave."""
        order_id = query.get("token", [""])[0]
        order = self.server.books.orders.get(order_id)
        if order is None:
            self._send(404, {"name": "RESOURCE_NOT_FOUND"})
            return
        context = order["_context"]
        if self.command == "POST":
            wallet = parse_qs(content.decode()).get("wallet", ["leave"])[0]
            back = context["cancel_url"]
            mark = "&" if "?" in back else "?"
            target = f"{back}{mark}token={order_id}"
            if wallet != "leave":
                self.server.books.approve(order_id, wallet)
                target = f"{context['return_url']}?token={order_id}&PayerID=QYR5Z8XDVJNXQ"
            self._send_raw(302, b"", {"Location": target})
            return
        amount = order["purchase_units"][0]["amount"]
        buttons = "".join(
            f'<p><button name="wallet" value="{value}">{text}</button></p>'
            for value, text in (
                ("balance", "Agree"), ("declined", "Agree, with a card that is declined"),
                ("bank", "Agree, from a bank account that takes days"), ("leave", "Leave"),
            )
        )  # fmt: skip
        page = (
            "<!doctype html><title>A stand-in for PayPal</title><body style='font:18px sans-serif;margin:3em'>"
            f"<h1>{html.escape(amount['value'])} {html.escape(amount['currency_code'])}</h1>"
            f"<form method='post'>{buttons}</form>"
        )
        self._send_raw(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _control(self, path: str, content: bytes) -> None:
        """`/_fake/log` tells each movement; `/_fake/<verb>` takes the parameters of the method of that name as JSON."""
        server, books = self.server, self.server.books
        verbs: dict[str, Callable[..., Any]] = {
            "log": lambda: books.movements,
            "fail": server.fail,
            "approve": books.approve,
            "clear": books.clear,
            "dispute": books.dispute,
            "forget": books.forget,
            "deliver": self._manner,
        }
        try:
            verb = verbs.get(path.removeprefix("/_fake/"))
            if verb is None:
                raise missing()
            self._send(200, shown(verb(**(json.loads(content) if content else {}))))
        except PayPalProblem as problem:
            self._send(problem.status, problem.body)
        except (TypeError, ValueError, KeyError) as mistake:
            self._send(400, {"name": str(mistake)})

    def _manner(self, manner: str) -> bool:
        if manner == "flush":
            self.server.flush()
        else:
            self.server.manner = manner
        return True

    # --- bytes ------------------------------------------------------------------------------------

    def _send(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self._send_raw(status, content, {"Content-Type": "application/json"})

    def _send_raw(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        """Cut the connection with a reset, as a crashed machine does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


_ID = r"([A-Za-z0-9-]+)"
