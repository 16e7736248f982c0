"""Points on their way through the shop: on the cart, spent at placement, back with what comes back, earned at delivery."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cart import services as carts
from cart.models import Cart
from checkout import services as checkout
from checkout.errors import PriceChanged
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.models import User
from inventory.models import Company, Variant
from orders import services as orders
from orders.models import Order
from orders.services import Units, WantedReturn
from pricing import services as pricing
from pricing.errors import PointsInsufficient
from pricing.models import LoyaltyAccount, LoyaltyEntry
from pricing.money import from_minor
from tests import factories
from tests.checkout.conftest import Buyer
from tests.conftest import Api
from tests.orders.test_ledger import Rollback, attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def rich(staff: Actor, user: User, now: datetime) -> User:
    """Return a customer with 1,000 points, worth 10.00."""
    pricing.adjust_points(actor=staff, user_id=user.pk, points=1_000, reason="Welcome", now=now)
    return user


@pytest.fixture
def member(shop: Company, rich: User, actor_user: Actor, variant: Variant, now: datetime) -> Buyer:
    """Return that customer with three units of 10.00 in the cart."""
    carts.create(actor=actor_user, currency="USD", now=now)
    return Buyer(actor_user, "", now).add(variant, 3)


@pytest.fixture
def api(rich: User) -> Api:
    return Api().as_user(rich)


def spending(buyer: Buyer, points: int) -> Buyer:
    carts.apply_points(actor=buyer.actor, points=points, now=buyer.now)
    return buyer.begin().fill()


def book(user: User) -> list[tuple[str, int]]:
    found = LoyaltyEntry.objects.filter(account__user_id=user.pk).order_by("id")
    return list(found.values_list("kind", "points"))


def balance(user: User) -> int:
    return LoyaltyAccount.objects.get(user_id=user.pk).balance


# --- on the cart ----------------------------------------------------------------------------------


def test_points_on_the_cart_lower_its_total(member: Buyer, api: Api, rich: User) -> None:
    answer = api.post("/cart/loyalty", {"points": 250})

    assert answer.status_code == 200, answer.content
    cart = answer.json()
    assert cart["loyalty"] == {"points": 250, "spent": 250, "amount": "2.50"}
    assert (cart["totals"]["discountTotal"], cart["totals"]["grandTotal"]) == ("2.50", "27.50")
    (discount,) = cart["discounts"]
    assert (discount["kind"], discount["code"], discount["amount"]) == ("LOYALTY", None, "2.50")
    steps = api.get("/cart/explain").json()["steps"]
    assert [step["kind"] for step in steps] == ["list_price", "loyalty"]
    assert balance(rich) == 1_000  # nothing is taken before the order

    again = api.get("/cart").json()
    assert (again["loyalty"], again["quoteId"]) == (cart["loyalty"], cart["quoteId"])
    off = api.delete("/cart/loyalty").json()
    assert (off["loyalty"], off["totals"]["grandTotal"]) == (None, "30.00")


def test_points_are_lowered_to_what_the_goods_bear(member: Buyer, api: Api, staff: Actor) -> None:
    pricing.adjust_points(
        actor=staff, user_id=member.actor.user_id, points=9_000, reason="Won", now=member.now
    )

    cart = api.post("/cart/loyalty", {"points": 10_000}).json()

    assert cart["loyalty"] == {"points": 10_000, "spent": 3_000, "amount": "30.00"}
    assert cart["totals"]["grandTotal"] == "0.00"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"points": 1_001}, 409, "POINTS_INSUFFICIENT"),
        ({"points": 0}, 400, "VALIDATION_ERROR"),
        ({"points": -5}, 400, "VALIDATION_ERROR"),
        ({"points": "many"}, 400, "VALIDATION_ERROR"),
        ({}, 400, "VALIDATION_ERROR"),
        ({"points": 5, "pin": 1}, 400, "VALIDATION_ERROR"),
        ({"points": 10**30}, 400, "VALIDATION_ERROR"),
    ],
)
def test_what_cannot_be_spent_is_refused_and_the_cart_stays(
    member: Buyer, api: Api, body: dict[str, object], status: int, code: str
) -> None:
    before = Cart.objects.get(user_id=member.actor.user_id).version

    refused = api.post("/cart/loyalty", body)

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    after = Cart.objects.get(user_id=member.actor.user_id)
    assert (after.points, after.version) == (0, before)


def test_a_guest_has_no_points(buyer: Buyer) -> None:
    refused = buyer.api.post("/cart/loyalty", {"points": 5})

    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_REQUIRED")


def test_points_are_not_taken_in_another_currency(rich: User, api: Api, shop: Company) -> None:
    api.post("/cart", {"currency": "EUR"})

    refused = api.post("/cart/loyalty", {"points": 5})

    assert (refused.status_code, refused.json()["code"]) == (409, "POINTS_NOT_ACCEPTED")


def test_points_can_be_switched_off(member: Buyer, api: Api, staff: Actor) -> None:
    api.post("/cart/loyalty", {"points": 100})
    flags.switch(actor=staff, name="LOYALTY_ENABLED", enabled=False, now=member.now)
    flags.forget()

    assert api.post("/cart/loyalty", {"points": 5}).status_code == 404
    assert api.get("/cart").json()["totals"]["grandTotal"] == "30.00"
    assert api.delete("/cart/loyalty").status_code == 200


# --- spent with the order -------------------------------------------------------------------------


def test_the_order_spends_the_points_and_freezes_them_on_its_lines(
    member: Buyer, rich: User, variant: Variant
) -> None:
    other = factories.make_priced_variant("5.00", available=5)
    member.add(other)

    order = spending(member, 700).place()

    assert (order.discount_total, order.grand_total) == (Decimal("7.00"), Decimal("32.90"))
    assert sorted(line.points for line in order.lines.all()) == [100, 600]
    assert book(rich) == [("ADJUST", 1_000), ("SPEND", -700)]
    assert Cart.objects.get(order_id=order.id).points == 700


def test_points_spent_elsewhere_meanwhile_stop_the_order(
    member: Buyer, rich: User, staff: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the price and taking the points they are gone."""
    ready = spending(member, 700)
    pricing.adjust_points(actor=staff, user_id=rich.pk, points=-600, reason="Mistake", now=now)
    monkeypatch.setattr("pricing.selectors.points_of", lambda **_: 1_000)

    with pytest.raises(PointsInsufficient):
        ready.place()

    assert not Order.objects.filter(user_id=rich.pk, checkout_id__isnull=False).exists()
    assert balance(rich) == 400


