"""The pages of an exchange: asked for step by step, followed on the order's page, its difference paid. No script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from checkout.models import Payment
from config.platform.actor import Actor
from inventory.models import Product, Variant
from inventory.selectors import VariantRef
from notifications.models import Notification
from orders import selectors
from orders import services as orders
from orders.models import Order, ReturnRequest
from tests import factories
from tests.checkout.conftest import Buyer

pytestmark = pytest.mark.django_db


@pytest.fixture
def mug(shop: Any) -> Product:
    return factories.make_product(option_names=["size"])


@pytest.fixture
def variant(mug: Product) -> Variant:
    return factories.make_priced_variant(
        "10.00", available=5, product=mug, options={"size": "small"}
    )


@pytest.fixture
def large(mug: Product) -> Variant:
    return factories.make_priced_variant(
        "12.50", available=1, product=mug, options={"size": "large"}
    )


@pytest.fixture
def order(ready: Buyer, large: Variant, staff: Actor, now: datetime) -> Order:
    found, payment = ready.pay()
    ready.simulate(payment)
    orders.ship(actor=staff, order_id=found.id, now=now)
    return orders.deliver(actor=staff, order_id=found.id, now=now)


@pytest.fixture
def link(order: Order) -> str:
    """Return the end of an address with the key of the order's mail."""
    return f"?token={orders.access_token(order)}"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_guest_exchanges_by_the_link_of_the_mail(
    order: Order, link: str, large: Variant, staff: Actor, buyer: Buyer, now: datetime
) -> None:
    page = Client()
    line = order.lines.get()
    place = f"/orders/{order.number}/return/{link}"
    assert place in text(page.get(f"/orders/{order.number}/{link}"))

    units = {f"quantity-{line.id}": "1"}
    assert 'max="2"' in text(page.get(place))
    assert "It does not fit" in text(page.post(place, {**units, "step": "why"}))
    given: dict[str, Any] = {**units, f"why-{line.id}": "size", "notes": "Too\x00 small."}
    offered = text(page.post(place, {**given, "step": "instead"}))
    assert "$2.50 more each" in offered
    assert "The same again" in offered
    given[f"instead-{line.id}"] = str(large.id)
    check = text(page.post(place, {**given, "step": "check"}))
    assert "You pay the difference" in check
    assert "$2.50" in check
    assert "Too small." in check
    back = text(page.post(place, {**given, "step": "instead"}))
    assert f'value="{large.id}" checked' in back
    assert not ReturnRequest.objects.exists()

    for _ in range(2):
        done = page.post(place, {**given, "step": "do", "key": "c" * 32})
        assert done["Location"] == f"/orders/{order.number}/{link}"
    found = ReturnRequest.objects.get()
    assert found.lines.get().exchange_variant == large
    assert "We look at it" in text(page.get(f"/orders/{order.number}/{link}"))

    orders.approve_return(actor=staff, return_id=found.id, now=now)
    found.refresh_from_db()
    assert found.replacement is not None
    assert "kept for you" in text(page.get(f"/orders/{order.number}/{link}"))
    kept = buyer.api.client.get(
        f"/orders/{found.replacement.number}/", headers={"X-Session-Token": buyer.token}
    )
    assert "It is kept for you." in text(kept)
    assert "/pay/" not in text(kept)
    orders.receive_return(actor=staff, return_id=found.id, now=now)
    paid = text(page.get(f"/orders/{order.number}/{link}"))
    assert "Pay the difference of $2.50" in paid
    own_link = f"?token={orders.access_token(found.replacement)}"
    place = f"/orders/{found.replacement.number}/pay/{own_link}"
    assert place in paid
    going = page.post(place, {"method": "test"})
    done = page.post(f"{going['Location']}simulate/", {"outcome": "succeed"})
    assert done["Location"] == f"/orders/{found.replacement.number}/{own_link}"
    assert Order.objects.get(pk=found.replacement.pk).status == "confirmed"
    printed = text(page.get(f"/orders/{found.replacement.number}/invoice/{own_link}"))
    assert f"Paid by what was sent back of {order.number}</dt><dd>10.00" in printed
    assert "Paid by you</dt><dd>2.50" in printed
    clerk = selectors.clerk(order)
    [bill] = orders.write_invoices(actor=clerk, order_id=found.replacement.id, now=now)
    parts = [Decimal(part["amount"]) for part in bill.content["payments"]]
    assert sum(parts) == Decimal(bill.content["total"]) == Decimal("12.50")
    orders.record_refund(actor=clerk, request_id=order.refund_requests.get().id, now=now)
    bill, note = orders.write_invoices(actor=clerk, order_id=order.id, now=now)
    assert bill.content["payments"] == []  # all of it was money
    assert note.content["payments"] == [
        {"kind": "moved", "orderNumber": found.replacement.number, "amount": "10.00"}
    ]


