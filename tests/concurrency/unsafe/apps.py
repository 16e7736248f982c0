"""Takes the row lock out of the stock books of this process."""

from __future__ import annotations

from django.apps import AppConfig


class UnsafeConfig(AppConfig):
    name = "tests.concurrency.unsafe"
    label = "unsafe"

    def ready(self) -> None:
        from inventory.services import books
        from tests.concurrency.unlocked import without_lock

        books.LOCK = without_lock()
