"""
dj-stripe's tables: a copy of what Stripe has, for staff to look at. Nothing of ours is decided by them.

They are filled behind the webhooks, not by them, because dj-stripe asks Stripe again for each object.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import stripe
import structlog
from django.conf import settings
from djstripe.models import Event, Refund, WebhookEventTrigger

logger = structlog.get_logger(__name__)

KEEP = timedelta(days=30)
# For calls that dj-stripe makes: its library would wait for 80 seconds and repeat by itself.
stripe.default_http_client = stripe.RequestsClient(timeout=settings.STRIPE_TIMEOUT_SECONDS)
stripe.max_network_retries = 0


def mirror(*, limit: int = 50) -> int:
    """
    Copy the events that were announced, and what they are about, into dj-stripe's tables; return how many.

    Stops where Stripe does not answer; the next run goes on. What dj-stripe cannot read is noted at its trigger
    and left. Runs outside any transaction.
    """
    if not settings.STRIPE_SECRET_KEY:
        return 0
    due = WebhookEventTrigger.objects.filter(valid=True, processed=False, exception="")
    done = 0
    for trigger in due.order_by("pk")[:limit]:
        try:
            told = stripe.Event.retrieve(
                trigger.json_body["id"], api_key=settings.STRIPE_SECRET_KEY
            )
            trigger.event = Event.process(told.to_dict(), api_key=settings.STRIPE_SECRET_KEY)
            if told.type.startswith("refund."):  # dj-stripe leaves these alone
                refund = stripe.Refund.retrieve(
                    told.data.object["id"], api_key=settings.STRIPE_SECRET_KEY
                )
                Refund.sync_from_stripe_data(refund, api_key=settings.STRIPE_SECRET_KEY)
        except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError):
            logger.warning("Stripe does not answer; its mirror waits")
            break
        except Exception as failure:  # the mirror is for looking at; the books go on without it
            logger.exception("an event could not be mirrored", trigger=trigger.pk)
            trigger.exception = type(failure).__name__
        else:
            trigger.processed = True
            done += 1
        trigger.save(update_fields=["event", "processed", "exception", "updated"])
    return done


def prune(*, now: datetime) -> int:
    """Delete what dj-stripe noted of deliveries a month ago; the events themselves stay."""
    return int(WebhookEventTrigger.objects.filter(created__lt=now - KEEP).delete()[0])
