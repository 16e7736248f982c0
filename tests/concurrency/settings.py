"""A served shop on the database of the tests, with the pool that production has."""

from __future__ import annotations

import os

os.environ["DB_POOL"] = "on"

from config.settings.test import *

TRUSTED_PROXIES = 1  # who races says from where it comes
