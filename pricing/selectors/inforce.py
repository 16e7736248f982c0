"""Which price is in force: the base price, a scheduled one in its place, and the prices beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import (
    Case,
    Count,
    DecimalField,
    Exists,
    F,
    Func,
    JSONField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    UUIDField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, JSONObject, Now

from config.platform.actor import Actor
from inventory.models import Variant
from pricing import outside
from pricing.history import Change, Scheduled, lowest_before
from pricing.ladder import Ladder, Step
from pricing.models import (
    CustomerGroup,
    CustomerGroupMember,
    ExchangeRate,
    Price,
    PriceChange,
    SpecialPrice,
)
from pricing.money import convert


def in_force(now: Any = None, *, prefix: str = "") -> Q:
    """Return the condition that a special price is in force; `now` is the database's clock where it is not given."""
    moment = Now() if now is None else now
    return Q(**{f"{prefix}starts_at__lte": moment}) & (
        Q(**{f"{prefix}ends_at__isnull": True}) | Q(**{f"{prefix}ends_at__gt": moment})
    )


def public(prefix: str = "") -> Q:
    """Return the condition that a special price takes the place of the base price for everybody."""
    return Q(**{f"{prefix}group__isnull": True, f"{prefix}from_quantity": 1})


class ConvertedPrice(Func):
    """
    What one unit of a variant costs everybody in the company's own currency, at the exchange rate in force.

    The function stands in the database (migration `exchange_rates`), so that a statement which needs no rate does not
    even plan for one. Null where there is no price at home, no rate, or the last rate is too old.
    """

    function = "converted_price"
    output_field = DecimalField(max_digits=15, decimal_places=3)


def converted_price(variant: str, currency: Any, now: Any = None) -> ConvertedPrice:
    """Return the converted price of the variant named by a column, as an expression."""
    wanted = currency if isinstance(currency, F) else Value(currency)
    moment = Now() if now is None else Value(now)
    return ConvertedPrice(F(variant), Cast(wanted, TextField()), moment)


class ConvertedWas(Func):
    """What the price of `ConvertedPrice` is a reduction of, converted; null where it is none."""

    function = "converted_was"
    output_field = DecimalField(max_digits=15, decimal_places=3)


def converted_was(variant: str, currency: str, now: Any = None) -> ConvertedWas:
    """Return what the converted price of the variant named by a column is a reduction of, as an expression."""
    return ConvertedWas(
        F(variant), Cast(Value(currency), TextField()), Now() if now is None else Value(now)
    )


class ConvertedSteps(Func):
    """The steps beside the price of `ConvertedPrice` that are open to a customer, for `read_ladder`; null without a rate."""

    function = "converted_steps"
    output_field = JSONField()


def public_price(variant: str, currency: Any, now: Any = None) -> Coalesce:
    """
    Return what one unit of the variant named by a column costs everybody; null where it has no price.

    Where it has none in the currency, a text or a column, it is the price in the company's own at the exchange rate in
    force.
    """
    wanted = currency
    if isinstance(currency, F):
        wanted = OuterRef(currency.name)  # type: ignore[attr-defined]  # the stubs do not know it
    scheduled = SpecialPrice.objects.filter(
        public(), in_force(now), variant=OuterRef(variant), currency=wanted
    )
    base = Price.objects.filter(variant=OuterRef(variant), currency=wanted)
    return Coalesce(
        Subquery(scheduled.values("amount")[:1]),
        Subquery(base.values("amount")[:1]),
        converted_price(variant, currency, now),
    )


def _for_customer(user_id: Any, group_id: UUID | None = None) -> Q:
    groups = CustomerGroupMember.objects.filter(user=user_id).values("group")
    named = Q() if group_id is None else Q(group=group_id)
    return Q(group__isnull=True) | Q(group__in=groups) | named


