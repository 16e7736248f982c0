"""Messages: written once, sent once, refused where nobody wants them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail

from config.platform.actor import Actor
from config.platform.models import OutboxEvent, new_id
from inventory.models import Company
from notifications import selectors, services
from notifications.errors import NotificationNotFound, UnsubscribeTokenInvalid
from notifications.models import Notification, Preference, StoredMail, Suppression
from tests.notifications.mailserver import MailServer
from tests.ports import free_port

pytestmark = pytest.mark.django_db

CART = {
    "lines": [{"name": "Mug", "options": "Kelp", "quantity": 2, "amount": "$36.00"}],
    "total": "$36.00",
    "stage": 1,
    "recovery_url": "https://shop.example.com/cart/recover/abc/",
}


def write(company: Company, now: datetime, **changes: Any) -> Notification | None:
    return services.notify(
        **{
            "company_id": company.pk,
            "channel": "cart-abandoned",
            "recipient": "kim@example.com",
            "context": CART,
            "dedupe_key": "event-1",
            "now": now,
            **changes,
        }
    )


def test_it_writes_subject_text_and_html(company: Company, now: datetime) -> None:
    note = write(company, now)

    assert note is not None
    assert note.subject == "You left something behind"
    assert "2 x Mug (Kelp)  $36.00" in note.body_text
    assert "https://shop.example.com/cart/recover/abc/" in note.body_text
    assert 'href="https://shop.example.com/cart/recover/abc/"' in note.body_html
    assert note.status == Notification.Status.PENDING


def test_it_escapes_names_in_html_and_leaves_text_alone(company: Company, now: datetime) -> None:
    lines = [{"name": "<b>{{ shop }}</b>", "options": "", "quantity": 1, "amount": "$1.00"}]

    note = write(company, now, context={**CART, "lines": lines})

    assert note is not None
    assert "&lt;b&gt;{{ shop }}&lt;/b&gt;" in note.body_html
    assert "<b>{{ shop }}</b>" in note.body_text


def test_the_same_event_makes_one_message(company: Company, now: datetime) -> None:
    write(company, now)

    assert write(company, now) is None
    assert Notification.objects.count() == 1


def test_it_does_not_remind_who_unsubscribed(company: Company, now: datetime) -> None:
    token = services.unsubscribe_token(company_id=company.pk, address="Kim@example.com")
    services.unsubscribe(token=token, now=now)

    note = write(company, now)

    assert note is not None
    assert note.status == Notification.Status.SUPPRESSED
    assert services.send_due(now=now) == 0
    assert mail.outbox == []


def test_order_mail_goes_out_all_the_same(company: Company, now: datetime) -> None:
    services.unsubscribe(
        token=services.unsubscribe_token(company_id=company.pk, address="kim@example.com"), now=now
    )
    order = {
        "number": "ORD-20261121-000001",
        "amount": "$36.00",
        "order_url": "https://x/orders/1/",
    }

    note = write(company, now, channel="payment-confirmation", context=order)

    assert note is not None
    assert note.status == Notification.Status.PENDING
    assert "List-Unsubscribe" not in note.metadata


def test_it_respects_a_switched_off_category(company: Company, now: datetime, user: Any) -> None:
    Preference.objects.create(user_id=user.pk, category="reminders", type="EMAIL", is_enabled=False)

    note = write(company, now, user_id=user.pk)

    assert note is not None
    assert note.status == Notification.Status.SUPPRESSED


def test_unsubscribing_twice_is_once(company: Company, now: datetime) -> None:
    token = services.unsubscribe_token(company_id=company.pk, address="kim@example.com")

    services.unsubscribe(token=token, now=now)
    services.unsubscribe(token=token, now=now)

    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("token", ["", "x", "a:b:c"])
def test_it_refuses_a_forged_unsubscribe_link(company: Company, now: datetime, token: str) -> None:
    with pytest.raises(UnsubscribeTokenInvalid):
        services.unsubscribe(token=token, now=now)

    assert not Suppression.objects.exists()


def test_it_sends_what_is_due_once(company: Company, now: datetime) -> None:
    write(company, now)

    assert services.send_due(now=now) == 1
    assert services.send_due(now=now) == 0

    [sent] = mail.outbox
    assert sent.to == ["kim@example.com"]
    assert sent.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert Notification.objects.get().status == Notification.Status.SENT


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    with MailServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield server


@pytest.mark.parametrize("manner", ["refuses", "recipient", "away"])
def test_a_refusing_mail_server_is_tried_again_and_in_the_end_given_up(
    company: Company, now: datetime, mail_server: MailServer, settings: Any, manner: str
) -> None:
    mail_server.manner = manner
    if manner == "away":
        settings.EMAIL_PORT = free_port()
    write(company, now)

    assert services.send_due(now=now) == 0
    after_one = Notification.objects.get()
    for days in range(1, services.MAX_ATTEMPTS):
        services.send_due(now=now + timedelta(days=days))

    assert (after_one.status, after_one.attempts) == (Notification.Status.PENDING, 1)
    assert after_one.next_attempt_at > now
    assert after_one.error != ""
    assert Notification.objects.get().status == Notification.Status.FAILED
    assert mail_server.taken == []


def test_what_was_refused_goes_out_once_it_is_taken(
    company: Company, now: datetime, mail_server: MailServer
) -> None:
    write(company, now)
    mail_server.manner = "refuses"
    services.send_due(now=now)
    mail_server.manner = "takes"

    assert services.send_due(now=now) == 0  # not before its time
    assert services.send_due(now=now + timedelta(days=1)) == 1

    sent = Notification.objects.get()
    assert mail_server.taken == ["kim@example.com"]
    assert (sent.status, sent.attempts, sent.error) == (Notification.Status.SENT, 2, "")


@pytest.mark.parametrize(
    ("manner", "taken"), [("takes and cuts", ["kim@example.com"]), ("cuts", [])]
)
def test_what_the_mail_server_may_have_taken_is_not_sent_again(
    company: Company, now: datetime, mail_server: MailServer, manner: str, taken: list[str]
) -> None:
    """F35: the line is cut before the answer; nobody here can know, so staff decide."""
    write(company, now)
    mail_server.manner = manner

    assert services.send_due(now=now) == 0
    mail_server.manner = "takes"
    assert services.send_due(now=now + timedelta(days=1)) == 0

    left = Notification.objects.get()
    assert mail_server.taken == taken
    assert (left.status, left.attempts) == (Notification.Status.SENDING, 1)
    assert "Disconnected" in left.error


def test_what_is_no_mail_is_not_tried_again_and_stops_no_other(
    company: Company, now: datetime, mail_server: MailServer
) -> None:
    write(company, now)
    Notification.objects.update(subject="Two\nlines")
    write(company, now + timedelta(seconds=1), dedupe_key="event-2", recipient="sam@example.com")

    assert services.send_due(now=now + timedelta(minutes=1)) == 1

    assert mail_server.taken == ["sam@example.com"]
    assert (
        Notification.objects.get(recipient="kim@example.com").status == Notification.Status.FAILED
    )


def test_a_message_that_was_claimed_by_a_dead_worker_is_not_sent_on_its_own(
    company: Company, now: datetime, staff: Actor
) -> None:
    note = write(company, now)
    assert note is not None
    Notification.objects.update(status=Notification.Status.SENDING)

    assert services.send_due(now=now + timedelta(days=1)) == 0
    assert mail.outbox == []

    assert services.resend(actor=staff, notification_ids=[note.pk], now=now) == 1
    assert services.send_due(now=now) == 1


def test_the_bell_shows_a_message_once_and_only_to_its_owner(
    company: Company, now: datetime, user: Any, actor_user: Actor, staff: Actor, system: Actor
) -> None:
    for _ in range(2):
        services.tell(
            actor=system,
            user_id=user.pk,
            channel="order.shipped",
            subject="On its way",
            dedupe_key="event-1",
            now=now,
        )

    [note] = selectors.in_app(actor=actor_user)
    assert OutboxEvent.objects.filter(name="notification.created").count() == 1
    with pytest.raises(NotificationNotFound):
        services.mark_read(actor=staff, notification_id=note.pk, now=now)
    note.refresh_from_db()
    assert note.read_at is None

    assert services.mark_read(actor=actor_user, notification_id=note.pk, now=now).read_at == now


def test_reading_what_does_not_exist_is_refused(actor_user: Actor, now: datetime) -> None:
    with pytest.raises(NotificationNotFound):
        services.mark_read(actor=actor_user, notification_id=new_id(), now=now)


def test_the_mailbox_keeps_mails_instead_of_sending_them(
    company: Company, now: datetime, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "notifications.mailbox.MailboxBackend"
    write(company, now)

    services.send_due(now=now)

    kept = StoredMail.objects.get()
    assert kept.recipients == "kim@example.com"
    assert "Bring my cart back" in kept.body_html
