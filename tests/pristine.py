"""
A database with all migrations and nothing else, from which others are copied in a moment.

Migrating takes half a minute, and a run of the tests needs a fresh database for each of its processes, for the shop of
the contract tests and for the bench. Whoever needs one first makes the pristine one; the run's end takes it away.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

CHECKOUT = Path(__file__).resolve().parents[1]
LOCK = 0x9157  # of whoever makes it


def address(url: str, database: str) -> str:
    """Return the address of another database on the server of `url`."""
    parts = urlsplit(url)
    # urlunsplit() drops the empty authority that a socket's address has.
    rest = urlunsplit(("", "", f"/{database}", parts.query, ""))
    return f"{parts.scheme}://{parts.netloc}{rest}"


def name_of(url: str) -> str:
    return f"pristine_{unquote(urlsplit(url).path[1:])}"


def pristine(url: str) -> str:
    """Return the name of the pristine database beside that of `url`; make it if it is not there."""
    name = name_of(url)
    with _server(url) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        if not _exists(server, name):
            unfinished = f"{name}_unfinished"
            server.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", unfinished))
            server.execute(_sql("CREATE DATABASE {}", unfinished))
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"],
                cwd=CHECKOUT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "config.settings.test",
                    "DATABASE_URL": address(url, unfinished),
                },
                check=True,
            )
            server.execute(_sql("ALTER DATABASE {} RENAME TO {}", unfinished, name))
    return name


def copy(url: str, name: str) -> None:
    """Make a database of that name, migrated and empty, beside that of `url`."""
    template = pristine(url)
    with _server(url) as server:
        server.execute(_sql("CREATE DATABASE {} TEMPLATE {}", name, template))


def drop(url: str, name: str) -> None:
    """Take a database away that is beside that of `url`, whoever still uses it."""
    with _server(url) as server:
        server.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Forget it when the run ends; for the `conftest.py` of each suite that may be run by itself."""
    url = os.environ.get("DATABASE_URL", "")
    if url and not hasattr(session.config, "workerinput"):
        with suppress(psycopg.OperationalError):  # no server, nothing left behind
            drop(url, name_of(url))


@contextmanager
def _server(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(address(url, "postgres"), autocommit=True) as connection:
        yield connection


def _exists(server: psycopg.Connection, name: str) -> bool:
    found = server.execute("SELECT FROM pg_database WHERE datname = %s", [name])
    return found.fetchone() is not None


def _sql(text: str, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
