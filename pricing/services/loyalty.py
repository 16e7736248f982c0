"""
Points of customers: earned, spent, given back, taken back, run out, adjusted.

Every change is an entry and the new balance, written under the lock of the customer's account. Lock order: the account
comes after promotions and before stock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Sum

from config.platform import audit, flags
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import User, new_id
from inventory.models import Company
from pricing.errors import LoyaltyTierNotFound, LoyaltyUnavailable, PointsInsufficient
from pricing.models import (
    CustomerGroup,
    CustomerGroupMember,
    LoyaltyAccount,
    LoyaltyEntry,
    LoyaltyProgram,
    LoyaltyTier,
)
from pricing.selectors.exchange import rate_in_force
from pricing.selectors.loyalty import (
    LOYALTY_FLAG,
    MOST_POINTS,
    YEAR,
    points_of,
    program_of,
    takes_points,
    tier_of,
)
from pricing.services.revision import bump

Kind = LoyaltyEntry.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """
    What an order tells about points: when it was placed, what its goods cost after discounts and without added tax, what
    was paid, and what of that went back.
    """

    order_id: UUID
    user_id: UUID
    placed_at: datetime
    currency: str
    goods: Decimal
    paid: Decimal
    refunded: Decimal


def check_points(*, actor: Actor, points: int, currency: str, now: datetime) -> None:
    """
    Refuse points that this customer cannot spend on a cart in this currency.

    :raises FeatureDisabled: while points are switched off
    :raises LoyaltyUnavailable: if points are worth nothing in this currency: no exchange rate is in force
    :raises PointsInsufficient: if the customer has fewer
    """
    flags.require(LOYALTY_FLAG)
    if not takes_points(company_id=actor.company_id, currency=currency, now=now):
        raise LoyaltyUnavailable(extra={"currency": currency})
    available = (
        0
        if actor.user_id is None
        else points_of(company_id=actor.company_id, user_id=actor.user_id, now=now)
    )
    if points > available:
        raise PointsInsufficient(extra={"requested": points, "available": available})


@transaction.atomic
def spend_points(
    *, actor: Actor, user_id: UUID, order_id: UUID, points: int, now: datetime
) -> LoyaltyEntry:
    """
    Take the points of an order off the customer's account. Doing it twice for one order takes them once.

    Locks the account: take order and promotion locks before, stock locks after.

    :raises PointsInsufficient: if the customer has fewer by now; nothing is written
    """
    account = _lock(actor.company_id, user_id)
    spent = LoyaltyEntry.objects.filter(order_id=order_id, kind=Kind.SPEND).first()
    if spent is not None:
        return spent
    _let_run_out(account, now=now)
    if account.balance < points:
        raise PointsInsufficient(extra={"requested": points, "available": account.balance})
    return _post(account, Kind.SPEND, -points, actor=actor, now=now, order_id=order_id)


@transaction.atomic
def return_points(
    *, actor: Actor, order_id: UUID, points: int | None = None, reason: str = "", now: datetime
) -> int:
    """
    Give back points that an order spent, or all that are not back yet, and return how many came back.

    Never more than it spent, however often it is asked. They keep the life they had. Locks the account.
    """
    spent = LoyaltyEntry.objects.select_related("account").filter(
        order_id=order_id, kind=Kind.SPEND
    )
    entry = spent.first()
    if entry is None:
        return 0
    account = _lock(entry.account.company_id, entry.account.user_id)
    back = _sum(order_id, Kind.RETURN)
    left = -entry.points - back
    count = left if points is None else min(points, left)
    if count <= 0:
        return 0
    _post(
        account,
        Kind.RETURN,
        count,
        actor=actor,
        now=now,
        order_id=order_id,
        part=back,
        reason=reason,
    )
    return count


@transaction.atomic
def settle_purchase(*, actor: Actor, purchase: Purchase, now: datetime) -> int:
    """
    Let a delivered order earn its points, or take back what its refunds undid; return the change.

    `floor(goods × points per unit × (100 + bonus of the tier) %)` are earned once; goods in another currency than the
    company's own count at the exchange rate that was in force when they were ordered, not rounded, and earn nothing where
    there was none. Of these go back
    `ceil(earned × refunded ÷ paid)`, as far as the customer still has points: a balance is never negative. Safe to
    repeat. Locks the account. While points are switched off nothing is earned.
    """
    earned = LoyaltyEntry.objects.filter(order_id=purchase.order_id, kind=Kind.EARN).first()
    change = 0
    if earned is None:
        company = Company.objects.get(pk=actor.company_id)
        goods = _at_home(purchase, company)
        if not flags.is_enabled(LOYALTY_FLAG) or goods is None:
            return 0
        account = _lock(company.id, purchase.user_id)
        earned = LoyaltyEntry.objects.filter(order_id=purchase.order_id, kind=Kind.EARN).first()
        if earned is None:
            program = program_of(company_id=company.id)
            tier = tier_of(account, now=now)
            points = math.floor(
                goods
                * Fraction(program.points_per_unit)
                * (100 + (tier.bonus_percent if tier else 0))
                / 100
            )
            change = min(points, MOST_POINTS - account.balance)
            if change <= 0:
                return 0
            earned = _post(
                account,
                Kind.EARN,
                change,
                actor=actor,
                now=now,
                order_id=purchase.order_id,
                expires_at=_end_of_life(program, now),
            )
    else:
        account = _lock(actor.company_id, purchase.user_id)
    taken = -_sum(purchase.order_id, Kind.TAKE_BACK)
    due = (
        math.ceil(earned.points * Fraction(purchase.refunded) / Fraction(purchase.paid))
        if purchase.paid
        else 0
    )
    count = min(due - taken, account.balance)
    if count > 0:
        _post(
            account,
            Kind.TAKE_BACK,
            -count,
            actor=actor,
            now=now,
            order_id=purchase.order_id,
            part=taken,
        )
        change -= count
    if change:
        _settle_tier(account, now=now)
    return change


def _at_home(purchase: Purchase, company: Company) -> Fraction | None:
    """Return what goods cost in the company's own currency, exactly; None without a rate when they were ordered."""
    goods = Fraction(purchase.goods)
    if purchase.currency == company.currency:
        return goods
    found = rate_in_force(
        company_id=company.id,
        base=company.currency,
        quote=purchase.currency,
        now=purchase.placed_at,
    )
    return None if found is None else goods / Fraction(found.rate)


