"""The page of the bell: what was told, marked as read; and what a customer wants to hear."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor, ActorKind
from config.platform.models import User
from inventory.models import Company
from notifications import selectors, services
from notifications.models import Notification, Preference, Suppression
from tests import factories

pytestmark = pytest.mark.django_db

PAGE = "/account/notifications/"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def _tell(company: Company, user: User, subject: str, now: datetime, url: str = "") -> UUID:
    actor = Actor(kind=ActorKind.USER, company_id=company.pk, user_id=user.pk)
    services.tell(
        actor=actor,
        user_id=user.pk,
        channel="stock",
        subject=subject,
        dedupe_key=str(uuid4()),
        now=now,
        url=url,
    )
    return Notification.objects.get(subject=subject).pk


@pytest.fixture
def user() -> User:
    return factories.make_user(email="ann@example.com")


@pytest.fixture
def browser(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def test_it_asks_strangers_to_sign_in(company: Company) -> None:
    answer = Client().get(PAGE)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/")


def test_it_shows_what_was_told_to_this_customer_only(
    browser: Client, user: User, company: Company, now: datetime
) -> None:
    _tell(company, user, "Harbour Mug is back", now, "/products/harbour-mug/")
    _tell(company, factories.make_user(email="bob@example.com"), "For somebody else", now)

    text = browser.get(PAGE).content.decode()

    assert '<a href="/products/harbour-mug/">Harbour Mug is back</a>' in text
    assert "For somebody else" not in text
    assert "1 you have not read" in text


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_it_links_to_this_shop_only(
    browser: Client, user: User, company: Company, now: datetime, url: str
) -> None:
    _tell(company, user, "Look", now, url)

    assert url not in browser.get(PAGE).content.decode()


def test_one_is_marked_as_read(
    browser: Client, user: User, company: Company, now: datetime
) -> None:
    first, second = _tell(company, user, "One", now), _tell(company, user, "Two", now)

    answer = browser.post(PAGE, {"do": "read", "note": str(first)})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert Notification.objects.get(pk=first).read_at is not None
    assert Notification.objects.get(pk=second).read_at is None


def test_all_are_marked_as_read(
    browser: Client, user: User, company: Company, now: datetime
) -> None:
    for subject in ("One", "Two"):
        _tell(company, user, subject, now)

    browser.post(PAGE, {"do": "read_all"})

    assert not Notification.objects.filter(read_at=None).exists()
    assert "Mark as read" not in browser.get(PAGE).content.decode()


@pytest.mark.parametrize("name", ["", "no id", "other"])
def test_a_message_of_somebody_else_is_not_found(
    browser: Client, company: Company, now: datetime, name: str
) -> None:
    theirs = _tell(company, factories.make_user(email="bob@example.com"), "Theirs", now)

    answer = browser.post(PAGE, {"do": "read", "note": str(theirs) if name == "other" else name})

    assert answer.status_code == 404
    assert Notification.objects.get(pk=theirs).read_at is None


def test_choices_are_stored_and_shown(browser: Client, user: User) -> None:
    before = browser.get(PAGE).content.decode()
    browser.post(PAGE, {"do": "choose", "stock.IN_APP": "on"})
    after = browser.get(PAGE).content.decode()

    assert before.count(" checked") == 4
    assert after.count(" checked") == 2
    chosen = selectors.preferences(user_id=user.pk)
    assert (chosen["reminders"]["EMAIL"], chosen["stock"]["IN_APP"]) == (False, True)
    assert chosen["orders"]["EMAIL"] is True


def test_mail_about_orders_cannot_be_switched_off(browser: Client, user: User) -> None:
    browser.post(PAGE, {"do": "choose"})

    assert not Preference.objects.filter(
        user_id=user.pk, category="orders", is_enabled=False
    ).exists()
    assert '<input type="checkbox" disabled checked>' in browser.get(PAGE).content.decode()


def test_who_left_by_a_mail_comes_back_by_choosing(
    browser: Client, user: User, company: Company, now: datetime
) -> None:
    token = services.unsubscribe_token(company_id=company.pk, address=user.email)
    services.unsubscribe(token=token, now=now)
    bounced = Suppression.objects.create(
        company_id=company.pk, address="bob@example.com", reason="bounced", created_at=now
    )
    assert browser.get(PAGE).content.decode().count(" checked") == 2

    browser.post(PAGE, {"do": "choose", "reminders.EMAIL": "on", "stock.IN_APP": "on"})

    assert browser.get(PAGE).content.decode().count(" checked") == 3
    assert list(Suppression.objects.all()) == [bounced]
    services.resubscribe(company_id=company.pk, address="bob@example.com")
    assert Suppression.objects.filter(pk=bounced.pk).exists()


def test_many_messages_come_page_by_page_at_the_same_cost(
    browser: Client, user: User, company: Company, now: datetime
) -> None:
    def cost() -> int:
        browser.get(PAGE)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            browser.get(PAGE)
        return len(seen)

    _tell(company, user, "First of all", now)
    few = cost()
    for number in range(45):
        _tell(company, user, f"Message {number}", now)

    assert cost() == few
    assert browser.get(PAGE).content.decode().count("told__note--new") == 20
    assert "First of all" in browser.get(f"{PAGE}?page=3").content.decode()
    assert browser.get(f"{PAGE}?page=nothing").status_code == 200