def test_a_total_that_moved_with_the_balance_is_shown_first(
    member: Buyer, rich: User, staff: Actor, now: datetime
) -> None:
    ready = spending(member, 700)
    pricing.adjust_points(actor=staff, user_id=rich.pk, points=-600, reason="Mistake", now=now)

    with pytest.raises(PriceChanged) as refused:
        ready.place()

    assert refused.value.extra["newTotal"] == "30.90"
    assert not Order.objects.exists()
    assert balance(rich) == 400


# --- back -----------------------------------------------------------------------------------------


def test_a_cancelled_order_gives_its_points_back_once(
    member: Buyer, rich: User, staff: Actor, now: datetime
) -> None:
    order = spending(member, 700).place()

    orders.cancel(actor=staff, order_id=order.id, now=now)

    assert book(rich)[-1] == ("RETURN", 700)
    assert balance(rich) == 1_000


def test_units_that_are_cancelled_bring_their_money_and_their_points(
    member: Buyer, rich: User, staff: Actor, now: datetime
) -> None:
    """30.00 − 10.00 in points + 4.90: three units of 6.67, 6.67 and 6.66, with 333, 333 and 334 points."""
    spending(member, 1_000)
    order, payment = member.pay()
    member.simulate(payment)
    line = order.lines.get()

    for _ in range(3):
        orders.cancel_items(actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=now)

    assert [points for kind, points in book(rich) if kind == "RETURN"] == [333, 333, 334]
    asked = [request.amount for request in order.refund_requests.order_by("id")]
    assert sum(asked) == Decimal("24.90")
    assert balance(rich) == 1_000


def test_points_spent_in_another_currency_come_back_to_the_last_one(
    rich: User, actor_user: Actor, staff: Actor, shop: Company, variant: Variant, now: datetime
) -> None:
    """27.42 − 9.13 for 1,000 points, worth 0.009137 each; a rate that moves afterwards changes nothing of what is back."""
    terms = pricing.RateTerms(quote="EUR", rate=Decimal("0.9137"))
    pricing.set_exchange_rate(actor=staff, terms=terms, now=now)
    carts.create(actor=actor_user, currency="EUR", now=now)
    buyer = spending(Buyer(actor_user, "", now).add(variant, 3), 1_000)
    order, payment = buyer.pay()
    spent = -next(points for kind, points in book(rich) if kind == "SPEND")
    buyer.simulate(payment)
    line = order.lines.get()
    assert (order.currency, order.discount_total) == ("EUR", Decimal("9.13"))
    assert (spent, line.points) == (1_000, 1_000)
    assert order.quote["basis"]["exchangeRate"]["rate"] == "0.9137"

    later = now + timedelta(minutes=1)
    pricing.set_exchange_rate(
        actor=staff, terms=pricing.RateTerms(quote="EUR", rate=Decimal(2)), now=later
    )
    for _ in range(3):
        orders.cancel_items(actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=later)

    assert [points for kind, points in book(rich) if kind == "RETURN"] == [333, 333, 334]
    assert sum(request.amount for request in order.refund_requests.all()) == order.grand_total
    assert balance(rich) == 1_000