@transaction.atomic
def adjust_points(
    *, actor: Actor, user_id: UUID, points: int, reason: str, now: datetime
) -> LoyaltyEntry:
    """
    Give a customer points, or take some, for a reason that the customer reads. Locks the account.

    :raises ValidationFailed: if there is no such customer, no reason, nothing to change or too much
    :raises PointsInsufficient: if the customer has fewer than are to be taken
    """
    reason = " ".join(reason.replace("\x00", "").split())
    errors = []
    if not User.objects.filter(pk=user_id, is_active=True).exists():
        errors.append(FieldError("userId", "invalid", "There is no such customer."))
    if not 0 < abs(points) <= MOST_POINTS:
        errors.append(FieldError("points", "invalid", "Say how many points, but not none."))
    if not 0 < len(reason) <= 200:
        errors.append(FieldError("reason", "required", "1 to 200 characters."))
    if errors:
        raise ValidationFailed(errors=errors)
    account = _lock(actor.company_id, user_id)
    _let_run_out(account, now=now)
    before = account.balance
    if before + points < 0:
        raise PointsInsufficient(extra={"requested": -points, "available": before})
    if before + points > MOST_POINTS:
        raise ValidationFailed(
            errors=[FieldError("points", "max_value", "Nobody can have so many points.")]
        )
    entry = _post(
        account,
        Kind.ADJUST,
        points,
        actor=actor,
        now=now,
        reason=reason,
        expires_at=_end_of_life(program_of(company_id=actor.company_id), now)
        if points > 0
        else None,
    )
    audit.record(
        actor=actor,
        action="loyalty.adjusted",
        object_type="loyalty_account",
        object_id=account.id,
        before={"points": before},
        after={"points": account.balance},
        reason=reason,
        now=now,
    )
    return entry


