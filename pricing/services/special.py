"""Prices beside the base price: for a time, from a quantity on, for a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.outbox import publish
from inventory.models import Variant
from pricing.errors import CustomerGroupNotFound, SpecialPriceNotFound
from pricing.events import PriceUpdated
from pricing.models import CustomerGroup, Price, PriceChange, SpecialPrice
from pricing.money import format_amount
from pricing.selectors.inforce import in_force, public
from pricing.services.amounts import finer_than
from pricing.services.prices import NewPrice, checked
from pricing.services.revision import bump

_AT_ONCE = 500  # prices announced in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTerms:
    """
    What one unit shall cost, when, from how many on, and for whom.

    Without `starts_at` it begins at once, without `ends_at` it lasts until it is ended; without `group_id` it is
    for everybody.
    """

    variant_id: UUID
    currency: str
    amount: Decimal
    compare_at: Decimal | None = None
    from_quantity: int = 1
    group_id: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


@transaction.atomic
def set_special_price(*, actor: Actor, terms: SpecialTerms, now: datetime) -> SpecialPrice:
    """
    Set a price beside the base price; recorded as history, and announced when it begins.

    Two for the same variant, currency, group and quantity never overlap: an exclusion constraint sees to that.

    :raises CurrencyUnknown: if we know no such currency
    :raises CustomerGroupNotFound: if there is no such group
    :raises ValidationFailed: if there is no such variant, it has no base price in the currency, an amount, quantity or
        period is not acceptable, or the period overlaps that of another one
    """
    price = checked(
        NewPrice(
            variant_id=terms.variant_id,
            currency=terms.currency,
            amount=terms.amount,
            compare_at=terms.compare_at,
        )
    )
    starts_at = terms.starts_at or now
    _check(actor, terms, starts_at, now)
    special = SpecialPrice(
        variant_id=terms.variant_id,
        currency=price.currency,
        group_id=terms.group_id,
        from_quantity=terms.from_quantity,
        amount=price.amount,
        compare_at=price.compare_at,
        starts_at=starts_at,
        ends_at=terms.ends_at,
        reason=terms.reason.replace("\x00", "")[:200],
        created_by=actor.label[:80],
        created_at=now,
    )
    before = _amount_now(special, now)
    try:
        with transaction.atomic():
            special.save(force_insert=True)
    except IntegrityError as error:
        if "special_prices_do_not_overlap" not in str(error):
            raise
        raise ValidationFailed(
            errors=[FieldError("startsAt", "overlaps", _overlap(special))]
        ) from None
    _record(actor, special, old=before, new=special.amount, reason=special.reason, now=now)
    audit.record(
        actor=actor,
        action="special_price.set",
        object_type="special_price",
        object_id=special.id,
        after=_facts(special),
        now=now,
    )
    if special.starts_at <= now:
        special.begun_at = now
        special.save(update_fields=["begun_at"])
        _announce(actor, special, old=before, new=special.amount, now=now)
    bump(actor=actor, what="prices", now=now)
    return special


@transaction.atomic
def set_public_prices(*, actor: Actor, terms: Sequence[SpecialTerms], now: datetime) -> int:
    """
    Set scheduled prices for everybody on many variants, all or none: what `set_special_price` does, in a handful of
    statements however many.

    The caller has planned them: every variant is of the company and has a base price in the currency, amounts are checked.

    :raises ValidationFailed: if one overlaps another price; nothing is written
    """
    specials = [
        SpecialPrice(
            variant_id=each.variant_id,
            currency=each.currency,
            amount=each.amount,
            compare_at=each.compare_at,
            starts_at=each.starts_at or now,
            ends_at=each.ends_at,
            reason=each.reason.replace("\x00", "")[:200],
            created_by=actor.label[:80],
            created_at=now,
            begun_at=now if each.starts_at is None or each.starts_at <= now else None,
        )
        for each in terms
    ]
    base = _amounts(Price.objects.all(), specials)
    before = base | _amounts(SpecialPrice.objects.filter(public(), in_force(now)), specials)
    try:
        with transaction.atomic():
            SpecialPrice.objects.bulk_create(specials)
    except IntegrityError as error:
        if "special_prices_do_not_overlap" not in str(error):
            raise
        said = _("There is another price in this period already.")
        raise ValidationFailed(errors=[FieldError("startsAt", "overlaps", said)]) from None
    changes = []
    for special in specials:
        change = PriceChange(
            special_id=special.id,
            old_amount=before.get((special.variant_id, special.currency)),
            new_amount=special.amount,
        )
        _fill(change, actor, special, special.reason, now)
        changes.append(change)
    PriceChange.objects.bulk_create(changes)
    audit.record_each(
        actor=actor,
        action="special_price.set",
        object_type="special_price",
        changes=[(special.id, {}, _facts(special)) for special in specials],
        now=now,
    )
    publish(
        *(
            PriceUpdated(
                aggregate_id=special.variant_id,
                currency=special.currency,
                old_amount=None if change.old_amount is None else format_amount(change.old_amount, special.currency),
                new_amount=format_amount(special.amount, special.currency),
            )
            for special, change in zip(specials, changes, strict=True)
            if special.begun_at is not None
        ),
        actor=actor,
        now=now,
    )  # fmt: skip
    bump(actor=actor, what="prices", now=now)
    return len(specials)


def _amounts(
    rows: QuerySet[Any], specials: Sequence[SpecialPrice]
) -> dict[tuple[UUID, str], Decimal]:
    found = rows.filter(
        variant__in=[special.variant_id for special in specials],
        currency__in={special.currency for special in specials},
    )
    return {
        (variant_id, currency): amount
        for variant_id, currency, amount in found.values_list("variant_id", "currency", "amount")
    }


def _overlap(special: SpecialPrice) -> str:
    """Say which price stands in the way: another writer's may be gone again by now."""
    others = SpecialPrice.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=special.starts_at),
        variant=special.variant_id,
        currency=special.currency,
        group=special.group_id,
        from_quantity=special.from_quantity,
    )
    if special.ends_at is not None:
        others = others.filter(starts_at__lt=special.ends_at)
    other = others.order_by("starts_at").first()
    said = _("There is another price in this period already.")
    return f"{said} {described(other)}" if other else said


