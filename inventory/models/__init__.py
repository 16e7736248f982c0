"""The catalogue and the stock: what there is, where it lies, and for whom it is kept."""

from __future__ import annotations

from inventory.models.catalogue import (
    Bundle,
    BundleItem,
    Category,
    Company,
    CoPurchase,
    Product,
    ProductImage,
    ProductQuerySet,
    ProductRelation,
    Variant,
)
from inventory.models.holds import (
    HoldGate,
    Reservation,
)
from inventory.models.imports import (
    ImportRun,
)
from inventory.models.outside import (
    FeedCopy,
    Source,
    SourceMark,
    SourceMessage,
    StockDrift,
)
from inventory.models.search import (
    CatalogueChange,
    SearchWord,
)
from inventory.models.stock import (
    StockLevel,
    StockMovement,
    Warehouse,
)
from inventory.models.waiting import (
    BackInStockRequest,
)

__all__ = [
    "BackInStockRequest",
    "Bundle",
    "BundleItem",
    "CatalogueChange",
    "Category",
    "CoPurchase",
    "Company",
    "FeedCopy",
    "HoldGate",
    "ImportRun",
    "Product",
    "ProductImage",
    "ProductQuerySet",
    "ProductRelation",
    "Reservation",
    "SearchWord",
    "Source",
    "SourceMark",
    "SourceMessage",
    "StockDrift",
    "StockLevel",
    "StockMovement",
    "Variant",
    "Warehouse",
]
