"""Prices that a caller has seen, beside the prices of now; what would make a product cheaper; how its price moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from inventory import selectors as inventory
from inventory.models import Variant
from pricing.errors import PriceMissing
from pricing.history import periods
from pricing.ladder import Ladder, Step
from pricing.models import PriceChange, Promotion
from pricing.selectors.baskets import Wanted
from pricing.selectors.bundles import BundleView, bundles
from pricing.selectors.catalogue import ProductView
from pricing.selectors.inforce import ladders, price_movements
from pricing.selectors.promotions import promotions_on


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPrice:
    """
    The price of a line as the caller knows it, and what a unit costs now; `current` is null where nothing is sold.

    Both are prices of one unit when `quantity` of it are bought.
    """

    variant: Variant | None
    quantity: int
    seen: Decimal | None
    current: Decimal | None
    problem: ApplicationError | None

    @property
    def difference(self) -> Decimal | None:
        """What a unit costs more than the caller knows; negative where it costs less."""
        if self.seen is None or self.current is None:
            return None
        return self.current - self.seen

    @property
    def is_right(self) -> bool:
        return self.difference == 0


def compare_prices(
    *,
    actor: Actor,
    wanted: Sequence[Wanted],
    seen: Sequence[Decimal | None],
    currency: str,
    now: datetime,
) -> list[ComparedPrice]:
    """
    Return for each line the price the caller has seen beside that of now; two statements for any number of lines.

    Lines of one variant count together, as in a cart. What a caller has seen changes nothing.
    """
    found = inventory.find_variants(actor=actor, refs=[line.ref for line in wanted])
    known = ladders(
        variant_ids=[variant.id for variant in found if isinstance(variant, Variant)],
        currency=currency,
        user_id=actor.user_id,
        now=now,
    )
    together = Counter[UUID]()
    for line, variant in zip(wanted, found, strict=True):
        if isinstance(variant, Variant):
            together[variant.id] += line.quantity
    compared = []
    for line, variant, price in zip(wanted, found, seen, strict=True):
        if isinstance(variant, ApplicationError):
            compared.append(
                ComparedPrice(
                    variant=None, quantity=line.quantity, seen=price, current=None, problem=variant
                )
            )
            continue
        ladder = known.get(variant.id)
        missing = PriceMissing(extra={"sku": variant.sku, "currency": currency})
        compared.append(
            ComparedPrice(
                variant=variant,
                quantity=line.quantity,
                seen=price,
                current=None if ladder is None else ladder.at(together[variant.id]),
                problem=missing if ladder is None else None,
            )
        )
    return compared


# --- how to pay less --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterBreak:
    """From `from_quantity` units on, a unit costs `unit_price`, which is `saving` less than now."""

    variant_id: UUID
    sku: str
    from_quantity: int
    unit_price: Decimal
    saving: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendations:
    """Ways to pay less for a product: more of it, a bundle it is part of, a promotion that is told about."""

    breaks: Sequence[BetterBreak]
    bundles: Sequence[BundleView]
    promotions: Sequence[Promotion]


def price_recommendations(
    *, actor: Actor, product: ProductView, quantity: int, now: datetime
) -> Recommendations:
    """
    Return how to pay less for a product of which `quantity` units are wanted, the best of each kind first.

    A constant number of statements. Only what this caller may have is named.
    """
    sold = {variant.id: variant for variant in product.variants if variant.is_active}
    known = ladders(
        variant_ids=list(sold), currency=product.currency, user_id=actor.user_id, now=now
    )
    breaks = [
        BetterBreak(
            variant_id=variant_id,
            sku=sold[variant_id].sku,
            from_quantity=step.from_quantity,
            unit_price=step.amount,
            saving=ladder.at(quantity) - step.amount,
        )
        for variant_id, ladder in known.items()
        for step in _further(ladder, quantity)
    ]
    whole = [
        bundle
        for bundle in bundles(actor=actor, currency=product.currency)
        if bundle.saving > 0 and any(item.variant_id in sold for item in bundle.items)
    ]
    return Recommendations(
        breaks=sorted(breaks, key=lambda step: (-step.saving, step.from_quantity, step.sku)),
        bundles=sorted(whole, key=lambda bundle: (-bundle.saving, bundle.slug)),
        promotions=promotions_on(
            actor=actor, product_id=product.id, currency=product.currency, now=now
        ),
    )


def _further(ladder: Ladder, quantity: int) -> Sequence[Step]:
    paid = ladder.at(quantity)
    return [step for step in ladder.breaks if step.from_quantity > quantity and step.amount < paid]


# --- how a price moved ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PricePeriod:
    """Everybody paid `amount` for one unit from `since` until before `until`; both are null where it is open."""

    amount: Decimal
    since: datetime | None
    until: datetime | None


def price_timelines(
    *, variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, list[PricePeriod]]:
    """
    Return what everybody paid for one unit of these variants until now, oldest first: three statements.

    A scheduled price hides the base price while it lasts; prices of groups and from a quantity on are left out.
    """
    found = {}
    for variant_id, (changes, scheduled) in price_movements(
        variant_ids=variant_ids, currency=currency, now=now
    ).items():
        steps = periods(changes, scheduled, now)
        ends = [since for since, _ in steps[1:]] + [None]
        found[variant_id] = [
            PricePeriod(amount, since, until)
            for (since, amount), until in zip(steps, ends, strict=True)
            if amount is not None
        ]
    return found


def price_changes(*, actor: Actor) -> QuerySet[PriceChange]:
    """Return every recorded change of the company's prices with its variant: base, scheduled, of groups, by quantity."""
    return PriceChange.objects.filter(variant__company_id=actor.company_id).select_related(
        "variant"
    )
