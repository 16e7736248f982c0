"""Pages that a mail leads to: the token is in the address, and the button has to work in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from cart import services as carts
from config.platform import outbox
from config.platform.models import OutboxEvent
from inventory.models import Company
from notifications import services as notifications
from notifications.models import Suppression
from tests import factories
from tests.browser.conftest import Tab
from tests.conftest import actor_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Tab]


def test_the_button_of_a_reminder_brings_the_cart_back(tab: Open, company: Company) -> None:
    # given: the page's forms are posted with the origin of the page, or the CSRF check refuses them
    now = timezone.now()
    owner = actor_for(factories.make_user(), company)
    carts.create(actor=owner, now=now - timedelta(hours=3))
    carts.add_line(actor=owner, sku="ROPE", quantity=1, now=now - timedelta(hours=2))
    assert carts.mark_abandoned(now=now) == 1
    assert carts.send_due_recoveries(now=now) == 1
    event, _ = outbox.restore(OutboxEvent.objects.filter(name="cart.recovery_due").latest("id"))  # type: ignore[misc]
    visit = tab("recover")

    visit.go(f"/cart/recover/{event.link_token}/")  # type: ignore[attr-defined]
    visit.shot("reminder")
    visit.page.get_by_role("button", name="Put it all back in my cart").click()

    expect(visit.page.get_by_text("Everything is back in your cart")).to_be_visible()
    expect(visit.page.get_by_role("link", name="Manila Rope").first).to_be_visible()
    assert visit.complaints == []


def test_the_button_of_an_unsubscribe_link_stops_the_mails(tab: Open, company: Company) -> None:
    token = notifications.unsubscribe_token(company_id=company.pk, address="kim@example.com")
    visit = tab("unsubscribe")

    visit.go(f"/unsubscribe/{token}/")
    visit.page.get_by_role("button", name="Stop the reminders").click()

    expect(visit.page.get_by_role("heading", name="Done. No more reminders.")).to_be_visible()
    assert Suppression.objects.get().address == "kim@example.com"
    assert visit.complaints == []
