"""The same shop with the lock on promotions taken out: the control that proves the race for a code is real."""

from __future__ import annotations

from tests.concurrency.settings import *
from tests.concurrency.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.concurrency.uncounted"]
