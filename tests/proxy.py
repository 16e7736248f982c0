"""A proxy in front of PostgreSQL, on loopback, that loses the server's answer to one COMMIT."""

from __future__ import annotations

import select
import socket
import threading
from typing import Any

from django.db import connection

COMMIT = b"COMMIT\x00"  # as psycopg sends it


class LosesAnswers:
    """
    Passes everything on; the answer to the `lose`-th COMMIT it sees is swallowed, and that connection cut.

    The server has committed by then: that is what makes it the hardest failure of all. `commits` counts them.
    """

    def __init__(self, *, lose: int) -> None:
        connection.ensure_connection()
        info = connection.connection.info
        self.server: Any = info.host, info.port
        if info.host.startswith("/"):
            self.server = f"{info.host}/.s.PGSQL.{info.port}"
        self.lose = lose
        self.commits = 0
        self.guard = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_here(self) -> None:
        """Make this thread's next connection one through the proxy."""
        connection.close()
        settings = connection.settings_dict
        options = {**settings["OPTIONS"], "host": "127.0.0.1", "sslmode": "disable"}
        connection.settings_dict = {
            **settings,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OPTIONS": {**options, "gssencmode": "disable"},
        }

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        kind = socket.AF_UNIX if isinstance(self.server, str) else socket.AF_INET
        with client, socket.socket(kind) as server:
            server.connect(self.server)
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for source in readable:
                    chunk = source.recv(65_536)
                    if not chunk:
                        return
                    (server if source is client else client).sendall(chunk)
                    if source is client and chunk.endswith(COMMIT) and self._is_the_one():
                        server.recv(65_536)  # it is done
                        return

    def _is_the_one(self) -> bool:
        with self.guard:
            self.commits += 1
            return self.commits == self.lose
