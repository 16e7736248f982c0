"""What follows from changes of catalogue, prices and stock: answers are made anew, and who waits for a price is told."""

from __future__ import annotations

from datetime import datetime

from config.platform import kept
from config.platform.actor import Actor
from config.platform.outbox import Envelope, durable, live
from inventory.events import ProductDiscontinuedEvent, ProductUpdated, StockChanged
from pricing import services
from pricing.events import ExchangeRateChanged, PriceUpdated, RulesChanged


@live(ProductUpdated, ProductDiscontinuedEvent, StockChanged, PriceUpdated, RulesChanged)
def forget_answers(event: object, envelope: Envelope) -> None:
    if envelope.company_id is not None:
        kept.renew(envelope.company_id)


@durable(PriceUpdated, consumer="pricing.price_alerts")
def tell_of_price(event: PriceUpdated, envelope: Envelope, now: datetime) -> None:
    """Who asked to be told at a price is told when it falls to that."""
    assert envelope.company_id is not None
    services.tell_price_alerts(
        actor=Actor.system(envelope.company_id, source="outbox", request_id=envelope.request_id),
        variant_id=event.aggregate_id,
        currency=event.currency,
        now=now,
    )


@durable(ExchangeRateChanged, consumer="pricing.rate_alerts")
def tell_of_rate(event: ExchangeRateChanged, envelope: Envelope, now: datetime) -> None:
    """A rate moves every price that is converted by it: who waits for one of them is told."""
    services.tell_price_alerts(
        actor=Actor.system(event.aggregate_id, source="outbox", request_id=envelope.request_id),
        currency=event.currency,
        now=now,
    )
