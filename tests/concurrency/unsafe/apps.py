"""Takes the row lock out of the stock books of this process."""

from __future__ import annotations

from django.apps import AppConfig


class UnsafeConfig(AppConfig):
    name = "tests.concurrency.unsafe"
    label = "unsafe"

    def ready(self) -> None:
        from inventory.services import books

        locking = books.LOCK
        books.LOCK = locking.replace("FOR NO KEY UPDATE OF s", "")
        if books.LOCK == locking:
            raise RuntimeError("the lock was not found: the control would prove nothing")
