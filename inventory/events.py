"""What inventory announces."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from config.platform.events import Event


class Why(StrEnum):
    """Why units that were kept for somebody are free again."""

    REDUCED = "reduced"  # the line wants fewer
    REMOVED = "removed"  # the line is gone, saved or bought later
    LET_GO = "let_go"  # the customer gave the hold up; the line may stay
    CART_CLOSED = "cart_closed"
    CANCELLED = "cancelled"  # an order, or units of it
    EXPIRED = "expired"
    STAFF = "staff"
    WITHDRAWN = "withdrawn"  # an offer: its request was closed


@dataclass(frozen=True, kw_only=True)
class StockReserved(Event):
    """
    aggregate: whoever the units are kept for: the order, else the cart, else the request or the hold of no cart.

    `lines` are {line_id, variant_id, sku, quantity, taken_over}: so many units more than before, of which
    `taken_over` were kept already: for the cart line an order line or another cart's line comes from, or as an offer.
    """

    name: ClassVar[str] = "inventory.reserved"
    aggregate_type: ClassVar[str] = "holder"
    lines: list[dict[str, Any]]
    cart_id: str | None = None
    order_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class StockReleased(Event):
    """
    aggregate: whoever the units were kept for, as of `StockReserved`.

    `lines` are {line_id, variant_id, sku, quantity}: so many units are kept no more. `reason` is a `Why`. Units that
    were sold are told by `StockSold`, those handed on by the `StockReserved` of who has them now.
    """

    name: ClassVar[str] = "inventory.released"
    aggregate_type: ClassVar[str] = "holder"
    reason: str
    lines: list[dict[str, Any]]
    cart_id: str | None = None
    order_id: str | None = None


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
class BackInStockLapsed(Event):
    """aggregate: the request; what was kept was not taken in time, or was let go, and the place in the line is over."""

    name: ClassVar[str] = "inventory.back_in_stock_lapsed"
    aggregate_type: ClassVar[str] = "back_in_stock_request"
    sku: str


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
