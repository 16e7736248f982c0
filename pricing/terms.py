"""What staff decide: the terms of a promotion, a tax, a zone and a way to ship, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionTerms:
    """
    Everything about a promotion but its history. `codes` bring it in; without any it must apply by itself, or it
    waits for the codes of a batch.

    `weekdays` (Monday is 1) and the hours are by the company's clock. `codes` are those with a name of their own;
    those of batches are not among them.
    """

    name: str
    kind: str
    scope: str = "CART"
    value: Decimal = Decimal(0)
    currency: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    product_ids: Sequence[UUID] = ()
    category_ids: Sequence[UUID] = ()
    excluded_product_ids: Sequence[UUID] = ()
    excluded_category_ids: Sequence[UUID] = ()
    user_ids: Sequence[UUID] = ()
    group_ids: Sequence[UUID] = ()
    first_order_only: bool = False
    new_customer_days: int | None = None
    minimum_order: Decimal | None = None
    minimum_quantity: int | None = None
    maximum_discount: Decimal | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekdays: Sequence[int] = ()
    opens_at: time | None = None
    closes_at: time | None = None
    usage_limit: int | None = None
    per_customer_limit: int | None = None
    reminder_stage: int | None = None
    is_automatic: bool = False
    is_stackable: bool = True
    is_advertised: bool = False
    is_active: bool = True
    priority: int = 0
    codes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRateTerms:
    """Everything about a tax rate; `rate` is a fraction."""

    name: str
    type: str
    country: str
    rate: Decimal
    state: str = ""
    postal_pattern: str = ""
    tax_class: str = "standard"
    is_included: bool = False
    is_compound: bool = False
    on_shipping: bool = True
    priority: int = 0
    valid_from: date | None = None
    valid_to: date | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptionTerms:
    """Everything that staff decide about a tax exemption; the period is half-open."""

    user_id: UUID
    kind: str
    number: str
    country: str
    state: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    status: str = "APPROVED"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneTerms:
    """Everything about a shipping zone."""

    name: str
    countries: Sequence[str]
    states: Sequence[str] = ()
    postal_patterns: Sequence[str] = ()
    priority: int = 0
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingRuleTerms:
    """Everything about one way to ship to a zone."""

    zone_id: UUID
    code: str
    name: str
    currency: str
    type: str = "FLAT_RATE"
    base_price: Decimal = Decimal(0)
    per_unit: Decimal = Decimal(0)
    per_kilogram: Decimal = Decimal(0)
    free_over: Decimal | None = None
    minimum_order: Decimal | None = None
    maximum_order: Decimal | None = None
    min_days: int = 2
    max_days: int = 5
    priority: int = 0
    is_active: bool = True
