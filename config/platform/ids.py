"""Ids as others write them."""

from __future__ import annotations

from uuid import UUID


def as_uuid(text: str) -> UUID | None:
    """Return the id that a text names; None where it names none."""
    try:
        return UUID(text)
    except ValueError:
        return None
