"""A changed price is shown until it is accepted, and the acceptance is of that price alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cart import selectors, services
from cart.models import Cart, CartEvent, CartLine
from config.platform.actor import Actor, hash_token
from inventory.models import Company, Variant
from pricing.models import Price
from tests.cart.conftest import make_item
from tests.conftest import Api

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=20)  # the hold is over, and with it what was promised


@pytest.fixture
def token(actor_guest: Actor, company: Company, now: datetime) -> str:
    """Return the token of a guest who has an open cart."""
    made = services.create(actor=replace(actor_guest, session_hash=None), now=now).token
    assert made is not None
    return made


@pytest.fixture
def guest(actor_guest: Actor, token: str) -> Actor:
    return replace(actor_guest, session_hash=hash_token(token))


@pytest.fixture
def guest_api(api: Api, token: str) -> Api:
    return api.as_guest(token)


def costs(variant: Variant, amount: str) -> None:
    Price.objects.filter(variant=variant).update(amount=Decimal(amount))


def changes(view: Any) -> list[dict[str, Any]]:
    return [warning.extra for warning in view.warnings if warning.code == "PRICE_CHANGED"]


def test_an_accepted_price_is_not_told_again_until_it_moves_again(
    guest: Actor, now: datetime
) -> None:
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now)
    costs(variant, "12.00")
    after = now + LATER
    shown = selectors.view(actor=guest, now=after)
    assert changes(shown) == [{"from": "10.00", "to": "12.00"}]
    assert len(shown.prices_to_accept) == 1

    accepted = services.accept_prices(actor=guest, quote_id=shown.quote_id, now=after)
    read = selectors.view(actor=guest, now=after)
    costs(variant, "13.00")
    moved = selectors.view(actor=guest, now=after)
    costs(variant, "12.00")
    back = selectors.view(actor=guest, now=after)

    assert changes(accepted) == changes(read) == changes(back) == []
    assert read.quote_id == shown.quote_id
    line = read.items[0]
    # what the contract says of the line stays as it is
    assert (line.price_when_added, line.unit_price, line.price_changed) == (10, 12, True)
    assert changes(moved) == [{"from": "12.00", "to": "13.00"}]
    assert CartEvent.objects.filter(event="cart.prices_accepted").count() == 1


def test_a_price_that_comes_back_after_another_was_accepted_is_no_change(
    guest: Actor, now: datetime
) -> None:
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now)
    costs(variant, "12.00")
    services.accept_prices(actor=guest, now=now + LATER)
    costs(variant, "10.00")

    assert changes(selectors.view(actor=guest, now=now + LATER)) == []


def test_nobody_accepts_what_they_were_not_shown(
    guest: Actor, guest_api: Api, now: datetime
) -> None:
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now - LATER)
    costs(variant, "12.00")
    shown = guest_api.get("/cart").json()
    costs(variant, "99.00")

    answer = guest_api.post("/cart/accept-prices", {"quoteId": shown["quoteId"]})
    current = guest_api.get("/cart").json()

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_CHANGED")
    assert answer.json()["extra"] == {
        "oldTotal": None, "newTotal": "99.00", "quoteId": current["quoteId"],
    }  # fmt: skip
    assert CartLine.objects.get().accepted_price is None
    assert Cart.objects.get().version == shown["version"]


def test_the_api_accepts_for_whoever_the_cart_is_and_twice_changes_nothing(
    guest: Actor, guest_api: Api, api: Api, now: datetime
) -> None:
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now - LATER)
    costs(variant, "8.00")
    before = guest_api.get("/cart").json()

    first = guest_api.post("/cart/accept-prices", {"quoteId": before["quoteId"]})
    again = guest_api.post("/cart/accept-prices", {})

    assert (first.status_code, again.status_code) == (200, 200)
    assert [w for w in first.json()["warnings"] if w["code"] == "PRICE_CHANGED"] == []
    assert first.json()["version"] == again.json()["version"] == before["version"] + 1
    assert first.json()["quoteId"] == before["quoteId"]
    assert api.post("/cart/accept-prices", {}).status_code == 401
    stranger = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    foreign = stranger.post(f"/public/cart/{before['id']}/accept-prices", {})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "CART_NOT_FOUND")
    assert guest_api.post("/cart/accept-prices", {"price": "1.00", "x": 1}).status_code == 400
    assert guest_api.post("/cart/accept-prices", {"quoteId": 7.5}).status_code in {400, 409}
    stale = guest_api.post("/cart/accept-prices", {"version": before["version"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "CART_CONFLICT")


def test_a_promised_price_needs_no_acceptance_and_none_is_kept_for_it(
    guest: Actor, now: datetime
) -> None:
    variant = make_item("10.00")
    view = services.add_line(actor=guest, sku=variant.sku, now=now)
    costs(variant, "12.00")

    same = services.accept_prices(actor=guest, now=now + timedelta(minutes=1))

    assert same.version == view.version
    assert CartLine.objects.get().accepted_price is None
    assert len(changes(selectors.view(actor=guest, now=now + LATER))) == 1


def test_another_currency_forgets_what_was_accepted(
    guest: Actor, company: Company, now: datetime
) -> None:
    variant = make_item("10.00")
    Price.objects.create(variant=variant, currency="EUR", amount=Decimal(9))
    services.add_line(actor=guest, sku=variant.sku, now=now)
    Price.objects.filter(variant=variant, currency="USD").update(amount=12)
    services.accept_prices(actor=guest, now=now + LATER)

    services.update(actor=guest, currency="EUR", now=now + LATER)

    line = CartLine.objects.get()
    assert (line.price_when_added, line.accepted_price) == (9, None)
