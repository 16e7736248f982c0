"""Reads of the catalogue and of stock, for every app above."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.search import SearchQuery
from django.core.cache import cache
from django.db.models import (
    Case,
    Exists,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.functions import Coalesce, JSONObject, Now
from django.utils.dateparse import parse_datetime

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory.errors import (
    CategoryNotFound,
    CompanyNotFound,
    ProductDiscontinued,
    ProductNotFound,
    StockLevelNotFound,
    VariantInvalid,
)
from inventory.models import (
    Bundle,
    Category,
    Company,
    Product,
    Reservation,
    StockLevel,
    StockMovement,
    Variant,
    Warehouse,
)
from inventory.selectors.analytics import (
    COVER_BANDS as COVER_BANDS,
)
from inventory.selectors.analytics import (
    DAYS as DAYS,
)
from inventory.selectors.analytics import (
    StockOverview as StockOverview,
)
from inventory.selectors.analytics import (
    cover as cover,
)
from inventory.selectors.analytics import (
    shelves_of_cover as shelves_of_cover,
)
from inventory.selectors.analytics import (
    sold_units as sold_units,
)
from inventory.selectors.analytics import (
    stock_analytics as stock_analytics,
)
from inventory.selectors.analytics import (
    stock_overview as stock_overview,
)
from inventory.selectors.timelines import (
    daily_totals as daily_totals,
)
from inventory.selectors.timelines import (
    orders_of_movements as orders_of_movements,
)
from inventory.selectors.timelines import (
    sku_movements as sku_movements,
)
from inventory.selectors.watching import (
    OVERDUE_AFTER as OVERDUE_AFTER,
)
from inventory.selectors.watching import (
    feeds as feeds,
)
from inventory.selectors.watching import (
    lapsed_share as lapsed_share,
)
from inventory.selectors.watching import (
    stock_figures as stock_figures,
)
from inventory.selectors.watching import (
    stock_problems as stock_problems,
)

# Customers see at most this many units, so that stock cannot be scraped (api.md §3).
SHOWN_AT_MOST = 10

# --- companies --------------------------------------------------------------------------------

_COMPANIES_REMEMBERED_SECONDS = 30.0
_companies: dict[UUID, Company] = {}
_companies_read_at: float | None = None


def _known_companies() -> dict[UUID, Company]:
    global _companies, _companies_read_at
    if (
        _companies_read_at is None
        or time.monotonic() - _companies_read_at > _COMPANIES_REMEMBERED_SECONDS
    ):
        _companies = Company.objects.in_bulk()
        _companies_read_at = time.monotonic() if _companies else None
    return _companies


def forget_companies() -> None:
    """Read the companies again at the next question; other processes notice within half a minute."""
    global _companies_read_at
    _companies_read_at = None


def default_company() -> Company:
    """
    Return the shop of a single-shop install.

    :raises CompanyNotFound: before the first migration, or if nobody marked a default
    """
    for company in _known_companies().values():
        if company.is_default:
            return company
    raise CompanyNotFound


def resolve_company(header: str | None, host: str) -> UUID:
    """
    Return the company a request is for: the one named by its id or slug, else the host's, else the default.

    Remembered in the process, so a request usually costs no statement.

    :raises CompanyNotFound: if `header` names none
    """
    companies = _known_companies()
    if header:
        found = _named(companies, header)
        if found is None:  # perhaps founded a moment ago, by another process
            found = _named({c.id: c for c in Company.objects.filter(_name_filter(header))}, header)
        if found is None:
            raise CompanyNotFound
        return found.id
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    for company in companies.values():
        if company.host and company.host.lower() == name:
            return company.id
    return default_company().id


def _named(companies: Mapping[UUID, Company], header: str) -> Company | None:
    key = _as_uuid(header)
    if key is not None:
        return companies.get(key)
    return next((company for company in companies.values() if company.slug == header), None)


def _name_filter(header: str) -> Q:
    key = _as_uuid(header)
    return (
        Q(slug="")
        if key is None and "\x00" in header
        else Q(slug=header)
        if key is None
        else Q(id=key)
    )


def _as_uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None


# --- catalogue --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRef:
    """How a caller names a variant: by SKU, by id, or by its product when that has only one."""

    sku: str | None = None
    variant_id: UUID | None = None
    product_id: UUID | None = None


def find_variant(
    *,
    actor: Actor,
    sku: str | None = None,
    variant_id: UUID | None = None,
    product_id: UUID | None = None,
) -> Variant:
    """
    Return the variant a caller names, with its product: one statement.

    :raises ProductNotFound: if there is none, or a customer asks for a draft
    :raises VariantInvalid: if only the product is named and it has several, or the two do not belong together
    :raises ProductDiscontinued: if it is no longer sold
    """
    [found] = find_variants(
        actor=actor, refs=[VariantRef(sku=sku, variant_id=variant_id, product_id=product_id)]
    )
    if isinstance(found, ApplicationError):
        raise found
    return found


def find_variants(*, actor: Actor, refs: Sequence[VariantRef]) -> list[Variant | ApplicationError]:
    """Return for each reference its variant, or the refusal `find_variant` would raise: one statement."""
    # PostgreSQL cannot even be asked for a NUL; no SKU has one.
    skus = {ref.sku for ref in refs if ref.sku is not None and "\x00" not in ref.sku}
    variant_ids = {ref.variant_id for ref in refs if ref.variant_id is not None}
    product_ids = {
        ref.product_id
        for ref in refs
        if ref.product_id and ref.sku is None and ref.variant_id is None
    }
    if not skus and not variant_ids and not product_ids:
        return [ProductNotFound() for _ in refs]
    wanted = Q()
    if skus:
        wanted |= Q(sku__in=skus)
    if variant_ids:
        wanted |= Q(id__in=variant_ids)
    if product_ids:
        wanted |= Q(product_id__in=product_ids)
    by_sku: dict[str, Variant] = {}
    by_id: dict[UUID, Variant] = {}
    by_product: dict[UUID, list[Variant]] = {}
    for variant in Variant.objects.filter(wanted, company_id=actor.company_id).select_related(
        "product"
    ):
        by_sku[variant.sku] = variant
        by_id[variant.id] = variant
        by_product.setdefault(variant.product_id, []).append(variant)

    def resolve(ref: VariantRef) -> Variant | ApplicationError:
        if ref.variant_id is None and ref.sku is None:
            offered = by_product.get(ref.product_id, []) if ref.product_id else []
            sold = [variant for variant in offered if variant.is_active] or offered
            if len(sold) > 1 and _refusal(sold[0], actor) is None:
                return VariantInvalid(extra={"productId": str(ref.product_id)})
            found = sold[0] if sold else None
        elif ref.variant_id is not None:
            found = by_id.get(ref.variant_id)
            if found is not None and ref.sku is not None and found.sku != ref.sku:
                return VariantInvalid("The SKU is not that of this variant.")
        else:
            found = by_sku.get(ref.sku or "")
        if found is None:
            return ProductNotFound()
        if ref.product_id is not None and found.product_id != ref.product_id:
            return VariantInvalid("This variant does not belong to that product.")
        return _refusal(found, actor) or found

    return [resolve(ref) for ref in refs]


def _refusal(variant: Variant, actor: Actor) -> ApplicationError | None:
    """Return why this caller may not buy the variant; None if it may be bought, stock aside."""
    status = variant.product.status
    if status == Product.Status.DRAFT and not actor.sees_everything:
        return ProductNotFound()
    if status == Product.Status.DISCONTINUED or not variant.is_active:
        return ProductDiscontinued(
            f"{variant.product.name} is no longer sold.", extra={"sku": variant.sku}
        )
    return None


def sale_refusal(variant: Variant, actor: Actor) -> ApplicationError | None:
    """Return why `variant` (with its product) may not be bought by this caller; None if it may, stock aside."""
    return _refusal(variant, actor)


def find_product(*, actor: Actor, ref: str) -> Product:
    """
    Return a product by id or slug. Discontinued ones are found: they stay visible in carts and orders.

    :raises ProductNotFound: if there is none, or a customer asks for a draft
    """
    key = _as_uuid(ref)
    named = Q(id=key) if key is not None else Q(slug=ref)
    products = Product.objects.filter(named, company_id=actor.company_id).select_related("category")
    if not actor.sees_everything:
        products = products.exclude(status=Product.Status.DRAFT)
    product: Product | None = products.first() if "\x00" not in ref else None
    if product is None:
        raise ProductNotFound
    return product


def visible_products(*, actor: Actor, product_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the ids that are products of the company which this caller may see: one statement."""
    products = Product.objects.filter(company_id=actor.company_id, id__in=set(product_ids))
    if not actor.sees_everything:
        products = products.exclude(status=Product.Status.DRAFT)
    return set(products.values_list("id", flat=True))


