"""What an edit of a placed order asks for, and what it would come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from inventory.services import Demand
from orders.models import Order, OrderLine
from orders.services.direct import DirectItem
from orders.services.placing import DraftLine
from orders.services.shares import Units
from pricing.engine import Basket, Quote, ShippingOption


@dataclass(frozen=True, kw_only=True)
class Edit:
    """
    What is wanted of an order; what is not named stays.

    `quantities` says how many units of a line there shall be: fewer are taken out, more are added at today's price.
    With `waive_shipping` the shop pays what shipping costs more.
    """

    quantities: Mapping[UUID, int] = field(default_factory=dict)
    add: Sequence[DirectItem] = ()
    shipping_address: Mapping[str, Any] | None = None
    billing_address: Mapping[str, Any] | None = None
    shipping_option: str = ""
    waive_shipping: bool = False


@dataclass(frozen=True, kw_only=True)
class Addition:
    """Goods that are added, priced."""

    quote: Quote
    basis: dict[str, Any]
    basket: Basket
    lines: Sequence[DraftLine]
    demands: Sequence[Demand]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """
    What an edit comes to. All amounts are the order's currency.

    `taken` is what leaves the order; `brings` the money of each of its lines. `shipping_back` is the part of the shipping
    price that is given back, `shipping_refund` the same with its tax, `shipping_waived` what the shop pays.
    """

    order: Order
    lines: Mapping[UUID, OrderLine]
    taken: Sequence[Units]
    brings: Mapping[UUID, Decimal]
    addresses: Mapping[str, dict[str, str]]
    shipping_option: str
    shipping_name: str
    shipping_options: Sequence[ShippingOption]
    shipping_back: Decimal
    shipping_refund: Decimal
    shipping_waived: Decimal
    to_refund: Decimal
    addition: Addition | None
    quote_id: str

    @property
    def to_pay(self) -> Decimal:
        return self.addition.quote.totals.grand_total if self.addition else Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What was done, and the order that holds what was added."""

    proposal: Proposal
    addition: Order | None
