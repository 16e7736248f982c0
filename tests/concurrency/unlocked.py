"""
The statement that locks shelves, with its lock or its order taken out: what the controls of the races run.

Luck decides nothing here. Who reads without the lock is held up between reading and writing, so that others write
meanwhile however few processors there are; who locks in an order of their own is held up between two shelves.
"""

from __future__ import annotations

from inventory.services import books

_LOCKED = "FOR NO KEY UPDATE OF s"
_STALE = "OFFSET (SELECT 0 FROM pg_sleep(0.02))"  # what is read is from before the pause


def without_lock() -> str:
    return _replace({_LOCKED: _STALE})


def without_order() -> str:
    """Return the statement with an order for every connection of its own."""
    return _replace(
        {
            "ORDER BY s.id\n": "ORDER BY md5(s.id::text || pg_backend_pid())\n",
            "SELECT s.id,": "SELECT CASE WHEN pg_sleep(0.02) IS NOT NULL THEN s.id END,",
        }
    )


def _replace(changes: dict[str, str]) -> str:
    found = books.LOCK
    for there, instead in changes.items():
        if there not in found:
            raise RuntimeError(f"{there!r} was not found: the control would prove nothing")
        found = found.replace(there, instead)
    return found
