"""The mail server of the embedded default: it keeps every mail in the database, for the page /dev/mail/."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from notifications.models import StoredMail


class MailboxBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        mails = [
            StoredMail(
                sender=message.from_email,
                recipients=", ".join(message.recipients())[:1000],
                subject=message.subject[:300],
                body_text=str(message.body),
                body_html=next(
                    (
                        str(part.content)
                        for part in getattr(message, "alternatives", [])
                        if part.mimetype == "text/html"
                    ),
                    "",
                )
                if isinstance(message, EmailMultiAlternatives)
                else "",
                headers=dict(message.extra_headers),
            )
            for message in email_messages
        ]
        StoredMail.objects.bulk_create(mails)
        return len(mails)