@transaction.atomic
def set_program(
    *,
    actor: Actor,
    points_per_unit: Decimal,
    point_value: Decimal,
    life_days: int | None,
    now: datetime,
) -> LoyaltyProgram:
    """
    Decide how points are earned and what they are worth from now on; points that are there keep their life.

    :raises ValidationFailed: if a figure is out of its bounds
    """
    errors = []
    if not 0 <= points_per_unit <= 100_000:
        errors.append(FieldError("points_per_unit", "invalid", "From 0 to 100,000."))
    if not 0 < point_value <= 100_000:
        errors.append(FieldError("point_value", "invalid", "Above 0, up to 100,000."))
    if life_days is not None and not 1 <= life_days <= 36_500:
        errors.append(FieldError("life_days", "invalid", "From 1 to 36,500 days."))
    if errors:
        raise ValidationFailed(errors=errors)
    LoyaltyProgram.objects.get_or_create(company_id=actor.company_id)
    program = LoyaltyProgram.objects.select_for_update().get(company_id=actor.company_id)
    names = ("points_per_unit", "point_value", "life_days")
    before = {name: getattr(program, name) for name in names}
    program.points_per_unit = points_per_unit
    program.point_value = point_value
    program.life_days = life_days
    program.save()
    audit.record(
        actor=actor,
        action="loyalty_program.changed",
        object_type="loyalty_program",
        object_id=program.pk,
        before=before,
        after={name: getattr(program, name) for name in names},
        now=now,
    )
    bump(actor=actor, what="loyalty", now=now)
    return program


@transaction.atomic
def set_tier(
    *,
    actor: Actor,
    tier_id: UUID | None,
    name: str,
    from_points: int,
    bonus_percent: int,
    group_id: UUID | None,
    now: datetime,
) -> LoyaltyTier:
    """
    Make a tier, or change one. Who belongs to it is settled anew within the hour, and so is who is in its group.

    :raises LoyaltyTierNotFound: if the company has no such tier
    :raises ValidationFailed: if name, points or group are another tier's, or a figure is out of its bounds
    """
    tier = LoyaltyTier(company_id=actor.company_id) if tier_id is None else _tier(actor, tier_id)
    names = ("name", "from_points", "bonus_percent", "group_id")
    before = {} if tier_id is None else {each: getattr(tier, each) for each in names}
    errors = []
    if not 0 < len(name.strip()) <= 60:
        errors.append(FieldError("name", "invalid", "1 to 60 characters."))
    if not 1 <= from_points <= MOST_POINTS:
        errors.append(FieldError("from_points", "invalid", "At least 1."))
    if not 0 <= bonus_percent <= 1_000:
        errors.append(FieldError("bonus_percent", "invalid", "From 0 to 1,000."))
    own = CustomerGroup.objects.filter(company_id=actor.company_id)
    if group_id is not None and not own.filter(pk=group_id).exists():
        errors.append(FieldError("group", "invalid", "There is no such group."))
    if errors:
        raise ValidationFailed(errors=errors)
    touched = {tier.group_id, group_id} - {None} if tier.group_id != group_id else set()
    tier.name, tier.from_points = name.strip(), from_points
    tier.bonus_percent, tier.group_id = bonus_percent, group_id
    try:
        with transaction.atomic():
            tier.save()
    except IntegrityError:
        raise ValidationFailed(
            "Another tier has this name, begins with these points, or has this group."
        ) from None
    _settle_anew(tier, touched, actor=actor, now=now)
    audit.record(
        actor=actor,
        action="loyalty_tier.changed" if before else "loyalty_tier.created",
        object_type="loyalty_tier",
        object_id=tier.id,
        before=before,
        after={each: getattr(tier, each) for each in names},
        now=now,
    )
    return tier


