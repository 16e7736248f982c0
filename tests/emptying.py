"""
How a test that commits leaves its database: empty, in milliseconds.

Django truncates every table there is and then writes content types and permissions anew, which takes as long as a small
test does. Here only the tables that hold something are emptied, and what every install begins with stays.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import OperationalError, connection, transaction
from django.test import TransactionTestCase

# Written by `migrate` for the code as it is, not by tests.
KEPT = frozenset({"django_migrations", "django_content_type", "auth_permission", "django_site"})

RETRIES = 5

truncate = TransactionTestCase._fixture_teardown


@cache
def _tables() -> list[str]:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [f'"{name}"' for name in sorted(set(names) - KEPT)]


@cache
def _are_superusers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW is_superuser")
        return cursor.fetchone() == ("on",)


def empty(case: Any) -> None:
    """
    Take all rows out of the tables of this test's database; wait for writers that are not done yet.

    Rows are deleted, which costs what was written. Neither foreign keys nor the triggers that guard histories have a say
    in it: only a superuser may do that, others truncate as Django does.
    """
    if not _are_superusers():
        truncate(case)
        return
    for attempt in range(RETRIES):
        try:
            _delete()
        except OperationalError:  # a writer that was not done yet and we waited for each other
            if attempt == RETRIES - 1:
                raise
        else:
            return


def _delete() -> None:
    looks = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in _tables())
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(_tables())} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(" UNION ALL ".join(looks))
        filled = [name for (name,) in cursor.fetchall()]
        if filled:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(";".join(f"DELETE FROM {name}" for name in filled))
