"""What the messages share: whom they go to and how."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from config.platform.actor import Actor
from config.platform.models import User
from config.platform.outbox import Envelope
from inventory.events import BackInStockAsked
from inventory.models import Variant
from notifications import services
from pricing.events import PriceAlertAsked


def ask_to_confirm(
    envelope: Envelope,
    event: BackInStockAsked | PriceAlertAsked,
    *,
    channel: str,
    context: dict[str, Any],
    key: str,
    now: datetime,
) -> None:
    """Mail an address a link by which its owner says yes: at most once a day for one thing, so that nobody is pestered."""
    assert envelope.company_id is not None
    variant = Variant.objects.select_related("product").filter(id=event.aggregate_id).first()
    if variant is None:
        return
    services.notify(
        company_id=envelope.company_id,
        channel=channel,
        recipient=event.email,
        context={"name": variant.product.name, **context},
        dedupe_key=f"{key}-{envelope.occurred_at:%Y%m%d}",
        now=now,
    )


def tell_owner(
    envelope: Envelope,
    *,
    user_id: UUID | None,
    email: str,
    bell: tuple[str, str, str],
    mail: tuple[str, dict[str, Any]],
    dedupe_key: str,
    now: datetime,
) -> None:
    """
    Tell an account by bell and mail, and who left only an address by mail; an account that is closed is not told.

    `bell` is channel, subject and path, `mail` is channel and context.
    """
    assert envelope.company_id is not None
    if user_id is not None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            return
        email = user.email
        channel, subject, path = bell
        services.tell(
            actor=Actor.system(
                envelope.company_id, source="outbox", request_id=envelope.request_id
            ),
            user_id=user_id,
            channel=channel,
            subject=subject,
            dedupe_key=dedupe_key,
            url=path,
            now=now,
        )
    if email:
        channel, context = mail
        services.notify(
            company_id=envelope.company_id,
            channel=channel,
            recipient=email,
            user_id=user_id,
            context=context,
            dedupe_key=dedupe_key,
            now=now,
        )
