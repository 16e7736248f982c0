"""
Asking servers of others: only public addresses, in bounded time and size, with a few tries.

The address is checked where the connection is made, so neither a redirect nor a name that changes its address in between
leads inside. Never call this in a transaction.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx
import tenacity

MOST_REDIRECTS = 3
ATTEMPTS = 3
_CHUNK = 65_536


class Unreachable(Exception):
    """No answer, none in time, a broken one, or a server in trouble: trying again may help."""


class Refused(Exception):
    """An answer or an address that is not taken: trying again does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds to connect, between two pieces and for everything, tries included; bytes once unpacked."""

    connect: float = 3
    read: float = 5
    total: float = 20
    size: int = 20_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """What was answered; `body` is None where the server says that nothing changed."""

    body: bytes | None
    etag: str
    last_modified: str


def fetch(
    url: str,
    *,
    etag: str = "",
    last_modified: str = "",
    media_types: Collection[str],
    private_hosts: Collection[str] = (),
    bounds: Bounds | None = None,
    pause: float = 0.3,
) -> Document:
    """
    Return the document at a URL, tried up to three times with growing, random pauses of about `pause` seconds.

    :raises Unreachable: if it cannot be had in time
    :raises Refused: if it may not be asked for, is too large, or is of another kind
    """
    bounds = bounds or Bounds()
    ends = time.monotonic() + bounds.total
    headers = {"Accept-Encoding": "gzip", "User-Agent": "Holdfast"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    return _tries(bounds, pause)(
        _fetch_once, url, headers, media_types, frozenset(private_hosts), bounds, ends
    )


def post(
    url: str,
    *,
    body: bytes,
    tls: ssl.SSLContext,
    private_hosts: Collection[str] = (),
    bounds: Bounds | None = None,
    pause: float = 0.3,
) -> bytes:
    """
    Send JSON, and return what was answered with status 200, whatever its kind. No redirect is followed.

    Tried up to three times: send only what is harmless to repeat. `tls` says whom we trust and who we are.

    :raises Unreachable: if nothing is answered in time
    :raises Refused: if the answer is another, or too large, or the address may not be asked
    """
    bounds = bounds or Bounds()
    ends = time.monotonic() + bounds.total
    return _tries(bounds, pause)(_post_once, url, body, tls, frozenset(private_hosts), bounds, ends)


def _tries(bounds: Bounds, pause: float) -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unreachable),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(bounds.total),
        wait=tenacity.wait_random_exponential(multiplier=pause, max=5),
        reraise=True,
    )


def _fetch_once(
    url: str,
    headers: dict[str, str],
    media_types: Collection[str],
    private_hosts: frozenset[str],
    bounds: Bounds,
    ends: float,
) -> Document:
    tls = httpx.create_ssl_context(trust_env=False)
    with _client(tls, private_hosts, bounds, ends) as client:
        for _ in range(MOST_REDIRECTS + 1):
            check_address(url)
            with client.stream("GET", url, headers=headers) as response:
                if response.has_redirect_location:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                return _read(response, media_types, bounds)
    raise Refused(f"more than {MOST_REDIRECTS} redirects")


def _post_once(
    url: str,
    body: bytes,
    tls: ssl.SSLContext,
    private_hosts: frozenset[str],
    bounds: Bounds,
    ends: float,
) -> bytes:
    headers = {
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "User-Agent": "Holdfast",
    }
    with _client(tls, private_hosts, bounds, ends) as client:
        check_address(url)
        with client.stream("POST", url, content=body, headers=headers) as response:
            return _read(response, None, bounds).body or b""


@contextmanager
def _client(
    tls: ssl.SSLContext, private_hosts: frozenset[str], bounds: Bounds, ends: float
) -> Iterator[httpx.Client]:
    """Yield a client that follows nothing by itself; what goes wrong with it is `Unreachable` or `Refused`."""
    timeout = httpx.Timeout(bounds.read, connect=bounds.connect)
    transport = _GuardedTransport(_Backend(ends, private_hosts), tls)
    try:
        # Proxies of the environment would resolve names themselves, past the guard.
        with httpx.Client(transport=transport, timeout=timeout, trust_env=False) as client:
            yield client
    except (httpx.HTTPError, httpcore.TimeoutException, httpcore.NetworkError, OSError) as failure:
        raise Unreachable(f"{type(failure).__name__}: {failure}".rstrip(": ")) from failure
    except httpx.InvalidURL as failure:
        raise Refused(f"not an address: {failure}") from failure


def check_address(url: str) -> None:
    """:raises Refused: if this is not plain http or https, or carries a password"""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Refused("not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("only http and https are asked for")
    if parts.username is not None or parts.password is not None:
        raise Refused("an address must not carry a password")


def _read(
    response: httpx.Response, media_types: Collection[str] | None, bounds: Bounds
) -> Document:
    known = response.headers.get("ETag", "")[:300], response.headers.get("Last-Modified", "")[:100]
    status = response.status_code
    if status == 304:
        return Document(None, *known)
    if status == 429 or status >= 500:
        raise Unreachable(f"the server answered {status}")
    if status != 200:
        raise Refused(f"the server answered {status}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_types is not None and kind not in media_types:
        raise Refused(f"the server sent {kind[:100] or 'no content type'}")
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise Refused(f"the server packed it as {packing[:40]}")
    pieces = response.iter_raw(_CHUNK)
    body = _joined(_unpacked(pieces, bounds.size) if packing == "gzip" else pieces, bounds.size)
    return Document(body, *known)


def _joined(pieces: Iterable[bytes], size: int) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > size:
            raise Refused(f"it is larger than {size} bytes")
    return bytes(body)


def _unpacked(pieces: Iterable[bytes], size: int) -> Iterable[bytes]:
    """Unpack gzip a bounded piece at a time: a small file that unpacks to gigabytes is noticed, not stored."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            while piece:
                yield unpack.decompress(piece, _CHUNK)
                piece = unpack.unconsumed_tail
        if not unpack.eof:
            raise Unreachable("the answer ended too early")
    except zlib.error:
        raise Refused("it is not packed as it says") from None


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the open internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and lets no stream outlive the deadline however slowly it drips."""

    def __init__(self, ends: float, private_hosts: frozenset[str]) -> None:
        self._ends = ends
        self._private_hosts = private_hosts
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host not in self._private_hosts and not all(map(is_public, addresses)):
            raise Refused(f"{host} is not a public address")
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._real.connect_tcp(
                    address, port, _left(self._ends, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as refused:
                failure = refused
            else:
                return _Stream(stream, self._ends)
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore.NetworkStream:
        raise Refused("only the network is asked")

    def sleep(self, seconds: float) -> None:
        self._real.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._ends, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._ends, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, _left(self._ends, timeout))
        return _Stream(inner, self._ends)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends: float, timeout: float | None) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for all of it is over")
    return left if timeout is None else min(timeout, left)


class _GuardedTransport(httpx.HTTPTransport):
    """httpx's own transport over our connections; it has no argument for them."""

    def __init__(self, backend: httpcore.NetworkBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            network_backend=backend,
        )
