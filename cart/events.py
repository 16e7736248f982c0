"""What the cart announces. The aggregate is always the cart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from cart import tokens
from config.platform.events import Event


@dataclass(frozen=True, kw_only=True)
class CartChanged(Event):
    """Base of every change a customer can see; `cart_version` is the version after it."""

    aggregate_type: ClassVar[str] = "cart"
    cart_version: int
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CartCreated(CartChanged):
    name: ClassVar[str] = "cart.created"


@dataclass(frozen=True, kw_only=True)
class CartUpdated(CartChanged):
    """Something beside the lines: metadata, address, currency, or it came back from being abandoned."""

    name: ClassVar[str] = "cart.updated"


@dataclass(frozen=True, kw_only=True)
class HoldsTaken(CartChanged):
    """All active lines are held, or none is any more; asked for by the customer or at checkout."""

    name: ClassVar[str] = "cart.holds_taken"


@dataclass(frozen=True, kw_only=True)
class ItemAdded(CartChanged):
    name: ClassVar[str] = "cart.item_added"
    line_id: str
    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class ItemUpdated(CartChanged):
    name: ClassVar[str] = "cart.item_updated"
    line_id: str
    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class ItemRemoved(CartChanged):
    name: ClassVar[str] = "cart.item_removed"
    line_id: str
    sku: str


@dataclass(frozen=True, kw_only=True)
class ItemMoved(CartChanged):
    """Saved for later, put on next purchase, or taken back."""

    name: ClassVar[str] = "cart.item_saved"
    line_id: str
    sku: str
    to_list: str


@dataclass(frozen=True, kw_only=True)
class ItemsChanged(CartChanged):
    """Several lines at once (bulk calls)."""

    name: ClassVar[str] = "cart.items_changed"
    line_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class CartCleared(CartChanged):
    name: ClassVar[str] = "cart.cleared"


@dataclass(frozen=True, kw_only=True)
class DiscountsChanged(CartChanged):
    name: ClassVar[str] = "cart.discounts_changed"
    codes: list[str]


@dataclass(frozen=True, kw_only=True)
class CartMergedInto(CartChanged):
    """aggregate: the cart that received the lines."""

    name: ClassVar[str] = "cart.merged"
    source_cart_id: str


@dataclass(frozen=True, kw_only=True)
class NextPurchaseActivated(CartChanged):
    name: ClassVar[str] = "cart.next_purchase_activated"
    line_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class CartAbandoned(CartChanged):
    name: ClassVar[str] = "cart.abandoned"


@dataclass(frozen=True, kw_only=True)
class CartExpired(CartChanged):
    name: ClassVar[str] = "cart.expired"


@dataclass(frozen=True, kw_only=True)
class CartRecovered(CartChanged):
    name: ClassVar[str] = "cart.recovered"
    attempt_id: str


@dataclass(frozen=True, kw_only=True)
class RecoveryDue(CartChanged):
    """A reminder is to be sent. The secret of its link is not in the event, but can be made from it."""

    name: ClassVar[str] = "cart.recovery_due"
    attempt_id: str
    email: str
    stage: int
    cycle: int
    expires_at: str

    @property
    def link_token(self) -> str:
        """Return what the link in the reminder ends with; never log it."""
        return tokens.sign(
            cart_id=self.aggregate_id,
            attempt_id=UUID(self.attempt_id),
            expires_at=datetime.fromisoformat(self.expires_at),
            cycle=self.cycle,
        )


@dataclass(frozen=True, kw_only=True)
class CheckoutStarted(CartChanged):
    name: ClassVar[str] = "cart.checkout_started"


@dataclass(frozen=True, kw_only=True)
class CartConverted(CartChanged):
    name: ClassVar[str] = "cart.converted"
    order_id: str
    next_cart_id: str


@dataclass(frozen=True, kw_only=True)
class WishBack(Event):
    """aggregate: the wish of a signed-in customer; what it is for was gone, and is there again."""

    name: ClassVar[str] = "wishlist.back_in_stock"
    aggregate_type: ClassVar[str] = "wish"
    user_id: str
    sku: str
    product: str
    slug: str


@dataclass(frozen=True, kw_only=True)
class WishCheaper(WishBack):
    """It costs less than when it was wished for, and less than the customer was ever told. Decimal strings."""

    name: ClassVar[str] = "wishlist.price_dropped"
    currency: str
    old_amount: str
    new_amount: str
