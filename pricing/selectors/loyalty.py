"""What customers have in points, what these are worth, and which tier they have reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import AuthRequired
from config.platform.models import User
from inventory.models import Company
from pricing.models import LoyaltyAccount, LoyaltyEntry, LoyaltyProgram, LoyaltyTier
from pricing.money import exponent, from_minor
from pricing.selectors.catalogue import home_currency
from pricing.selectors.exchange import rate_in_force

LOYALTY_FLAG = "LOYALTY_ENABLED"  # CFG-57
YEAR = timedelta(days=365)
MOST_POINTS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Loyalty:
    """
    A customer's points at one moment. `worth` is what they take off goods in `currency`.

    `next_tier` is the one above, `points_to_go` how many more points of this year reach it. `ending_points` run out at
    `ending_at`.
    """

    balance: int
    worth: Decimal
    currency: str
    point_value: Decimal
    points_per_unit: Decimal
    year_points: int
    tier: LoyaltyTier | None
    next_tier: LoyaltyTier | None
    ending_at: datetime | None

    @property
    def points_to_go(self) -> int:
        return self.next_tier.from_points - self.year_points if self.next_tier else 0


def program_of(*, company_id: UUID) -> LoyaltyProgram:
    """Return how a company's points are earned and what they are worth; unsaved where nothing was decided."""
    found = LoyaltyProgram.objects.filter(company_id=company_id).first()
    return found if found is not None else LoyaltyProgram(company_id=company_id)


def points_of(*, company_id: UUID, user_id: UUID, now: datetime) -> int:
    """Return how many points a customer can spend: what has run out does not count, written down or not."""
    account = LoyaltyAccount.objects.filter(company_id=company_id, user_id=user_id).first()
    return 0 if account is None else _spendable(account, now)


def spendable_points(*, actor: Actor, currency: str, now: datetime) -> int:
    """Return how many points the caller could spend on goods in a currency; none for guests. At most three statements."""
    if actor.user_id is None or not flags.is_enabled(LOYALTY_FLAG):
        return 0
    points = points_of(company_id=actor.company_id, user_id=actor.user_id, now=now)
    if not points or not takes_points(company_id=actor.company_id, currency=currency, now=now):
        return 0
    return points


def takes_points(*, company_id: UUID, currency: str, now: datetime) -> bool:
    """
    Return whether points are worth something in a currency: it is the company's own, or a rate to it is in force.

    At most one statement, and one more now and then.
    """
    home = home_currency(company_id=company_id)
    return currency == home or (
        rate_in_force(company_id=company_id, base=home, quote=currency, now=now) is not None
    )


def _spendable(account: LoyaltyAccount, now: datetime) -> int:
    if account.runs_out_at is None or account.runs_out_at > now:
        return int(account.balance)
    gained = Q(kind=LoyaltyEntry.Kind.EARN) | Q(kind=LoyaltyEntry.Kind.ADJUST, points__gt=0)
    sums = LoyaltyEntry.objects.filter(account=account).aggregate(
        over=Sum("points", filter=gained & Q(expires_at__lte=now)),
        gone=Sum("points", filter=~gained),
    )
    return int(account.balance - max((sums["over"] or 0) + (sums["gone"] or 0), 0))


def loyalty_of(*, actor: Actor, now: datetime) -> Loyalty:
    """
    Return the caller's own points and tier: five statements.

    :raises FeatureDisabled: while points are switched off
    :raises AuthRequired: if the caller has no account
    """
    flags.require(LOYALTY_FLAG)
    if actor.user_id is None:
        raise AuthRequired("Points belong to an account. Sign in.")
    currency = Company.objects.values_list("currency", flat=True).get(pk=actor.company_id)
    program = program_of(company_id=actor.company_id)
    account = LoyaltyAccount.objects.filter(
        company_id=actor.company_id, user_id=actor.user_id
    ).first()
    balance = 0 if account is None else _spendable(account, now)
    earned = 0 if account is None else _year_points(account, now)
    tiers = list(LoyaltyTier.objects.filter(company_id=actor.company_id).order_by("from_points"))
    return Loyalty(
        balance=balance,
        worth=from_minor(
            math.floor(balance * program.point_value * 10 ** exponent(currency)), currency
        ),
        currency=currency,
        point_value=program.point_value,
        points_per_unit=program.points_per_unit,
        year_points=earned,
        tier=next((tier for tier in reversed(tiers) if tier.from_points <= earned), None),
        next_tier=next((tier for tier in tiers if tier.from_points > earned), None),
        ending_at=account.runs_out_at if account and balance else None,
    )


def loyalty_entries(*, actor: Actor, user_id: UUID) -> QuerySet[LoyaltyEntry]:
    """Return the entries of one customer of the caller's company."""
    return LoyaltyEntry.objects.filter(
        account__company_id=actor.company_id, account__user_id=user_id
    ).order_by("-id")


def loyalty_accounts(*, actor: Actor) -> QuerySet[LoyaltyAccount]:
    """Return the accounts of the caller's company, each with its customer's `mail`."""
    mails = User.objects.filter(pk=OuterRef("user_id")).values("email")
    found: QuerySet[LoyaltyAccount] = LoyaltyAccount.objects.filter(company_id=actor.company_id)
    return found.annotate(mail=Subquery(mails))


def tier_of(account: LoyaltyAccount, *, now: datetime) -> LoyaltyTier | None:
    """Return the tier that an account has reached by what it earned in a year: two statements."""
    return (
        LoyaltyTier.objects.filter(
            company_id=account.company_id, from_points__lte=_year_points(account, now)
        )
        .order_by("-from_points")
        .first()
    )


def _year_points(account: LoyaltyAccount, now: datetime) -> int:
    kinds = [LoyaltyEntry.Kind.EARN, LoyaltyEntry.Kind.TAKE_BACK]
    found = LoyaltyEntry.objects.filter(account=account, kind__in=kinds, at__gt=now - YEAR)
    return int(found.aggregate(points=Sum("points"))["points"] or 0)
