"""A dead connection is found before a request gets it, and a live one is not asked for that."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from select import select
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections

from config.environment import BASE_DIR
from config.platform.postgresql.base import DatabaseWrapper, is_gone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    """Return Django's connection to the test database as the web server has it: from a pool, of one."""
    settings = {
        **connection.settings_dict,
        "CONN_HEALTH_CHECKS": False,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            **connection.settings_dict["OPTIONS"],
            "pool": {"min_size": 1, "max_size": 1, "timeout": 2},
        },
    }
    wrapper = DatabaseWrapper(settings, alias="pooled")
    connections["pooled"] = wrapper
    yield wrapper
    wrapper.close()
    wrapper.close_pool()
    del connections["pooled"]


def number(wrapper: Any) -> int:
    """Return which process of the server answers."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end(pid: int) -> None:
    """End a process of the server as a restart does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert cursor.fetchone() == (True,)


def sent(raw: psycopg.Connection[Any], work: Any) -> bytes:
    """Return what goes over the wire while `work` runs, as libpq writes it down."""
    with tempfile.TemporaryFile() as file:
        raw.pgconn.trace(file.fileno())
        work()
        raw.pgconn.untrace()
        file.seek(0)
        return file.read()


def test_a_live_connection_is_handed_out_without_a_word_to_the_server(pooled: Any) -> None:
    first = number(pooled)
    raw = pooled.connection
    pooled.close()

    wire = sent(raw, pooled.ensure_connection)

    assert pooled.connection is raw
    assert wire == b""
    assert b"pg_backend_pid" in sent(raw, lambda: number(pooled)), "nothing would be seen at all"
    assert number(pooled) == first


def test_a_connection_that_the_server_ended_is_replaced(pooled: Any) -> None:
    first = number(pooled)
    pooled.close()  # back into the pool
    end(first)

    assert number(pooled) != first


def test_without_the_look_the_request_gets_the_dead_one(
    pooled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.platform.postgresql.base.is_gone", lambda connection: False)
    first = number(pooled)
    pooled.close()
    end(first)

    with pytest.raises(OperationalError):
        number(pooled)


def test_who_has_something_to_say_is_asked_and_kept(pooled: Any) -> None:
    """A notice makes the socket readable, too."""
    first = number(pooled)
    raw = pooled.connection
    with pooled.cursor() as cursor:
        cursor.execute("LISTEN news")
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY news")
    assert select([raw.fileno()], [], [], 5)[0], "the notice never came"

    wire = sent(raw, lambda: is_gone(raw))

    assert wire != b""
    assert not raw.closed
    assert number(pooled) == first


def test_one_that_is_kept_between_jobs_is_opened_anew() -> None:
    kept = connection.copy()
    try:
        first = number(kept)
        end(first)
        kept.close_if_unusable_or_obsolete()  # what Django does when a request or job begins

        assert number(kept) != first
    finally:
        kept.close()


@pytest.mark.parametrize(
    ("pool", "checks"), [("on", ["False", "True"]), ("off", ["True", "False"])]
)
def test_checks_and_pool_go_together(pool: str, checks: list[str]) -> None:
    """The server asked once more for each request is what this is against; nobody asked at all would be worse."""
    script = """
from config.settings.base import DATABASES
default = DATABASES["default"]
print(default["CONN_HEALTH_CHECKS"], "pool" in default["OPTIONS"], default["ENGINE"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=BASE_DIR,
        env=os.environ | {"DB_POOL": pool},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.stdout.split() == [*checks, "config.platform.postgresql"], done.stderr
