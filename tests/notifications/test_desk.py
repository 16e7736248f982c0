"""Customer service hears of a new return and a new price dispute: one mail to each address, however often it is delivered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from config.platform.actor import Actor
from config.platform.models import OutboxEvent
from inventory.selectors import VariantRef
from notifications.models import Notification
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem, WantedReturn
from tests import factories

pytestmark = pytest.mark.django_db

DESK = ["desk@example.com", "boss@example.com"]


@pytest.fixture
def bought(company: Any, actor_user: Actor, system: Actor, staff: Actor, now: datetime) -> Order:
    factories.make_shipping_rule("5.00", countries=["US"])
    variant = factories.make_priced_variant("9.99", available=9)
    address = {
        "name": "Ada Marsh", "line1": "1 Harbour Street", "city": "Portland", "state": "ME",
        "postalCode": "04101", "country": "US",
    }  # fmt: skip
    order = orders.place_direct(
        actor=actor_user, items=[DirectItem(variant.sku, 2)], email="ada@example.com",
        shipping_address=address, now=now,
    )  # fmt: skip
    orders.set_payment_status(
        actor=system, order_id=order.id, status="captured", method="test", now=now
    )
    orders.confirm(actor=system, order_id=order.id, now=now)
    orders.ship(actor=staff, order_id=order.id, now=now)
    return orders.deliver(actor=staff, order_id=order.id, now=now)


def deliver_twice(deliver: Callable[..., int], name: str, now: datetime) -> None:
    deliver()
    told = OutboxEvent.objects.filter(name=name).update(published_at=None, next_attempt_at=now)
    assert told == 1
    deliver()


def mails(channel: str) -> list[Notification]:
    return list(Notification.objects.filter(channel=channel).order_by("recipient"))


def test_a_return_is_told_to_the_desk(
    settings: Any, bought: Order, actor_user: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    settings.RETURN_REQUEST_EMAILS = DESK
    other = factories.make_priced_variant("9.99", available=9, product=bought.lines.get().product)
    found = orders.request_return(
        actor=actor_user,
        order_id=bought.id,
        wanted=[WantedReturn(bought.lines.get().id, 1, "too small", VariantRef(sku=other.sku))],
        notes="The box is open.",
        now=now,
    )

    deliver_twice(deliver, "order.return_requested", now)

    to_desk = mails("return-requested")
    assert [mail.recipient for mail in to_desk] == sorted(DESK)
    assert bought.number in to_desk[0].subject
    for words in ("ada@example.com", "too small", other.sku, "The box is open.", str(found.pk)):
        assert words in to_desk[0].body_text, words
        assert words in to_desk[0].body_html, words
    assert "token=" not in to_desk[0].body_text + to_desk[0].body_html
    assert [mail.recipient for mail in mails("return-news")] == ["ada@example.com"]


def test_a_price_dispute_is_told_to_the_desk(
    settings: Any, bought: Order, actor_user: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    settings.PRICE_DISPUTE_EMAILS = DESK
    dispute = orders.dispute_price(
        actor=actor_user,
        order_id=bought.id,
        line_id=bought.lines.get().id,
        reason="SHOWN_LOWER",
        claimed_price=Decimal("8.99"),
        evidence="I saw <b>8.99</b> on Monday.",
        now=now,
    )

    deliver_twice(deliver, "order.price_disputed", now)

    to_desk = mails("price-disputed")
    assert [mail.recipient for mail in to_desk] == sorted(DESK)
    for words in ("$9.99", "$8.99", "8.99 on Monday", str(dispute.pk), bought.number):
        assert words in to_desk[0].body_text.replace("<b>", "").replace("</b>", ""), words
    assert "<b>8.99" not in to_desk[0].body_html
    assert "token=" not in to_desk[0].body_text + to_desk[0].body_html


def test_without_an_address_nobody_is_told(
    settings: Any, bought: Order, actor_user: Actor, now: datetime, deliver: Callable[..., int]
) -> None:
    settings.RETURN_REQUEST_EMAILS = settings.PRICE_DISPUTE_EMAILS = []
    line = bought.lines.get().id
    orders.request_return(
        actor=actor_user, order_id=bought.id, wanted=[WantedReturn(line, 1)], now=now
    )
    orders.dispute_price(actor=actor_user, order_id=bought.id, line_id=line, reason="TAX", now=now)

    deliver()

    assert mails("return-requested") == mails("price-disputed") == []