def test_an_order_paid_in_points_alone_gives_them_back_unit_by_unit(
    rich: User, actor_user: Actor, staff: Actor, shop: Company, now: datetime
) -> None:
    card = factories.make_priced_variant("5.00", available=5, requires_shipping=False)
    carts.create(actor=actor_user, currency="USD", now=now)
    buyer = spending(Buyer(actor_user, "", now).add(card, 2), 1_000)
    order = buyer.place()
    order = checkout.complete(actor=actor_user, checkout_id=buyer.checkout_id, now=now)
    assert (order.status, order.grand_total) == ("confirmed", Decimal(0))
    line = order.lines.get()

    orders.cancel_items(actor=staff, order_id=order.id, units=[Units(line.id, 1)], now=now)
    assert balance(rich) == 500
    orders.cancel(actor=staff, order_id=order.id, now=now)
    assert balance(rich) == 1_000


def test_units_paid_in_points_alone_are_refunded_by_staff_once(
    rich: User, actor_user: Actor, shop: Company, now: datetime
) -> None:
    staff_api = Api().as_user(factories.make_staff())
    card = factories.make_priced_variant("5.00", available=5, requires_shipping=False)
    carts.create(actor=actor_user, currency="USD", now=now)
    buyer = spending(Buyer(actor_user, "", now).add(card, 2), 1_000)
    buyer.place()
    order = checkout.complete(actor=actor_user, checkout_id=buyer.checkout_id, now=now)
    line = order.lines.get()
    path = f"/orders/{order.number}/refund-items"

    def refund(quantity: int) -> Any:
        sent = {"items": [{"itemId": str(line.id), "quantity": quantity}], "reason": "broken"}
        return staff_api.post(path, sent, key=f"key-{quantity}-{balance(rich)}")

    first = refund(1)
    assert (first.status_code, first.json()["refundedTotal"], balance(rich)) == (200, "0.00", 500)
    assert refund(2).json()["code"] == "VALIDATION_ERROR"
    assert balance(rich) == 500
    assert refund(1).status_code == 200
    assert refund(1).json()["code"] == "VALIDATION_ERROR"
    assert balance(rich) == 1_000
    orders.cancel(actor=actor_user, order_id=order.id, now=now)
    assert balance(rich) == 1_000
    assert not order.refund_requests.exists()


def test_what_points_alone_paid_for_is_sent_back_for_its_points(
    rich: User, actor_user: Actor, staff: Actor, shop: Company, now: datetime
) -> None:
    factories.make_promotion(kind="FREE_SHIPPING", scope="SHIPPING")
    mug = factories.make_priced_variant("5.00", available=5)
    carts.create(actor=actor_user, currency="USD", now=now)
    buyer = spending(Buyer(actor_user, "", now).add(mug, 2), 1_000)
    buyer.place()
    order = checkout.complete(actor=actor_user, checkout_id=buyer.checkout_id, now=now)
    assert (order.status, order.grand_total, balance(rich)) == ("confirmed", Decimal(0), 0)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    line = order.lines.get()

    for back in (500, 1_000):
        request = orders.request_return(
            actor=actor_user, order_id=order.id, wanted=[WantedReturn(line.id, 1, "wrong")], now=now
        )
        orders.approve_return(actor=staff, return_id=request.id, now=now)
        orders.receive_return(actor=staff, return_id=request.id, now=now)
        assert balance(rich) == back

    assert [kind for kind, _ in book(rich)] == ["ADJUST", "SPEND", "RETURN", "RETURN"]


