"""Prepared statements: planned once, seen by everybody who counts, and never a 500 when a table changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from config.platform.http import retry_on_conflict
from config.platform.prepared import PreparedCursor, prepared_cursor
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "changing_table"
SELECT = f"SELECT kind FROM {TABLE} WHERE id = %s"


@pytest.fixture
def other() -> Any:
    """Return a second connection, as another process has one, and a table that it may change."""
    connection.ensure_connection()
    second = connection.copy()
    with second.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, kind int)")
        cursor.execute(f"INSERT INTO {TABLE} VALUES (1, 7)")
    yield second
    with second.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")
    second.close()


def read(times: int = 1) -> Any:
    for _ in range(times):
        with prepared_cursor() as cursor:
            cursor.execute(SELECT, [1])
            found = cursor.fetchone()
    return found[0]


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE NOT from_sql")
        return [statement for (statement,) in cursor.fetchall()]


def change_type(other: Any) -> None:
    with other.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ALTER kind TYPE text")


def test_it_prepares_at_the_first_call_and_once(other):
    read(times=3)

    assert [text for text in prepared() if TABLE in text] == [SELECT.replace("%s", "$1")]


def test_it_never_plans_for_the_values_of_one_call(other):
    """Left to choose, PostgreSQL plans anew at each of the first five calls, and at all where it hopes to gain by it."""
    read(times=7)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = %s",
            [SELECT.replace("%s", "$1")],
        )
        assert cursor.fetchone() == (7, 0)


def test_it_is_an_ordinary_cursor_where_the_setting_is_off(other, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "prepare_threshold", None)

    with prepared_cursor() as cursor:
        cursor.execute(SELECT, [1])

        assert not isinstance(cursor.cursor, PreparedCursor)
        assert cursor.fetchone() == (7,)
    assert [text for text in prepared() if TABLE in text] == []


def test_it_is_counted_wrapped_and_logged_with_its_values(other):
    seen = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with CaptureQueriesContext(connection) as captured, connection.execute_wrapper(wrapper):
        read()

    assert seen == [(SELECT, [1])]
    assert [query["sql"] for query in captured.captured_queries] == [SELECT.replace("%s", "1")]


def test_a_changed_type_is_noticed_and_the_statement_made_anew(other):
    assert read(times=2) == 7

    change_type(other)

    assert read() == "7"
    assert read() == "7"


def test_in_a_transaction_a_changed_type_is_a_conflict_that_is_repeated(other):
    tries = []

    @retry_on_conflict()
    def within() -> Any:
        tries.append(1)
        with transaction.atomic():
            return read()

    assert within() == 7
    change_type(other)

    assert within() == "7"
    assert len(tries) == 3, "one repetition"


def test_who_does_not_repeat_gets_a_conflict_and_not_a_crash(other):
    read()
    change_type(other)

    with pytest.raises(OperationalError) as refused, transaction.atomic():
        read()

    assert refused.value.__cause__.sqlstate == "40001"
    assert read() == "7"


def test_statements_that_the_server_forgot_are_made_anew(other):
    read()
    with connection.cursor() as cursor:
        # Unlike `DEALLOCATE ALL` by itself, nothing the driver would notice.
        cursor.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")

    assert prepared() == []
    assert read() == 7


def test_a_rollback_does_not_leave_statements_that_only_the_driver_knows(other):
    with transaction.atomic():
        read()
        transaction.set_rollback(True)

    assert read(times=2) == 7


def test_statements_are_dropped_again_after_there_were_none_to_drop(other, monkeypatch):
    monkeypatch.setattr("config.platform.prepared.PLAN_SECONDS", 0.0)  # each call drops them first

    with transaction.atomic():
        read()
        transaction.set_rollback(True)  # the driver drops its notes, so the next call finds none

    assert read(times=3) == 7


def test_a_cart_is_read_while_its_table_changes(user_api, company):
    variant = factories.make_priced_variant(company=company)
    added = user_api.post("/cart/items", {"sku": variant.sku})
    assert added.status_code in (200, 201), added.content
    assert user_api.get("/cart").status_code == 200
    second = connection.copy()

    try:
        for type_ in ("varchar(500)", "varchar(254)"):
            with second.cursor() as cursor:
                cursor.execute(f"ALTER TABLE carts ALTER email TYPE {type_}")
            answer = user_api.get("/cart")
            changed = user_api.post("/cart/items", {"sku": variant.sku})
            assert (answer.status_code, changed.status_code) == (200, 201)
            assert UUID(changed.json()["id"])
    finally:
        second.close()


def test_a_plan_is_not_kept_for_long(other, monkeypatch):
    """It was made for the table as it was then; a young shop's grows faster than it is analyzed."""

    def prepared_at() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT prepare_time FROM pg_prepared_statements WHERE statement LIKE %s",
                [f"%{TABLE}%"],
            )
            return cursor.fetchone()[0]

    read()
    first = prepared_at()
    read()
    assert prepared_at() == first

    monkeypatch.setattr("config.platform.prepared.PLAN_SECONDS", 0.0)

    assert read() == 7
    assert prepared_at() > first
