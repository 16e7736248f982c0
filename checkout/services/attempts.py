"""
Card testing: whoever tries many payments that come to nothing has to wait, and staff are told.

Counted are rows of our own, not requests: what somebody paid never counts against them. An e-mail address is no
identity here, or anybody could lock anybody out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from checkout.models import Payment
from checkout.selectors import ATTEMPTS_REFUSED
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import RateLimited
from config.platform.models import AuditEntry
from orders.models import Order

logger = structlog.get_logger(__name__)

S = Payment.Status
SCOPE = "payment_attempts"
ADDRESS_FACTOR = 4  # customers behind one address: a household, an office, a mobile network
MOST_ROWS = 500
SUSPICIOUS_DECLINES = 3
SUSPICIOUS_NAMES = 2  # other e-mail addresses that paid with one card within a day
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def client_of(actor: Actor) -> str:
    """Return under what a payment remembers where it was opened from: a keyed digest, never the address itself."""
    if not actor.address or actor.is_system:
        return ""
    return salted_hmac("checkout.attempts", actor.address, algorithm="sha256").hexdigest()


def check(order: Order, *, actor: Actor, now: datetime) -> None:
    """
    Refuse another payment to whom too many came to nothing: by account or guest token, and by network address.

    :raises RateLimited: until enough of them are old
    """
    if not settings.RATE_LIMITS or actor.sees_everything:
        return
    window: timedelta = settings.PAYMENT_ATTEMPTS_WINDOW
    client = client_of(actor)
    tried = Payment.objects.filter(
        status__in=Payment.UNPAID,
        created_at__gt=now - window,
        order__company_id=order.company_id,
    )
    rows = (
        tried.filter(_of(order) | (Q(client=client) & ~Q(client="")))
        .order_by("-created_at")
        .values_list("created_at", "status", "client", "order__user_id", "order__session_hash")
    )[:MOST_ROWS]
    session = None if order.session_hash is None else bytes(order.session_hash)
    groups: dict[str, list[datetime]] = {}
    for at, status, where, user_id, session_hash in rows:
        hashed = None if session_hash is None else bytes(session_hash)
        is_mine = user_id == order.user_id if order.user_id else hashed == session
        names = [name for name, fits in (("mine", is_mine), ("near", where == client)) if fits]
        for name in names:
            groups.setdefault(f"{name}-opened", []).append(at)
            if status == S.FAILED:
                groups.setdefault(f"{name}-declined", []).append(at)
    for name, most in (
        ("mine-declined", settings.PAYMENT_MAX_DECLINES),
        ("mine-opened", settings.PAYMENT_MAX_INTENTS),
        ("near-declined", settings.PAYMENT_MAX_DECLINES * ADDRESS_FACTOR),
        ("near-opened", settings.PAYMENT_MAX_INTENTS * ADDRESS_FACTOR),
    ):
        times = groups.get(name, [])  # newest first
        if most and len(times) >= most:
            wait = (times[most - 1] + window - now).total_seconds()
            raise RateLimited(
                "Too many payments came to nothing. Nothing was charged for this one.",
                extra={
                    "scope": SCOPE,
                    "limit": most,
                    "windowSeconds": int(window.total_seconds()),
                },
                retry_after=max(1, math.ceil(wait)),
            )


@contextmanager
def watched(*, actor: Actor, now: datetime) -> Iterator[None]:
    """Leave a trace when a payment is refused for too many attempts. Goes around the transaction that is undone by it."""
    try:
        yield
    except RateLimited as refusal:
        if refusal.extra.get("scope") == SCOPE:
            _note(actor=actor, limit=refusal.extra["limit"], now=now)
        raise


@transaction.atomic
def _note(*, actor: Actor, limit: int, now: datetime) -> None:
    """Write one audit entry per client and window, however often they knock."""
    client = (client_of(actor) or actor.identity)[:64]
    since = now - settings.PAYMENT_ATTEMPTS_WINDOW
    if AuditEntry.objects.filter(
        action=ATTEMPTS_REFUSED, object_type="client", object_id=client, at__gt=since
    ).exists():
        return
    logger.warning("too many payments came to nothing", client=client[:12])
    audit.record(
        actor=actor,
        action=ATTEMPTS_REFUSED,
        object_type="client",
        object_id=client,
        after={"limit": limit},
        reason="too many payments that came to nothing",
        now=now,
    )


def suspicions(payment: Payment, *, now: datetime) -> Sequence[str]:
    """Return why staff should look at an order before it is packed: how it was paid for. Asks nothing while that is off."""
    if not (settings.ORDER_REVIEW and settings.RATE_LIMITS):
        return ()
    order = payment.order
    tried = Payment.objects.filter(order__company_id=order.company_id)
    found = []
    near = _of(order) | (Q(client=payment.client) & ~Q(client=""))
    declined = tried.filter(
        near, status=S.FAILED, created_at__gt=now - settings.PAYMENT_ATTEMPTS_WINDOW
    )
    if declined[:SUSPICIOUS_DECLINES].count() >= SUSPICIOUS_DECLINES:
        found.append("several payments were declined before")
    most = settings.ORDER_REVIEW_PER_HOUR * ADDRESS_FACTOR
    if most and payment.client:
        same = tried.filter(client=payment.client, created_at__gt=now - HOUR).values("order_id")
        if same.distinct()[: most + 1].count() > most:
            found.append("many orders from one network address within an hour")
    if payment.card:
        others = (
            tried.filter(card=payment.card, created_at__gt=now - DAY)
            .exclude(order__email__iexact=order.email)
            .values("order__email")
            .distinct()
        )
        if others[:SUSPICIOUS_NAMES].count() >= SUSPICIOUS_NAMES:
            found.append("the card was used under other names")
    return found


def _of(order: Order) -> Q:
    if order.user_id is not None:
        return Q(order__user_id=order.user_id)
    if order.session_hash is not None:
        return Q(order__session_hash=order.session_hash)
    return Q(order_id=order.pk)
