"""Messages: written once, sent once, refused where nobody wants them."""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from config.platform.actor import Actor
from config.platform.models import OutboxEvent, new_id
from inventory.models import Company
from notifications import selectors, services
from notifications.errors import NotificationNotFound, UnsubscribeTokenInvalid
from notifications.models import Notification, Preference, StoredMail, Suppression

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
    order = {"number": "ORD-20261121-000001", "total": "$36.00", "order_url": "https://x/orders/1/"}

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


def test_a_refusing_mail_server_is_tried_again_and_in_the_end_given_up(
    company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: EmailBackend, messages: Any) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    write(company, now)

    services.send_due(now=now)
    after_one = Notification.objects.get()
    for days in range(1, services.MAX_ATTEMPTS):
        services.send_due(now=now + timedelta(days=days))

    assert (after_one.status, after_one.attempts) == (Notification.Status.PENDING, 1)
    assert after_one.next_attempt_at > now
    assert Notification.objects.get().status == Notification.Status.FAILED
    assert mail.outbox == []


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
