"""What a variant or a bundle costs, and how that changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import new_id
from config.platform.outbox import publish
from inventory.models import Bundle
from pricing.errors import CurrencyUnknown
from pricing.events import PriceUpdated
from pricing.models import BundlePrice, Price, PriceChange, SpecialPrice
from pricing.money import EXPONENTS, format_amount, quantize
from pricing.selectors.inforce import in_force, public
from pricing.services.revision import bump

HIGHEST = Decimal("99999999999.99")
_CHUNK = 1_000
LONGEST_WAIT = timedelta(minutes=1)  # of one writer for another, with plenty to spare


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """What one unit of a variant shall cost in a currency; `compare_at` is the price it used to have, if shown."""

    variant_id: UUID
    currency: str
    amount: Decimal
    compare_at: Decimal | None = None


def set_price(
    *,
    actor: Actor,
    variant_id: UUID,
    currency: str,
    amount: Decimal,
    compare_at: Decimal | None = None,
    reason: str = "",
    now: datetime,
) -> Price:
    """
    Make this the current price of a variant in a currency; the change is kept as history and announced.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if the amount is negative or too large
    """
    new = NewPrice(variant_id=variant_id, currency=currency, amount=amount, compare_at=compare_at)
    set_prices(actor=actor, prices=[new], reason=reason, now=now)
    return Price.objects.get(variant_id=variant_id, currency=currency)


@transaction.atomic
def set_prices(*, actor: Actor, prices: Iterable[NewPrice], reason: str = "", now: datetime) -> int:
    """
    Make these the current prices, in a handful of statements however many, and return how many changed.

    What is equal to the current price is left alone: no history, no event. Current rows are locked in id order.
    Variants of other companies are not touched.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if an amount is negative or too large
    """
    wanted = {(new.variant_id, new.currency): checked(new) for new in prices}
    changed = 0
    keys = list(wanted)
    for start in range(0, len(keys), _CHUNK):
        chunk = {key: wanted[key] for key in keys[start : start + _CHUNK]}
        changed += _set(actor, chunk, reason, now)
    return changed


def checked(new: NewPrice) -> NewPrice:
    """
    Return a price with its currency's decimals.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if an amount is negative or too large
    """
    if new.currency not in EXPONENTS:
        raise CurrencyUnknown()
    for name, amount in (("amount", new.amount), ("compareAt", new.compare_at)):
        if amount is not None and not (amount.is_finite() and 0 <= amount <= HIGHEST):
            raise ValidationFailed(errors=[FieldError(name, "invalid", "This is not a price.")])
    return NewPrice(
        variant_id=new.variant_id,
        currency=new.currency,
        amount=quantize(new.amount, new.currency),
        compare_at=None if new.compare_at is None else quantize(new.compare_at, new.currency),
    )


def _set(actor: Actor, wanted: dict[tuple[UUID, str], NewPrice], reason: str, now: datetime) -> int:
    # First what is missing, so that two writers of a new price meet at the unique key; then lock and compare the rest.
    fresh = _insert(actor.company_id, list(wanted.values()), now)
    changes: list[_Change] = [_Change(wanted[key], None, now) for key in fresh]
    moved = []
    current = Price.objects.filter(
        variant_id__in={variant_id for variant_id, _ in wanted},
        variant__company_id=actor.company_id,
        currency__in={currency for _, currency in wanted},
    )
    for price in current.for_update():
        key = (price.variant_id, price.currency)
        new = wanted.get(key)
        if (
            new is None
            or key in fresh
            or (price.amount, price.compare_at) == (new.amount, new.compare_at)
        ):
            continue
        change = _Change(new, price.amount, _after(price.updated_at, now))
        moved.append((price.id, change))
        changes.append(change)
    if moved:
        _update(moved)
    _announce(
        actor,
        [each for each in changes if each.before is None or each.before != each.new.amount],
        reason,
        now,
    )
    return len(changes)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a price becomes, what it was (`None`: there was none), and from when on."""

    new: NewPrice
    before: Decimal | None
    at: datetime


