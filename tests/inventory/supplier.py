"""A supplier's server on loopback that speaks HTTP as badly as real ones do."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, "Supplier"], None]


def reply(
    body: bytes = b"",
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
    **headers: str,
) -> Answer:
    """Return an answer; `length` may lie about the body."""

    def send(client: socket.socket, supplier: Supplier) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
        if kind:
            lines.append(f"Content-Type: {kind}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)

    return send


def hang(client: socket.socket, supplier: Supplier) -> None:
    """Accept, read and say nothing."""
    supplier.over.wait(30)


def drip(client: socket.socket, supplier: Supplier) -> None:
    """Send a header byte by byte, each soon enough that no pause is too long."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: ")
    while not supplier.over.wait(0.02):
        client.sendall(b"x")


def drip_body(client: socket.socket, supplier: Supplier) -> None:
    client.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n"
    )
    while not supplier.over.wait(0.02):
        client.sendall(b" ")


def slam(client: socket.socket, supplier: Supplier) -> None:
    """Close without a word."""


def bomb(size: int) -> Answer:
    return reply(gzip.compress(b" " * size), Content_Encoding="gzip")


class Supplier:
    """Answers with `answer`, or with the next of `script` while it lasts; `asked` has what was sent."""

    def __init__(self) -> None:
        self.answer: Answer = reply(b"[]")
        self.script: list[Answer] = []
        self.asked: list[str] = []
        self.over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/stock"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65_536)
                if not piece:
                    return
                head += piece
            self.asked.append(head.decode())
            answer = self.script.pop(0) if self.script else self.answer
            answer(client, self)

    def close(self) -> None:
        self.over.set()
        self._server.close()


@contextmanager
def running() -> Iterator[Supplier]:
    supplier = Supplier()
    try:
        yield supplier
    finally:
        supplier.close()