def described(special: SpecialPrice) -> str:
    """Return a special price in words, such as “8.00 USD from 2026-12-01 09:00 until … (UTC): Advent.”."""
    words = {
        "price": f"{format_amount(special.amount, special.currency)} {special.currency}",
        "start": f"{special.starts_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        "end": f"{special.ends_at.astimezone(UTC):%Y-%m-%d %H:%M}" if special.ends_at else "",
    }
    if special.ends_at is None:
        said = _("%(price)s from %(start)s (UTC) on, without an end") % words
    else:
        said = _("%(price)s from %(start)s until %(end)s (UTC)") % words
    return f"{said}: {special.reason}." if special.reason else f"{said}."


def _check(actor: Actor, terms: SpecialTerms, starts_at: datetime, now: datetime) -> None:
    errors = []
    most = settings.CART_MAX_QUANTITY_PER_LINE
    if not 1 <= terms.from_quantity <= most:
        errors.append(FieldError("fromQuantity", "invalid", f"A quantity from 1 to {most}."))
    if starts_at < now:
        # What was charged in the past was charged; a price that says otherwise would falsify the history.
        errors.append(FieldError("startsAt", "past", "It cannot begin in the past."))
    if terms.ends_at is not None and terms.ends_at <= starts_at:
        errors.append(FieldError("endsAt", "invalid", "It ends before it begins."))
    if not Variant.objects.filter(id=terms.variant_id, company_id=actor.company_id).exists():
        errors.append(FieldError("variantId", "invalid", "There is no such variant."))
    elif not Price.objects.filter(variant=terms.variant_id, currency=terms.currency).exists():
        errors.append(FieldError("currency", "PRICE_MISSING", "Set a base price first."))
    amounts = {"price": terms.amount, "compareAtPrice": terms.compare_at}
    errors += finer_than(terms.currency, amounts)
    if errors:
        raise ValidationFailed(errors=errors)
    if (
        terms.group_id is not None
        and not CustomerGroup.objects.filter(
            id=terms.group_id, company_id=actor.company_id
        ).exists()
    ):
        raise CustomerGroupNotFound()


@transaction.atomic
def end_special_price(
    *, actor: Actor, special_id: UUID, reason: str = "", now: datetime
) -> SpecialPrice | None:
    """
    End a price that is in force, or take one back that has not begun: then it is gone, and None is returned.

    :raises SpecialPriceNotFound: if there is none
    :raises ValidationFailed: if it is over already
    """
    special: SpecialPrice | None = (
        SpecialPrice.objects.filter(id=special_id, variant__company_id=actor.company_id)
        .for_update()
        .first()
    )
    if special is None:
        raise SpecialPriceNotFound()
    if special.ends_at is not None and special.ends_at <= now:
        raise ValidationFailed(errors=[FieldError("endsAt", "over", "This price is over.")])
    before = _facts(special)
    old, had_begun = special.amount, special.begun_at is not None or special.starts_at < now
    is_gone = special.starts_at >= now
    if is_gone:
        special.delete()
    else:
        special.ends_at = special.over_at = now
        special.begun_at = special.begun_at or now
        special.save(update_fields=["ends_at", "over_at", "begun_at"])
    audit.record(
        actor=actor,
        action="special_price.ended",
        object_type="special_price",
        object_id=special_id,
        before=before,
        after={"reason": reason, "endsAt": now.isoformat()},
        now=now,
    )
    ended = PriceChange(special_id=special_id)
    _fill(ended, actor, special, reason or "ended", now)
    ended.special_id, ended.old_amount, ended.new_amount, ended.valid_to = (
        special_id,
        old,
        None,
        now,
    )
    ended.save(force_insert=True)
    if had_begun:
        _announce(actor, special, old=old, new=_amount_now(special, now), now=now)
    bump(actor=actor, what="prices", now=now)
    return None if is_gone else special


