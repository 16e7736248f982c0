"""A mail server on loopback that takes messages, refuses them, or goes away at the worst moment."""

from __future__ import annotations

from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.ports import free_port


class MailServer:
    """
    `taken` holds the recipients of what it took. `manner`: `takes`, `refuses` what is sent, refuses the `recipient`,
    `cuts` the line before a word of the message, or `takes and cuts` it without having said so.
    """

    def __init__(self) -> None:
        self.manner = "takes"
        self.taken: list[str] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.port = self._controller.port

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if self.manner == "recipient":
            return "450 4.2.1 Try again later"
        if self.manner == "cuts":
            _cut(server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.manner == "refuses":
            return "451 4.3.0 Out of order"
        self.taken += envelope.rcpt_tos
        if self.manner == "takes and cuts":
            _cut(server)
        return "250 OK"


def _cut(server: SMTP) -> None:
    assert server.transport is not None
    server.transport.abort()  # type: ignore[attr-defined]
