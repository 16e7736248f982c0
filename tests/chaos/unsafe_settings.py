"""The same shop with the lock on stock taken out: the control that proves that the checker sees what goes wrong."""

from __future__ import annotations

from tests.chaos.settings import *
from tests.chaos.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.concurrency.unsafe"]