def categories(*, actor: Actor) -> QuerySet[Category]:
    """Return the company's active categories in the order staff gave them."""
    return Category.objects.filter(company_id=actor.company_id, is_active=True).order_by(
        "position", "name"
    )


def find_category(*, actor: Actor, slug: str) -> Category:
    """:raises CategoryNotFound: if there is no active category of that slug"""
    category = categories(actor=actor).filter(slug=slug).first() if "\x00" not in slug else None
    if category is None:
        raise CategoryNotFound
    return category


def category_branch(*, company_id: UUID, category_id: UUID) -> list[UUID]:
    """Return a category and all below it: one statement."""
    parents = dict(Category.objects.filter(company_id=company_id).values_list("id", "parent_id"))
    children: dict[UUID | None, list[UUID]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    branch, waiting = [], [category_id]
    while waiting:
        current = waiting.pop()
        branch.append(current)
        waiting.extend(children.get(current, []))
    return branch


def category_paths(*, company_id: UUID) -> dict[UUID, tuple[UUID, ...]]:
    """Return for each category its own id and those of all above it: what a category promotion covers."""
    parents = dict(Category.objects.filter(company_id=company_id).values_list("id", "parent_id"))
    paths: dict[UUID, tuple[UUID, ...]] = {}
    for category_id in parents:
        path: list[UUID] = []
        current: UUID | None = category_id
        while current is not None and current not in path:
            path.append(current)
            current = parents.get(current)
        paths[category_id] = tuple(path)
    return paths


def bundles(*, actor: Actor) -> QuerySet[Bundle]:
    """Return the bundles on sale, with their items and products: three statements."""
    return (
        Bundle.objects.filter(company_id=actor.company_id, is_active=True)
        .prefetch_related("items__variant__product")
        .order_by("name", "id")
    )


def search_query(text: str) -> SearchQuery:
    """Return the query for `Product.search`: words by their stem, SKUs as they are written."""
    words = text.replace("\x00", " ")[:200]
    return SearchQuery(words, config="english", search_type="websearch") | SearchQuery(
        words, config="simple", search_type="websearch"
    )


# --- availability -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Availability:
    """
    What may be promised of a variant. `backorder_left` counts units beyond stock: None is without limit, and 0 where
    the policy is to stop.
    """

    available: int
    policy: str
    backorder_left: int | None
    has_record: bool = True  # False: no shelf that may be sold from; then `policy` says nothing

    def allows(self, quantity: int) -> bool:
        return self.backorder_left is None or quantity <= self.available + self.backorder_left

    @property
    def in_stock(self) -> bool:
        return self.allows(1)

    @property
    def shown(self) -> int:
        """The number customers may see."""
        return min(self.available, SHOWN_AT_MOST)


def _usable_levels() -> QuerySet[Any]:
    """Stock that may be promised: in active warehouses; only in the default one while the others are switched off."""
    levels = StockLevel.objects.filter(warehouse__is_active=True)
    if not flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES"):
        levels = levels.filter(warehouse__is_default=True)
    return levels


def _overdue(now: datetime | None) -> Coalesce:
    """
    Units of the outer stock level that are still counted as held, though their time is over.

    Where somebody waits they are not free: the next sale hands them to the line.
    """
    overdue = Reservation.objects.filter(
        stock_level=OuterRef("pk"),
        status=Reservation.Status.ACTIVE,
        expires_at__lte=now if now is not None else Now(),
    )
    units = overdue.order_by().values("stock_level").annotate(n=Sum("quantity")).values("n")
    return Coalesce(
        Case(When(is_awaited=False, then=Subquery(units))), 0, output_field=IntegerField()
    )


def available_expression(variant: str, *, now: datetime | None = None) -> Subquery:
    """
    Return the units that may be promised now of the variant named by `OuterRef(variant)`: 0 where it has no stock.

    Counts overdue holds as free, because a sale takes them back at once.
    """
    levels = (
        _usable_levels()
        .filter(variant=OuterRef(variant))
        .order_by()
        .annotate(free=F("available") + _overdue(now))
        .values("variant")
        .annotate(n=Sum("free"))
        .values("n")
    )
    return Coalesce(Subquery(levels), 0, output_field=IntegerField())  # type: ignore[return-value]


def availability(
    *, variant_ids: Iterable[UUID], now: datetime | None = None
) -> dict[UUID, Availability]:
    """Return what may be promised of each variant, over all usable warehouses: one statement."""
    ids = set(variant_ids)
    if not ids:
        return {}
    rows = (
        _usable_levels()
        .filter(variant__in=ids)
        .order_by()
        .annotate(free=F("available") + _overdue(now))
        .values_list(
            "variant_id", "variant__inventory_policy", "free", "backordered", "backorder_limit"
        )
    )
    free: dict[UUID, int] = {}
    left: dict[UUID, int | None] = {}
    policies: dict[UUID, str] = {}
    for variant_id, policy, units, backordered, limit in rows:
        free[variant_id] = free.get(variant_id, 0) + units
        policies[variant_id] = policy
        if policy == Variant.Policy.CONTINUE:
            before = left.get(variant_id, 0)
            left[variant_id] = (
                None if limit is None or before is None else before + max(limit - backordered, 0)
            )
        else:
            left[variant_id] = 0
    return {
        variant_id: Availability(
            free.get(variant_id, 0),
            policies.get(variant_id, Variant.Policy.DENY),
            left.get(variant_id, 0),
            variant_id in policies,
        )
        for variant_id in ids
    }


def remembered_units(*, variant_ids: Iterable[UUID], now: datetime) -> dict[UUID, int]:
    """
    Return what may be promised of each variant as it was at most a minute ago (INV-48); one statement for what is not known.

    For showing only: what is held or sold is always decided by the shelf itself.
    """
    keys = {f"stock:{variant_id}": variant_id for variant_id in variant_ids}
    known: dict[str, int] = cache.get_many(keys)
    unknown = [variant_id for key, variant_id in keys.items() if key not in known]
    fresh = {
        f"stock:{variant_id}": there.available
        for variant_id, there in availability(variant_ids=unknown, now=now).items()
    }
    if fresh:
        life = min(settings.CACHE_LIFETIMES["stock"], timedelta(minutes=1))
        cache.set_many(fresh, timeout=int(life.total_seconds()))
    return {variant_id: (known | fresh)[key] for key, variant_id in keys.items()}


@dataclass(frozen=True, slots=True)
class Sufficiency:
    """Whether so many units could be had; `code` says why not, where it is not for want of stock."""

    sku: str
    quantity: int
    sufficient: bool
    available: int
    code: str | None = None


def check_stock(
    *, actor: Actor, items: Sequence[tuple[VariantRef, int]], now: datetime
) -> list[Sufficiency]:
    """
    Return for each (variant, quantity) whether it could be had: two statements for any number of them (INV-47).

    Demand for one variant is summed in order. Customers are told of at most ten units.
    """
    found = find_variants(actor=actor, refs=[ref for ref, _ in items])
    stock = availability(
        variant_ids=[variant.id for variant in found if isinstance(variant, Variant)], now=now
    )
    asked: dict[UUID, int] = {}
    answers = []
    for (ref, quantity), variant in zip(items, found, strict=True):
        if isinstance(variant, ApplicationError):
            answers.append(
                Sufficiency(ref.sku or str(ref.variant_id), quantity, False, 0, variant.code)
            )
            continue
        asked[variant.id] = asked.get(variant.id, 0) + quantity
        there = stock[variant.id]
        answers.append(
            Sufficiency(
                variant.sku,
                quantity,
                there.allows(asked[variant.id]),
                there.available if actor.sees_everything else there.shown,
            )
        )
    return answers


# --- holds ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    """
    What is held for one cart line. `backordered` of the `quantity` units are promised beyond stock.

    `expires_at` is None where holds are switched off and nothing is kept aside.
    """

    line_id: UUID
    variant_id: UUID | None
    quantity: int
    backordered: int
    expires_at: datetime | None
    started_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.quantity > 0 and self.expires_at is not None and self.expires_at > now

    def state(self, now: datetime) -> str:
        """Return `held`, `expired` or `none`."""
        if self.is_live(now):
            return "held"
        return "none" if self.expires_at is None else "expired"


def _hold_rows() -> QuerySet[Any]:
    # A hold that was given to an order is no longer the cart line's.
    return Reservation.objects.filter(order_line_id__isnull=True).order_by()


def _hold_sums() -> dict[str, Any]:
    active = Q(status=Reservation.Status.ACTIVE)
    return {
        "held": Coalesce(Sum(F("quantity") + F("backordered"), filter=active), 0),
        "owed": Coalesce(Sum("backordered", filter=active), 0),
        "ends": Min("expires_at", filter=active),
        "began": Min("started_at", filter=active),
        "lapsed": Max("expires_at", filter=Q(status=Reservation.Status.EXPIRED)),
        "lapsed_at": Max("released_at", filter=Q(status=Reservation.Status.EXPIRED)),
        "let_go_at": Max("released_at", filter=Q(status=Reservation.Status.CANCELLED)),
    }


def _hold_of(line_id: UUID, variant_id: UUID | None, sums: Mapping[str, Any]) -> Hold:
    at = {
        key: parse_datetime(sums[key]) if isinstance(sums[key], str) else sums[key]
        for key in ("ends", "began", "lapsed", "lapsed_at", "let_go_at")
    }
    ends = at["ends"]
    if (
        ends is None
        and at["lapsed_at"]
        and (at["let_go_at"] is None or at["lapsed_at"] > at["let_go_at"])
    ):
        ends = at["lapsed"]
    return Hold(line_id, variant_id, sums["held"], sums["owed"], ends, at["began"])


def holds_of_lines(*, line_ids: Iterable[UUID]) -> dict[UUID, Hold]:
    """
    Return the latest hold of each cart line that ever had one: one statement.

    A hold that ran out is there with its past `expires_at`; ask `hold.state(now)`.
    """
    rows = _hold_rows().filter(line_id__in=list(line_ids)).values("line_id", "variant_id")
    return {
        row["line_id"]: _hold_of(row["line_id"], row["variant_id"], row)
        for row in rows.annotate(**_hold_sums())
    }


def hold_expression(line: str) -> Subquery:
    """
    Return the hold of the line named by `OuterRef(line)` as JSON, for a query that reads lines: see `read_hold`.
    """
    sums = _hold_rows().filter(line_id=OuterRef(line)).values("line_id").annotate(**_hold_sums())
    names = {name: F(name) for name in _hold_sums()}
    return Subquery(sums.values(hold=JSONObject(**names)).values("hold"))


def read_hold(line_id: UUID, value: Mapping[str, Any] | None) -> Hold | None:
    """Return what `hold_expression` found for a line; None if it never had a hold."""
    return _hold_of(line_id, None, value) if value else None


def live_holds_expression(line: str, *, now: datetime | None = None) -> Subquery:
    """Return the units held right now for the line named by `OuterRef(line)`; 0 where nothing is."""
    live = _hold_rows().filter(
        line_id=OuterRef(line),
        status=Reservation.Status.ACTIVE,
        expires_at__gt=now if now is not None else Now(),
    )
    units = live.values("line_id").annotate(n=Sum(F("quantity") + F("backordered"))).values("n")
    return Coalesce(Subquery(units), 0, output_field=IntegerField())  # type: ignore[return-value]


def releasable_holds(*, now: datetime | None) -> QuerySet[Reservation]:
    """Return the live holds whose time is over at `now`; without it, all that carts hold."""
    live = Reservation.objects.filter(status=Reservation.Status.ACTIVE)
    return live.filter(expires_at__lte=now) if now else live.filter(order_line_id__isnull=True)


def holds_of_order(*, order_id: UUID) -> list[Reservation]:
    """Return every hold that an order has or had, with its variant, the oldest first."""
    return list(
        Reservation.objects.filter(order_id=order_id).select_related("variant").order_by("pk")
    )


def holds_on(*, stock_level_ids: Iterable[UUID]) -> QuerySet[Reservation]:
    """Return what is held of these shelves, with variants, newest first."""
    return (
        Reservation.objects.filter(
            stock_level__in=list(stock_level_ids), status=Reservation.Status.ACTIVE
        )
        .select_related("variant")
        .order_by("-id")
    )


def order_holds(*, order_id: UUID) -> QuerySet[Reservation]:
    """Return everything that was ever held for an order, oldest first."""
    return Reservation.objects.filter(order_id=order_id).order_by("id")


# --- stock records, staff ---------------------------------------------------------------------


def stock_levels(*, actor: Actor) -> QuerySet[StockLevel]:
    """Return the company's stock records with variant, product and warehouse, oldest first."""
    return (
        StockLevel.objects.filter(company_id=actor.company_id)
        .select_related("variant", "variant__product", "warehouse")
        .order_by("id")
    )


def find_stock_level(*, actor: Actor, stock_level_id: UUID) -> StockLevel:
    """:raises StockLevelNotFound: if the company has no such record"""
    level = stock_levels(actor=actor).filter(id=stock_level_id).first()
    if level is None:
        raise StockLevelNotFound
    return level


def low_stock(*, actor: Actor) -> QuerySet[StockLevel]:
    """Return the records at or below their reorder level, of products still sold."""
    return (
        stock_levels(actor=actor)
        .filter(
            available__lte=F("reorder_level"), warehouse__is_active=True, variant__is_active=True
        )
        .exclude(variant__product__status=Product.Status.DISCONTINUED)
    )


def suggested_order(level: StockLevel) -> int:
    """Return how many units to order of a shelf: its reorder quantity, or more where that would leave it low."""
    short = level.reorder_level + level.backordered - level.available + 1
    return max(level.reorder_quantity, short, 1)


def movements(*, actor: Actor, stock_level_id: UUID) -> QuerySet[StockMovement]:
    """
    Return the changes of one stock record, newest first.

    :raises StockLevelNotFound: if the company has no such record
    """
    if not StockLevel.objects.filter(id=stock_level_id, company_id=actor.company_id).exists():
        raise StockLevelNotFound
    return StockMovement.objects.filter(stock_level_id=stock_level_id).order_by(
        "-created_at", "-id"
    )


def default_warehouse(*, company_id: UUID) -> Warehouse | None:
    """Return the warehouse that stock goes to when none is named."""
    return (
        Warehouse.objects.filter(company_id=company_id)
        .order_by("-is_default", "-is_active", "priority", "code")
        .first()
    )


@dataclass(frozen=True, slots=True)
class CatalogueHealth:
    products: int
    variants: int
    without_stock_record: int
    low: int
    out_of_stock: int
    overdue_holds: int


def catalogue_health(*, actor: Actor, now: datetime) -> CatalogueHealth:
    """Return the figures of the catalogue's part of the health report (INV-17)."""
    variants = Variant.objects.filter(
        company_id=actor.company_id, is_active=True, product__status=Product.Status.ACTIVE
    )
    levels = StockLevel.objects.filter(variant=OuterRef("pk"))
    low = low_stock(actor=actor).order_by()
    return CatalogueHealth(
        products=Product.objects.sellable().filter(company_id=actor.company_id).count(),
        variants=variants.count(),
        without_stock_record=variants.filter(~Exists(levels)).count(),
        low=low.count(),
        out_of_stock=low.filter(available=0).count(),
        overdue_holds=Reservation.objects.filter(
            company_id=actor.company_id, status=Reservation.Status.ACTIVE, expires_at__lte=now
        ).count(),
    )
