"""Pictures of products: added, arranged, removed; their renditions made, and files that nobody has swept away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Max

from config.platform import audit, outbox
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import new_id
from inventory import pictures
from inventory.errors import PictureNotFound, ProductNotFound
from inventory.events import ProductUpdated
from inventory.models import Product, ProductImage, Variant
from inventory.services.drafts import ImageDraft, texts_fit

logger = structlog.get_logger(__name__)

MOST_PICTURES = 50
# A worker that died leaves its pictures due again after this; one that no worker can make is left as it is.
LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 5
# A file may be older than its row by the length of a request; after a day it is nobody's.
ORPHAN_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureChange:
    """What shall be different about a picture; None leaves it."""

    alt: str | None = None
    position: int | None = None


@transaction.atomic
def add_picture(
    *,
    actor: Actor,
    product_id: UUID,
    picture: pictures.Prepared,
    alt: str,
    position: int | None = None,
    sku: str = "",
    now: datetime,
) -> ProductImage:
    """
    Keep an uploaded picture of a product, at the end or at `position`; with `sku`, show it for that variant.

    Its wider renditions are due then and made by `make_renditions`. Locks the product. If the transaction is undone,
    the files stay until `sweep_files` finds them to be nobody's.

    :raises ProductNotFound: if the company has no such product
    :raises ValidationFailed: if `alt` is empty or too long, the product has 50 pictures, or `sku` is not one of its variants
    """
    product = _locked(actor, product_id)
    alt = alt.strip()
    errors = _alt_errors(alt)
    last = product.images.aggregate(last=Max("position"))["last"]
    if product.images.count() >= MOST_PICTURES:
        errors.append(
            FieldError("image", "invalid", f"A product has at most {MOST_PICTURES} pictures.")
        )
    variants = Variant.objects.filter(product=product, sku=sku) if sku else Variant.objects.none()
    if sku and not variants.exists():
        errors.append(FieldError("sku", "invalid", "This product has no such variant."))
    if errors:
        raise ValidationFailed(errors=errors)
    image = ProductImage(id=new_id(), product=product, alt=alt, due_at=now)
    image.position = position if position is not None else (0 if last is None else last + 1)
    image.file = pictures.file_name(image_id=image.id, content=picture.content)
    image.url = default_storage.url(image.file)
    image.width, image.height = picture.width, picture.height
    image.widths = [pictures.SMALL] if picture.width > pictures.SMALL else []
    if picture.width <= min(pictures.WIDTHS):
        image.due_at = None  # nothing wider is to be made of it
    try:
        _keep(image.file, picture.content)
        # Always there, however small the picture: carts and lists derive its name from the address alone.
        _keep(pictures.rendition_name(image.file, pictures.SMALL), picture.small)
        image.save(force_insert=True)
    except BaseException:
        _delete_files([image.file])
        raise
    variants.update(image=image.url)
    _tell(actor, product, "product.picture_added", {"picture": str(image.id), "alt": alt}, now)
    return image


@transaction.atomic
def change_pictures(
    *, actor: Actor, product_id: UUID, changes: Mapping[UUID, PictureChange], now: datetime
) -> list[ProductImage]:
    """
    Change texts and places of a product's pictures; return those named, in order. Locks the product.

    :raises ProductNotFound, PictureNotFound: if the company has no such product, or the product no such picture
    :raises ValidationFailed: if a text is empty or too long
    """
    product = _locked(actor, product_id)
    images = _named(product, changes)
    errors = []
    for image in images:
        change = changes[image.id]
        if change.alt is not None:
            image.alt = change.alt.strip()
            errors += _alt_errors(image.alt)
        if change.position is not None:
            image.position = change.position
    if errors:
        raise ValidationFailed(errors=errors)
    ProductImage.objects.bulk_update(images, ["alt", "position"])
    named = {"pictures": sorted(str(image.id) for image in images)}
    _tell(actor, product, "product.pictures_changed", named, now)
    return sorted(images, key=lambda image: (image.position, image.id))


@transaction.atomic
def remove_pictures(
    *, actor: Actor, product_id: UUID, image_ids: Iterable[UUID], now: datetime
) -> None:
    """
    Take pictures off a product and its variants. Their files go once that is committed. Locks the product.

    :raises ProductNotFound, PictureNotFound: if the company has no such product, or the product no such picture
    """
    product = _locked(actor, product_id)
    images = _named(product, image_ids)
    _drop(images)
    Variant.objects.filter(product=product, image__in=[image.url for image in images]).update(
        image=""
    )
    named = {"pictures": sorted(str(image.id) for image in images)}
    _tell(actor, product, "product.pictures_removed", named, now)


def replace_pictures(pictured: Mapping[UUID, Sequence[ImageDraft]]) -> set[UUID]:
    """
    Make the pictures of these products exactly those given; return the products that changed.

    A picture that stays keeps its row, and with it what was uploaded. Call it with the products locked.
    """
    if not pictured:
        return set()
    there: dict[UUID, dict[str, ProductImage]] = {}
    rows = ProductImage.objects.filter(product_id__in=pictured).order_by(
        "product_id", "position", "id"
    )
    for row in rows:
        there.setdefault(row.product_id, {})[row.url] = row
    fresh, moved, gone = [], [], []
    changed = set()
    for product_id, drafts in pictured.items():
        known = there.get(product_id, {})
        wanted = {draft.url: draft for draft in drafts}
        if [(url, draft.alt) for url, draft in wanted.items()] == [
            (url, row.alt) for url, row in known.items()
        ]:
            continue
        changed.add(product_id)
        gone += [row for url, row in known.items() if url not in wanted]
        for position, (url, draft) in enumerate(wanted.items()):
            image = known.get(url)
            if image is None:
                image = ProductImage(product_id=product_id, url=url)
                fresh.append(image)
            else:
                moved.append(image)
            image.alt, image.position = draft.alt, position
    _drop(gone)
    ProductImage.objects.bulk_update(moved, ["alt", "position"], batch_size=1_000)
    ProductImage.objects.bulk_create(fresh)
    return changed


# --- the worker -----------------------------------------------------------------------------------


def make_renditions(*, now: datetime, limit: int = 50) -> int:
    """
    Make the renditions that are due, oldest first, each picture on its own; return how many pictures were finished.

    A picture is claimed for five minutes before its work and is due again if that is not finished, five times.
    """
    finished = 0
    for image in _claimed(now, limit):
        try:
            with default_storage.open(image.file) as kept:
                made = pictures.renditions(kept.read())
            for width, content in made.items():
                _keep(pictures.rendition_name(image.file, width), content)
        except Exception:
            logger.exception("the renditions of a picture could not be made", picture=str(image.id))
            continue
        finished += _finish(image, sorted({*image.widths, *made}), now)
    return finished


def _claimed(now: datetime, limit: int) -> list[ProductImage]:
    with transaction.atomic():
        due = ProductImage.objects.filter(due_at__lte=now).select_related("product")
        images: list[ProductImage] = list(due.for_update(skip_locked=True)[:limit])
        for image in images:
            image.attempts += 1
            image.due_at = now + LEASE if image.attempts < MOST_ATTEMPTS else None
        ProductImage.objects.bulk_update(images, ["attempts", "due_at"])
    return images


@transaction.atomic
def _finish(image: ProductImage, widths: list[int], now: datetime) -> int:
    done = ProductImage.objects.filter(id=image.id).update(widths=widths, due_at=None)
    if not done:  # removed meanwhile, and its files before these were written
        transaction.on_commit(partial(_delete_files, [image.file]))
        return 0
    outbox.publish(
        ProductUpdated(aggregate_id=image.product_id, slug=image.product.slug),
        actor=Actor.system(image.product.company_id),
        now=now,
    )
    return 1


def sweep_files(*, now: datetime) -> int:
    """
    Delete files of pictures that no row has: of requests that died or were undone, of commits whose clean-up was lost.

    Only files older than a day are looked at. Return how many were deleted.
    """
    deleted = 0
    for names in _old_files(now):
        owners = {pictures.original_name(name) for name in names}
        mine = set(ProductImage.objects.filter(file__in=owners).values_list("file", flat=True))
        for name in names:
            if pictures.original_name(name) not in mine:
                default_storage.delete(name)
                deleted += 1
    return deleted


def _old_files(now: datetime) -> Iterator[list[str]]:
    """Yield the names of old files, a folder at a time."""
    if not default_storage.exists(pictures.FOLDER):
        return
    for folder in default_storage.listdir(pictures.FOLDER)[0]:
        path = f"{pictures.FOLDER}/{folder}"
        names = [f"{path}/{name}" for name in default_storage.listdir(path)[1]]
        yield [
            name
            for name in names
            if pictures.NAME.fullmatch(name)
            and default_storage.get_modified_time(name) < now - ORPHAN_AGE
        ]


# --- parts ----------------------------------------------------------------------------------------


def _keep(name: str, content: bytes) -> None:
    # A name says what is in the file: one that is there already holds the same, from a try that was cut short.
    if default_storage.exists(name):
        default_storage.delete(name)
    default_storage.save(name, ContentFile(content))


def _drop(images: Sequence[ProductImage]) -> None:
    if not images:
        return
    ProductImage.objects.filter(id__in=[image.id for image in images]).delete()
    files = [image.file for image in images if image.file]
    if files:
        transaction.on_commit(partial(_delete_files, files), robust=True)


def _delete_files(files: Iterable[str]) -> None:
    for file in files:
        default_storage.delete(file)
        for width in (pictures.SMALL, *pictures.WIDTHS):
            default_storage.delete(pictures.rendition_name(file, width))


def _named(product: Product, image_ids: Iterable[UUID]) -> list[ProductImage]:
    wanted = set(image_ids)
    images: list[ProductImage] = list(
        ProductImage.objects.filter(product=product, id__in=wanted).for_update()
    )
    if len(images) != len(wanted):
        raise PictureNotFound
    return images


def _alt_errors(alt: str) -> list[FieldError]:
    if not alt:
        message = "Say what the picture shows, for those who cannot see it."
        return [FieldError("alt", "blank", message)]
    return texts_fit(ImageDraft("", alt), "", alt=500)


def _tell(
    actor: Actor, product: Product, action: str, after: dict[str, Any], now: datetime
) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type="product",
        object_id=product.id,
        after=after,
        now=now,
    )
    outbox.publish(ProductUpdated(aggregate_id=product.id, slug=product.slug), actor=actor, now=now)


def _locked(actor: Actor, product_id: UUID) -> Product:
    rows = Product.objects.filter(company_id=actor.company_id, id=product_id)
    product = rows.for_update().first()
    if not isinstance(product, Product):
        raise ProductNotFound
    return product