UNDOING = st.lists(
    st.tuples(
        st.sampled_from(["cancel", "refund", "return", "goodwill", "deliver", "cancel_all"]),
        st.integers(0, 2),
        st.integers(1, 4),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(points=st.sampled_from([1, 137, 999, 1_000]), prices=st.lists(st.integers(1, 400), min_size=1, max_size=3), steps=UNDOING)  # fmt: skip
def test_whatever_comes_back_in_whatever_order_its_points_come_back_once(
    rich: User,
    actor_user: Actor,
    staff: Actor,
    system: Actor,
    shop: Company,
    now: datetime,
    points: int,
    prices: list[int],
    steps: list[tuple[str, int, int]],
) -> None:
    with suppress(Rollback), transaction.atomic():
        carts.create(actor=actor_user, currency="USD", now=now)
        buyer = Buyer(actor_user, "", now)
        for price in prices:
            item = factories.make_priced_variant(
                str(from_minor(price, "USD")), available=9, requires_shipping=False
            )
            buyer.add(item, 3)
        spending(buyer, points)
        if buyer.view is not None and buyer.view.quote.totals.grand_total:
            order, payment = buyer.pay()
            buyer.simulate(payment)
        else:
            order = buyer.place()
            order = buyer.complete()
        [spent] = [-count for kind, count in book(rich) if kind == "SPEND"]
        for verb, index, count in steps:
            attempt(
                verb, index, count, order,
                staff=staff, customer=actor_user, system=system, now=now,
            )  # fmt: skip
            order.refresh_from_db()
            due = sum(
                line.points * line.claimed_quantity // line.quantity for line in order.lines.all()
            )
            assert returned(rich) == (spent if order.status == "cancelled" else due)
        attempt("cancel_all", 0, 1, order, staff=staff, customer=actor_user, system=system, now=now)
        order.refresh_from_db()
        for line in order.lines.all():
            rest = line.quantity - line.claimed_quantity
            with suppress(ApplicationError):
                orders.refund_units(
                    actor=staff,
                    order_id=order.id,
                    units=[Units(line.id, rest)],
                    reason="all",
                    now=now,
                )
        # Goodwill lowers what can still go back, so some units may stay, and their points with them.
        lines = list(order.lines.all())
        if order.status == "cancelled" or all(
            line.claimed_quantity == line.quantity for line in lines
        ):
            assert returned(rich) == spent
            assert balance(rich) == 1_000
        else:
            assert any(verb == "goodwill" for verb, _index, _count in steps)
            assert returned(rich) == sum(
                line.points * line.claimed_quantity // line.quantity for line in lines
            )
        raise Rollback


def returned(user: User) -> int:
    return sum(count for kind, count in book(user) if kind == "RETURN")


# --- earned ---------------------------------------------------------------------------------------


def test_a_delivered_order_earns_and_a_return_takes_its_part_back(
    member: Buyer, rich: User, staff: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    spending(member, 600)  # 24.00 for goods, 28.90 in all
    order, payment = member.pay()
    member.simulate(payment)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    deliver()
    deliver()

    assert book(rich)[1:] == [("SPEND", -600), ("EARN", 24)]

    line = order.lines.get()
    request = orders.request_return(
        actor=member.actor, order_id=order.id, wanted=[WantedReturn(line.id, 1, "wrong")], now=now
    )
    orders.approve_return(actor=staff, return_id=request.id, now=now)
    orders.receive_return(actor=staff, return_id=request.id, now=now)
    checkout.execute_refunds(now=now)
    deliver()

    # 8.00 of 28.90 went back: 24 × 8.00 ÷ 28.90 = 6.6…
    assert book(rich)[3:] == [("RETURN", 200), ("TAKE_BACK", -7)]


def test_an_order_of_a_guest_earns_nothing(
    buyer: Buyer, staff: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    order, payment = buyer.begin().fill().pay()
    buyer.simulate(payment)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    deliver()

    assert not LoyaltyEntry.objects.exists()


# --- the page of the cart -------------------------------------------------------------------------


def test_points_are_spent_and_kept_on_the_page_of_the_cart(member: Buyer, rich: User) -> None:
    browser = Client()
    browser.force_login(rich, "allauth.account.auth_backends.AuthenticationBackend")
    assert "You have 1000." in browser.get("/cart/").content.decode()

    assert browser.post("/cart/points/", {"points": "250"}).status_code == 302
    assert Cart.objects.get(user_id=rich.pk).points == 250
    assert "$27.50" in browser.get("/cart/").content.decode()
    for wrong in ("", "0", "many", "1001", "1e3"):
        browser.post("/cart/points/", {"points": wrong})
        assert Cart.objects.get(user_id=rich.pk).points == 250
    told = browser.post("/cart/points/", {"points": "1001"}, headers={"HX-Request": "true"})
    assert "You do not have so many points." in told.content.decode()
    browser.post("/cart/points/", {"remove": "1"})
    assert Cart.objects.get(user_id=rich.pk).points == 0


def test_a_guest_is_not_asked_for_points(buyer: Buyer) -> None:
    browser = Client()

    assert "Spend points?" not in browser.get("/cart/").content.decode()
