"""What is shown beside a product: what staff related to it, what is bought with it, and what the shop can find itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.models import CoPurchase, Product, ProductRelation
from pricing.selectors.catalogue import (
    ProductView,
    priced_products,
    product_detail,
    product_view,
)
from pricing.selectors.search import Search, search_catalogue

_DEARER = Decimal("0.001")  # the least by which a price can be higher


def related_products(
    *, actor: Actor, ref: str, kinds: Sequence[str], currency: str, limit: int = 12
) -> list[ProductView]:
    """
    Return the products that staff related to this one in these ways, the weightiest first; only what is sold.

    :raises ProductNotFound: if there is no such product for this caller
    """
    product = inventory.find_product(actor=actor, ref=ref)
    return _related(actor, product.id, kinds, currency)[:limit]


def alternative_products(
    *, actor: Actor, ref: str, currency: str, now: datetime, limit: int = 12
) -> list[ProductView]:
    """
    Return what can be bought instead of a product: what staff named, then what of its category is nearest in price.

    What staff named may be sold out; what follows is in stock. A category covers those below it.

    :raises ProductNotFound: if there is no such product for this caller
    """
    product = product_detail(actor=actor, ref=ref, currency=currency)
    found = _related(actor, product.id, [ProductRelation.Kind.ALTERNATIVE], currency)
    price = product.price_from
    if len(found) < limit and price is not None:
        near = [
            *_of_category(actor, product, now, limit, at_least=price),
            *_of_category(actor, product, now, limit, at_most=price),
        ]
        near.sort(key=lambda other: abs((other.price_from or price) - price))
        found = _without_repeats(product, [*found, *near])
    return found[:limit]


def upsell_products(
    *, actor: Actor, ref: str, currency: str, now: datetime, limit: int = 12
) -> list[ProductView]:
    """
    Return what a customer may rather buy, or also: what staff named, then the next dearer of its category in stock.

    :raises ProductNotFound: if there is no such product for this caller
    """
    product = product_detail(actor=actor, ref=ref, currency=currency)
    kinds = [ProductRelation.Kind.UP_SELL, ProductRelation.Kind.CROSS_SELL]
    found = _related(actor, product.id, kinds, currency)
    if len(found) < limit and product.price_from is not None:
        dearer = _of_category(actor, product, now, limit, at_least=product.price_from + _DEARER)
        found = _without_repeats(product, [*found, *dearer])
    return found[:limit]


def recommended_products(
    *, actor: Actor, ref: str, currency: str, limit: int = 12
) -> list[ProductView]:
    """
    Return what goes with a product: what staff related to it in any way, then what is bought with it most often.

    Where both together are fewer than `limit`, others of its category follow, the newest first. Only what is sold.

    :raises ProductNotFound: if there is no such product for this caller
    """
    product = inventory.find_product(actor=actor, ref=ref)
    related = ProductRelation.objects.filter(product=product).order_by("-weight", "id")
    together = CoPurchase.objects.filter(product=product).order_by("-count", "id")
    ids = [
        *related.values_list("related_id", flat=True),
        *together.values_list("other_id", flat=True),
    ]
    found = _sold(actor, list(dict.fromkeys(ids)), currency)[:limit]
    if len(found) < limit and product.category_id is not None:
        others = (
            priced_products(actor=actor, currency=currency)
            .filter(category=product.category_id, status=Product.Status.ACTIVE)
            .exclude(id__in=[product.id, *(view.id for view in found)])
            .order_by("-created_at", "-id")[: limit - len(found)]
        )
        found += [product_view(row, actor=actor, currency=currency) for row in others]
    return found


def bought_together(
    *, actor: Actor, product_id: UUID, currency: str, least: int = 3, limit: int = 4
) -> list[ProductView]:
    """Return what was bought together with a product in at least `least` orders of late and is in stock."""
    together = CoPurchase.objects.filter(
        product=product_id, product__company_id=actor.company_id, count__gte=least
    ).order_by("-count", "id")
    ids = list(together.values_list("other_id", flat=True))
    return [view for view in _sold(actor, ids, currency) if view.in_stock][:limit] if ids else []


def _related(
    actor: Actor, product_id: UUID, kinds: Sequence[str], currency: str
) -> list[ProductView]:
    relations = ProductRelation.objects.filter(product=product_id, kind__in=kinds).order_by(
        "-weight", "id"
    )
    ids = list(dict.fromkeys(relations.values_list("related_id", flat=True)))
    return _sold(actor, ids, currency)


def _of_category(
    actor: Actor,
    product: ProductView,
    now: datetime,
    limit: int,
    *,
    at_least: Decimal | None = None,
    at_most: Decimal | None = None,
) -> list[ProductView]:
    """Return what of the product's category is in stock from a price upwards, or from one downwards; the nearest first."""
    if product.category is None:
        return []
    search = Search(
        category=product.category.slug,
        min_price=at_least,
        max_price=at_most,
        in_stock=True,
        sort="price" if at_most is None else "-price",
    )
    found = search_catalogue(
        actor=actor, currency=product.currency, search=search, now=now, size=limit + 1
    )
    return list(found.products)


def _without_repeats(product: ProductView, found: Iterable[ProductView]) -> list[ProductView]:
    each = {view.id: view for view in found}
    return [view for view in each.values() if view.id != product.id]


def _sold(actor: Actor, ids: Sequence[UUID], currency: str) -> list[ProductView]:
    """Return those of these products that are sold, in the order given."""
    rows = {
        row.id: row
        for row in priced_products(actor=actor, currency=currency).filter(
            id__in=ids, status=Product.Status.ACTIVE
        )
    }
    return [product_view(rows[id], actor=actor, currency=currency) for id in ids if id in rows]
