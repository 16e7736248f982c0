"""One row of time for everything that happened to an order, from every app; and what of it its customer may read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import Permission
from django.core.signing import get_cookie_signer
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from checkout import services as checkout
from checkout.gateway import ProviderRefused, TestGateway
from config.platform.actor import Actor
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from config.platform.models import User
from notifications import services as notifications
from notifications.models import Notification
from orders import services as orders
from orders.models import Order, RefundRequest
from orders.selectors.timeline import Kind, customer_timeline, timeline
from orders.services import Units, WantedReturn
from pricing.models import LoyaltyAccount, LoyaltyEntry
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
SECRETS = (
    "Grace Hopper", "ring the bell twice", "the account is closed", "card closed", "looks odd", "insufficient",
    "price.disputed", "keep an eye",
)  # fmt: skip


class Life:
    """An order to which everything happens, an hour after the other."""

    def __init__(self, buyer: Buyer, staff: Actor) -> None:
        self.buyer, self.staff, self.now = buyer, staff, buyer.now
        self.order: Order

    def later(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def buy(self) -> Life:
        order, payment = self.buyer.pay()
        self.buyer.simulate(payment, "decline")
        _, payment = self.buyer.pay()
        self.buyer.simulate(payment)
        self.buyer.complete()
        self.order = Order.objects.get(pk=order.pk)
        return self

    def change(self) -> Life:
        about: dict[str, Any] = {"actor": self.staff, "order_id": self.order.pk}
        orders.edit(**about, changes={"staff_notes": "ring the bell twice"}, now=self.later())
        orders.flag(**about, attention="keep an eye", now=self.later())
        orders.change_address(
            **about, shipping_address={**ADDRESS, "line1": "2 Harbour Street"}, now=self.later()
        )
        return self

    def send(self) -> Life:
        line = self.order.lines.get()
        about: dict[str, Any] = {"actor": self.staff, "order_id": self.order.pk}
        orders.process(**about, reason="looks odd", now=self.later())
        parcel = {
            "carrier": "DHL",
            "tracking_number": "JD0146",
            "tracking_url": "https://x.example/t",
        }
        orders.ship(**about, units=[Units(line.pk, 1)], now=self.later(), **parcel)
        orders.ship(**about, now=self.later())
        orders.deliver(**about, now=self.later())
        return self

    def complain(self) -> Life:
        line = self.order.lines.get()
        about: dict[str, Any] = {"actor": self.buyer.actor, "order_id": self.order.pk}
        dispute = orders.dispute_price(
            **about,
            line_id=line.pk,
            reason="SHOWN_LOWER",
            evidence="price.disputed",
            now=self.later(),
        )
        orders.decide_dispute(
            actor=self.staff, dispute_id=dispute.pk, status="REJECTED", answer="It was not.", now=self.later()
        )  # fmt: skip
        row = orders.request_return(
            **about, wanted=[WantedReturn(line.pk, 1, "too small")], now=self.later()
        )
        orders.approve_return(actor=self.staff, return_id=row.pk, now=self.later())
        orders.receive_return(actor=self.staff, return_id=row.pk, now=self.later())
        assert checkout.execute_refunds(now=self.later()) == 1
        return self

    def fail(self) -> Life:
        orders.request_refund(
            actor=self.staff, order_id=self.order.pk, amount=Decimal("1.00"), reason="late", now=self.later()
        )  # fmt: skip
        with patch.object(
            TestGateway, "refund", side_effect=ProviderRefused("the account is closed")
        ):
            checkout.execute_refunds(now=self.later())
        failed = RefundRequest.objects.get(status="failed")
        checkout.pay_back_outside(
            actor=self.staff, request_id=failed.pk, means="cash", reference="till 4",
            reason="card closed", paid_on=self.now.date(), now=self.later(),
        )  # fmt: skip
        return self

    def reward(self) -> Life:
        account = LoyaltyAccount.objects.create(
            company=self.order.company, user_id=factories.make_user().pk, balance=20
        )
        LoyaltyEntry.objects.create(
            account=account, kind="EARN", points=20, balance=20, order_id=self.order.pk, actor="system",
            at=self.later(),
        )  # fmt: skip
        return self


@pytest.fixture
def staff(staff: Actor, staff_user: User) -> Actor:
    staff_user.name = "Grace Hopper"
    staff_user.save()
    return staff


@pytest.fixture
def lived(ready: Buyer, staff: Actor, deliver: Callable[..., int]) -> Life:
    """Return an order on which there is everything."""
    life = Life(ready, staff).buy().change().send().complain().fail()
    deliver(life.now)
    notifications.send_due(now=life.now)
    return life


def titles(order: Order, kind: Kind) -> list[str]:
    return [entry.title for entry in timeline(order=order) if entry.kind == kind]


def test_everything_stands_in_one_row_the_newest_first(lived: Life) -> None:
    entries = timeline(order=lived.order)

    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)
    assert {entry.kind for entry in entries} == set(Kind) - {Kind.POINTS}
    assert titles(lived.order, Kind.STATUS) == [
        "Delivered", "Shipped", "Being packed", "Confirmed", "Placed",
    ]  # fmt: skip
    assert titles(lived.order, Kind.PARCEL) == ["Parcel arrived", "Parcel arrived", "Parcel sent", "Parcel sent"]  # fmt: skip
    assert titles(lived.order, Kind.RETURN) == ["Return received", "Return approved", "Return asked for"]  # fmt: skip
    assert titles(lived.order, Kind.PRICE) == ["Price dispute: rejected", "Price disputed"]
    assert titles(lived.order, Kind.CHANGE) == ["Shipping address changed"]
    money = titles(lived.order, Kind.MONEY)
    for told in (
        "Payment failed", "Payment captured", "Refund of $1.00 asked for", "Refund of $1.00 failed",
        "$1.00 paid back by other means", "Refund of $1.00 done",
    ):  # fmt: skip
        assert told in money
    messages = titles(lived.order, Kind.MESSAGE)
    assert len(messages) == Notification.objects.filter(order_id=lived.order.pk).count() > 5


def test_who_did_it_and_what_it_was_before_is_told_to_staff(lived: Life, staff: Actor) -> None:
    entries = {entry.title: entry for entry in timeline(order=lived.order)}

    assert entries["Shipping address changed"].text == "1 Harbour Street → 2 Harbour Street"
    assert entries["Shipping address changed"].actor == staff.label
    assert entries["Note for staff"].text == "ring the bell twice"
    assert entries["Refund of $1.00 failed"].text == "the account is closed"
    assert "till 4" in entries["$1.00 paid back by other means"].text


def test_the_customer_reads_their_part_and_nothing_else(lived: Life, ready: Buyer) -> None:
    told = customer_timeline(order=lived.order)
    words = " ".join(f"{each.title} {each.text}" for _at, each in told)
    page = page_of(ready, lived.order)

    for secret in SECRETS:
        assert secret not in words
        assert secret not in page
    for known in (
        "You paid $24.90", "A payment did not go through", "2 Harbour", "JD0146", "$1.00 was paid in cash",
        "till 4", "What you sent back has arrived", "You asked about the price",
    ):  # fmt: skip
        assert (known in words) is (known != "2 Harbour"), known
    assert "You paid $24.90" in page
    assert [at for at, _told in told] == sorted((at for at, _told in told), reverse=True)
    # What is not asked on the customer's page would have told them nothing.
    assert told == [(e.at, e.customer) for e in timeline(order=lived.order) if e.customer]


def page_of(buyer: Buyer, order: Order) -> str:
    client = Client()
    signer = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT)
    client.cookies[GUEST_COOKIE] = signer.sign(buyer.token)
    answer = client.get(f"/orders/{order.number}/")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.usefixtures("broken_on_purpose")  # nothing else of the points is made here
def test_points_are_told(ready: Buyer, staff: Actor) -> None:
    life = Life(ready, staff).buy().reward()

    assert titles(life.order, Kind.POINTS) == ["+20 points, earned"]
    assert "You earned 20 points" in [
        told.title for _at, told in customer_timeline(order=life.order)
    ]


@pytest.mark.usefixtures("unhurried")
def test_it_costs_the_same_for_little_and_for_much(
    ready: Buyer, staff: Actor, deliver: Callable[..., int]
) -> None:
    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as captured:
            entries.append(len(timeline(order=life.order)))
        with CaptureQueriesContext(connection) as captured_of_customer:
            customer_timeline(order=life.order)
        return len(captured), len(captured_of_customer)

    entries: list[int] = []
    life = Life(ready, staff).buy()
    cost()
    little = cost()
    life.change().send().complain().fail()
    for number in range(20):
        orders.edit(
            actor=staff,
            order_id=life.order.pk,
            changes={"staff_notes": f"{number}"},
            now=life.later(),
        )
    deliver(life.now)

    much = cost()

    # What is read of returns (their lines, goods and exchanges) is read once, however many there are.
    assert (little, much) == ((16, 11), (18, 13))
    assert entries[-1] > entries[0] + 40


# --- the bench --------------------------------------------------------------------------------------


@pytest.fixture
def office(staff_user: User) -> Client:
    client = Client()
    client.force_login(staff_user, BACKEND)
    return client


def test_the_bench_shows_it_by_kind_and_folds_what_is_long(lived: Life, office: Client) -> None:
    bench = reverse("admin:orders_order_change", args=[lived.order.pk])

    page = office.get(bench)
    story = page.context["bench"]["story"]
    assert len(story["rows"]) == 12
    assert len(story["rows"]) + len(story["earlier"]) == len(timeline(order=lived.order))
    assert "earlier entries" in page.content.decode()
    assert "Grace Hopper" in page.content.decode()

    money = office.get(bench, {"show": "money"})
    kinds = {row["entry"].kind for row in money.context["bench"]["story"]["rows"]}
    assert kinds == {Kind.MONEY}
    assert 'aria-current="true"' in money.content.decode()
    wrong = office.get(bench, {"show": "<script>"})
    assert len(wrong.context["bench"]["story"]["rows"]) == 12
    assert "<script>#" not in wrong.content.decode()


def test_it_links_to_what_the_reader_may_see(lived: Life) -> None:
    clerk = factories.make_staff(is_superuser=False)
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["view_order", "view_payment"])
    )
    client = Client()
    client.force_login(clerk, BACKEND)

    story = client.get(
        reverse("admin:orders_order_change", args=[lived.order.pk]), {"show": "money"}
    ).context["bench"]["story"]

    linked = {row["entry"].page[0] for row in [*story["rows"], *story["earlier"]] if row["url"]}
    assert linked == {"checkout_payment"}


def test_what_waits_for_somebody_stands_first(ready: Buyer, staff: Actor, office: Client) -> None:
    life = Life(ready, staff).buy().send()
    bench = reverse("admin:orders_order_change", args=[life.order.pk])
    assert office.get(bench).context["bench"]["waits"] == []
    line = life.order.lines.get()
    about: dict[str, Any] = {"actor": ready.actor, "order_id": life.order.pk}
    row = orders.request_return(**about, wanted=[WantedReturn(line.pk, 1)], now=life.later())
    dispute = orders.dispute_price(**about, line_id=line.pk, reason="TAX", now=life.later())
    request = orders.request_refund(
        actor=staff, order_id=life.order.pk, amount=Decimal("1.00"), reason="late", now=life.later()
    )
    orders.fail_refund(actor=staff, request_id=request.pk, failure="no such card", now=life.now)

    waits = office.get(bench).context["bench"]["waits"]

    assert [each["url"] for each in waits] == [
        reverse("admin:orders_refundrequest_change", args=[request.pk]),
        reverse("admin:orders_returnrequest_change", args=[row.pk]),
        reverse("admin:pricing_pricedispute_change", args=[dispute.pk]),
    ]
    assert "A refund of $1.00 failed: no such card" in office.get(bench).content.decode()
    clerk = factories.make_staff(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_order"))
    office.force_login(clerk, BACKEND)
    assert [each["url"] for each in office.get(bench).context["bench"]["waits"]] == ["", "", ""]
