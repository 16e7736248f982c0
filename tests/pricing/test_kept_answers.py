"""Catalogue answers that are kept: who gets them, when they are made anew, and that no old one comes back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction

from config.platform import kept
from inventory import services as inventory
from inventory.models import Company, StockLevel, Variant
from pricing import services as pricing
from pricing.models import Price
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _kept(settings: Any) -> None:
    settings.CATALOGUE_CACHE = timedelta(seconds=30)


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=5)


def paths(variant: Variant) -> list[str]:
    slug = variant.product.slug
    return [
        f"/products/{slug}",
        f"/products/{variant.product_id}",
        f"/products/{slug}/recommendations",
        "/products",
        "/products/search?q=product",
    ]


def only(body: Any) -> Any:
    """Return the one product of an answer, which is it or lists it."""
    return body["results"][0] if "results" in body else body


def test_what_is_kept_costs_one_statement_and_says_the_same(
    api: Api, variant: Variant, django_assert_max_num_queries: Any
) -> None:
    for path, most in zip(paths(variant), [1, 1, 1, 2, 2], strict=True):
        made = api.get(path)
        with django_assert_max_num_queries(
            most
        ):  # lists are not kept: what is in stock decides what is in them
            again = api.get(path)
        with django_assert_max_num_queries(most):
            known = api.get(path, **{"If-None-Match": made["ETag"]})
        assert again.json() == made.json()
        assert again["ETag"] == made["ETag"]
        assert (known.status_code, known.content) == (304, b"")
        assert again["Cache-Control"].startswith("public, max-age=")


def test_a_kept_answer_has_the_stock_of_now(api: Api, variant: Variant) -> None:
    asked = [path for path in paths(variant) if not path.endswith("recommendations")]
    for path in asked:
        api.get(path)

    StockLevel.objects.update(available=2, total=2)  # announced to nobody
    few = [only(api.get(path).json()) for path in asked]
    StockLevel.objects.update(available=0, total=0)
    none = [only(api.get(path).json()) for path in asked]
    Variant.objects.update(inventory_policy="continue")
    later = [only(api.get(path).json()) for path in asked]

    for body in few:
        assert (body["variants"][0]["available"], body["inStock"]) == (2, True)
    for body in none:
        assert (body["variants"][0]["available"], body["inStock"]) == (0, False)
    for body in later:
        assert (body["variants"][0]["backorder"], body["inStock"]) == (True, True)


def test_kept_and_made_answers_agree(api: Api, company: Company, settings: Any) -> None:
    """Whatever the stock, what is put into a kept answer is what a fresh one would say."""
    several = factories.make_product(company=company)
    for number, policy in enumerate(["deny", "continue", "deny", "continue"]):
        one = factories.make_variant(
            product=several, available=None if number > 1 else 3, inventory_policy=policy
        )
        if number != 1:
            factories.make_price(one, "5.00")
    path = f"/products/{several.slug}"
    for stock in (3, 0, 50):
        StockLevel.objects.update(available=stock, total=stock)
        api.get(path)
        from_kept = api.get(path).json()
        settings.CATALOGUE_CACHE = timedelta(0)
        made = api.get(path).json()
        settings.CATALOGUE_CACHE = timedelta(seconds=30)
        assert from_kept == made


def test_staff_see_all_and_leave_nothing_behind_for_customers(
    api: Api, staff_api: Api, user_api: Api, variant: Variant
) -> None:
    StockLevel.objects.update(available=500, total=500)
    path = paths(variant)[0]

    for client, shown in ((staff_api, 500), (api, 10), (staff_api, 500), (user_api, 10), (api, 10)):
        answer = client.get(path)
        assert answer.json()["variants"][0]["available"] == shown
        is_shared = answer["Cache-Control"].startswith("public")
        assert is_shared == (client is api)
        vary = {name.strip() for name in answer["Vary"].split(",")}
        assert {"Authorization", "Cookie", "X-Company-Id"} <= vary


def test_companies_and_currencies_are_kept_apart(api: Api, variant: Variant) -> None:
    there = factories.make_company()
    same_slug = factories.make_product(company=there, slug=variant.product.slug, name="Theirs")
    factories.make_priced_variant("7.00", product=same_slug)
    factories.make_price(variant, "9.00", "EUR")
    path = f"/products/{variant.product.slug}"

    for _ in range(2):
        assert api.get(path).json()["priceFrom"] == "10.00"
        assert api.get(f"{path}?currency=EUR").json()["priceFrom"] == "9.00"
        assert api.get(path, **{"X-Company-Id": str(there.id)}).json()["name"] == "Theirs"


def test_refusals_are_not_kept(api: Api, company: Company) -> None:
    assert api.get("/products/soon").status_code == 404
    factories.make_priced_variant(product=factories.make_product(slug="soon"))
    assert api.get("/products/soon").status_code == 200


# --- made anew --------------------------------------------------------------------------------------


def change_price(variant: Variant, amount: str, staff: Any, now: Any) -> None:
    pricing.set_price(
        actor=staff, variant_id=variant.id, currency="USD", amount=Decimal(amount), now=now
    )


def test_a_change_shows_at_once_after_its_commit(
    api: Api, variant: Variant, staff: Any, now: Any, django_capture_on_commit_callbacks: Any
) -> None:
    path = paths(variant)[0]
    assert api.get(path).json()["priceFrom"] == "10.00"

    with django_capture_on_commit_callbacks(execute=True):
        change_price(variant, "8.00", staff, now)
    assert api.get(path).json()["priceFrom"] == "8.00"

    with django_capture_on_commit_callbacks(execute=True):
        inventory.discontinue(actor=staff, product_id=variant.product_id, now=now)
    assert api.get(path).json()["status"] == "discontinued"
    assert api.get("/products").json()["results"] == []


@pytest.mark.parametrize("is_safe", [True, False], ids=["as it is", "with one generation for ever"])
@pytest.mark.django_db(transaction=True)
def test_an_old_answer_cannot_come_back(
    api: Api, staff: Any, now: Any, monkeypatch: Any, is_safe: bool
) -> None:
    """
    A reader makes an answer, a writer commits and renews, and only then the reader keeps what it made.

    With a generation that never changes, which is what deleting the key would come to, the old answer comes back.
    """
    variant = factories.make_priced_variant("10.00", available=5)
    path = f"/products/{variant.product.slug}"
    if not is_safe:
        monkeypatch.setattr(kept, "_generation", lambda company_id: "one")
    put, held = cache.set, []

    def late(key: str, value: Any, timeout: Any = None) -> None:
        if key.startswith("kept:") and not held:
            held.append(key)
            change_price(variant, "8.00", staff, now)  # commits, and renews, before this is kept
        put(key, value, timeout=timeout)

    monkeypatch.setattr(cache, "set", late)
    first = api.get(path).json()["priceFrom"]
    after = api.get(path).json()["priceFrom"]

    assert held
    assert first == "10.00"
    assert after == ("8.00" if is_safe else "10.00")


def test_without_redis_answers_are_made(api: Api, variant: Variant, monkeypatch: Any) -> None:
    for name in ("get", "set", "add"):
        monkeypatch.setattr(cache, name, lambda *args, **kwargs: None)
    path = paths(variant)[0]

    assert api.get(path).json()["priceFrom"] == "10.00"
    Price.objects.update(amount=Decimal("8.00"))
    assert api.get(path).json()["priceFrom"] == "8.00"


def test_an_emptied_redis_brings_no_old_answers_back(company: Company) -> None:
    def answer(content: str) -> str:
        found: str = kept.recall(company_id=company.id, name="x", make=lambda: content)
        return found

    assert answer("first") == "first"
    assert answer("second") == "first"
    cache.delete(f"catalogue:{company.id}")
    assert answer("third") == "third"


def test_what_is_large_or_has_a_long_name_is_not_kept(company: Company) -> None:
    calls = []

    def make() -> str:
        calls.append(1)
        return "x" * (kept.BIGGEST if len(calls) > 2 else 1)

    for name in ("n" * 601, "n" * 601, "large", "large"):
        kept.recall(company_id=company.id, name=name, make=make)
    assert len(calls) == 4


def test_a_change_that_is_rolled_back_renews_nothing(
    api: Api, variant: Variant, staff: Any, now: Any, django_capture_on_commit_callbacks: Any
) -> None:
    before = kept._generation(variant.company_id)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        change_price(variant, "8.00", staff, now)
        transaction.set_rollback(True)

    assert kept._generation(variant.company_id) == before


def test_categories_may_be_cached(api: Api, company: Company) -> None:
    answer = api.get("/categories")

    assert answer["Cache-Control"].startswith("public, max-age=")
    assert api.get("/categories", **{"If-None-Match": answer["ETag"]}).status_code == 304
