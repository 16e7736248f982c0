"""The landing page of a reminder: a look first, then one press."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cart import services
from cart.models import Cart, CartLine
from config.platform import outbox
from config.platform.models import OutboxEvent
from inventory.models import Company
from tests import factories
from tests.conftest import actor_for
from tests.pages.conftest import Market, Visitor, text_of


@pytest.fixture
def link(market: Market, company: Company, now: datetime) -> str:
    """Return the link that was mailed about an abandoned cart with two mugs and a rope."""
    owner = actor_for(factories.make_user(), company)
    services.create(actor=owner, now=now - timedelta(hours=3))
    for sku, quantity in (("MUG-KELP", 2), ("ROPE", 1)):
        services.add_line(actor=owner, sku=sku, quantity=quantity, now=now - timedelta(hours=2))
    assert services.mark_abandoned(now=now) == 1
    assert services.send_due_recoveries(now=now) == 1
    event, _ = outbox.restore(OutboxEvent.objects.filter(name="cart.recovery_due").latest("id"))  # type: ignore[misc]
    return f"/cart/recover/{event.link_token}/"


def test_a_look_changes_nothing_and_tells_nobody_who_it_was(visitor: Visitor, link: str) -> None:
    page = visitor.get(link)

    said = text_of(page)
    assert page.status_code == 200
    assert "Your cart is still here" in said
    assert "Harbour Mug" in said
    assert "Manila Rope" in said
    assert "@" not in said
    assert page["Referrer-Policy"] == "same-origin"
    assert "hf_session" not in visitor.client.cookies
    assert Cart.objects.count() == 1


def test_one_press_brings_everything_into_the_visitor_s_own_cart(
    visitor: Visitor, link: str
) -> None:
    page = visitor.post(link)

    assert page.redirect_chain[-1] == ("/cart/", 302)
    said = text_of(page)
    assert "Everything is back in your cart" in said
    assert "Harbour Mug" in said
    assert "Held for you" in said
    mine = Cart.objects.get(user_id=None)
    assert dict(CartLine.objects.filter(cart=mine).values_list("variant__sku", "quantity")) == {
        "MUG-KELP": 2,
        "ROPE": 1,
    }


def test_a_link_works_once(visitor: Visitor, link: str) -> None:
    visitor.post(link)

    again = Visitor().post(link)

    assert again.status_code == 410
    assert "This link has gone out with the tide" in text_of(again)
