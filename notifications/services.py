"""Writing messages, sending them, and honouring what people asked for."""

from __future__ import annotations

import smtplib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.template.loader import render_to_string

from config.platform.actor import Actor
from config.platform.models import Alert
from config.platform.outbox import publish
from inventory.models import Company
from notifications import selectors
from notifications.errors import UnsubscribeTokenInvalid
from notifications.events import NotificationCreated
from notifications.models import Digest, Notification, Preference, PushSubscription, Suppression

MAX_ATTEMPTS = 6
# The mail server answered, and took nothing. After any other failure to send it may have taken the message.
SAID_NO = (
    smtplib.SMTPResponseException,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPNotSupportedError,
)
KEPT_BACK_EVERY = timedelta(days=1)  # a customer gets at most one such mail in this time
STALE_NEWS = timedelta(days=7)
UNSUBSCRIBE_SALT = "notifications.unsubscribe"
# Mail that belongs to a purchase is not optional; everything else can be refused.
CATEGORIES = {
    "cart-abandoned": Preference.Category.REMINDERS,
    "wish-back": Preference.Category.STOCK,
    "kept-back": Preference.Category.STOCK,
    "price-alert": Preference.Category.STOCK,
}


@transaction.atomic
def notify(
    *,
    company_id: UUID,
    channel: str,
    recipient: str,
    context: Mapping[str, Any],
    dedupe_key: str,
    now: datetime,
    user_id: UUID | None = None,
    order_id: UUID | None = None,
) -> Notification | None:
    """
    Write one e-mail, to be sent by the next drain; return None when the same message exists already.

    `channel` names the template folder. An address that asked for no such mail gets a row marked
    SUPPRESSED, so that staff can see why nothing went out.
    """
    category = CATEGORIES.get(channel)
    wanted = category is None or selectors.wants(
        company_id=company_id, user_id=user_id, address=recipient, category=category
    )
    values = {
        "shop": settings.STOREFRONT_URL,
        "unsubscribe_url": ""
        if category is None
        else f"{settings.STOREFRONT_URL}/unsubscribe/{unsubscribe_token(company_id=company_id, address=recipient)}/",
        **context,
    }
    folder = f"notifications/email/{channel}"
    note = Notification(
        company_id=company_id,
        user_id=user_id,
        order_id=order_id,
        type=Notification.Type.EMAIL,
        channel=channel,
        recipient=recipient,
        subject=" ".join(render_to_string(f"{folder}/subject.txt", values).split()),
        body_text=render_to_string(f"{folder}/body.txt", values).strip() + "\n",
        body_html=render_to_string(f"{folder}/body.html", values),
        metadata={"unsubscribe": values["unsubscribe_url"]} if values["unsubscribe_url"] else {},
        dedupe_key=f"{dedupe_key}:{channel}:email:{recipient}",
        status=Notification.Status.PENDING if wanted else Notification.Status.SUPPRESSED,
        next_attempt_at=now,
        created_at=now,
    )
    Notification.objects.bulk_create([note], ignore_conflicts=True)
    return note if Notification.objects.filter(pk=note.pk).exists() else None


@transaction.atomic
def tell(
    *,
    actor: Actor,
    user_id: UUID,
    channel: str,
    subject: str,
    dedupe_key: str,
    now: datetime,
    url: str = "",
    order_id: UUID | None = None,
) -> None:
    """Leave a short message in the customer's bell, and show it on every open page."""
    note = _in_bell(
        company_id=actor.company_id,
        user_id=user_id,
        channel=channel,
        subject=subject,
        dedupe_key=dedupe_key,
        url=url,
        order_id=order_id,
        now=now,
    )
    Notification.objects.bulk_create([note], ignore_conflicts=True)
    if Notification.objects.filter(pk=note.pk).exists():
        publish(
            NotificationCreated(aggregate_id=note.pk, user_id=str(user_id), subject=subject),
            actor=actor,
            now=now,
        )