def test_the_difference_is_paid_on_its_own_page(
    order: Order, large: Variant, staff: Actor, buyer: Buyer, now: datetime
) -> None:
    line = order.lines.get()
    found = orders.request_return(
        actor=buyer.actor,
        order_id=order.id,
        wanted=[orders.WantedReturn(line.id, 1, "", VariantRef(variant_id=large.id))],
        now=now,
    )
    found = orders.approve_return(actor=staff, return_id=found.id, now=now)
    orders.receive_return(actor=staff, return_id=found.id, now=now)
    assert found.replacement is not None
    place = f"/orders/{found.replacement.number}/pay/"
    headers = {"X-Session-Token": buyer.token}
    page = Client(headers=headers)
    assert Client().get(place).status_code == 404
    shown = text(page.get(place))
    assert "Pay $2.50" in shown
    assert "What you sent back pays $10.00" in shown

    for _ in range(2):
        going = page.post(place, {"method": "test", "key": "d" * 32})
    payment = Payment.objects.get(order=found.replacement)
    assert going["Location"] == f"/checkout/pay/{payment.id}/"
    assert "Back to the order" in text(page.get(going["Location"]))
    refused = page.post(f"{going['Location']}simulate/", {"outcome": "decline"})
    assert refused["Location"] == going["Location"]
    assert place in text(page.get(going["Location"]))
    again = page.post(place, {"method": "test", "key": "e" * 32})
    paid = page.post(f"{again['Location']}simulate/", {"outcome": "succeed"})

    assert paid["Location"] == f"/orders/{found.replacement.number}/"
    found.replacement.refresh_from_db()
    assert found.replacement.status == "confirmed"
    assert page.get(place).status_code == 302


def test_each_step_of_a_return_is_told(
    order: Order,
    large: Variant,
    staff: Actor,
    buyer: Buyer,
    now: datetime,
    deliver: Callable[..., int],
) -> None:
    def told(key: str) -> list[str]:
        deliver(now)
        return [note.body_text for note in Notification.objects.filter(channel=key).order_by("id")]

    wanted = orders.WantedReturn(order.lines.get().id, 1, "", VariantRef(variant_id=large.id))
    found = orders.request_return(actor=buyer.actor, order_id=order.id, wanted=[wanted], now=now)
    assert "We look at it and write to you." in told("return-news")[0]
    orders.approve_return(actor=staff, return_id=found.id, notes="By post, please.", now=now)
    found.refresh_from_db()
    assert found.replacement is not None
    approved = told("return-news")[1]
    assert "“By post, please.”" in approved
    assert f"kept for you as order {found.replacement.number}" in approved
    orders.receive_return(actor=staff, return_id=found.id, now=now)

    assert "pays for order" in told("return-news")[2]
    [due] = told("exchange-due")
    assert "$10.00" in due
    assert "$2.50 is left" in due
    assert all("{" not in text and "%}" not in text for text in [*told("return-news"), due])


def test_a_request_is_withdrawn_on_the_page(
    order: Order, link: str, buyer: Buyer, now: datetime
) -> None:
    found = orders.request_return(
        actor=buyer.actor,
        order_id=order.id,
        wanted=[orders.WantedReturn(order.lines.get().id, 1)],
        now=now,
    )
    place = f"/orders/{order.number}/returns/{found.id}/withdraw/"
    assert Client().post(place).status_code == 404
    page = Client()
    assert f"{place}{link}" in text(page.get(f"/orders/{order.number}/{link}"))

    assert page.post(place + link)["Location"] == f"/orders/{order.number}/{link}"

    found.refresh_from_db()
    assert found.status == "WITHDRAWN"
    shown = text(page.get(f"/orders/{order.number}/{link}"))
    assert "You kept it" in shown
    assert place not in shown


@pytest.mark.parametrize("wanted", ["x", "01990f3c-5a10-7c31-9b0e-2f6d3a41f001", "'"])
def test_what_is_not_offered_is_asked_again(order: Order, link: str, wanted: str) -> None:
    line = order.lines.get()

    answer = Client().post(
        f"/orders/{order.number}/return/{link}",
        {f"quantity-{line.id}": "1", f"instead-{line.id}": wanted, "step": "do"},
    )

    assert answer.status_code == 422
    assert b'role="alert"' in answer.content
    assert not ReturnRequest.objects.exists()


def test_more_than_there_are_is_asked_again(order: Order, link: str, large: Variant) -> None:
    line = order.lines.get()
    given = {f"quantity-{line.id}": "2", f"instead-{line.id}": str(large.id), "step": "do"}

    answer = Client().post(f"/orders/{order.number}/return/{link}", given)

    assert answer.status_code == 422
    assert "only 1 left" in text(answer)
    assert not ReturnRequest.objects.exists()


def test_the_link_of_an_account_returns_nothing(order: Order, link: str, user: Any) -> None:
    Order.objects.filter(pk=order.pk).update(user_id=user.id)
    shown = Client().get(f"/orders/{order.number}/{link}")

    assert shown.status_code == 200
    assert "/return/" not in text(shown)
    assert Client().get(f"/orders/{order.number}/return/{link}").status_code == 404
    assert Client().get(f"/orders/{order.number}/return/?token={'0' * 64}").status_code == 404
