"""What the API says of itself: the page that the `type` of each problem points to, and its document."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from config.platform import schema
from config.platform.errors import known_errors

pytestmark = pytest.mark.django_db

CODES = [
    "SKU_TAKEN", "STOCK_BELOW_HOLDS", "PRICE_MISSING", "SLUG_TAKEN", "STOCK_RECORD_EXISTS", "CATEGORY_NOT_FOUND",
    "WAREHOUSE_NOT_FOUND", "COMPANY_NOT_FOUND", "INTERNAL_ERROR", "PRODUCT_NOT_FOUND", "ITEM_OUT_OF_STOCK",
    "INVENTORY_HOLD_FAILED", "HOLD_LIMIT_EXCEEDED", "WISHLIST_FULL", "COMPARISON_FULL", "RATE_LIMITED",
]  # fmt: skip


def test_every_code_has_a_place_and_words(company) -> None:
    page = Client().get("/docs/errors").content.decode()

    for error in known_errors():
        assert f'id="{error.code}"' in page, error.code
        assert error.title, error.code
        assert error.message, error.code
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", error.code)


@pytest.mark.parametrize("code", CODES)
def test_what_clients_meet_most_says_what_to_do(code: str) -> None:
    [error] = [error for error in known_errors() if error.code == code]

    assert error.advice


def test_the_api_document_outlives_a_change_of_the_files(monkeypatch: Any) -> None:
    """A file may be replaced under a running process, by a deploy or an editor."""

    def gone(run: Any) -> str:
        raise OSError("source code not available")

    schema._source.cache_clear()
    monkeypatch.setattr(schema.inspect, "getsource", gone)
    try:
        answer = Client().get("/api/schema")
    finally:
        schema._source.cache_clear()

    assert answer.status_code == 200
    assert b"/api/v1/products" in answer.content
