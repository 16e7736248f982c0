"""What was written to people about an order."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from notifications.models import Notification
from orders.models import Order
from orders.selectors.timeline import Entry, Kind, Told, source

TONES = {"FAILED": "danger", "SENT": "success", "DELIVERED": "success", "SUPPRESSED": ""}
SENT = (Notification.Status.SENT, Notification.Status.DELIVERED)


@source
def messages(order: Order) -> Iterator[Entry]:
    """Mails and messages in the bell; the customer reads of mails that went to them."""
    found = Notification.objects.filter(order_id=order.pk).defer("body_text", "body_html")
    for row in found:
        is_mail = row.type == Notification.Type.EMAIL
        went = is_mail and row.status in SENT and row.recipient == order.email
        to = row.recipient if is_mail else _("in the shop")
        yield Entry(
            at=row.sent_at or row.created_at,
            kind=Kind.MESSAGE,
            key=row.pk,
            title=row.subject,
            text=" · ".join(part for part in (to, row.get_status_display(), row.error) if part),
            tone=TONES.get(row.status, "info"),
            page=("notifications_notification", row.pk),
            customer=Told(_("We wrote to you"), row.subject) if went else None,
        )
