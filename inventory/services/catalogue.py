"""The catalogue by hand: single products, categories, relations and bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.text import slugify

from config.platform import audit, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.errors import CategoryInUse, CategoryNotFound, ProductNotFound, SlugTaken
from inventory.events import ProductDiscontinuedEvent, ProductUpdated
from inventory.models import (
    Bundle,
    BundleItem,
    Category,
    CoPurchase,
    Product,
    ProductRelation,
    Variant,
)
from inventory.services.drafts import SLUG, BundleDraft, CategoryDraft, ProductDraft, texts_fit
from inventory.services.products import Upserted, sanitise, upsert_product

# Words that stand where a product's name does in the addresses of the API (API-09).
WORDS_OF_ADDRESSES = frozenset({"bundles", "health", "inventory", "pricing", "search", "validate"})


@transaction.atomic
def create_product(*, actor: Actor, draft: ProductDraft, now: datetime) -> Upserted:
    """
    Create a product that is not there yet; without a slug, one is made from the name.

    :raises SlugTaken: if there is a product of that slug
    :raises ValidationFailed: if the slug means something else in an address, and as `upsert_product`
    :raises SkuTaken, CategoryNotFound, WarehouseNotFound: as `upsert_product`
    """
    if draft.slug:
        if _is_no_name(draft.slug):
            raise ValidationFailed(
                errors=[FieldError("slug", "invalid", "This means something else in an address.")]
            )
        if Product.objects.filter(company_id=actor.company_id, slug=draft.slug).exists():
            raise SlugTaken(extra={"slug": draft.slug[:255]})
    else:
        draft = replace(draft, slug=free_slug(company_id=actor.company_id, name=draft.name or ""))
    result = upsert_product(actor=actor, draft=draft, now=now)
    audit.record(
        actor=actor,
        action="product.created",
        object_type="product",
        object_id=result.product_id,
        after={"slug": result.slug, "skus": sorted(result.variant_ids)},
        now=now,
    )
    return result


@transaction.atomic
def update_product(
    *, actor: Actor, product_id: UUID, draft: ProductDraft, now: datetime
) -> Upserted:
    """
    Change a product; its slug stays, because links lead there.

    :raises ProductNotFound: if the company has no such product
    :raises ValidationFailed, SkuTaken, CategoryNotFound, WarehouseNotFound: as `upsert_product`
    """
    product = _locked(actor, product_id)
    result = upsert_product(actor=actor, draft=replace(draft, slug=product.slug), now=now)
    if result.is_changed:
        audit.record(
            actor=actor,
            action="product.updated",
            object_type="product",
            object_id=product_id,
            after={
                "fields": sorted(
                    field.name
                    for field in fields(draft)
                    if field.name not in {"slug", "variants", "withdraw_others"}
                    and getattr(draft, field.name) not in (None, "")
                ),
                "skus": sorted({*result.new_skus, *result.changed_skus, *result.withdrawn_skus}),
            },
            now=now,
        )
    return result


@transaction.atomic
def discontinue(*, actor: Actor, product_id: UUID, now: datetime) -> Product:
    """
    Stop selling a product. It stays visible in carts and orders, marked unavailable. Repeating changes nothing.

    :raises ProductNotFound: if the company has no such product
    """
    product = _locked(actor, product_id)
    if product.status == Product.Status.DISCONTINUED:
        return product
    before, product.status = product.status, Product.Status.DISCONTINUED
    product.save(update_fields=["status", "updated_at"])
    audit.record(
        actor=actor,
        action="product.discontinued",
        object_type="product",
        object_id=product.id,
        before={"status": before},
        after={"status": product.status},
        now=now,
    )
    outbox.publish(
        ProductDiscontinuedEvent(aggregate_id=product.id, slug=product.slug), actor=actor, now=now
    )
    return product


@transaction.atomic
def reactivate(*, actor: Actor, product_id: UUID, now: datetime) -> Product:
    """
    Sell a product again that was discontinued, or a draft for the first time. Repeating changes nothing.

    :raises ProductNotFound: if the company has no such product
    """
    product = _locked(actor, product_id)
    if product.status == Product.Status.ACTIVE:
        return product
    before, product.status = product.status, Product.Status.ACTIVE
    product.save(update_fields=["status", "updated_at"])
    audit.record(
        actor=actor,
        action="product.reactivated",
        object_type="product",
        object_id=product.id,
        before={"status": before},
        after={"status": product.status},
        now=now,
    )
    outbox.publish(ProductUpdated(aggregate_id=product.id, slug=product.slug), actor=actor, now=now)
    return product


def _is_no_name(slug: str) -> bool:
    """Return whether an address with this slug would not lead to its product: a word of the API's own, or an id."""
    try:
        UUID(slug)
    except ValueError:
        return slug in WORDS_OF_ADDRESSES
    return True


