"""The same shop with the lock on stock taken out: the control that proves the race is real."""

from __future__ import annotations

from tests.concurrency.settings import *
from tests.concurrency.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.concurrency.unsafe"]
