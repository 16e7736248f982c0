"""The web process of the embedded shop: HTTP and `/ws` on one port."""

from __future__ import annotations

import socket

import uvicorn


def serve(*, host: str = "127.0.0.1", port: int = 8000, fd: int | None = None) -> None:
    """Serve until SIGTERM, on the listening socket `fd` where the supervisor hands one over."""
    server = uvicorn.Server(
        uvicorn.Config(
            "config.asgi:application",
            host=host,
            port=port,
            log_config=None,  # Django's logging settings rule
            access_log=False,  # the request middleware writes one line a request, with who and how long
            proxy_headers=False,  # X-Forwarded-For is believed only for TRUSTED_PROXIES, and in one place
            server_header=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=65_536,
            timeout_graceful_shutdown=5,
        )
    )
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
