"""An order says for good why it came to its total: the steps, and the rules as they stood."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from config.platform.actor import Actor
from config.platform.models import User
from inventory.models import Company
from orders import services as orders
from orders.explaining import grounds_of, render_explanation
from orders.models import Order
from orders.rendering import tracking_url
from orders.services import DirectItem
from pricing.models import Promotion, ShippingRule, TaxRate
from pricing.selectors import forget
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def placed(shop: Company, now: datetime) -> tuple[Buyer, Order]:
    """Return an order with everything in it that a rule can make."""
    factories.make_promotion("SAVE10", name="Ten off")
    factories.make_tax_rate(
        "0.055", country="US", state="ME", name="Maine sales tax", type="SALES_TAX"
    )
    variant = factories.make_priced_variant("10.00", available=9, weight_grams=400)
    buyer = Buyer.arrive(shop, now).add(variant, 2)
    buyer.api.post("/cart/discount", {"code": "SAVE10"})
    return buyer, buyer.begin().fill().place()


def test_it_tells_the_steps_and_the_rules(placed: tuple[Buyer, Order]) -> None:
    buyer, order = placed

    told = buyer.api.get(f"/orders/{order.number}/explain").json()

    line = order.lines.get()
    assert [(step["kind"], step["itemId"], step["amount"]) for step in told["steps"]] == [
        ("list_price", str(line.id), "20.00"),
        ("coupon", None, "-2.00"),
        ("shipping", None, "4.90"),
        ("tax", None, "1.26"),
    ]
    assert told["steps"][-1]["runningTotal"] == "24.16" == f"{order.grand_total:.2f}"
    assert (told["number"], told["quoteId"]) == (order.number, order.quote_id)
    rules = told["rules"]
    assert rules["destination"] == {"country": "US", "state": "ME", "postalCode": "04101"}
    assert rules["promotions"] == [
        {"name": "Ten off", "code": "SAVE10", "kind": "PERCENTAGE", "value": "10", "currency": None}
    ]
    assert [
        (rate["name"], rate["rate"], rate["country"], rate["state"]) for rate in rules["taxRates"]
    ] == [("Maine sales tax", "0.055", "US", "ME")]
    assert rules["shipping"]["option"] == "standard"
    assert rules["shipping"]["price"] == "4.90"
    assert "basis" not in told


def test_later_changes_of_rules_do_not_touch_it(
    placed: tuple[Buyer, Order],
) -> None:
    buyer, order = placed
    before = buyer.api.get(f"/orders/{order.id}/explain").json()
    TaxRate.objects.all().delete()
    ShippingRule.objects.update(base_price=Decimal(99), name="Rocket")
    Promotion.objects.update(name="Something else", value=Decimal(50))
    forget()

    assert buyer.api.get(f"/orders/{order.id}/explain").json() == before


def test_it_is_for_whoever_may_read_the_order(
    placed: tuple[Buyer, Order], user_api: Api, staff_api: Api, shop: Company, now: datetime
) -> None:
    _buyer, order = placed
    path = f"/orders/{order.number}/explain"
    token = parse_qs(urlsplit(tracking_url(order)).query)["token"][0]

    by_link = Api().get(f"{path}?token={token}")
    by_staff = staff_api.get(path)

    assert by_link.status_code == 200
    assert "basis" not in by_link.json()
    assert by_staff.json()["basis"]["taxRates"][0]["id"] == str(TaxRate.objects.get().id)
    assert by_staff.json()["basis"]["shipping"]["zone"]["name"].startswith("Zone")
    assert Api().get(path).json()["code"] == "AUTH_REQUIRED"
    for stranger in (user_api, Buyer.arrive(shop, now).api):
        assert stranger.get(path).json()["code"] == "ORDER_NOT_FOUND"
    assert Api().get(f"{path}?token={'0' * 64}").json()["code"] == "ORDER_NOT_FOUND"


def test_an_order_placed_from_skus_keeps_its_rules_too(
    shop: Company, system: Actor, now: datetime
) -> None:
    variant = factories.make_priced_variant("10.00")
    order = orders.place_direct(
        actor=system,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        shipping_option="",
        currency="USD",
        notes="",
        now=now,
    )

    told = render_explanation(order, staff=True)

    assert told["basis"]["shipping"]["basePrice"] == "4.9"
    assert told["steps"][0]["itemId"] == str(order.lines.get().id)


def test_an_order_from_before_rules_were_kept_still_has_its_steps(
    placed: tuple[Buyer, Order],
) -> None:
    _buyer, order = placed
    order.quote = {
        name: part for name, part in order.quote.items() if name not in {"basis", "items"}
    }
    order.save(update_fields=["quote"])

    told = render_explanation(order)

    assert told["rules"] is None
    assert told["steps"][-1]["runningTotal"] == "24.16"
    assert grounds_of(order) == []


def test_a_promotion_for_thousands_of_products_keeps_only_those_bought(
    shop: Company, now: datetime
) -> None:
    variant = factories.make_priced_variant("10.00", available=9)
    promotion = factories.make_promotion(scope="PRODUCT")
    promotion.products.add(variant.product, *(factories.make_product() for _ in range(5)))
    order = Buyer.arrive(shop, now).add(variant).begin().fill().place()

    [kept] = order.quote["basis"]["promotions"]

    assert kept["productIds"] == [str(variant.product_id)]


def test_the_pages_say_it_in_words(
    placed: tuple[Buyer, Order], staff_user: User, client: Client
) -> None:
    _buyer, order = placed
    customer = Client().get(urlsplit(tracking_url(order))._replace(scheme="", netloc="").geturl())
    client.force_login(staff_user)
    desk = client.get(f"/admin/orders/order/{order.pk}/change/")

    for page in (customer.content.decode(), desk.content.decode()):
        assert "Maine sales tax, 5.5\N{NO-BREAK SPACE}%, on top of the prices" in page
        assert "SAVE10, Ten off" in page
    assert "The rule as it is now" in desk.content.decode()
    assert "The rule as it is now" not in customer.content.decode()


def test_ways_to_ship_are_told_by_what_made_their_price(shop: Company, now: datetime) -> None:
    zone = factories.make_shipping_rule(
        "2.00", code="by-weight", name="Post", type="WEIGHT_BASED", per_kilogram=Decimal(3)
    ).zone
    factories.make_shipping_rule(
        "1.00", zone=zone, code="by-item", name="Van", type="ITEM_COUNT", per_unit=Decimal("0.75")
    )
    ShippingRule.objects.filter(zone=zone).update(free_over=Decimal(90))
    zone.states = ["ME"]
    zone.save()
    forget()
    variant = factories.make_priced_variant("10.00", available=9, weight_grams=400)

    def told(option: str) -> str:
        buyer = Buyer.arrive(shop, now, email=f"{option}@example.com").add(variant, 2)
        order = buyer.begin().fill(shipping_option=option).place()
        return str(grounds_of(order)[-1]["text"])

    assert told("by-weight") == (
        f"Post to {zone.name}: $2.00 and $3.00 for each of 0.8 kg, free from $90.00"
    )
    assert told("by-item").endswith("$1.00 and $0.75 for each of 2 items, free from $90.00")
