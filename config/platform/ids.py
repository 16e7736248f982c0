"""Ids as others write them."""

from __future__ import annotations

from uuid import UUID

from config.platform.errors import ApplicationError


def as_uuid(text: str) -> UUID | None:
    """Return the id that a text names; None where it names none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def named_id(text: str, missing: type[ApplicationError]) -> UUID:
    """
    Return the id that a text names.

    :raises missing: if it names none, as if nobody had it
    """
    found = as_uuid(text)
    if found is None:
        raise missing
    return found
