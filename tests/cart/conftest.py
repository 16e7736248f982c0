"""What the cart's tests share: things to sell, and a way to count statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform import flags
from inventory.models import Company, Variant
from pricing.models import Coupon, Price, Promotion, Revision
from tests import factories


def make_item(
    price: str = "10.00", available: int | None = 10, *, currency: str = "USD", **fields: Any
) -> Variant:
    """Return a variant that can be bought."""
    variant = factories.make_variant(available=available, **fields)
    Price.objects.create(variant=variant, currency=currency, amount=Decimal(price))
    return variant


def make_code(code: str, company: Company, **fields: Any) -> Promotion:
    """Return a promotion that a code brings in; 10 % off everything by default."""
    promotion = Promotion.objects.create(
        **{"company": company, "name": code, "kind": "PERCENTAGE", "value": Decimal(10), **fields}
    )
    Coupon.objects.create(company=company, promotion=promotion, code=code)
    Revision.objects.update_or_create(company=company, defaults={"number": factories.next_number()})
    return promotion


@pytest.fixture
def statements() -> Callable[[], Any]:
    """Return a context manager that counts statements, those that only frame transactions aside."""

    @contextmanager
    def count() -> Iterator[list[str]]:
        found: list[str] = []
        flags.forget()
        flags.refresh()  # what a process reads every other second is not what a request costs
        with CaptureQueriesContext(connection) as captured:
            yield found
        framing = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
        found += [
            query["sql"]
            for query in captured.captured_queries
            if not query["sql"].startswith(framing)
        ]

    return count
