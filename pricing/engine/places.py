"""How names of places are compared."""

from __future__ import annotations


def fold(text: str) -> str:
    """Return a name without regard to case or surrounding space."""
    return text.strip().casefold()


def postal_form(text: str) -> str:
    """Return a postal code without spaces, hyphens and case."""
    return "".join(text.split()).replace("-", "").upper()


def prefix_form(text: str) -> str:
    """Return the beginning of a postal code as it is compared; a star at its end says nothing more."""
    return postal_form(text).rstrip("*")
