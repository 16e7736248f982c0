"""Everything about the prices of one variant in one currency, for the page on which staff set them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from config.platform.actor import Actor
from inventory.errors import ProductNotFound
from inventory.models import Variant
from pricing.history import Change, Scheduled, lowest_before, lowest_lately, periods
from pricing.models import CustomerGroup, Price, PriceChange, SpecialPrice
from pricing.selectors.catalogue import home_currency
from pricing.selectors.inforce import price_movements

SHOWN_CHANGES = 50
SHOWN_DAYS = 90
SHOWN_OVER = 5  # scheduled prices that are over


@dataclass(frozen=True, slots=True)
class Span:
    """What everybody pays from a moment on until before another; `special` where it is a scheduled price."""

    starts_at: datetime
    ends_at: datetime | None
    amount: Decimal
    special: SpecialPrice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDesk:
    """
    One variant in one currency.

    `prices` are its base prices in all currencies, `spans` what everybody pays from now on, `steps` the prices beside that are
    in force or coming, `over` the scheduled prices that ended last, `days` the price at the end of each of the last days.
    """

    variant: Variant
    currency: str
    currencies: Sequence[str]
    prices: Sequence[Price]
    base: Price | None
    spans: Sequence[Span]
    steps: Sequence[SpecialPrice]
    over: Sequence[SpecialPrice]
    days: Sequence[tuple[datetime, Decimal | None]]
    lowest: Decimal | None
    lowest_before: Decimal | None
    changes: Sequence[PriceChange]
    groups: Sequence[CustomerGroup]


def find_sold_variant(*, actor: Actor, variant_id: UUID) -> Variant:
    """
    Return a variant of the company with its product.

    :raises ProductNotFound: if there is none
    """
    found = (
        Variant.objects.filter(company_id=actor.company_id, id=variant_id)
        .select_related("product")
        .first()
    )
    if found is None:
        raise ProductNotFound()
    return found


def price_desk(*, actor: Actor, variant_id: UUID, currency: str, now: datetime) -> PriceDesk:
    """
    Return the prices of one variant; an empty `currency` is the company's own. At most nine statements.

    :raises ProductNotFound: if the company has no such variant
    """
    variant = find_sold_variant(actor=actor, variant_id=variant_id)
    home = home_currency(company_id=actor.company_id)
    currency = currency or home
    prices = list(Price.objects.filter(variant=variant).order_by("currency"))
    base = next((price for price in prices if price.currency == currency), None)
    live = list(
        SpecialPrice.objects.filter(
            Q(ends_at__isnull=True) | Q(ends_at__gt=now), variant=variant, currency=currency
        )
        .select_related("group")
        .order_by("from_quantity", "group__name", "starts_at")
    )
    over = SpecialPrice.objects.filter(variant=variant, currency=currency, ends_at__lte=now)
    movements = price_movements(variant_ids=[variant.id], currency=currency, now=now)
    changes, scheduled = movements.get(variant.id, ([], []))
    public = sorted(
        (special for special in live if special.is_public), key=lambda special: special.starts_at
    )
    changed = PriceChange.objects.filter(variant=variant, currency=currency)
    return PriceDesk(
        variant=variant,
        currency=currency,
        currencies=sorted({home, currency, *(price.currency for price in prices)}),
        prices=prices,
        base=base,
        spans=[] if base is None else spans(base.amount, public, now),
        steps=[special for special in live if not special.is_public],
        over=list(over.select_related("group").order_by("-ends_at")[:SHOWN_OVER]),
        days=_days(changes, scheduled, now),
        lowest=lowest_lately(changes, scheduled, now=now),
        lowest_before=lowest_before(changes, scheduled, now=now),
        changes=list(changed.order_by("-changed_at", "-id")[:SHOWN_CHANGES]),
        groups=list(CustomerGroup.objects.filter(company_id=actor.company_id).order_by("name")),
    )


def spans(base: Decimal, public: Sequence[SpecialPrice], now: datetime) -> list[Span]:
    """Return what everybody pays from now on: scheduled prices by their beginning, the base price between them."""
    found: list[Span] = []
    at: datetime | None = now
    for special in public:
        assert at is not None  # they do not overlap, so nothing follows one without an end
        if special.starts_at > at:
            found.append(Span(at, special.starts_at, base, None))
        found.append(Span(max(special.starts_at, now), special.ends_at, special.amount, special))
        at = special.ends_at
    if at is not None:
        found.append(Span(at, None, base, None))
    return found


def _days(
    changes: Sequence[Change], scheduled: Sequence[Scheduled], now: datetime
) -> list[tuple[datetime, Decimal | None]]:
    """Return the price at the same time of day of each of the last days, the oldest first; None before there was one."""
    course = periods(changes, scheduled, now) if changes else [(None, None)]
    found = []
    for ago in reversed(range(SHOWN_DAYS)):
        moment = now - timedelta(days=ago)
        amount = None
        for began, then in course:
            if began is not None and began > moment:
                break
            amount = then
        found.append((moment, amount))
    return found
