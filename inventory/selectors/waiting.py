"""Who waits for what is gone: one's own requests, the line of a variant, and what a mail says about an offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from config.platform.actor import Actor
from inventory.errors import BackInStockRequestNotFound
from inventory.models import BackInStockRequest, ProductImage

_WAITING = BackInStockRequest.Status.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """One's own request. `ahead` counts those who come first; seconds are left of what is kept."""

    id: UUID
    status: str
    variant_id: UUID
    product_id: UUID
    sku: str
    name: str
    slug: str
    options: dict[str, str]
    image: str
    quantity: int
    ahead: int
    offered_quantity: int
    offer_expires_at: datetime | None
    seconds_left: int
    requested_at: datetime

    @property
    def is_offered(self) -> bool:
        return self.seconds_left > 0


def _with_ahead(requests: QuerySet[BackInStockRequest]) -> QuerySet[Any]:
    ahead = BackInStockRequest.objects.filter(
        variant=OuterRef("variant"), status=_WAITING, queued_at__lt=OuterRef("queued_at")
    )
    pictures = ProductImage.objects.filter(product=OuterRef("variant__product")).order_by(
        "position", "id"
    )
    return requests.select_related("variant__product").annotate(
        ahead=Coalesce(
            Subquery(ahead.order_by().values("variant").annotate(n=Count("*")).values("n")),
            0,
            output_field=IntegerField(),
        ),
        picture=Subquery(pictures.values("url")[:1]),
    )


def _view(row: Any, now: datetime) -> RequestView:
    kept = row.status == BackInStockRequest.Status.OFFERED and row.offer_expires_at is not None
    left = int(-(-(row.offer_expires_at - now).total_seconds() // 1)) if kept else 0
    return RequestView(
        id=row.id,
        status=row.status,
        variant_id=row.variant_id,
        product_id=row.variant.product_id,
        sku=row.variant.sku,
        name=row.variant.product.name,
        slug=row.variant.product.slug,
        options=row.variant.options,
        image=row.variant.image or row.picture or "",
        quantity=row.quantity,
        ahead=row.ahead,
        offered_quantity=row.offered_quantity if kept else 0,
        offer_expires_at=row.offer_expires_at if kept else None,
        seconds_left=max(left, 0),
        requested_at=row.queued_at,
    )


def my_back_in_stock_requests(
    *, actor: Actor, now: datetime, variant_ids: Iterable[UUID] | None = None
) -> list[RequestView]:
    """Return the caller's open requests, newest first: one statement, and none for guests."""
    if actor.user_id is None:
        return []
    mine = BackInStockRequest.objects.filter(
        company_id=actor.company_id, user_id=actor.user_id, status__in=BackInStockRequest.OPEN
    )
    if variant_ids is not None:
        mine = mine.filter(variant_id__in=list(variant_ids))
    return [_view(row, now) for row in _with_ahead(mine).order_by("-queued_at", "-id")]


@dataclass(frozen=True, slots=True)
class RequestOwner:
    """Whom to write to about a request: an account, or the address of a guest."""

    company_id: UUID
    user_id: UUID | None
    email: str


def back_in_stock_request(*, request_id: UUID, now: datetime) -> tuple[RequestView, RequestOwner]:
    """
    Return a request and whose it is, for those who may know it: the mail about it, and who follows its link.

    :raises BackInStockRequestNotFound: if there is none
    """
    row = _with_ahead(BackInStockRequest.objects.filter(id=request_id)).first()
    if row is None:
        raise BackInStockRequestNotFound
    return _view(row, now), RequestOwner(row.company_id, row.user_id, row.email)


def waits_again(*, request_id: UUID) -> bool:
    """Tell whether whoever made a request has an open one for the same variant by now."""
    mine = BackInStockRequest.objects.filter(id=request_id)
    return BackInStockRequest.objects.filter(
        Q(user_id__in=mine.filter(user_id__isnull=False).values("user_id"))
        | Q(user_id=None, email__in=mine.filter(user_id=None).values("email")),
        variant_id__in=mine.values("variant_id"),
        status__in=BackInStockRequest.OPEN,
    ).exists()


def back_in_stock_requests(*, company_id: UUID) -> QuerySet[Any]:
    """Return every request of the company, open or closed, with what `back_in_stock_line` tells of each; for staff."""
    return _with_ahead(BackInStockRequest.objects.filter(company_id=company_id))


def back_in_stock_line(*, actor: Actor) -> QuerySet[Any]:
    """Return the company's open requests in the order in which they are served, with variant and product; for staff."""
    return (
        back_in_stock_requests(company_id=actor.company_id)
        .filter(status__in=BackInStockRequest.OPEN)
        .order_by("variant__sku", "queued_at", "id")
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits for a variant: open requests, what they want in all, and since when the first one does."""

    variant_id: UUID
    sku: str
    name: str
    requests: int
    units: int
    since: datetime


def waiting_by_variant(
    *, company_id: UUID, variant_ids: Iterable[UUID] | None = None, limit: int | None = None
) -> list[Waiting]:
    """Return who waits, by variant, the longest line first: one statement."""
    rows = BackInStockRequest.objects.filter(
        company_id=company_id, status__in=BackInStockRequest.OPEN
    )
    if variant_ids is not None:
        rows = rows.filter(variant_id__in=list(variant_ids))
    counted = (
        rows.order_by()
        .values("variant_id", "variant__sku", "variant__product__name")
        .annotate(requests=Count("id"), units=Sum("quantity"), since=Min("queued_at"))
        .order_by("-requests", "since", "variant_id")
    )
    return [
        Waiting(
            variant_id=row["variant_id"],
            sku=row["variant__sku"],
            name=row["variant__product__name"],
            requests=row["requests"],
            units=row["units"],
            since=row["since"],
        )
        for row in counted[:limit]
    ]


def waiting_users(*, product_id: UUID) -> list[UUID]:
    """Return the customers who wait for a product."""
    waiting = BackInStockRequest.objects.filter(
        variant__product=product_id, user_id__isnull=False, status__in=BackInStockRequest.OPEN
    ).values_list("user_id", flat=True)
    return sorted({user_id for user_id in waiting if user_id is not None})