def free_slug(*, company_id: UUID, name: str) -> str:
    """Return a slug made from a name that no product of the company has."""
    base = slugify(name)[:240].strip("-_") or "product"
    taken = set(
        Product.objects.filter(company_id=company_id, slug__startswith=base).values_list(
            "slug", flat=True
        )
    )
    if base not in taken and not _is_no_name(base):
        return base
    number = 2
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


# --- around products ------------------------------------------------------------------------


@transaction.atomic
def upsert_categories(
    *, actor: Actor, drafts: Sequence[CategoryDraft], now: datetime
) -> dict[str, Category]:
    """
    Create or change categories by their slugs; return them by slug. A parent comes before its children.

    Locks the company's categories, so that the tree stays one under simultaneous moves.

    :raises CategoryNotFound: if a parent does not exist
    :raises ValidationFailed: if a category would come to lie below itself
    """
    known = {category.slug: category for category in _locked_tree(actor)}
    found = {}
    for draft in drafts:
        parent = known.get(draft.parent) if draft.parent else None
        if draft.parent and (parent is None or draft.parent == draft.slug):
            raise CategoryNotFound(extra={"category": draft.parent})
        category = known.get(draft.slug) or Category(company_id=actor.company_id, slug=draft.slug)
        _place(category, parent, known.values())
        for name in ("name", "description", "image", "position", "is_active"):
            setattr(category, name, getattr(draft, name))
        category.save()
        known[draft.slug] = found[draft.slug] = category
    return found


@transaction.atomic
def save_category(
    *, actor: Actor, category_id: UUID | None = None, draft: CategoryDraft, now: datetime
) -> Category:
    """
    Create a category, or change one and its slug. Locks the company's categories.

    :raises CategoryNotFound: if the company has no such category, or no such parent
    :raises ValidationFailed: if a text does not fit, the slug is taken, or it would come to lie below itself
    """
    errors = texts_fit(draft, "", slug=120, name=200, description=500, image=1000)
    if not SLUG.fullmatch(draft.slug):
        errors.append(FieldError("slug", "invalid", "Letters, digits, hyphens and underscores."))
    if not draft.name.strip():
        errors.append(FieldError("name", "blank", "A category needs a name."))
    tree = _locked_tree(actor)
    by_slug = {category.slug: category for category in tree}
    category = next((one for one in tree if one.id == category_id), None)
    if category_id is not None and category is None:
        raise CategoryNotFound
    twin = by_slug.get(draft.slug)
    if twin is not None and twin.id != category_id:
        errors.append(FieldError("slug", "invalid", "Another category has this slug."))
    parent = by_slug.get(draft.parent) if draft.parent else None
    if draft.parent and parent is None:
        raise CategoryNotFound(extra={"category": draft.parent})
    if errors:
        raise ValidationFailed(errors=errors)
    is_new = category is None
    category = category or Category(company_id=actor.company_id)
    before = {} if is_new else _told(category)
    _place(category, parent, tree)
    for name in ("slug", "name", "description", "image", "position", "is_active"):
        setattr(category, name, getattr(draft, name))
    category.save()
    audit.record(
        actor=actor,
        action="category.created" if is_new else "category.edited",
        object_type="category",
        object_id=category.id,
        before=before,
        after=_told(category),
        now=now,
    )
    return category


