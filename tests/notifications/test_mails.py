"""The mails themselves: each has a subject, a text and a page, and none has a gap in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from config.platform.actor import Actor
from notifications import services
from notifications.models import Notification
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem
from tests import factories

MAILS = Path(settings.BASE_DIR) / "templates/notifications/email"
KINDS = sorted(folder.name for folder in MAILS.iterdir() if folder.is_dir())


@pytest.mark.parametrize("kind", KINDS)
def test_each_mail_has_a_subject_a_text_and_a_page(kind: str) -> None:
    texts = {name: (MAILS / kind / name).read_text() for name in ("subject.txt", "body.txt", "body.html")}  # fmt: skip

    assert all(text.strip() for text in texts.values())
    for name in ("subject.txt", "body.txt"):
        assert "autoescape off" in texts[name], f"{name} would show &amp; to the reader"
    assert "autoescape off" not in texts["body.html"]
    # what the page names beside links and layout, the text names too: nobody reads less without pictures
    said = {name: set(re.findall(r"{{ (\w+)", text)) for name, text in texts.items()}
    of_loops = {"first", "counter"}
    assert said["body.html"] - said["body.txt"] - said["subject.txt"] <= of_loops


@pytest.mark.django_db
def test_a_gap_in_a_mail_is_noticed(company: Any, now: datetime) -> None:
    with pytest.raises(AssertionError, match="a mail names number"):
        services.notify(
            company_id=company.id,
            channel="price-dispute",
            recipient="ann@example.com",
            context={"outcome": "REJECTED"},
            dedupe_key="1",
            now=now,
        )

    assert not Notification.objects.exists()


@pytest.fixture
def paid(company: Any, actor_user: Actor, system: Actor, now: datetime) -> Order:
    factories.make_shipping_rule("5.00", countries=["US"])
    variant = factories.make_priced_variant("9.99", available=9)
    variant.product.name = "Rope & <b>Tackle</b>"
    variant.product.save()
    order = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 3)],
        email="ann@example.com",
        shipping_address={
            "name": "Ann Marsh", "line1": "1 Harbour Street", "city": "Portland", "state": "ME",
            "postalCode": "04101", "country": "US",
        },
        now=now,
    )  # fmt: skip
    orders.set_payment_status(
        actor=system, order_id=order.id, status="captured", method="test", now=now
    )
    return orders.confirm(actor=system, order_id=order.id, now=now)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("outcome", "amount", "says"),
    [
        ("REJECTED", None, "The price stays as it is."),
        ("ADJUSTED", Decimal("3.00"), "A part of it goes back to you."),
        ("REFUNDED", None, "All of it goes back to you."),
    ],
)
def test_the_mail_about_a_dispute_says_what_was_decided_and_why(
    paid: Order,
    actor_user: Actor,
    staff: Actor,
    deliver: Callable[..., int],
    now: datetime,
    outcome: str,
    amount: Decimal | None,
    says: str,
) -> None:
    dispute = orders.dispute_price(
        actor=actor_user, order_id=paid.id, line_id=paid.lines.get().id, reason="SHOWN_LOWER", now=now
    )  # fmt: skip
    orders.decide_dispute(
        actor=staff,
        dispute_id=dispute.id,
        status=outcome,
        answer="We compared <both> lists & agree.",
        amount=amount,
        now=now,
    )
    while deliver():
        pass

    mail = Notification.objects.get(channel="price-dispute")
    bell = Notification.objects.get(channel="order.price_dispute_decided")
    assert (mail.recipient, paid.number in mail.subject) == ("ann@example.com", True)
    for body in (mail.body_text, unescape(mail.body_html)):
        assert says in body
        assert "Rope & <b>Tackle</b>" in body
        assert "We compared <both> lists & agree." in body
        assert f"/orders/{paid.number}/?token=" in body
        assert not re.search(r"{{|{%|\bNone\b", body)
    assert "<both>" not in mail.body_html
    assert bell.subject.startswith(f"Order {paid.number}:")
