"""The bell and the preferences over HTTP, the mailbox, and the way out of reminders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from config.platform.actor import Actor
from inventory.models import Company
from notifications import services
from notifications.models import Notification, PushSubscription, StoredMail, Suppression

pytestmark = pytest.mark.django_db


def ring(user: Any, system: Actor, now: datetime, key: str = "event-1") -> Notification:
    services.tell(
        actor=system,
        user_id=user.pk,
        channel="order.shipped",
        subject="On its way",
        dedupe_key=key,
        url="/orders/ORD-20261121-000001/",
        now=now,
    )
    return Notification.objects.get(dedupe_key__startswith=key)


def test_a_customer_reads_the_bell(user: Any, user_api: Any, system: Actor, now: datetime) -> None:
    note = ring(user, system, now)

    before = user_api.get("/notifications/unread-count").json()
    read = user_api.post(f"/notifications/{note.pk}/read")
    listed = user_api.get("/notifications").json()

    assert before == {"unreadCount": 1}
    assert (read.status_code, read.json()["read"]) == (200, True)
    assert [row["subject"] for row in listed["results"]] == ["On its way"]
    assert user_api.get("/notifications/unread-count").json() == {"unreadCount": 0}


def test_another_customers_message_is_not_there(
    user: Any, staff_api: Any, system: Actor, now: datetime
) -> None:
    note = ring(user, system, now)

    answer = staff_api.post(f"/notifications/{note.pk}/read")

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    note.refresh_from_db()
    assert note.read_at is None


def test_all_are_read_at_once(user: Any, user_api: Any, system: Actor, now: datetime) -> None:
    ring(user, system, now, "event-1")
    ring(user, system, now, "event-2")

    assert user_api.post("/notifications/read-all").json() == {"read": 2}
    assert user_api.post("/notifications/read-all").json() == {"read": 0}


def test_preferences_are_kept_and_order_mail_stays(user_api: Any) -> None:
    off = {"preferences": [{"category": "reminders", "type": "EMAIL", "enabled": False}]}
    orders = {"preferences": [{"category": "orders", "type": "EMAIL", "enabled": False}]}

    kept = user_api.put("/notifications/preferences", off).json()["preferences"]
    refused = user_api.put("/notifications/preferences", orders)

    assert {"category": "reminders", "type": "EMAIL", "enabled": False} in kept
    assert {"category": "orders", "type": "EMAIL", "enabled": True} in kept
    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
    stored = user_api.get("/notifications/preferences").json()["preferences"]
    assert {"category": "orders", "type": "EMAIL", "enabled": True} in stored


def test_a_browser_is_remembered_and_forgotten(user: Any, user_api: Any, staff_api: Any) -> None:
    browser = {
        "endpoint": "https://push.example.com/abc",
        "keys": {"p256dh": "key", "auth": "secret"},
    }

    first = user_api.post("/notifications/push-subscriptions", browser)
    again = user_api.post("/notifications/push-subscriptions", browser)
    other = staff_api.request(
        "DELETE", "/notifications/push-subscriptions", {"endpoint": browser["endpoint"]}
    )
    kept = PushSubscription.objects.count()
    gone = user_api.request(
        "DELETE", "/notifications/push-subscriptions", {"endpoint": browser["endpoint"]}
    )

    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert (other.status_code, kept) == (204, 1)
    assert gone.status_code == 204
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize("endpoint", ["http://push.example.com/abc", "not an address", 7])
def test_a_push_address_that_is_none_is_refused(user_api: Any, endpoint: object) -> None:
    body = {"endpoint": endpoint, "keys": {"p256dh": "key", "auth": "secret"}}

    answer = user_api.post("/notifications/push-subscriptions", body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "endpoint")
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize("path", ["/notifications", "/notifications/preferences"])
def test_a_guest_has_no_bell(guest_api: Any, path: str) -> None:
    answer = guest_api.get(path)

    assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_REQUIRED")


def test_only_staff_see_every_message(
    user: Any, user_api: Any, staff_api: Any, system: Actor, now: datetime
) -> None:
    ring(user, system, now)

    assert user_api.get("/notifications/admin/all").status_code == 403
    [row] = staff_api.get("/notifications/admin/all").json()["results"]
    assert row["userId"] == str(user.pk)


def test_opening_an_unsubscribe_link_changes_nothing_and_posting_does(
    client: Client, company: Company
) -> None:
    token = services.unsubscribe_token(company_id=company.pk, address="kim@example.com")

    asked = client.get(f"/unsubscribe/{token}/")
    after_asking = Suppression.objects.count()
    done = client.post(f"/unsubscribe/{token}/")

    assert (asked.status_code, asked["Referrer-Policy"], after_asking) == (200, "same-origin", 0)
    assert done.status_code == 200
    assert Suppression.objects.get().address == "kim@example.com"


def test_a_forged_unsubscribe_link_is_not_found(client: Client, company: Company) -> None:
    assert client.get("/unsubscribe/forged/").status_code == 404
    assert client.post("/unsubscribe/forged/").status_code == 404
    assert not Suppression.objects.exists()


def test_the_mailbox_shows_mails_in_a_frame_of_their_own(client: Client, company: Company) -> None:
    mail = StoredMail.objects.create(
        sender="shop@example.com",
        recipients="kim@example.com",
        subject="Hello <b>",
        body_text="text",
        body_html="<p style='color:red'>html</p>",
    )

    listed = client.get("/dev/mail/")
    shown = client.get(f"/dev/mail/{mail.pk}/")
    framed = client.get(f"/dev/mail/{mail.pk}/html/")

    assert b"Hello &lt;b&gt;" in listed.content
    assert b"sandbox=" in shown.content
    assert framed["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in framed["Content-Security-Policy"]


def test_production_has_no_mailbox(client: Client, company: Company, settings: Any) -> None:
    settings.DEV_MAILBOX = False

    assert client.get("/dev/mail/").status_code == 404
