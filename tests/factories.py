"""Rows for tests: `make_thing(...)` with defaults that do not matter to the test that calls it."""

from __future__ import annotations

import itertools
from typing import Any

from config.platform.models import User
from inventory.models import Company

_numbers = itertools.count(1)

PASSWORD = "correct horse battery"


def next_number() -> int:
    """Return a number no other row of this test run has."""
    return next(_numbers)


# --- platform ---------------------------------------------------------------------------------


def make_user(*, email: str = "", password: str = PASSWORD, **fields: Any) -> User:
    return User.objects.create_user(email or f"user{next_number()}@example.com", password, **fields)


def make_staff(**fields: Any) -> User:
    return make_user(**{"is_staff": True, **fields})


# --- inventory --------------------------------------------------------------------------------


def make_company(**fields: Any) -> Company:
    """Return another company than the default one, which is the fixture `company`."""
    number = next_number()
    return Company.objects.create(
        **{"name": f"Company {number}", "slug": f"company-{number}", **fields}
    )
