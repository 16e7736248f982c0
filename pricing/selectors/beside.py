"""What is shown beside a product: what staff related to it, what is bought with it, and what the shop can find itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, IntegerField, QuerySet, Sum, Value
from django.db.models.functions import Cast

from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.models import BundleItem, CoPurchase, Product, ProductRelation
from pricing.selectors.catalogue import (
    ProductView,
    priced_products,
    product_detail,
    product_view,
    products_shown,
)
from pricing.selectors.search import Search, nearest_in_price, search_catalogue

_DEARER = Decimal("0.001")  # the least by which a price can be higher
RELATED, IN_BUNDLE, TOGETHER, SAME_CATEGORY = "related", "bundle", "bought_together", "category"
_REASONS = (RELATED, IN_BUNDLE, TOGETHER, SAME_CATEGORY)  # the best first
_LOOKED_AT = 4  # times as many as are wanted: some will be sold out


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A product that goes with others, and the best reason why."""

    product: ProductView
    reason: str


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
    return _instead(actor, [product], currency, now, limit)[product.id]


def alternatives_to(
    *, actor: Actor, product_ids: Collection[UUID], currency: str, now: datetime, limit: int
) -> dict[UUID, list[ProductView]]:
    """Return what `alternative_products` names for each of these, four statements for all; none for what is unknown."""
    if not product_ids:
        return {}
    gone = products_shown(actor=actor, currency=currency, ids=list(dict.fromkeys(product_ids)))
    return _instead(actor, gone, currency, now, limit)


def _instead(
    actor: Actor, products: Sequence[ProductView], currency: str, now: datetime, limit: int
) -> dict[UUID, list[ProductView]]:
    named: dict[UUID, list[UUID]] = {product.id: [] for product in products}
    relations = ProductRelation.objects.filter(
        product__in=list(named), kind=ProductRelation.Kind.ALTERNATIVE
    ).order_by("-weight", "id")
    for product_id, related_id in relations.values_list("product_id", "related_id"):
        named[product_id].append(related_id)
    priced = [
        (product, product.category.slug, product.price_from)
        for product in products
        if product.category is not None and product.price_from is not None
    ]
    near = nearest_in_price(
        actor=actor,
        currency=currency,
        wanted=[(slug, price) for _product, slug, price in priced],
        size=limit + 1,
        now=now,
    )
    ids = [key for found in (*named.values(), *near) for key in found]
    shown = {
        view.id: view
        for view in products_shown(actor=actor, currency=currency, ids=list(dict.fromkeys(ids)))
        if view.is_sold
    }
    found = {key: [shown[id] for id in ids if id in shown] for key, ids in named.items()}
    for (product, _slug, price), others in zip(priced, near, strict=True):
        views = _nearest([shown[key] for key in others if key in shown], price)
        found[product.id] = _without_repeats(product, [*found[product.id], *views])
    return {key: views[:limit] for key, views in found.items()}


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
        dearer = _dearer_of_category(actor, product, product.price_from, now, limit)
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


def goes_with(
    *,
    actor: Actor,
    product_ids: Collection[UUID],
    without: Collection[UUID],
    currency: str,
    least: int = 3,
    limit: int = 4,
) -> list[Suggestion]:
    """
    Return what goes with all of these products together, and can be had now; none of `without`. Two statements.

    First what staff named to go along or up to, the weightiest first; then what completes a bundle; then what was
    bought with them in at least `least` orders of late; then the newest of their categories. What has two reasons
    stands with the better one.
    """
    if not product_ids:
        return []
    legs = [
        ProductRelation.objects.filter(
            product__in=product_ids,
            kind__in=[ProductRelation.Kind.CROSS_SELL, ProductRelation.Kind.UP_SELL],
        )
        .order_by()
        .values(found=F("related_id"))
        .annotate(score=Sum("weight")),
        BundleItem.objects.filter(
            bundle__is_active=True, bundle__items__variant__product__in=product_ids
        )
        .order_by()
        .values(found=F("variant__product_id"))
        .annotate(score=Cast(Value(0), IntegerField())),
        CoPurchase.objects.filter(product__in=product_ids, count__gte=least)
        .order_by()
        .values(found=F("other_id"))
        .annotate(score=Sum("count")),
        Product.objects.filter(
            company_id=actor.company_id,
            status=Product.Status.ACTIVE,
            category__in=Product.objects.filter(id__in=product_ids).values("category"),
        )
        .exclude(id__in=[*product_ids, *without])
        .order_by("-created_at", "-id")
        .values(found=F("id"))
        .annotate(score=Cast(Value(0), IntegerField()))[: limit * _LOOKED_AT],
    ]
    ranked: list[QuerySet[Any, Any]] = [
        leg.annotate(rank=Value(rank)).values_list("found", "rank", "score")
        for rank, leg in enumerate(legs)
    ]
    rows = ranked[0].union(*ranked[1:], all=True)
    best: dict[UUID, tuple[int, int]] = {}
    for found, rank, score in rows:
        if found not in product_ids and found not in without:
            best[found] = min((rank, -score), best.get(found, (len(_REASONS), 0)))
    ids = sorted(best, key=lambda id: (best[id][0], best[id][1], -id.int))
    shown = products_shown(actor=actor, currency=currency, ids=ids[: limit * _LOOKED_AT])
    return [
        Suggestion(view, _REASONS[best[view.id][0]])
        for view in shown
        if view.is_sold and view.in_stock
    ][:limit]


def _related(
    actor: Actor, product_id: UUID, kinds: Sequence[str], currency: str
) -> list[ProductView]:
    relations = ProductRelation.objects.filter(product=product_id, kind__in=kinds).order_by(
        "-weight", "id"
    )
    ids = list(dict.fromkeys(relations.values_list("related_id", flat=True)))
    return _sold(actor, ids, currency)


def _nearest(views: Iterable[ProductView], price: Decimal) -> list[ProductView]:
    return sorted(views, key=lambda view: abs((view.price_from or price) - price))


def _dearer_of_category(
    actor: Actor, product: ProductView, price: Decimal, now: datetime, limit: int
) -> list[ProductView]:
    """Return what of the product's category is in stock and costs more than this; the nearest first."""
    if product.category is None:
        return []
    search = Search(
        category=product.category.slug, min_price=price + _DEARER, in_stock=True, sort="price"
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
