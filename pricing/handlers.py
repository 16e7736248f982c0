"""What follows from changes of catalogue, prices and stock: answers made from them are made anew."""

from __future__ import annotations

from config.platform import kept
from config.platform.outbox import Envelope, live
from inventory.events import ProductDiscontinuedEvent, ProductUpdated, StockChanged
from pricing.events import PriceUpdated, RulesChanged


@live(ProductUpdated, ProductDiscontinuedEvent, StockChanged, PriceUpdated, RulesChanged)
def forget_answers(event: object, envelope: Envelope) -> None:
    if envelope.company_id is not None:
        kept.renew(envelope.company_id)
