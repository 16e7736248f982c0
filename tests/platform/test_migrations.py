"""Every migration of ours can be taken back; `make migrations-back` does it on a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.migrations import Migration, RunPython, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from tests.platform.backwards import OURS


def operations_of(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from operations_of(operation.database_operations)
        else:
            yield operation


def irreversible(migrations: Iterable[Migration]) -> list[str]:
    return [
        f"{migration}: {operation.describe()}"
        for migration in migrations
        for operation in operations_of(migration.operations)
        if not operation.reversible
    ]


def test_every_migration_of_ours_can_be_taken_back() -> None:
    loader = MigrationLoader(None)
    ours = [migration for (label, _), migration in loader.disk_migrations.items() if label in OURS]

    assert len(ours) > 30
    assert {migration.app_label for migration in ours} == OURS
    assert irreversible(ours) == []


def test_one_that_cannot_be_taken_back_would_be_found() -> None:
    migration = Migration("0099_one_way", "cart")
    migration.operations = [
        SeparateDatabaseAndState(database_operations=[RunPython(lambda apps, editor: None)])
    ]

    assert len(irreversible([migration])) == 1