def _after(last: datetime, now: datetime) -> datetime:
    """
    Return when a change counts as made: after the one that its writer waited for, though their clock was read before.

    The newest entry of the history is the price in force. A time further ahead is no wait but written on purpose.
    """
    waited = now < last < now + LONGEST_WAIT
    return last + timedelta(microseconds=1) if waited else now


def _insert(company_id: UUID, prices: list[NewPrice], now: datetime) -> set[tuple[UUID, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO prices (id, variant_id, currency, amount, compare_at, updated_at)
            SELECT new.id, new.variant_id, new.currency, new.amount, new.compare_at, %s
              FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::numeric[], %s::numeric[])
                   AS new (id, variant_id, currency, amount, compare_at)
              JOIN variants ON variants.id = new.variant_id AND variants.company_id = %s
             ORDER BY new.variant_id, new.currency
            ON CONFLICT (variant_id, currency) DO NOTHING
            RETURNING variant_id, currency
            """,
            [
                now,
                [new_id() for _ in prices],
                [new.variant_id for new in prices],
                [new.currency for new in prices],
                [new.amount for new in prices],
                [new.compare_at for new in prices],
                company_id,
            ],
        )
        return set(cursor.fetchall())


def _update(moved: list[tuple[UUID, _Change]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE prices SET amount = new.amount, compare_at = new.compare_at, updated_at = new.at
              FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[], %s::timestamptz[])
                   AS new (id, amount, compare_at, at)
             WHERE prices.id = new.id
            """,
            [
                [price_id for price_id, _ in moved],
                [change.new.amount for _, change in moved],
                [change.new.compare_at for _, change in moved],
                [change.at for _, change in moved],
            ],
        )


def _announce(actor: Actor, changes: list[_Change], reason: str, now: datetime) -> None:
    if not changes:
        return
    PriceChange.objects.bulk_create(
        [
            PriceChange(
                variant_id=each.new.variant_id,
                currency=each.new.currency,
                old_amount=each.before,
                new_amount=each.new.amount,
                actor=actor.label,
                reason=reason[:200],
                changed_at=each.at,
            )
            for each in changes
        ]
    )
    hidden = _hidden([each.new.variant_id for each in changes], now)
    publish(
        *(
            PriceUpdated(
                aggregate_id=each.new.variant_id,
                currency=each.new.currency,
                old_amount=None
                if each.before is None
                else format_amount(each.before, each.new.currency),
                new_amount=format_amount(each.new.amount, each.new.currency),
            )
            for each in changes
            if (each.new.variant_id, each.new.currency) not in hidden
        ),
        actor=actor,
        now=now,
    )


def _hidden(variant_ids: list[UUID], now: datetime) -> set[tuple[UUID, str]]:
    """Return where a scheduled price stands in the place of the base price, so that its change changes nothing yet."""
    return set(
        SpecialPrice.objects.filter(public(), in_force(now), variant__in=variant_ids).values_list(
            "variant_id", "currency"
        )
    )


@transaction.atomic
def set_bundle_price(
    *, actor: Actor, bundle_id: UUID, currency: str, amount: Decimal | None, now: datetime
) -> None:
    """
    Make this what a whole bundle costs in a currency; `None` takes the offer back.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if there is no such bundle, or the amount is negative or too large
    """
    if not Bundle.objects.filter(id=bundle_id, company_id=actor.company_id).exists():
        raise ValidationFailed(
            errors=[FieldError("bundleId", "invalid", "There is no such bundle.")]
        )
    if amount is None:
        BundlePrice.objects.filter(bundle_id=bundle_id, currency=currency).delete()
    else:
        new = checked(NewPrice(variant_id=bundle_id, currency=currency, amount=amount))
        BundlePrice.objects.update_or_create(
            bundle_id=bundle_id, currency=currency, defaults={"amount": new.amount}
        )
    bump(actor=actor, what="bundles", now=now)