@transaction.atomic
def delete_tier(*, actor: Actor, tier_id: UUID, now: datetime) -> None:
    """
    Remove a tier; its group stays, without members.

    :raises LoyaltyTierNotFound: if the company has no such tier
    """
    tier = _tier(actor, tier_id)
    _settle_anew(tier, {tier.group_id} - {None}, actor=actor, now=now)
    audit.record(
        actor=actor,
        action="loyalty_tier.deleted",
        object_type="loyalty_tier",
        object_id=tier.id,
        before={"name": tier.name, "from_points": tier.from_points},
        now=now,
    )
    tier.delete()


def _tier(actor: Actor, tier_id: UUID) -> LoyaltyTier:
    tier = (
        LoyaltyTier.objects.select_for_update()
        .filter(company_id=actor.company_id, pk=tier_id)
        .first()
    )
    if tier is None:
        raise LoyaltyTierNotFound
    return tier


def _settle_anew(
    tier: LoyaltyTier, groups: Collection[UUID | None], *, actor: Actor, now: datetime
) -> None:
    """Empty groups whose members follow from another tier from now on; `settle_tiers` finds who belongs where."""
    CustomerGroupMember.objects.filter(group__in=list(groups)).delete()
    if groups:
        LoyaltyAccount.objects.filter(tier=tier).update(tier=None)
        bump(actor=actor, what="loyalty tiers", now=now)


def run_out_points(*, now: datetime, limit: int = 500) -> int:
    """
    Write down which points have run out, account by account in a transaction each; return how many accounts changed.

    Nobody waits for it: what ran out cannot be spent before either. Accounts that are in use are left for next time.
    """
    due = LoyaltyAccount.objects.filter(runs_out_at__lte=now).order_by("runs_out_at", "pk")
    changed = 0
    for account_id in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            account = (
                LoyaltyAccount.objects.filter(pk=account_id).for_update(skip_locked=True).first()
            )
            if account is not None:
                changed += _let_run_out(account, now=now) > 0
    return changed


def settle_tiers(*, now: datetime, limit: int = 500) -> int:
    """
    Let customers whose points of a year no longer are those of their tier leave it, or reach another; return how many.

    One statement finds them; each is moved in a transaction of its own.
    """
    moved = 0
    for account_id in _out_of_tier(now, limit):
        with transaction.atomic():
            account = LoyaltyAccount.objects.filter(pk=account_id).for_update().get()
            moved += _settle_tier(account, now=now)
    return moved


# --- under the lock -------------------------------------------------------------------------------


