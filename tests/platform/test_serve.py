"""The server of production: the shop is loaded before its workers are forked."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

from config.environment import BASE_DIR

LOADED = """
import gc, sys
from config import serve
serve.load()
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper
print("pricing.api.urls" in sys.modules, gc.get_freeze_count() > 100_000, connection.connection, len(DatabaseWrapper._connection_pools))
"""


def test_it_loads_the_views_and_opens_no_connection_before_it_forks():
    assert gc.get_freeze_count() == 0, "loading is tried in a process of its own"

    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=BASE_DIR,
        env=os.environ | {"DB_POOL": "on", "DJANGO_SETTINGS_MODULE": "config.settings.test"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "None", "0"]
