"""What `manage.py check --deploy --database default` asks PostgreSQL before a version starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections


@register(Tags.database, deploy=True)
def durability(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn where a commit is answered before it is on disk: an order that was acknowledged could be lost in a crash."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "select name from pg_settings where setting = 'off'"
                " and name in ('synchronous_commit', 'fsync', 'full_page_writes') order by name"
            )
            found += [
                Warning(
                    f"PostgreSQL runs with {name} = off: a crash can lose orders that were acknowledged.",
                    hint=f"Set {name} = on for this database.",
                    id="platform.W001",
                )
                for (name,) in cursor.fetchall()
            ]
    return found
