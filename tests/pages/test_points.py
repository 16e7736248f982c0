"""The account's page of points."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from config.platform import flags
from config.platform.actor import Actor
from pricing import selectors, services
from pricing.models import LoyaltyTier
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_of() -> Any:
    def make(user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


def test_a_customer_sees_what_there_is_and_how_it_came(
    client_of: Any, staff: Actor, now: datetime
) -> None:
    rich, other = factories.make_user(), factories.make_user()
    LoyaltyTier.objects.create(
        company_id=staff.company_id, name="Bosun", from_points=200, bonus_percent=10
    )
    for user, given, reason in (
        (rich, 1_250, "For the <late> parcel"),
        (rich, -50, "A slip"),
        (other, 7, "Not yours"),
    ):
        services.adjust_points(actor=staff, user_id=user.pk, points=given, reason=reason, now=now)

    page = client_of(rich).get("/account/points/")

    words = page.content.decode()
    assert page.status_code == 200
    assert "1200 points" in words.replace(",", "")
    assert "$12.00" in words
    assert "For the &lt;late&gt; parcel" in words
    assert "+1250" in words
    assert "−50" in words
    assert "200 more points within a year bring you to Bosun." in words
    assert "Not yours" not in words
    assert 'href="/account/points/"' in client_of(rich).get("/account/").content.decode()


def test_without_any_it_says_how_they_come(client_of: Any, company: Any) -> None:
    page = client_of(factories.make_user()).get("/account/points/")

    assert "You have 0 points" in page.content.decode()
    assert "Points come when an order has arrived." in page.content.decode()


def test_it_belongs_to_an_account_and_to_a_shop_that_gives_points(
    client_of: Any, staff: Actor, now: datetime
) -> None:
    assert Client().get("/account/points/").status_code == 302
    flags.switch(actor=staff, name=selectors.LOYALTY_FLAG, enabled=False, now=now)
    someone = client_of(factories.make_user())

    assert someone.get("/account/points/").status_code == 404
    assert "/account/points/" not in someone.get("/account/").content.decode()
