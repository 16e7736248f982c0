"""What has to be done to a database and to files before the shop can open: migrate, seed, collect."""

from __future__ import annotations

import hashlib
import os
from io import StringIO
from pathlib import Path
from typing import Any

import django

from config.platform.embedded.console import Step, say, step


def prepare(*, seed: bool = True) -> None:
    """Bring database, demo shop and static files up to date; what is up to date already costs a look."""
    django.setup()
    with step("Database", ticking=True) as line:
        _migrate(line)
    if seed:
        _seed()
    with step("Static files", ticking=True) as line:
        _collect(line)


class _Progress(StringIO):
    """Turns the output of `migrate` into a count."""

    def __init__(self, line: Step, total: int) -> None:
        super().__init__()
        self.line = line
        self.total = total
        self.done = 0

    def write(self, text: str) -> int:
        if "Applying" in text:
            self.done += 1
            self.line.update(f"migration {self.done} of {self.total}")
        return super().write(text)


def _migrate(line: Step) -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        line.update("up to date")
        return
    call_command("migrate", interactive=False, no_color=True, stdout=_Progress(line, len(plan)))
    line.update(f"{len(plan)} migrations applied")


def _seed() -> None:
    from django.apps import apps
    from django.core.management import call_command

    # By name: the platform is below the apps and must not import them.
    if apps.get_model("inventory", "Product")._default_manager.exists():
        return
    say("  Demo shop      is made, once")
    call_command("seed_demo")  # shows its own progress


def _collect(line: Step) -> None:
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    root = Path(settings.STATIC_ROOT)
    stamp = root / ".collected"
    # Compressing some thousand files takes seconds, looking at them takes none.
    state = hashlib.sha256(str(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list(["CVS", ".*", "*~"]):
            state.update(_identity(storage, path))
    if (
        stamp.exists()
        and stamp.read_text() == state.hexdigest()
        and (root / "staticfiles.json").exists()
    ):
        line.update("up to date")
        return
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(state.hexdigest())
    line.update("collected")


def _identity(storage: Any, path: str) -> bytes:
    found = os.stat(storage.path(path))
    return f"{storage.location}/{path}:{found.st_size}:{found.st_mtime_ns}".encode()
