"""What the cart does when something happens below it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from cart import services
from config.platform.actor import Actor
from config.platform.auth import on_sign_in
from config.platform.outbox import Envelope, durable
from inventory.events import StockChanged
from pricing.events import ExchangeRateChanged, PriceUpdated


@on_sign_in
def merge_guest_cart(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """Bring the guest's cart along into the account, on every way to sign in."""
    return services.merge_at_sign_in(actor=actor, now=now)


@on_sign_in
def bring_lists_along(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """What a guest wished for and compared is theirs still."""
    services.merge_lists_at_sign_in(actor=actor)
    return {}


@durable(StockChanged, consumer="cart.wishes_in_stock")
def look_for_wishes(event: StockChanged, envelope: Envelope, now: datetime) -> None:
    """Who wishes for something learns when it is back."""
    services.note_stock(
        actor=_system(envelope),
        variant_id=event.aggregate_id,
        is_there=event.available > 0,
        now=now,
    )


@durable(PriceUpdated, consumer="cart.wishes_price")
def look_for_cheaper_wishes(event: PriceUpdated, envelope: Envelope, now: datetime) -> None:
    """Who wishes for something learns when it costs less."""
    services.note_price(
        actor=_system(envelope),
        variant_id=event.aggregate_id,
        currency=event.currency,
        amount=Decimal(event.new_amount),
        now=now,
    )
    services.note_converted_prices(actor=_system(envelope), variant_id=event.aggregate_id, now=now)


@durable(ExchangeRateChanged, consumer="cart.wishes_rate")
def look_for_wishes_at_a_rate(
    event: ExchangeRateChanged, envelope: Envelope, now: datetime
) -> None:
    """What is wished for may cost less because its currency does."""
    services.note_converted_prices(actor=_system(envelope), currency=event.currency, now=now)


def _system(envelope: Envelope) -> Actor:
    assert envelope.company_id is not None
    return Actor.system(envelope.company_id, source="outbox", request_id=envelope.request_id)
