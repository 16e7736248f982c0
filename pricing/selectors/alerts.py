"""Price alerts as their owners see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, QuerySet

from config.platform.actor import Actor
from pricing.errors import PriceAlertNotFound
from pricing.models import PriceAlert
from pricing.selectors.inforce import public_price


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """An open price alert with what its variant costs now; `price` is null where it has none any more."""

    id: UUID
    product_id: UUID
    variant_id: UUID
    sku: str
    name: str
    slug: str
    options: Mapping[str, str]
    currency: str
    target: Decimal
    price: Decimal | None
    created_at: datetime
    told_at: datetime | None

    @property
    def is_reached(self) -> bool:
        return self.price is not None and self.price <= self.target


def my_price_alerts(*, actor: Actor) -> list[AlertView]:
    """Return the caller's open alerts, newest first; one statement."""
    if actor.user_id is None:
        return []
    found = PriceAlert.objects.filter(
        company_id=actor.company_id, user_id=actor.user_id, closed_at=None
    )
    return [_view(row) for row in _with_price(found).order_by("-created_at", "-id")]


def price_alert(*, alert_id: UUID, company_id: UUID) -> tuple[AlertView, PriceAlert]:
    """
    Return an open alert as it is shown, and its row with whom it belongs to; one statement.

    :raises PriceAlertNotFound: if there is none, or it has ended
    """
    row = _with_price(
        PriceAlert.objects.filter(id=alert_id, company_id=company_id, closed_at=None)
    ).first()
    if row is None:
        raise PriceAlertNotFound
    return _view(row), row


def _with_price(found: QuerySet[PriceAlert]) -> QuerySet[PriceAlert]:
    return found.select_related("variant__product").annotate(
        price=public_price("variant", F("currency"))
    )


def _view(row: PriceAlert) -> AlertView:
    product = row.variant.product
    return AlertView(
        id=row.id,
        product_id=product.id,
        variant_id=row.variant_id,
        sku=row.variant.sku,
        name=product.name,
        slug=product.slug,
        options=row.variant.options,
        currency=row.currency,
        target=row.target,
        price=row.price,  # type: ignore[attr-defined]  # annotated
        created_at=row.created_at,
        told_at=row.told_at,
    )
