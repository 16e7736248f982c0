"""Which price is in force: the base price, a scheduled one in its place, and the prices beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject, Now

from config.platform.actor import Actor
from pricing.history import Change, Scheduled, lowest_before
from pricing.ladder import Ladder, Step
from pricing.models import CustomerGroup, CustomerGroupMember, Price, PriceChange, SpecialPrice


def in_force(now: Any = None, *, prefix: str = "") -> Q:
    """Return the condition that a special price is in force; `now` is the database's clock where it is not given."""
    moment = Now() if now is None else now
    return Q(**{f"{prefix}starts_at__lte": moment}) & (
        Q(**{f"{prefix}ends_at__isnull": True}) | Q(**{f"{prefix}ends_at__gt": moment})
    )


def public(prefix: str = "") -> Q:
    """Return the condition that a special price takes the place of the base price for everybody."""
    return Q(**{f"{prefix}group__isnull": True, f"{prefix}from_quantity": 1})


def public_price(variant: Any, currency: Any, now: Any = None) -> Coalesce:
    """Return what one unit of the variant `OuterRef(variant)` costs everybody; null where it has no price."""
    scheduled = SpecialPrice.objects.filter(
        public(), in_force(now), variant=OuterRef(variant), currency=currency
    )
    base = Price.objects.filter(variant=OuterRef(variant), currency=currency)
    return Coalesce(Subquery(scheduled.values("amount")[:1]), Subquery(base.values("amount")[:1]))


def _for_customer(user_id: Any) -> Q:
    groups = CustomerGroupMember.objects.filter(user=user_id).values("group")
    return Q(group__isnull=True) | Q(group__in=groups)


def steps_expression(variant: Any, currency: Any, *, user_id: Any, now: Any = None) -> Subquery:
    """Return the steps open to a customer as JSON, for `read_steps`; null where there are none."""
    return Subquery(
        SpecialPrice.objects.filter(
            ~public(),
            _for_customer(user_id),
            in_force(now),
            variant=OuterRef(variant),
            currency=currency,
        )
        .order_by()
        .values("variant")
        .annotate(
            steps=JSONBAgg(
                JSONObject(quantity="from_quantity", amount="amount", group=F("group_id"))
            )
        )
        .values("steps")
    )


def read_steps(found: Iterable[Any] | None) -> tuple[Step, ...]:
    """Return the steps that `steps_expression` found."""
    return tuple(
        sorted(
            Step(row["quantity"], Decimal(str(row["amount"])), row["group"] is not None)
            for row in found or ()
        )
    )


def ladders(
    *,
    variant_ids: Collection[UUID],
    currency: str,
    user_id: UUID | None = None,
    now: datetime | None = None,
) -> dict[UUID, Ladder]:
    """Return what these variants cost a customer, by quantity; one that has no price is missing: one statement."""
    rows = Price.objects.filter(variant__in=variant_ids, currency=currency).values_list(
        "variant_id",
        public_price("variant", currency, now),
        steps_expression("variant", currency, user_id=user_id, now=now),
    )
    return {variant_id: Ladder(amount, read_steps(steps)) for variant_id, amount, steps in rows}


def lowest_prices(
    *, variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, Decimal]:
    """
    Return the lowest prices of the 30 days before the present ones began: three statements.

    A variant whose price never was another is missing. Prices of groups and from a quantity on do not count.
    """
    found = {
        variant_id: lowest_before(changes, scheduled, now=now)
        for variant_id, (changes, scheduled) in price_movements(
            variant_ids=variant_ids, currency=currency, now=now
        ).items()
    }
    return {variant_id: amount for variant_id, amount in found.items() if amount is not None}


def price_movements(
    *, variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, tuple[list[Change], list[Scheduled]]]:
    """
    Return the changes of the base price and the scheduled prices that have begun, of variants with a price.

    Three statements. Prices of groups and from a quantity on are left out: not everybody could have them.
    """
    if not variant_ids:
        return {}
    changes: dict[UUID, list[Change]] = {}
    known = PriceChange.objects.filter(
        variant__in=variant_ids, currency=currency, special_id=None, new_amount__isnull=False
    ).order_by("changed_at", "id")
    for variant_id, at, old, new in known.values_list(
        "variant_id", "changed_at", "old_amount", "new_amount"
    ):
        changes.setdefault(variant_id, []).append(Change(at, old, new))
    base = Price.objects.filter(variant__in=variant_ids, currency=currency)
    for variant_id, amount in base.values_list("variant_id", "amount"):
        # Without a history it has been the price since ever.
        changes.setdefault(variant_id, [Change(now, amount, amount)])
    scheduled: dict[UUID, list[Scheduled]] = {}
    for variant_id, *row in SpecialPrice.objects.filter(
        public(), variant__in=variant_ids, currency=currency, starts_at__lte=now
    ).values_list("variant_id", "starts_at", "ends_at", "amount"):
        scheduled.setdefault(variant_id, []).append(Scheduled(*row))
    return {
        variant_id: (known_of, scheduled.get(variant_id, []))
        for variant_id, known_of in changes.items()
    }


def scheduled_ends(
    *, variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, datetime]:
    """Return when the scheduled prices that are in force end; one without an end is missing: one statement."""
    found = SpecialPrice.objects.filter(
        public(), in_force(now), variant__in=variant_ids, currency=currency
    ).values_list("variant_id", "ends_at")
    return {variant_id: ends_at for variant_id, ends_at in found if ends_at is not None}


def next_moment(*, company_id: UUID, now: datetime) -> datetime | None:
    """Return when a special price of a company next begins or ends; None if none will: one statement."""
    coming = Q(starts_at__gt=now)
    found = SpecialPrice.objects.filter(
        coming | Q(ends_at__gt=now), variant__company_id=company_id
    ).aggregate(
        begins=Min("starts_at", filter=coming), ends=Min("ends_at", filter=Q(ends_at__gt=now))
    )
    return min((moment for moment in found.values() if moment is not None), default=None)


def special_prices(
    *, actor: Actor, variant_ids: Sequence[UUID] | None = None
) -> QuerySet[SpecialPrice]:
    """Return the special prices of the company, with their variants and groups."""
    found = SpecialPrice.objects.filter(variant__company_id=actor.company_id).select_related(
        "variant__product", "group"
    )
    return found if variant_ids is None else found.filter(variant__in=variant_ids)


def customer_groups(*, actor: Actor) -> QuerySet[CustomerGroup]:
    """Return the groups of the company with how many members each has."""
    return CustomerGroup.objects.filter(company_id=actor.company_id).annotate(
        member_count=Count("members")
    )
