"""Many HTTP requests at one moment: all sockets open, everything sent but the last byte, then released together."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

ADDRESS = "127.0.0.1"
SECONDS = 300  # only a server that never answers makes a test wait so long


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    token: str = ""
    body: Any = None
    keyed: bool = False
    key: str = ""  # the same for each time it is sent
    bearer: str = ""

    def encode(self) -> bytes:
        content = b"" if self.body is None else json.dumps(self.body).encode()
        head = [
            f"{self.method} /api/v1{self.path} HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        if self.token:
            head.append(f"X-Session-Token: {self.token}")
            # Every buyer comes from an address of their own: who shares one passes its gate one after the other.
            head.append(
                f"X-Forwarded-For: 10.{'.'.join(map(str, crc32(self.token.encode()).to_bytes(4)[1:]))}"
            )
        if self.keyed or self.key:
            head.append(f"Idempotency-Key: {self.key or uuid.uuid4().hex}")
        if self.bearer:
            head.append(f"Authorization: Bearer {self.bearer}")
        return "\r\n".join([*head, "", ""]).encode() + content


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


async def at_once(port: int, calls: Sequence[Call]) -> list[Reply]:
    """Send all calls so that they are complete at the server at the same moment, and return the replies in order."""
    open_ = await asyncio.gather(*(asyncio.open_connection(ADDRESS, port) for _ in calls))
    contents = [call.encode() for call in calls]
    for (_, writer), content in zip(open_, contents, strict=True):
        writer.write(content[:-1])
    await asyncio.gather(*(writer.drain() for _, writer in open_))
    await asyncio.sleep(0.2)  # what was sent has arrived
    for (_, writer), content in zip(open_, contents, strict=True):
        writer.write(content[-1:])
    return list(await asyncio.gather(*(_reply(reader, writer) for reader, writer in open_)))


async def each(port: int, calls: Sequence[Call], *, width: int = 16) -> list[Reply]:
    """Send all calls, `width` of them under way, and return the replies in order."""
    room = asyncio.Semaphore(width)

    async def one(call: Call) -> Reply:
        async with room:
            return await ask(port, call)

    return list(await asyncio.gather(*(one(call) for call in calls)))


async def ask(port: int, call: Call) -> Reply:
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(call.encode())
    return await _reply(reader, writer)


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Reply:
    async with asyncio.timeout(SECONDS):
        answer = await reader.read()
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), f"no HTTP answer: {answer[:200]!r}"
    lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert b"transfer-encoding" not in lines
    assert int(lines.get(b"content-length", len(content))) == len(content), "it broke off"
    return Reply(int(head[9:12]), json.loads(content) if content else None)