def _lock(company_id: UUID, user_id: UUID) -> LoyaltyAccount:
    """Return the customer's account, made if need be, locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO loyalty_accounts (id, company_id, user_id, balance) VALUES (%s, %s, %s, 0)"
            " ON CONFLICT (user_id, company_id) DO NOTHING",
            [new_id(), company_id, user_id],
        )
    account: LoyaltyAccount = (
        LoyaltyAccount.objects.filter(company_id=company_id, user_id=user_id).for_update().get()
    )
    return account


def _post(
    account: LoyaltyAccount,
    kind: str,
    points: int,
    *,
    actor: Actor,
    now: datetime,
    order_id: UUID | None = None,
    part: int = 0,
    reason: str = "",
    expires_at: datetime | None = None,
) -> LoyaltyEntry:
    account.balance += points
    entry = LoyaltyEntry.objects.create(
        account=account,
        kind=kind,
        points=points,
        balance=account.balance,
        order_id=order_id,
        part=part,
        reason=reason[:200],
        actor=actor.label[:80],
        at=now,
        expires_at=expires_at,
    )
    account.runs_out_at = _oldest_end(account)
    account.save(update_fields=["balance", "runs_out_at"])
    return entry


def _lots(account: LoyaltyAccount) -> Iterable[tuple[datetime | None, int]]:
    """
    Yield the points that are left, by when they run out, the first first.

    Whatever is spent, taken or run out comes off the oldest points; what came back goes to them again.
    """
    entries = LoyaltyEntry.objects.filter(account=account)
    gained = Q(kind=Kind.EARN) | Q(kind=Kind.ADJUST, points__gt=0)
    gone = -(entries.exclude(gained).aggregate(points=Sum("points"))["points"] or 0)
    lots = entries.filter(gained).values_list("expires_at", "points")
    for expires_at, points in sorted(lots, key=lambda lot: (lot[0] is None, lot[0])):
        left = points - gone
        gone = max(-left, 0)
        if left > 0:
            yield expires_at, left


def _oldest_end(account: LoyaltyAccount) -> datetime | None:
    return next((expires_at for expires_at, _ in _lots(account)), None)


def _let_run_out(account: LoyaltyAccount, *, now: datetime) -> int:
    """Write down the points of a locked account that have run out, and return how many."""
    if account.runs_out_at is None or account.runs_out_at > now:
        return 0
    points = sum(left for end, left in _lots(account) if end is not None and end <= now)
    if points:
        system = Actor.system(account.company_id, source="loyalty")
        _post(account, Kind.EXPIRE, -points, actor=system, now=now)
    return points


def _settle_tier(account: LoyaltyAccount, *, now: datetime) -> bool:
    """
    Put the customer of a locked account into the tier of their points of a year, and into its group.

    Who joins or leaves a group has other promotions, so the revision rises and no kept quote outlives that.
    """
    tier = tier_of(account, now=now)
    if account.tier_id == (tier.id if tier else None):
        return False
    left = LoyaltyTier.objects.filter(company_id=account.company_id).exclude(group=None)
    groups = [each.group_id for each in left if tier is None or each.id != tier.id]
    lost, _ = CustomerGroupMember.objects.filter(group__in=groups, user_id=account.user_id).delete()
    joined = None if tier is None else tier.group_id
    if joined is not None:
        CustomerGroupMember.objects.bulk_create(
            [CustomerGroupMember(group_id=joined, user_id=account.user_id)], ignore_conflicts=True
        )
    account.tier = tier
    account.save(update_fields=["tier"])
    if lost or joined:
        bump(
            actor=Actor.system(account.company_id, source="loyalty"), what="loyalty tiers", now=now
        )
    return True


def _out_of_tier(now: datetime, limit: int) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT account.id
              FROM loyalty_accounts account
              LEFT JOIN LATERAL (
                   SELECT coalesce(sum(entry.points), 0) AS points FROM loyalty_entries entry
                    WHERE entry.account_id = account.id AND entry.kind IN ('EARN', 'TAKE_BACK') AND entry.at > %s
              ) year ON true
              LEFT JOIN LATERAL (
                   SELECT tier.id FROM loyalty_tiers tier
                    WHERE tier.company_id = account.company_id AND tier.from_points <= year.points
                    ORDER BY tier.from_points DESC LIMIT 1
              ) reached ON true
             WHERE account.tier_id IS DISTINCT FROM reached.id
             ORDER BY account.id LIMIT %s
            """,
            [now - YEAR, limit],
        )
        return [account_id for (account_id,) in cursor.fetchall()]


def _sum(order_id: UUID, kind: str) -> int:
    found = LoyaltyEntry.objects.filter(order_id=order_id, kind=kind)
    return int(found.aggregate(points=Sum("points"))["points"] or 0)


def _end_of_life(program: LoyaltyProgram, now: datetime) -> datetime | None:
    return None if program.life_days is None else now + timedelta(days=program.life_days)
