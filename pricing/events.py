"""What pricing announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class PriceUpdated(Event):
    """
    aggregate: the variant. Amounts are what everybody pays for one unit, as decimal strings.

    They are equal where a price of some customers, or from some quantity on, has changed.
    """

    name: ClassVar[str] = "pricing.price.updated"
    aggregate_type: ClassVar[str] = "variant"
    currency: str
    old_amount: str | None
    new_amount: str


@dataclass(frozen=True, kw_only=True)
class RulesChanged(Event):
    """aggregate: the company. Promotions, tax rates or shipping rules have changed."""

    name: ClassVar[str] = "pricing.rules_changed"
    aggregate_type: ClassVar[str] = "company"
    what: str


@dataclass(frozen=True, kw_only=True)
class ExchangeRateChanged(Event):
    """
    aggregate: the company. One unit of its own currency is worth `rate` of `currency` now; null: there is no rate.

    So what has no price of its own in that currency costs something else, or nothing is asked for it any more.
    """

    name: ClassVar[str] = "pricing.exchange_rate.changed"
    aggregate_type: ClassVar[str] = "company"
    currency: str
    rate: str | None


@dataclass(frozen=True, kw_only=True)
class PriceAlertAsked(Event):
    """aggregate: the variant. A guest would be told at `target`; the address has not been asked yet."""

    name: ClassVar[str] = "pricing.alert_asked"
    aggregate_type: ClassVar[str] = "variant"
    sku: str
    email: str
    currency: str
    target: str


@dataclass(frozen=True, kw_only=True)
class PriceAlertReached(Event):
    """aggregate: the alert. Its variant costs its target or less, for the first time since it cost more."""

    name: ClassVar[str] = "pricing.alert_reached"
    aggregate_type: ClassVar[str] = "price_alert"
    sku: str
    currency: str
    target: str
    amount: str