@transaction.atomic
def tell_all(
    *,
    company_id: UUID,
    user_ids: Collection[UUID],
    channel: str,
    category: str,
    subject: str,
    dedupe_key: str,
    url: str,
    now: datetime,
) -> int:
    """
    Leave one message in the bells of many who want to hear of its category; return how many got it.

    Nobody learns of anybody else, and the same `dedupe_key` reaches nobody twice. Four statements for any number.
    """
    deaf = set(
        Preference.objects.filter(
            user_id__in=user_ids,
            category=category,
            type=Notification.Type.IN_APP,
            is_enabled=False,
        ).values_list("user_id", flat=True)
    )
    notes = [
        _in_bell(
            company_id=company_id,
            user_id=user_id,
            channel=channel,
            subject=subject,
            dedupe_key=dedupe_key,
            url=url,
            now=now,
        )
        for user_id in sorted(set(user_ids) - deaf)
    ]
    Notification.objects.bulk_create(notes, ignore_conflicts=True)
    written = Notification.objects.filter(pk__in=[note.pk for note in notes]).values_list(
        "pk", "user_id"
    )
    told = [
        NotificationCreated(aggregate_id=pk, user_id=str(user_id), subject=subject)
        for pk, user_id in written
    ]
    publish(*told, actor=Actor.system(company_id, source="outbox"), now=now)
    return len(told)


def _in_bell(
    *,
    company_id: UUID,
    user_id: UUID,
    channel: str,
    subject: str,
    dedupe_key: str,
    url: str,
    now: datetime,
    order_id: UUID | None = None,
) -> Notification:
    """Return a message as it lies in a bell; shown is delivered."""
    return Notification(
        company_id=company_id,
        user_id=user_id,
        order_id=order_id,
        type=Notification.Type.IN_APP,
        channel=channel,
        recipient=str(user_id),
        subject=subject,
        metadata={"url": url},
        dedupe_key=f"{dedupe_key}:{channel}:in_app:{user_id}",
        status=Notification.Status.DELIVERED,
        next_attempt_at=now,
        created_at=now,
        sent_at=now,
        delivered_at=now,
    )


def note_for_digest(
    *, company_id: UUID, kind: str, object_id: UUID, key: UUID, now: datetime
) -> None:
    """Put something on the next digest of its kind; the same `key` is noted once."""
    Digest.objects.bulk_create(
        [Digest(id=key, company_id=company_id, kind=kind, object_id=object_id, created_at=now)],
        ignore_conflicts=True,
    )


