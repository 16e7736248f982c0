"""Variants, products, categories and bundles, as a caller may see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.ids import as_uuid
from inventory.errors import CategoryNotFound, ProductDiscontinued, ProductNotFound, VariantInvalid
from inventory.models import Bundle, Category, Product, Variant


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
            if len(sold) > 1 and sale_refusal(sold[0], actor) is None:
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
        return sale_refusal(found, actor) or found

    return [resolve(ref) for ref in refs]


def sale_refusal(variant: Variant, actor: Actor) -> ApplicationError | None:
    """Return why this caller may not buy `variant` (with its product); None if it may be bought, stock aside."""
    if not variant.product.is_seen_by(actor):
        return ProductNotFound()
    if variant.product.status == Product.Status.DISCONTINUED or not variant.is_active:
        return ProductDiscontinued(
            f"{variant.product.name} is no longer sold.", extra={"sku": variant.sku}
        )
    return None


def find_product(*, actor: Actor, ref: str) -> Product:
    """
    Return a product by id or slug. Discontinued ones are found: they stay visible in carts and orders.

    :raises ProductNotFound: if there is none, or a customer asks for what never was public
    """
    key = as_uuid(ref)
    named = Q(id=key) if key is not None else Q(slug=ref)
    products = Product.objects.seen_by(actor).filter(named, company_id=actor.company_id)
    products = products.select_related("category")
    product: Product | None = products.first() if "\x00" not in ref else None
    if product is None:
        raise ProductNotFound
    return product


def visible_products(*, actor: Actor, product_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the ids that are products of the company which this caller may see: one statement."""
    products = Product.objects.seen_by(actor).filter(
        company_id=actor.company_id, id__in=set(product_ids)
    )
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
