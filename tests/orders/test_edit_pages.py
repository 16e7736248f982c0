"""The pages on which a customer puts an order right: look first, do it once, no script needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from config.platform.models import User
from orders import services as orders
from orders.models import Order, OrderEdit
from pricing.models import ShippingZone, TaxRate
from tests import factories
from tests.conftest import actor_for
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FORM = {"name": "Ada Marsh", "line1": "2 Harbour Street", "line2": "", "city": "Portland", "state": "ME", "postal_code": "04101", "country": "US", "phone": ""}  # fmt: skip
BOSTON = {**FORM, "city": "Boston", "state": "MA", "postal_code": "02108"}


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def text(answer: Any) -> str:
    content: str = answer.content.decode()
    return content


def quote_of(page: Client, place: str, form: dict[str, str]) -> str:
    shown = page.post(place, {**form, "step": "review"})
    assert shown.status_code == 200
    quote: str = shown.context["proposal"].quote_id
    return quote


def test_an_address_is_put_right_after_a_look(paid: Order, page: Client) -> None:
    place = f"/orders/{paid.number}/address/"
    assert place in text(page.get(f"/orders/{paid.number}/"))
    assert 'value="1 Harbour Street"' in text(page.get(place))

    asked = page.post(place, {**FORM, "step": "review"})

    assert "The price stays as it is." in text(asked)
    assert "Portland ME 04101<br>United States<br>" in text(asked)  # as the order's page writes it
    assert not OrderEdit.objects.exists()
    sent = {**FORM, "step": "do", "quote": asked.context["proposal"].quote_id, "key": "a" * 32}
    for _ in range(2):
        assert page.post(place, sent)["Location"] == f"/orders/{paid.number}/"
    assert reload(paid).shipping_address["line1"] == "2 Harbour Street"
    assert [edit.reason for edit in OrderEdit.objects.all()] == ["by the customer"]
    assert "2 Harbour Street" in text(page.get(f"/orders/{paid.number}/"))


def test_what_costs_less_to_send_goes_back(paid: Order, page: Client) -> None:
    near = ShippingZone.objects.create(company_id=paid.company_id, name="Bay", countries=["US"], states=["MA"])  # fmt: skip
    factories.make_shipping_rule("2.00", zone=near)
    place = f"/orders/{paid.number}/address/"

    asked = page.post(place, {**BOSTON, "step": "review"})

    assert "$3.30 goes back" in text(asked)
    page.post(place, {**BOSTON, "step": "do", "quote": asked.context["proposal"].quote_id})
    assert paid.refund_requests.get().amount == Decimal("3.30")


def test_what_costs_more_or_is_taxed_otherwise_is_refused_in_words(paid: Order, page: Client) -> None:  # fmt: skip
    far = ShippingZone.objects.create(company_id=paid.company_id, name="Bay", countries=["US"], states=["MA"])  # fmt: skip
    factories.make_shipping_rule("9.00", zone=far)
    place = f"/orders/{paid.number}/address/"
    refused = page.post(place, {**BOSTON, "step": "review"})
    assert refused.status_code == 422
    assert "This would cost more to ship than was paid." in text(refused)

    factories.make_tax_rate("0.05", country="US", state="MA", name="MA tax", type="SALES_TAX")
    refused = page.post(place, {**BOSTON, "step": "review"})
    assert "Another tax is due there than was paid." in text(refused)
    assert 'value="Boston"' in text(refused)  # what was typed is not lost
    assert reload(paid).shipping_address == ADDRESS
    assert not OrderEdit.objects.exists()


def test_what_was_shown_must_still_be_so(paid: Order, page: Client, staff: Any, now: Any) -> None:
    place = f"/orders/{paid.number}/address/"
    quote = quote_of(page, place, FORM)
    line = paid.lines.all()[0]
    orders.cancel_items(actor=staff, order_id=paid.id, units=[orders.Units(line.id, 1)], now=now)

    again = page.post(place, {**FORM, "step": "do", "quote": quote})

    assert again.status_code == 200
    assert again.context["proposal"].quote_id != quote
    assert reload(paid).shipping_address == ADDRESS
    page.post(place, {**FORM, "step": "do", "quote": again.context["proposal"].quote_id})
    assert reload(paid).shipping_address["line1"] == "2 Harbour Street"


def test_what_is_missing_is_told_at_its_field(paid: Order, page: Client) -> None:
    answer = page.post(f"/orders/{paid.number}/address/", {**FORM, "city": "", "step": "review"})

    assert answer.status_code == 422
    assert set(answer.context["errors"]) == {"city"}
    same = page.post(f"/orders/{paid.number}/address/", {**FORM, "line1": "1 Harbour Street", "step": "review"})  # fmt: skip
    assert same.context["errors"] == {"line1": "This would change nothing."}


def test_once_it_is_packed_or_for_strangers_there_is_no_such_page(paid: Order, page: Client, staff: Any, now: Any) -> None:  # fmt: skip
    stranger = Client()
    stranger.force_login(factories.make_user(), BACKEND)
    assert stranger.get(f"/orders/{paid.number}/address/").status_code == 404
    orders.process(actor=staff, order_id=paid.id, now=now)

    answer = page.post(f"/orders/{paid.number}/address/", {**FORM, "step": "do", "quote": "x"})

    assert answer["Location"] == f"/orders/{paid.number}/"
    assert f"/orders/{paid.number}/address/" not in text(page.get(f"/orders/{paid.number}/"))
    assert reload(paid).shipping_address == ADDRESS


def test_what_was_added_is_shown_with_its_price_and_a_way_to_pay(paid: Order, page: Client, user: User, now: Any) -> None:  # fmt: skip
    tea = factories.make_priced_variant("4.00", available=2)
    buyer = orders.Edit(add=[orders.DirectItem(tea.sku, 1)])
    actor = actor_for(user, paid.company)
    about: dict[str, Any] = {"actor": actor, "order_id": paid.id, "edit": buyer, "now": now}
    shown = orders.preview_edit(**about)
    added = orders.apply_edit(**about, quote_id=shown.quote_id, reason="x").addition
    assert added is not None

    whole = text(page.get(f"/orders/{paid.number}/"))
    assert f"/orders/{added.number}/pay/" in whole
    assert "$4.40" in whole
    assert f"/orders/{paid.number}/" in text(page.get(f"/orders/{added.number}/"))


def test_pages_tell_each_tax_with_what_it_is_on(paid: Order, page: Client) -> None:
    """Of 49.97 and 5.00 shipping, 10 % each: as it was frozen, whatever the rates are by now."""
    TaxRate.objects.update(rate=Decimal("0.50"))

    whole = " ".join(text(page.get(f"/orders/{paid.number}/")).split())
    printed = " ".join(text(page.get(f"/orders/{paid.number}/invoice/")).split())

    assert "Sales tax 10 %, on $54.97</dt><dd>$5.50</dd>" in whole
    assert "Sales tax 10 %, on 49.97</dt><dd>5.00</dd>" in printed
    assert "Tax on shipping, on 5.00</dt><dd>0.50</dd>" in printed
