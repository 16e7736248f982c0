"""Promotions switched off as a whole: nothing is discounted, no page asks for a code, codes are refused, and all comes back."""

from __future__ import annotations

from typing import Any

import pytest

from cart.models import Cart
from config.platform import flags
from tests import factories
from tests.pages.conftest import Market, Visitor, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def off(settings: Any) -> Any:
    """Return what switches promotions off, or on again."""

    def switch(is_on: bool = False) -> None:
        settings.FEATURES = {**settings.FEATURES, "ORDER_ENABLE_PROMOTIONS": is_on}
        flags.forget()

    yield switch
    flags.forget()


def test_the_api_refuses_codes_and_takes_nothing_off(
    api: Any, market: Market, company: Any, off: Any
) -> None:
    factories.make_promotion("AUTUMN10")
    factories.make_promotion(name="For all", value=5)
    guest = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    guest.post("/cart/items", {"sku": "MUG-KELP"})
    with_code = guest.post("/cart/discount", {"code": "AUTUMN10"}).json()
    assert with_code["totals"]["discountTotal"] == "2.61"
    stored = Cart.objects.values_list("version", "codes").get()

    off()

    cart = guest.get("/cart").json()
    assert (cart["totals"]["discountTotal"], cart["discounts"]) == ("0.00", [])
    assert cart["totals"]["grandTotal"] == "18.00"
    [told] = [each for each in cart["warnings"] if each["code"] == "DISCOUNT_NOT_APPLIED"]
    assert told["message"] == "Codes cannot be used at the moment."
    [refused] = guest.get("/cart/explain").json()["notApplied"]
    assert (refused["code"], refused["reason"]) == ("AUTUMN10", "switched_off")
    for path, body in (
        ("/cart/discount", {"code": "AUTUMN10"}),
        ("/checkout/discount/validate", {"code": "AUTUMN10"}),
    ):
        answer = guest.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "FEATURE_DISABLED"), path
    assert api.get("/promotions/active").json()["results"] == []
    assert Cart.objects.values_list("version", "codes").get() == stored

    off(True)

    assert guest.get("/cart").json()["totals"]["discountTotal"] == "2.61"


def test_a_code_can_be_taken_off_all_the_same(api: Any, market: Market, off: Any) -> None:
    factories.make_promotion("AUTUMN10")
    guest = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    guest.post("/cart/items", {"sku": "MUG-KELP"})
    guest.post("/cart/discount", {"code": "AUTUMN10"})
    off()

    assert guest.delete("/cart/discount/AUTUMN10").status_code == 200

    assert Cart.objects.get().codes == []


def test_no_page_asks_for_a_code(visitor: Visitor, off: Any) -> None:
    factories.make_promotion(name="For all", value=5)
    visitor.add("MUG-KELP")
    before = visitor.get("/cart/")
    assert 'name="code"' in before.content.decode()
    assert "For all" in text_of(before)

    off()

    for page in (visitor.get("/cart/"), visitor.post("/checkout/")):
        assert page.status_code == 200
        assert 'name="code"' not in page.content.decode()
        assert "A code?" not in text_of(page)
        assert "For all" not in text_of(page)


def test_a_form_that_was_open_is_refused_kindly_and_nothing_is_written(
    visitor: Visitor, off: Any
) -> None:
    factories.make_promotion("AUTUMN10")
    visitor.add("MUG-KELP")
    stored = Cart.objects.values_list("version", "codes").get()
    off()

    page = visitor.post("/cart/code/", {"code": "AUTUMN10"})

    assert page.status_code == 200
    assert Cart.objects.values_list("version", "codes").get() == stored
