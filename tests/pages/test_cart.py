"""The cart's page, by plain forms and by parts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cart.models import Cart, CartLine
from inventory.models import StockLevel, Variant
from tests import factories
from tests.pages.conftest import Market, Visitor, text_of


def quantities() -> dict[str, int]:
    return dict(CartLine.objects.filter(list="active").values_list("variant__sku", "quantity"))


def test_no_cart_before_the_first_add(visitor: Visitor) -> None:
    page = visitor.get("/cart/")

    assert "Nothing in it yet" in text_of(page)
    assert "Harbour Mug" in text_of(page)  # suggestions
    assert Cart.objects.count() == 0
    assert "hf_session" not in visitor.client.cookies


def test_first_add_makes_a_guest_with_a_held_line(visitor: Visitor, market: Market) -> None:
    page = visitor.add("MUG-KELP", 2)

    assert page.redirect_chain == [("/cart/", 302)]
    assert "Harbour Mug" in text_of(page)
    assert "Held for you" in text_of(page)
    assert quantities() == {"MUG-KELP": 2}
    assert StockLevel.objects.get(variant=market.kelp).reserved == 2
    cookie = visitor.client.cookies["hf_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_options_of_the_form_decide_not_a_stale_sku(visitor: Visitor, market: Market) -> None:
    visitor.post("/cart/add/", {"product": str(market.mug.id), "option-1": "Ink", "quantity": 1})

    assert quantities() == {"MUG-INK": 1}


def test_the_same_form_sent_twice_adds_once_and_keeps_its_guest(market: Market) -> None:
    first, second = Visitor(), Visitor()  # a double click: the second request has no cookie yet
    form = {"sku": "MUG-KELP", "quantity": 1, "key": "0" * 32}

    first.add(**form)
    again = second.add(**form)

    assert quantities() == {"MUG-KELP": 1}
    assert Cart.objects.count() == 1
    assert "Harbour Mug" in text_of(again)
    assert (
        first.client.cookies["hf_session"].value.split(":")[0]
        == second.client.cookies["hf_session"].value.split(":")[0]
    )


def test_another_key_is_another_deed(visitor: Visitor) -> None:
    visitor.add("MUG-KELP", key="a" * 32)
    visitor.add("MUG-KELP", key="b" * 32)

    assert quantities() == {"MUG-KELP": 2}


@pytest.mark.parametrize(
    "form",
    [
        {"sku": "MUG-KELP", "quantity": "0"},
        {"sku": "MUG-KELP", "quantity": "-3"},
        {"sku": "MUG-KELP", "quantity": "١"},
        {"sku": "MUG-KELP", "quantity": "1e9"},
        {"sku": "NOTHING", "quantity": "1"},
        {"product": "not-an-id", "quantity": "1"},
        {"product": "00000000-0000-0000-0000-000000000000", "option-1": "Kelp"},
        {},
        {"sku": "BELL", "quantity": "1"},
        {"sku": "ROPE", "quantity": "4"},
    ],
)
def test_what_cannot_be_added_is_said_and_changes_nothing(
    visitor: Visitor, form: dict[str, str]
) -> None:
    page = visitor.post("/cart/add/", form)
    assert page.status_code == 200
    assert b"note--bad" in page.content

    part = visitor.part("/cart/add/", form)
    assert part.status_code == 422
    assert b"added--bad" in part.content

    assert CartLine.objects.count() == 0
    assert StockLevel.objects.filter(reserved__gt=0).count() == 0


def test_added_in_place_with_badge_and_version(visitor: Visitor) -> None:
    part = visitor.part("/cart/add/", {"sku": "MUG-KELP", "quantity": 3})

    assert "In your cart." in text_of(part)
    assert b'id="cart-badge" data-count="3" hx-swap-oob="true"' in part.content
    told = json.loads(part["HX-Trigger"])["cart-version"]
    assert told["count"] == 3
    assert told["cart"] == str(Cart.objects.get().id)


def test_stepper_sets_and_steps(visitor: Visitor) -> None:
    visitor.add("MUG-KELP", 2)
    path = f"/cart/lines/{visitor.line_id()}/"

    visitor.post(path, {"act": "set", "quantity": "5"})
    assert quantities() == {"MUG-KELP": 5}
    visitor.post(path, {"act": "set", "quantity": "5", "step": "-1"})
    assert quantities() == {"MUG-KELP": 4}
    part = visitor.part(path, {"act": "set", "quantity": "7"})
    assert b'data-count="7"' in part.content
    assert quantities() == {"MUG-KELP": 7}


def test_too_many_is_refused_kindly_and_nothing_moves(visitor: Visitor) -> None:
    visitor.add("ROPE", 2)

    part = visitor.part(f"/cart/lines/{visitor.line_id()}/", {"act": "set", "quantity": "9"})

    assert part.status_code == 200
    assert b"note--bad" in part.content
    assert quantities() == {"ROPE": 2}


def test_remove_can_be_undone(visitor: Visitor, market: Market) -> None:
    visitor.add("MUG-KELP", 3)

    page = visitor.post(f"/cart/lines/{visitor.line_id()}/", {"act": "remove"})
    assert "Harbour Mug is out of your cart." in text_of(page)
    assert quantities() == {}
    assert StockLevel.objects.get(variant=market.kelp).reserved == 0

    token = re.search(r'name="undo" value="([^"]+)"', page.content.decode())
    assert token
    visitor.post("/cart/undo/", {"undo": token.group(1)})
    assert quantities() == {"MUG-KELP": 3}


@pytest.mark.parametrize("token", ["", "forged", "a:b:c"])
def test_a_forged_undo_does_nothing(visitor: Visitor, token: str) -> None:
    visitor.add("ROPE")

    page = visitor.post("/cart/undo/", {"undo": token})

    assert "too long ago" in text_of(page)
    assert quantities() == {"ROPE": 1}


def test_lists_beside_the_cart(visitor: Visitor, market: Market) -> None:
    visitor.add("MUG-KELP")
    path = f"/cart/lines/{visitor.line_id()}/"

    page = visitor.post(path, {"act": "save"})
    assert "Saved for later" in text_of(page)
    assert StockLevel.objects.get(variant=market.kelp).reserved == 0
    visitor.post(path, {"act": "next"})
    assert list(CartLine.objects.values_list("list", flat=True)) == ["next"]
    visitor.post(path, {"act": "activate"})
    assert quantities() == {"MUG-KELP": 1}


def test_clear_asks_first_and_works_without_a_script(visitor: Visitor) -> None:
    visitor.add("MUG-KELP")

    assert "Empty the cart?" in text_of(visitor.get("/cart/clear/"))
    assert quantities() == {"MUG-KELP": 1}
    page = visitor.post("/cart/clear/")
    assert "Your cart is empty now." in text_of(page)
    assert quantities() == {}


def test_code_is_applied_and_taken_off(visitor: Visitor) -> None:
    visitor.add("MUG-KELP", 2)

    page = visitor.post("/cart/code/", {"code": "save10"})
    assert "SAVE10" in text_of(page)
    assert "$32.40" in text_of(page)
    visitor.post("/cart/code/", {"remove": "SAVE10"})
    assert Cart.objects.get().codes == []


def test_a_wrong_code_stays_in_its_field_with_the_reason(visitor: Visitor) -> None:
    visitor.add("MUG-KELP")

    page = visitor.post("/cart/code/", {"code": "<b>WRONG"})

    assert b'aria-invalid="true"' in page.content
    assert b'value="&lt;b&gt;WRONG"' in page.content
    assert Cart.objects.get().codes == []


def test_estimate_shows_delivery(visitor: Visitor) -> None:
    visitor.add("MUG-KELP")

    page = visitor.post("/cart/estimate/", {"country": "US", "state": "ME", "postal_code": "04841"})
    assert "Standard" in text_of(page)
    assert "$6.90" in text_of(page)

    assert b"note--bad" in visitor.post("/cart/estimate/", {"country": "🐙"}).content


def test_days_of_arrival_are_told_unless_something_may_have_to_wait(
    visitor: Visitor, market: Market
) -> None:
    place = {"country": "US", "state": "ME", "postal_code": "04841"}
    Variant.objects.filter(pk=market.bell.pk).update(inventory_policy="continue")
    visitor.add("MUG-KELP")

    there = text_of(visitor.post("/cart/estimate/", place))
    visitor.add("BELL")
    waits = text_of(visitor.get("/cart/"))

    assert re.search(r"arrives \w{3}, \w{3} \d+\W+\w{3}, \w{3} \d+, \d+ to \d+ working days", there)
    assert "working days" in waits
    assert "arrives" not in waits


def test_the_cart_follows_the_currency_of_the_shelves(visitor: Visitor, market: Market) -> None:
    factories.make_price(market.kelp, "17.50", "EUR")
    visitor.add("MUG-KELP", 2)

    page = visitor.post("/preferences/", {"currency": "EUR", "next": "/cart/"})

    assert "€35.00" in text_of(page)
    assert Cart.objects.get().currency == "EUR"


def test_total_explains_itself(visitor: Visitor) -> None:
    visitor.add("MUG-KELP", 2)
    said = text_of(visitor.post("/cart/code/", {"code": "SAVE10"}))

    assert "How is this calculated?" in said
    assert "2 × Harbour Mug" in said


def test_foreign_line_is_not_found(visitor: Visitor, market: Market) -> None:
    stranger = Visitor()
    stranger.add("LAMP")
    line = stranger.line_id()
    visitor.add("ROPE")

    page = visitor.post(f"/cart/lines/{line}/", {"act": "remove"})

    assert b"note--bad" in page.content
    assert quantities() == {"LAMP": 1, "ROPE": 1}


def test_state_is_an_empty_304_while_nothing_changes(visitor: Visitor) -> None:
    visitor.add("MUG-KELP", 2)
    first = visitor.get("/cart/state/")
    assert json.loads(first.content)["count"] == 2

    again = visitor.get("/cart/state/", **{"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    visitor.add("ROPE")
    assert visitor.get("/cart/state/", **{"If-None-Match": first["ETag"]}).status_code == 200


def test_forms_count_against_the_limits_of_the_api(visitor: Visitor, rate_limits: None) -> None:
    visitor.add("MUG-KELP")  # counted under the address: there was no guest yet
    for _ in range(30):
        visitor.part("/cart/add/", {"sku": "MUG-KELP", "quantity": "1"})

    part = visitor.part("/cart/add/", {"sku": "MUG-KELP", "quantity": "1"})

    assert b"added--bad" in part.content
    assert quantities() == {"MUG-KELP": 31}


@pytest.mark.parametrize("token", ["x", "0" * 64, "%F0%9F%90%99", "a.b.c"])
def test_a_link_that_does_not_fit_is_a_friendly_page(visitor: Visitor, token: str) -> None:
    page = visitor.get(f"/cart/recover/{token}/")

    assert page.status_code == 410
    assert "Look around" in text_of(page)
    assert page["Referrer-Policy"] == "same-origin"


def test_forms_need_their_csrf_token(market: Market) -> None:
    from django.test import Client

    answer: Any = Client(enforce_csrf_checks=True).post("/cart/add/", {"sku": "ROPE"})

    assert answer.status_code == 403
    assert CartLine.objects.count() == 0


def test_a_price_that_fell_is_told_once_and_kindly(
    visitor: Visitor, market: Market, now: Any
) -> None:
    visitor.add("LAMP")
    market.lamp.prices.update(amount="80.00")

    assert "Down from $90.00 to $80.00" in text_of(visitor.get("/cart/"))


def test_a_sku_that_no_database_could_hold_is_refused_kindly(visitor: Visitor) -> None:
    page = visitor.post("/cart/add/", {"sku": "LAMP\x00", "quantity": "1"})

    assert page.status_code == 200
    assert "no such product" in text_of(page)