@transaction.atomic
def delete_category(*, actor: Actor, category_id: UUID, now: datetime) -> None:
    """
    Delete an empty category. Locks the company's categories.

    :raises CategoryNotFound: if the company has no such category
    :raises CategoryInUse: if products or other categories are in it, or anything else is about it
    """
    category = next((one for one in _locked_tree(actor) if one.id == category_id), None)
    if category is None:
        raise CategoryNotFound
    before = _told(category)
    try:
        with transaction.atomic():
            category.delete()
    except (ProtectedError, IntegrityError):
        raise CategoryInUse from None
    audit.record(
        actor=actor,
        action="category.deleted",
        object_type="category",
        object_id=category_id,
        before=before,
        now=now,
    )


def _locked_tree(actor: Actor) -> list[Category]:
    """Lock a company's categories. Whoever moves one sees where all others are, and nobody moves them meanwhile."""
    rows = Category.objects.filter(company_id=actor.company_id)
    return list(rows.for_update())


def _place(category: Category, parent: Category | None, tree: Iterable[Category]) -> None:
    """Put a category below another; the tree must be locked."""
    parents = {one.id: one.parent_id for one in tree}
    above = parent.id if parent else None
    while above is not None:
        if above == category.id:
            message = "A category cannot lie below itself."
            raise ValidationFailed(errors=[FieldError("parent", "invalid", message)])
        above = parents.get(above)
    category.parent = parent


def _told(category: Category) -> dict[str, object]:
    return {
        "slug": category.slug,
        "name": category.name,
        "parent": str(category.parent_id) if category.parent_id else "",
        "position": category.position,
        "is_active": category.is_active,
    }


@transaction.atomic
def relate(
    *, actor: Actor, relations: Mapping[tuple[str, str], Sequence[str]], now: datetime
) -> int:
    """
    Set what goes with what: {(slug, kind): slugs, most fitting first}; replaces those of that kind.

    Slugs that name no product are left out. Return how many relations there are now.
    """
    slugs = {slug for slug, _ in relations} | {slug for many in relations.values() for slug in many}
    ids = dict(
        Product.objects.filter(company_id=actor.company_id, slug__in=slugs).values_list(
            "slug", "id"
        )
    )
    rows = []
    for (slug, kind), others in relations.items():
        if slug not in ids:
            continue
        ProductRelation.objects.filter(product_id=ids[slug], kind=kind).delete()
        fitting = [other for other in dict.fromkeys(others) if other in ids and other != slug]
        rows += [
            ProductRelation(
                product_id=ids[slug], related_id=ids[other], kind=kind, weight=len(fitting) - place
            )
            for place, other in enumerate(fitting)
        ]
    ProductRelation.objects.bulk_create(rows)
    return len(rows)


@dataclass(frozen=True, slots=True)
class RelationDraft:
    """What goes with a product, in which way; the weightiest is shown first."""

    kind: str
    related_id: UUID
    weight: int = 0


