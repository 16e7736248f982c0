"""Ports for the servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

# Below what the kernel hands out, so that no outgoing connection takes one between its choice and its use; above those
# that Chromium refuses to visit. Each process begins elsewhere.
_FIRST = 11_000
_BEHIND = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
_numbers = itertools.count(os.getpid() * 31)


def free_port() -> int:
    """Return a port on loopback at which nobody listens, another one each time."""
    for number in _numbers:
        port = _FIRST + number % (_BEHIND - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable: the numbers never end")
