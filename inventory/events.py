"""What inventory announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class StockChanged(Event):
    """
    aggregate: the variant. `available` is what may be promised over all warehouses, `before` what could be before the
    change; None where that is not known.
    """

    name: ClassVar[str] = "inventory.stock_changed"
    aggregate_type: ClassVar[str] = "variant"
    sku: str
    available: int
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class HoldExpired(Event):
    """aggregate: the cart whose holds ran out; one event per cart and sweep."""

    name: ClassVar[str] = "inventory.hold_expired"
    aggregate_type: ClassVar[str] = "cart"
    line_ids: list[str]
    order_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackInStockAsked(Event):
    """aggregate: the variant a guest would wait for, if the address says that it was them."""

    name: ClassVar[str] = "inventory.back_in_stock_asked"
    aggregate_type: ClassVar[str] = "variant"
    sku: str
    email: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class BackInStockOffered(Event):
    """aggregate: the request; so many units are kept for whoever made it, until then."""

    name: ClassVar[str] = "inventory.back_in_stock_offered"
    aggregate_type: ClassVar[str] = "back_in_stock_request"
    sku: str
    quantity: int
    expires_at: str


@dataclass(frozen=True, kw_only=True)
class LowStock(Event):
    name: ClassVar[str] = "inventory.low-stock"
    aggregate_type: ClassVar[str] = "stock_level"
    sku: str
    warehouse: str
    available: int
    reorder_level: int


@dataclass(frozen=True, kw_only=True)
class StockSold(Event):
    """aggregate: the order whose holds became sales."""

    name: ClassVar[str] = "inventory.confirmed"
    aggregate_type: ClassVar[str] = "order"
    units: int


@dataclass(frozen=True, kw_only=True)
class ProductUpdated(Event):
    name: ClassVar[str] = "product.updated"
    aggregate_type: ClassVar[str] = "product"
    slug: str


@dataclass(frozen=True, kw_only=True)
class ProductDiscontinuedEvent(Event):
    name: ClassVar[str] = "product.discontinued"
    aggregate_type: ClassVar[str] = "product"
    slug: str