@transaction.atomic
def relate_product(
    *, actor: Actor, product_id: UUID, relations: Sequence[RelationDraft], now: datetime
) -> None:
    """
    Make these the relations of a product, in place of those it has. Locks the product.

    :raises ProductNotFound: if the company has no such product
    :raises ValidationFailed: if one is the product itself, stands there twice or is no product of the company
    """
    product = _locked(actor, product_id)
    wanted = {draft.related_id for draft in relations}
    known = set(
        Product.objects.filter(company_id=actor.company_id, id__in=wanted).values_list(
            "id", flat=True
        )
    )
    pairs = [(draft.kind, draft.related_id) for draft in relations]
    message = ""
    if product_id in wanted:
        message = "A product cannot be related to itself."
    elif known != wanted:
        message = "There is no such product."
    elif len(set(pairs)) != len(pairs):
        message = "A product stands there twice in the same way."
    if message:
        raise ValidationFailed(errors=[FieldError("relations", "invalid", message)])
    product.relations.all().delete()
    ProductRelation.objects.bulk_create(
        [
            ProductRelation(
                product=product, related_id=draft.related_id, kind=draft.kind, weight=draft.weight
            )
            for draft in relations
        ]
    )
    audit.record(
        actor=actor,
        action="product.related",
        object_type="product",
        object_id=product.id,
        after={"relations": sorted(f"{kind}:{related}" for kind, related in pairs)},
        now=now,
    )
    outbox.publish(ProductUpdated(aggregate_id=product.id, slug=product.slug), actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class CoPurchaseCount:
    """In how many orders `product_id` was bought together with `other_id`."""

    product_id: UUID
    other_id: UUID
    count: int


@transaction.atomic
def record_co_purchases(
    *, company_id: UUID, counts: Sequence[CoPurchaseCount], now: datetime
) -> int:
    """
    Make these what is known of products of a company that are bought together; return how many there are.

    Pairs that are not among them are forgotten. Locks no product.
    """
    CoPurchase.objects.bulk_create(
        [
            CoPurchase(
                product_id=pair.product_id,
                other_id=pair.other_id,
                count=pair.count,
                computed_at=now,
            )
            for pair in counts
        ],
        batch_size=2_000,
        update_conflicts=True,
        unique_fields=["product", "other"],
        update_fields=["count", "computed_at"],
    )
    CoPurchase.objects.filter(product__company_id=company_id, computed_at__lt=now).delete()
    return len(counts)


@transaction.atomic
def upsert_bundle(*, actor: Actor, draft: BundleDraft, now: datetime) -> Bundle:
    """
    Create or change a bundle by its slug, with exactly these items. Its price is set by `pricing`.

    :raises ValidationFailed: if it has no items, or a quantity is out of range
    :raises ProductNotFound: if a SKU names no variant
    """
    errors = texts_fit(draft, "", slug=255, name=500, image=1000)
    if not SLUG.fullmatch(draft.slug):
        errors.append(FieldError("slug", "invalid", "Letters, digits, hyphens and underscores."))
    if not draft.items or any(not 1 <= quantity <= 100 for quantity in draft.items.values()):
        errors.append(FieldError("items", "invalid", "At least one item, 1 to 100 of each."))
    if errors:
        raise ValidationFailed(errors=errors)
    variants = {
        variant.sku: variant
        for variant in Variant.objects.filter(company_id=actor.company_id, sku__in=draft.items)
    }
    for sku in draft.items:
        if sku not in variants:
            raise ProductNotFound(f"There is no {sku}.", extra={"sku": sku})
    bundle, _ = Bundle.objects.update_or_create(
        company_id=actor.company_id,
        slug=draft.slug,
        defaults={
            "name": draft.name,
            "description": sanitise(draft.description),
            "image": draft.image,
            "is_active": draft.is_active,
        },
    )
    bundle.items.exclude(variant__in=variants.values()).delete()
    BundleItem.objects.bulk_create(
        [
            BundleItem(bundle=bundle, variant=variants[sku], quantity=quantity)
            for sku, quantity in draft.items.items()
        ],
        update_conflicts=True,
        unique_fields=["bundle", "variant"],
        update_fields=["quantity"],
    )
    audit.record(
        actor=actor,
        action="bundle.saved",
        object_type="bundle",
        object_id=bundle.id,
        after={"slug": bundle.slug, "items": dict(draft.items), "is_active": bundle.is_active},
        now=now,
    )
    return bundle


def _locked(actor: Actor, product_id: UUID) -> Product:
    rows = Product.objects.filter(company_id=actor.company_id, id=product_id)
    product = rows.for_update().first()
    if not isinstance(product, Product):
        raise ProductNotFound
    return product
