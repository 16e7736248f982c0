"""Who a customer is, as far as promotions ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Func, TextField, Value

_KEYS = ArrayField(TextField())


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """The groups a customer is in, whether there is an order already, and since when there is an account."""

    group_ids: frozenset[UUID]
    has_ordered: bool
    since: datetime | None


def customer_keys(
    *, user_id: UUID | None, email: str = "", session_hash: bytes | None = None
) -> tuple[str, ...]:
    """
    Return the names under which promotions may know a customer, the strongest first.

    The database makes of them which customers are the same one (`customer_keys_of`): it knows the account's own
    address, and reads addresses that reach the same mailbox as one.
    """
    keys = []
    if user_id is not None:
        keys.append(f"user:{user_id}")
    if email:
        keys.append(f"email:{email.lower()}")
    if session_hash is not None:
        keys.append(f"session:{session_hash.hex()}")
    return tuple(keys)


def keys_expression(keys: Sequence[str]) -> Func:
    """Return every name of the customer of these keys, as an array of the database."""
    return Func(
        Value(list(keys), output_field=_KEYS), function="customer_keys_of", output_field=_KEYS
    )


def customer_facts(*, company_id: UUID, user_id: UUID | None, keys: Sequence[str]) -> CustomerFacts:
    """Return what promotions may ask about a customer: one query. An unknown customer is in no group and new."""
    values: dict[str, Any] = {"company": company_id, "user": user_id, "keys": list(keys)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT ARRAY(SELECT member.group_id FROM customer_group_members member
                           JOIN customer_groups grp ON grp.id = member.group_id
                          WHERE member.user_id = %(user)s AND grp.company_id = %(company)s),
                   EXISTS(SELECT 1 FROM customer_orders
                           WHERE company_id = %(company)s AND undone_at IS NULL
                             AND customer_keys && customer_keys_of(%(keys)s::text[])),
                   (SELECT created_at FROM users WHERE id = %(user)s)
            """,
            values,
        )
        groups, has_ordered, since = cursor.fetchone()
    return CustomerFacts(frozenset(groups), has_ordered, since)
