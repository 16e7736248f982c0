"""What may be done to the catalogue and to stock: `from inventory import services as inventory`."""

from __future__ import annotations

from inventory.selectors import Hold
from inventory.services.catalogue import (
    announce_edit,
    create_product,
    discontinue,
    free_slug,
    relate,
    update_product,
    upsert_bundle,
    upsert_categories,
)
from inventory.services.changes import Change, Outcome
from inventory.services.counts import (
    CountChange,
    CountOutcome,
    CountRow,
    Problem,
    apply_counts,
    preview_counts,
    refusal_of,
)
from inventory.services.demands import (
    Demand,
    HoldLimits,
    Shortage,
    refusal,
)
from inventory.services.drafts import (
    BundleDraft,
    CategoryDraft,
    ImageDraft,
    ProductDraft,
    VariantDraft,
)
from inventory.services.expiry import (
    release_all,
    release_expired,
    release_hold,
)
from inventory.services.holds import (
    extend,
    move_holds,
    release,
    release_cart,
    release_directly,
    reserve,
    reserve_directly,
)
from inventory.services.messages import (
    MOST_CHANGES,
    Taken,
    apply_again,
    drain_messages,
    open_source,
    prune_messages,
    take_message,
)
from inventory.services.products import (
    Upserted,
    sanitise,
    upsert_product,
    upsert_products,
)
from inventory.services.releases import release_holds
from inventory.services.sales import (
    assign,
    confirm,
    reacquire,
    release_order,
    restock,
)
from inventory.services.shelves import (
    DeliveryLine,
    adjust,
    adjust_shelves,
    count_shelves,
    create_stock_level,
    receive,
    receive_delivery,
    transfer,
    write_off,
)
from inventory.services.stock import (
    Counted,
    StockCount,
    count_stock,
    update_stock_level,
    upsert_warehouse,
)
from inventory.services.stockfile import (
    CountFile,
    read_counts,
    shelves_to_count,
    write_counting_list,
)
from inventory.services.work import Figures, ShelfChange, ShelfCount, ShelfUnits

__all__ = [
    "MOST_CHANGES",
    "BundleDraft",
    "CategoryDraft",
    "Change",
    "CountChange",
    "CountFile",
    "CountOutcome",
    "CountRow",
    "Counted",
    "DeliveryLine",
    "Demand",
    "Figures",
    "Hold",
    "HoldLimits",
    "ImageDraft",
    "Outcome",
    "Problem",
    "ProductDraft",
    "ShelfChange",
    "ShelfCount",
    "ShelfUnits",
    "Shortage",
    "StockCount",
    "Taken",
    "Upserted",
    "VariantDraft",
    "adjust",
    "adjust_shelves",
    "announce_edit",
    "apply_again",
    "apply_counts",
    "assign",
    "confirm",
    "count_shelves",
    "count_stock",
    "create_product",
    "create_stock_level",
    "discontinue",
    "drain_messages",
    "extend",
    "free_slug",
    "move_holds",
    "open_source",
    "preview_counts",
    "prune_messages",
    "reacquire",
    "read_counts",
    "receive",
    "receive_delivery",
    "refusal",
    "refusal_of",
    "relate",
    "release",
    "release_all",
    "release_cart",
    "release_directly",
    "release_expired",
    "release_hold",
    "release_holds",
    "release_order",
    "reserve",
    "reserve_directly",
    "restock",
    "sanitise",
    "shelves_to_count",
    "take_message",
    "transfer",
    "update_product",
    "update_stock_level",
    "upsert_bundle",
    "upsert_categories",
    "upsert_product",
    "upsert_products",
    "upsert_warehouse",
    "write_counting_list",
    "write_off",
]