def steps_expression(
    variant: Any, currency: Any, *, user_id: Any, group_id: UUID | None = None, now: Any = None
) -> Case:
    """
    Return the steps open to a customer, or to a group, as JSON, for `read_ladder`; null where there are none.

    What has no price in the currency has the steps of the company's own, converted as the price itself is.
    """
    own = (
        SpecialPrice.objects.filter(
            ~public(),
            _for_customer(user_id, group_id),
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
    base = Price.objects.filter(variant=OuterRef(variant), currency=currency)
    scheduled = SpecialPrice.objects.filter(
        public(), in_force(now), variant=OuterRef(variant), currency=currency
    )
    moment = Now() if now is None else Value(now)
    return Case(
        When(Exists(base) | Exists(scheduled), then=Subquery(own)),
        default=ConvertedSteps(
            F(variant),
            Cast(Value(currency), TextField()),
            Cast(Value(user_id), UUIDField()),
            Cast(Value(group_id), UUIDField()),
            moment,
        ),
    )


def read_ladder(price: Decimal | None, found: Any) -> Ladder | None:
    """Return what `public_price` and `steps_expression` found as a ladder; None where there is no price."""
    if price is None:
        return None
    is_converted = isinstance(found, dict)
    rows = found["converted"] if is_converted else found or ()
    steps = sorted(
        Step(row["quantity"], Decimal(str(row["amount"])), row["group"] is not None) for row in rows
    )
    return Ladder(price, tuple(steps), is_converted)


def own_ladders(
    *,
    variant_ids: Collection[UUID],
    currency: str,
    group_id: UUID | None = None,
    now: datetime | None = None,
) -> dict[UUID, Ladder]:
    """
    Return what these variants cost anybody, or anybody of a group, by the shop's own tables, by quantity; one that has
    no price is missing: one statement.
    """
    rows = _ladder_rows(variant_ids, currency, user_id=None, group_id=group_id, now=now)
    return {variant_id: ladder for variant_id, _company_id, _sku, ladder in rows}


@outside.asking
def ladders(
    *,
    variant_ids: Collection[UUID],
    currency: str,
    user_id: UUID | None = None,
    now: datetime | None = None,
) -> dict[UUID, Ladder]:
    """
    Return what these variants cost a customer, by quantity; one that has no price is missing: one statement.

    Where an outside engine says what goods cost it is asked, and one more statement reads the customer's groups. What
    the shop itself has no price for is not sold, whatever the engine says.
    """
    rows = _ladder_rows(variant_ids, currency, user_id=user_id, now=now)
    found = {variant_id: ladder for variant_id, _company_id, _sku, ladder in rows}
    for company_id in {company_id for _id, company_id, _sku, _ladder in rows}:
        known = priced_outside(
            {sku: ladder for _id, owner, sku, ladder in rows if owner == company_id},
            company_id=company_id,
            currency=currency,
            user_id=user_id,
        )
        found.update(
            (variant_id, known[sku]) for variant_id, owner, sku, _ in rows if owner == company_id
        )
    return found


def priced_outside(
    ladders: Mapping[str, Ladder], *, company_id: UUID, currency: str, user_id: UUID | None
) -> dict[str, Ladder]:
    """Return what goods of a company cost by SKU, as the outside engine says where there is one (`outside.priced`)."""

    def asked() -> outside.Asked:
        groups = CustomerGroup.objects.filter(company_id=company_id, members__user=user_id)
        names = () if user_id is None else groups.order_by("name").values_list("name", flat=True)
        return outside.Asked(company_id, currency, tuple(names))

    return outside.priced(ladders, asked=asked)


def _ladder_rows(
    variant_ids: Collection[UUID],
    currency: str,
    *,
    user_id: UUID | None,
    group_id: UUID | None = None,
    now: datetime | None,
) -> list[tuple[UUID, UUID, str, Ladder]]:
    """Return variant, company, SKU and ladder of what has a price: one statement."""
    rows = Variant.objects.filter(id__in=variant_ids).values_list(
        "id",
        "company_id",
        "sku",
        public_price("pk", currency, now),
        steps_expression("pk", currency, user_id=user_id, group_id=group_id, now=now),
    )
    return [
        (variant_id, company_id, sku, ladder)
        for variant_id, company_id, sku, amount, steps in rows
        if (ladder := read_ladder(amount, steps)) is not None
    ]


def lowest_prices(
    *, variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, Decimal]:
    """
    Return the lowest prices of the 30 days before the present ones began: three statements, four more for what has
    no price in the currency.

    That is judged in the company's own currency and converted at the rate of now: a rate that moves is no reduction.
    A variant whose price never was another is missing. Prices of groups and from a quantity on do not count.
    """
    found = _lowest(variant_ids, currency, now)
    at_home = _converted_rates([id for id in variant_ids if id not in found], currency, now)
    for home, rate, ids in at_home:
        for variant_id, amount in _lowest(ids, home, now).items():
            found[variant_id] = None if amount is None else convert(amount, rate, currency)
    return {variant_id: amount for variant_id, amount in found.items() if amount is not None}


def _lowest(
    variant_ids: Collection[UUID], currency: str, now: datetime
) -> dict[UUID, Decimal | None]:
    return {
        variant_id: lowest_before(changes, scheduled, now=now)
        for variant_id, (changes, scheduled) in price_movements(
            variant_ids=variant_ids, currency=currency, now=now
        ).items()
    }


def _converted_rates(
    variant_ids: Collection[UUID], currency: str, now: datetime
) -> list[tuple[str, Decimal, list[UUID]]]:
    """Return by which rate from which currency these variants are converted: one statement, none for no variants."""
    if not variant_ids:
        return []
    rates = ExchangeRate.objects.filter(
        company=OuterRef("company"),
        base=OuterRef("company__currency"),
        quote=currency,
        valid_from__lte=now,
    ).order_by("-valid_from")
    grouped: dict[tuple[str, Decimal], list[UUID]] = {}
    rows = Variant.objects.filter(id__in=variant_ids).values_list(
        "id", "company__currency", Subquery(rates.values("rate")[:1]),
        Subquery(rates.values("valid_until")[:1]),
    )  # fmt: skip
    for variant_id, home, rate, until in rows:
        if rate is not None and (until is None or until > now):
            grouped.setdefault((home, rate), []).append(variant_id)
    return [(home, rate, ids) for (home, rate), ids in grouped.items()]


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
    own = Price.objects.filter(variant=OuterRef("variant"), currency=currency)
    found = SpecialPrice.objects.filter(
        Q(currency=currency) | (Q(currency=F("variant__company__currency")) & ~Exists(own)),
        public(),
        in_force(now),
        variant__in=variant_ids,
    ).values_list("variant_id", "ends_at")
    return {variant_id: ends_at for variant_id, ends_at in found if ends_at is not None}


def next_moment(*, company_id: UUID, now: datetime) -> datetime | None:
    """Return when a special price or an exchange rate of a company next begins or ends; None if none will."""
    coming = Q(starts_at__gt=now)
    prices = SpecialPrice.objects.filter(
        coming | Q(ends_at__gt=now), variant__company_id=company_id
    ).aggregate(
        begins=Min("starts_at", filter=coming), ends=Min("ends_at", filter=Q(ends_at__gt=now))
    )
    rates = ExchangeRate.objects.filter(
        Q(valid_from__gt=now) | Q(valid_until__gt=now), company_id=company_id
    ).aggregate(
        begins=Min("valid_from", filter=Q(valid_from__gt=now)),
        ends=Min("valid_until", filter=Q(valid_until__gt=now)),
    )
    moments = [*prices.values(), *rates.values()]
    return min((moment for moment in moments if moment is not None), default=None)


def special_prices(*, actor: Actor) -> QuerySet[SpecialPrice]:
    """Return the special prices of the company, with their variants and groups."""
    return SpecialPrice.objects.filter(variant__company_id=actor.company_id).select_related(
        "variant__product", "group"
    )


def customer_groups(*, actor: Actor) -> QuerySet[CustomerGroup]:
    """Return the groups of the company with how many members each has."""
    return CustomerGroup.objects.filter(company_id=actor.company_id).annotate(
        member_count=Count("members")
    )
