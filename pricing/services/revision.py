"""The counter that tells every process to read the rules anew."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from config.platform.actor import Actor
from config.platform.outbox import publish
from pricing.events import RulesChanged


@transaction.atomic
def bump(*, actor: Actor, what: str, now: datetime) -> None:
    """
    Raise the company's revision and announce that its rules changed.

    The number rises with the transaction's own, so that one which was rolled back is never given again: a process
    may have read rules under it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO pricing_revisions AS revision (company_id, number)
            VALUES (%s, pg_current_xact_id()::text::bigint * 1024)
            ON CONFLICT (company_id) DO UPDATE SET number = GREATEST(revision.number + 1, excluded.number)
            """,
            [actor.company_id],
        )
    publish(RulesChanged(aggregate_id=actor.company_id, what=what), actor=actor, now=now)