def announce_prices(*, now: datetime) -> int:
    """
    Announce the special prices that have begun or ended since it was last done, and return how many.

    They are in force without it: it tells open pages, kept answers, and those who wait for a price. Rows are locked in
    id order; what somebody else is changing is left for the next time.
    """
    announced = 0
    while True:
        number = _announce_some(now)
        announced += number
        if number < _AT_ONCE:
            return announced


@transaction.atomic
def _announce_some(now: datetime) -> int:
    begins = Q(begun_at__isnull=True, starts_at__lte=now)
    ends = Q(over_at__isnull=True, ends_at__lte=now)
    ids = SpecialPrice.objects.filter(begins | ends).order_by("pk").values("pk")[:_AT_ONCE]
    due = list(
        SpecialPrice.objects.filter(pk__in=list(ids.values_list("pk", flat=True)))
        .filter(begins | ends)
        .select_related("variant")
        .for_update(skip_locked=True)
    )
    for special in due:
        actor = Actor.system(special.variant.company_id, source="price schedule")
        shown = _amount_now(special, now)
        is_over = special.ends_at is not None and special.ends_at <= now
        is_new = special.begun_at is None
        special.begun_at = special.begun_at or now
        if is_over:
            special.over_at = now
        if is_over and is_new and special.is_public:
            continue  # it came and went between two looks; there is nothing left to tell
        if is_over:
            _announce(actor, special, old=special.amount, new=shown, now=now)
        else:
            before = _amount_now(special, now, without=True)
            _announce(actor, special, old=before, new=shown, now=now)
    SpecialPrice.objects.bulk_update(due, ["begun_at", "over_at"])
    for company_id in sorted({special.variant.company_id for special in due}):
        bump(actor=Actor.system(company_id, source="price schedule"), what="prices", now=now)
    return len(due)


def _amount_now(special: SpecialPrice, now: datetime, *, without: bool = False) -> Decimal | None:
    """Return what everybody pays for one unit of its variant now, perhaps as if this price were not there."""
    scheduled = SpecialPrice.objects.filter(
        public(), in_force(now), variant=special.variant_id, currency=special.currency
    )
    if without:
        scheduled = scheduled.exclude(id=special.id)
    base = Price.objects.filter(variant=special.variant_id, currency=special.currency)
    amounts = [*scheduled.values_list("amount", flat=True), *base.values_list("amount", flat=True)]
    return amounts[0] if amounts else None


def _announce(
    actor: Actor, special: SpecialPrice, *, old: Decimal | None, new: Decimal | None, now: datetime
) -> None:
    shown = _amount_now(special, now)
    if not special.is_public:
        old = new = shown
    if new is None:
        return
    publish(
        PriceUpdated(
            aggregate_id=special.variant_id,
            currency=special.currency,
            old_amount=None if old is None else format_amount(old, special.currency),
            new_amount=format_amount(new, special.currency),
        ),
        actor=actor,
        now=now,
    )


def _record(
    actor: Actor,
    special: SpecialPrice,
    *,
    old: Decimal | None,
    new: Decimal | None,
    reason: str,
    now: datetime,
) -> None:
    change = PriceChange(special_id=special.id, old_amount=old, new_amount=new)
    _fill(change, actor, special, reason, now)
    change.save(force_insert=True)


def _fill(
    change: PriceChange, actor: Actor, special: SpecialPrice, reason: str, now: datetime
) -> None:
    change.variant_id, change.currency = special.variant_id, special.currency
    change.group_id, change.from_quantity = special.group_id, special.from_quantity
    change.valid_from, change.valid_to = special.starts_at, special.ends_at
    change.actor, change.reason, change.changed_at = actor.label[:80], reason[:200], now


def _facts(special: SpecialPrice) -> dict[str, object]:
    return {
        "variantId": str(special.variant_id),
        "currency": special.currency,
        "amount": format_amount(special.amount, special.currency),
        "fromQuantity": special.from_quantity,
        "groupId": str(special.group_id) if special.group_id else None,
        "startsAt": special.starts_at.isoformat(),
        "endsAt": special.ends_at.isoformat() if special.ends_at else None,
        "reason": special.reason,
    }
