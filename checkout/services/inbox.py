"""What providers tell us: stored first, answered at once, worked off from the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from checkout.gateway import ProviderEvent, gateway_of
from checkout.models import Payment, WebhookInbox
from checkout.services.settling import heed_warning, settle
from config.platform import audit, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import FeatureDisabled, InvalidTransition, NotFound
from config.platform.ids import as_uuid
from inventory.errors import HoldFailed
from inventory.selectors import default_company

logger = structlog.get_logger(__name__)

DRAIN_TASK = "checkout.tasks.drain_inbox"
MAX_ATTEMPTS = 12
LEASE = timedelta(minutes=2)
LIMIT_BYTES = 65_536


def receive_webhook(*, provider: str, body: bytes, signature: str, now: datetime) -> WebhookInbox:
    """
    Check a webhook's signature and store it; the same event again gives the first row.

    :raises: what `check_webhook` raises
    """
    event = check_webhook(provider=provider, body=body, signature=signature, now=now)
    return store_webhook(provider=provider, event=event, now=now)


def check_webhook(*, provider: str, body: bytes, signature: str, now: datetime) -> ProviderEvent:
    """
    Return what a webhook says, if its provider signed it; writes nothing.

    :raises NotFound: if there is no such provider, or the test provider is switched off
    :raises FeatureDisabled: if this installation has no keys for it
    :raises WebhookSignatureInvalid: if the signature is missing, wrong or too old
    :raises MalformedRequest: if it is signed, but no event
    :raises DependencyUnavailable: if only the provider can tell whether it is signed, and it does not answer
    """
    gateway = gateway_of(provider)
    if gateway is None:
        if provider in {"stripe", "paypal"}:
            raise FeatureDisabled(extra={"feature": provider})
        raise NotFound
    return gateway.read_event(body=body, signature=signature, now=now)


@transaction.atomic
def store_webhook(*, provider: str, event: ProviderEvent, now: datetime) -> WebhookInbox:
    """
    Store what a checked webhook says; the same event again gives the first row.

    Nothing is done about it here, so nothing can fail after it was stored. A kick after the commit
    shortens the wait.
    """
    WebhookInbox.objects.bulk_create(
        [
            WebhookInbox(
                provider=provider,
                event_id=event.id,
                type=event.type,
                object_id=event.object_id,
                # Only references: the provider is asked for the rest, and bodies carry names and addresses.
                payload={"payment_id": event.payment_id, "live": event.is_live},
                received_at=now,
                next_attempt_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    transaction.on_commit(lambda: outbox.kick(DRAIN_TASK), robust=True)
    return WebhookInbox.objects.get(provider=provider, event_id=event.id)


@transaction.atomic
def note_forgery(*, actor: Actor, provider: str, size: int, now: datetime) -> None:
    """Leave a trace of a webhook that was not signed by its provider; of what it said, nothing is kept."""
    logger.warning("a webhook was not signed by its provider", provider=provider, bytes=size)
    audit.record(
        actor=actor,
        action="webhook.refused",
        object_type="webhook",
        object_id=provider,
        after={"bytes": size},
        reason="not signed by the provider, or too old",
        now=now,
    )


def drain_inbox(*, now: datetime, limit: int = 100) -> int:
    """
    Work off the webhooks that are due, oldest first, and return how many are done with.

    Each is claimed by moving its next attempt forward, so two drains never work on one. What fails is
    tried again with back-off; after twelve tries it is left for staff.
    """
    due = WebhookInbox.objects.filter(
        processed_at=None, dead_at=None, next_attempt_at__lte=now
    ).order_by("next_attempt_at", "pk")
    return sum(
        process_webhook(webhook_id=pk, now=now)
        for pk in list(due.values_list("pk", flat=True)[:limit])
    )


def process_webhook(*, webhook_id: UUID, now: datetime) -> bool:
    """Work off one webhook if it is due and nobody else does; return whether it is done with."""
    claimed = WebhookInbox.objects.filter(
        pk=webhook_id, processed_at=None, dead_at=None, next_attempt_at__lte=now
    ).update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    if not claimed:
        return False
    row = WebhookInbox.objects.get(pk=webhook_id)
    try:
        outcome = _act(row, now=now)
    except Exception as failure:
        logger.exception("a webhook could not be worked off", webhook=str(row.pk))
        dead = row.attempts >= MAX_ATTEMPTS
        WebhookInbox.objects.filter(pk=row.pk).update(
            next_attempt_at=now + min(timedelta(seconds=5 * 2**row.attempts), timedelta(hours=1)),
            dead_at=now if dead else None,
            outcome=f"{type(failure).__name__}: {failure}"[:300],
        )
        return False
    WebhookInbox.objects.filter(pk=row.pk).update(processed_at=now, outcome=outcome[:300])
    return True


@transaction.atomic
def reprocess_webhook(*, webhook_id: UUID, now: datetime) -> WebhookInbox:
    """
    Put a webhook back into the queue, whatever became of it; working it off twice does no harm.

    :raises NotFound: if there is none
    :raises InvalidTransition: if it is due anyway
    """
    row: WebhookInbox | None = WebhookInbox.objects.filter(pk=webhook_id).for_update().first()
    if row is None:
        raise NotFound("There is no such webhook.")
    if row.processed_at is None and row.dead_at is None:
        raise InvalidTransition("It is in the queue.")
    row.processed_at = None
    row.dead_at = None
    row.attempts = 0
    row.next_attempt_at = now
    row.save()
    transaction.on_commit(lambda: outbox.kick(DRAIN_TASK), robust=True)
    return row


def prune(*, now: datetime, keep: timedelta = timedelta(days=90)) -> int:
    """Delete webhooks that were worked off long ago; providers repeat theirs for days, not months."""
    return WebhookInbox.objects.filter(processed_at__lt=now - keep).delete()[0]


def _act(row: WebhookInbox, *, now: datetime) -> str:
    if row.provider == "stripe" and row.payload.get("live", False) != settings.STRIPE_LIVE_MODE:
        return _ignore(row, "of the other mode", now=now)
    payment = Payment.objects.filter(provider=row.provider, provider_id=row.object_id).first()
    named = None if payment is not None else _by_our_id(row)
    if named is not None and named.provider_id is not None and row.object_id:
        return _ignore(row, "it names a payment of ours that is another", about=named, now=now)
    payment = payment or named
    if payment is None:
        return "ignored: no payment of ours"
    before = payment.status
    try:
        # A refund may have come back while another of the same amount was made: their sum would not show it.
        is_about_refunds = "refund" in row.type.lower()
        settled = settle(payment_id=payment.pk, now=now, with_refunds=is_about_refunds)
    except HoldFailed:
        return "approved, but the goods are gone: nothing was taken"
    if row.type.startswith("radar.early_fraud_warning.") and heed_warning(settled, now=now):
        return "held back: a warning of fraud"
    return f"{before} -> {settled.status}" if settled.status != before else f"no change: {before}"


def _ignore(row: WebhookInbox, why: str, *, about: Payment | None = None, now: datetime) -> str:
    """Note a message that its provider signed and that is wrong all the same; staff are told. Nothing else happens."""
    logger.error("a webhook is wrong", webhook=str(row.pk), why=why)
    company_id = about.order.company_id if about is not None else default_company().id
    audit.record(
        actor=Actor(kind=ActorKind.PROVIDER, company_id=company_id, source=row.provider),
        action="webhook.ignored",
        object_type="payment" if about is not None else "webhook",
        object_id=about.pk if about is not None else row.pk,
        after={"event": row.event_id, "type": row.type, "providerId": row.object_id},
        reason=why,
        now=now,
    )
    return f"ignored: {why}"


def _by_our_id(row: WebhookInbox) -> Payment | None:
    """Find the payment that a message names as ours, as one whose creation we never saw answered would be."""
    payment_id = as_uuid(row.payload.get("payment_id", ""))
    if payment_id is None:
        return None
    return Payment.objects.filter(pk=payment_id, provider=row.provider).first()