def note_kept_back(
    *, company_id: UUID, variant_id: UUID, user_ids: Collection[UUID], key: UUID, now: datetime
) -> None:
    """Put something that is back on the next mail to each of these customers; the same `key` is noted once for each."""
    Digest.objects.bulk_create(
        [
            Digest(
                id=uuid5(key, str(user_id)),
                company_id=company_id,
                kind=Digest.Kind.KEPT_BACK,
                object_id=variant_id,
                user_id=user_id,
                created_at=now,
            )
            for user_id in sorted(user_ids)
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def send_kept_back(*, now: datetime, limit: int = 500) -> int:
    """
    Write one mail to each customer about what they keep for later and is back; return how many mails.

    Who had one within a day gets the next when the day is over, with all that came back meanwhile. What is gone again,
    or kept no longer, is left out. News older than a week are none. Rows and mails are written together.
    """
    Digest.objects.filter(
        kind=Digest.Kind.KEPT_BACK, sent_at=None, created_at__lt=now - STALE_NEWS
    ).delete()
    told = Notification.objects.filter(
        user_id=OuterRef("user_id"),
        channel="kept-back",
        type=Notification.Type.EMAIL,
        created_at__gt=now - KEPT_BACK_EVERY,
    )
    due = list(
        Digest.objects.filter(~Exists(told), kind=Digest.Kind.KEPT_BACK, sent_at=None)
        .order_by("id")
        .for_update(skip_locked=True)[:limit]
    )
    written = 0
    for company_id in dict.fromkeys(row.company_id for row in due):
        rows = [row for row in due if row.company_id == company_id]
        for user, things in selectors.kept_back(company_id=company_id, rows=rows, now=now).items():
            note = notify(
                company_id=company_id,
                channel="kept-back",
                recipient=user.email,
                user_id=user.pk,
                context={
                    "first": things[0],
                    "things": things[:20],
                    "more": max(len(things) - 20, 0),
                    "is_one": len(things) == 1,
                    "lists_url": f"{settings.STOREFRONT_URL}/cart/",
                },
                dedupe_key=f"kept-{next(row.id for row in rows if row.user_id == user.pk)}",
                now=now,
            )
            written += note is not None
    Digest.objects.filter(pk__in=[row.pk for row in due]).update(sent_at=now)
    return written


@transaction.atomic
def send_low_stock_digest(*, now: datetime, limit: int = 2_000) -> int:
    """
    Write one mail per recipient about the shelves that have run low since the last; return how many shelves it names.

    What has risen again meanwhile is left out. Rows and mails are written together, so a crash repeats nothing.
    """
    due = list(
        Digest.objects.filter(kind=Digest.Kind.LOW_STOCK, sent_at=None).for_update(
            skip_locked=True
        )[:limit]
    )
    named = 0
    for company_id in dict.fromkeys(row.company_id for row in due):
        rows = [row for row in due if row.company_id == company_id]
        shelves = selectors.low_shelves(
            company_id=company_id, shelf_ids=[row.object_id for row in rows]
        )
        named += len(shelves)
        for address in settings.LOW_STOCK_EMAILS if shelves else []:
            notify(
                company_id=company_id,
                channel="low-stock",
                recipient=address,
                context={
                    "shelves": shelves[:50],
                    "more": max(len(shelves) - 50, 0),
                    "count": len(shelves),
                    "admin_url": f"{settings.STOREFRONT_URL}/admin/inventory/stocklevel/",
                },
                dedupe_key=f"digest-{rows[0].id}",
                now=now,
            )
    Digest.objects.filter(pk__in=[row.pk for row in due]).update(sent_at=now)
    Digest.objects.filter(sent_at__lt=now - timedelta(days=30)).delete()
    return named


@transaction.atomic
def mail_alerts(*, now: datetime, limit: int = 100) -> int:
    """
    Write one mail to each of `ALERT_EMAILS` about the alerts that began, became worse or ended; return how many alerts.

    Rows and mails are written together, so a crash repeats nothing. Without an address they are only shown to staff.
    """
    due = list(
        Alert.objects.filter(is_untold=True)
        .order_by("pk")
        .select_for_update(skip_locked=True)[:limit]
    )
    if due and settings.ALERT_EMAILS:
        told = [selectors.alert_words(alert) for alert in due]
        first = due[0]
        for address in settings.ALERT_EMAILS:
            notify(
                company_id=Company.DEFAULT_ID,
                channel="alert",
                recipient=address,
                context={
                    "alerts": told,
                    "first": told[0],
                    "more": len(told) - 1,
                    "admin_url": f"{settings.STOREFRONT_URL}/admin/platform/alert/",
                },
                # the same alert is told when it begins, becomes worse and ends
                dedupe_key=f"alert-{first.pk}-{first.level}-{first.resolved_at is None}",
                now=now,
            )
    Alert.objects.filter(pk__in=[alert.pk for alert in due]).update(is_untold=False)
    return len(due)


def send_due(*, now: datetime, limit: int = 100) -> int:
    """
    Send the messages that are due, those that wait longest first; return how many left the house.

    Each is marked SENDING and committed before it is handed over, so that it is never sent twice. Where a crash, or a
    line that was cut, leaves open whether the mail server took it, it stays there for staff to see. What the server
    refused, or was not reached for, is tried again with back-off.
    """
    sent = 0
    for _ in range(limit):
        note = _claim(now=now)
        if note is None:
            break
        sent += _send(note, now=now)
    return sent


@transaction.atomic
def _claim(*, now: datetime) -> Notification | None:
    note = (
        Notification.objects.filter(
            status=Notification.Status.PENDING,
            type=Notification.Type.EMAIL,
            next_attempt_at__lte=now,
        )
        .order_by("next_attempt_at")
        .select_for_update(no_key=True, skip_locked=True)
        .first()
    )
    if note is not None:
        note.status = Notification.Status.SENDING
        note.save(update_fields=["status"])
    return note


def _send(note: Notification, *, now: datetime) -> bool:
    """Hand one message to the mail server, outside any transaction, and record how it went."""
    mail = EmailMultiAlternatives(
        subject=note.subject,
        body=note.body_text,
        to=[note.recipient],
        headers={"X-Entity-Ref-ID": str(note.pk)},
    )
    if note.metadata.get("unsubscribe"):
        mail.extra_headers["List-Unsubscribe"] = f"<{note.metadata['unsubscribe']}>"
        mail.extra_headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.attach_alternative(note.body_html, "text/html")
    note.attempts += 1
    connection = get_connection()
    is_reached = False
    try:
        connection.open()
        is_reached = True
        connection.send_messages([mail])
    except ValueError as fault:  # no mail server takes what is no mail
        _record(note, Notification.Status.FAILED, fault)
    except OSError as failure:  # smtplib's own are among them
        if is_reached and not isinstance(failure, SAID_NO):
            _record(note, Notification.Status.SENDING, failure)
        elif note.attempts >= MAX_ATTEMPTS:
            _record(note, Notification.Status.FAILED, failure)
        else:
            note.next_attempt_at = now + timedelta(seconds=30 * 2**note.attempts)
            _record(note, Notification.Status.PENDING, failure)
    else:
        note.sent_at = now
        _record(note, Notification.Status.SENT)
    finally:
        with suppress(OSError):
            connection.close()
    return note.status == Notification.Status.SENT


def _record(
    note: Notification, status: Notification.Status, failure: Exception | None = None
) -> None:
    note.status = status
    note.error = f"{type(failure).__name__}: {failure}"[:500] if failure is not None else ""
    note.save(update_fields=["status", "attempts", "next_attempt_at", "sent_at", "error"])


def resend(*, actor: Actor, notification_ids: Iterable[UUID], now: datetime) -> int:
    """Queue failed, stuck or unknown messages again, by a member of staff who decided that it is right."""
    return Notification.objects.filter(
        company_id=actor.company_id,
        pk__in=list(notification_ids),
        type=Notification.Type.EMAIL,
        status__in=[Notification.Status.FAILED, Notification.Status.SENDING],
    ).update(status=Notification.Status.PENDING, attempts=0, next_attempt_at=now)


def mark_read(*, actor: Actor, notification_id: UUID, now: datetime) -> Notification:
    """
    Mark one message in the bell as read; reading it twice changes nothing.

    :raises NotificationNotFound: if it is not the caller's
    """
    note = selectors.one(actor=actor, notification_id=notification_id)
    if note.read_at is None:
        note.read_at = now
        note.save(update_fields=["read_at"])
    return note


def mark_all_read(*, actor: Actor, now: datetime) -> int:
    return selectors.in_app(actor=actor).filter(read_at__isnull=True).update(read_at=now)


@transaction.atomic
def set_preferences(*, user_id: UUID, choices: Mapping[tuple[str, str], bool]) -> None:
    """Store which (category, type) pairs the customer wants; order mail cannot be switched off."""
    for (category, kind), is_enabled in choices.items():
        Preference.objects.update_or_create(
            user_id=user_id, category=category, type=kind, defaults={"is_enabled": is_enabled}
        )


@transaction.atomic
def subscribe_push(
    *, user_id: UUID, endpoint: str, p256dh: str, auth: str, now: datetime
) -> PushSubscription:
    """Remember a browser for push messages; it belongs to whoever signed in there last."""
    subscription, _ = PushSubscription.objects.update_or_create(
        endpoint=endpoint,
        defaults={"user_id": user_id, "p256dh": p256dh, "auth": auth, "created_at": now},
    )
    return subscription


def unsubscribe_push(*, user_id: UUID, endpoint: str) -> int:
    """Forget a browser; return how many were forgotten, which may be none."""
    return PushSubscription.objects.filter(user_id=user_id, endpoint=endpoint).delete()[0]


def unsubscribe_token(*, company_id: UUID, address: str) -> str:
    return signing.dumps([str(company_id), address.lower()], salt=UNSUBSCRIBE_SALT, compress=True)


def unsubscribe(*, token: str, now: datetime) -> str:
    """
    Send this address no more optional mail; return the address.

    :raises UnsubscribeTokenInvalid: if the token is not one of ours
    """
    company_id, address = read_unsubscribe_token(token)
    Suppression.objects.bulk_create(
        [
            Suppression(
                company_id=company_id, address=address, reason="unsubscribed", created_at=now
            )
        ],
        ignore_conflicts=True,
    )
    return address


def resubscribe(*, company_id: UUID, address: str) -> None:
    """Let optional mail go to this address again, where it was its owner who had stopped it."""
    Suppression.objects.filter(
        company_id=company_id, address=address.lower(), reason="unsubscribed"
    ).delete()


def read_unsubscribe_token(token: str) -> tuple[UUID, str]:
    try:
        company_id, address = signing.loads(token, salt=UNSUBSCRIBE_SALT)
        return UUID(company_id), address
    except (signing.BadSignature, ValueError, TypeError) as wrong:
        raise UnsubscribeTokenInvalid from wrong
