"""The books of points: each change once, never below zero, oldest points first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, User
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import Basket
from pricing.errors import LoyaltyUnavailable, PointsInsufficient
from pricing.models import (
    CustomerGroup,
    CustomerGroupMember,
    LoyaltyAccount,
    LoyaltyEntry,
    LoyaltyProgram,
    LoyaltyTier,
)
from pricing.services import Purchase
from tests import factories
from tests.conftest import Api, actor_for
from tests.pricing.words import line
from tests.threads import together

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def give(staff: Actor, user: User, points: int, now: datetime, reason: str = "a gift") -> None:
    services.adjust_points(actor=staff, user_id=user.pk, points=points, reason=reason, now=now)


def purchase(user: User, goods: str = "100.00", **fields: Any) -> Purchase:
    return Purchase(
        **{
            "order_id": uuid4(),
            "user_id": user.pk,
            "placed_at": timezone.now(),
            "currency": "USD",
            "goods": Decimal(goods),
            "paid": Decimal(goods),
            "refunded": Decimal(0),
            **fields,
        }
    )


def book(user: User) -> list[tuple[str, int, int]]:
    found = LoyaltyEntry.objects.filter(account__user_id=user.pk).order_by("id")
    return list(found.values_list("kind", "points", "balance"))


def balance(user: User) -> int:
    return LoyaltyAccount.objects.get(user_id=user.pk).balance


# --- spent and back -------------------------------------------------------------------------------


def test_an_order_spends_its_points_once(staff: Actor, user: User, now: datetime) -> None:
    give(staff, user, 500, now)
    order_id = uuid4()

    for _ in range(2):
        services.spend_points(actor=staff, user_id=user.pk, order_id=order_id, points=200, now=now)

    assert book(user) == [("ADJUST", 500, 500), ("SPEND", -200, 300)]


def test_more_points_than_there_are_are_refused_and_nothing_is_written(
    staff: Actor, user: User, now: datetime
) -> None:
    give(staff, user, 100, now)

    with pytest.raises(PointsInsufficient) as refused:
        services.spend_points(actor=staff, user_id=user.pk, order_id=uuid4(), points=101, now=now)

    assert refused.value.extra == {"requested": 101, "available": 100}
    assert book(user) == [("ADJUST", 100, 100)]


def test_points_come_back_in_parts_and_never_more_than_were_spent(
    staff: Actor, user: User, now: datetime
) -> None:
    give(staff, user, 100, now)
    order_id = uuid4()
    services.spend_points(actor=staff, user_id=user.pk, order_id=order_id, points=90, now=now)

    back = [
        services.return_points(actor=staff, order_id=order_id, points=points, now=now)
        for points in (30, 30, 50, 10)
    ]
    back.append(services.return_points(actor=staff, order_id=order_id, now=now))

    assert back == [30, 30, 30, 0, 0]
    assert balance(user) == 100
    assert services.return_points(actor=staff, order_id=uuid4(), now=now) == 0


# --- earned ---------------------------------------------------------------------------------------


def test_a_purchase_earns_once_and_loses_what_its_refunds_undo(
    system: Actor, user: User, now: datetime
) -> None:
    bought = purchase(user, "99.90")

    def settle(refunded: str) -> int:
        again = purchase(user, "99.90", order_id=bought.order_id, refunded=Decimal(refunded))
        return services.settle_purchase(actor=system, purchase=again, now=now)

    assert [settle(amount) for amount in ("0", "0", "33.30", "33.30", "99.90", "99.90")] == [
        99, 0, -33, 0, -66, 0,
    ]  # fmt: skip
    assert book(user) == [("EARN", 99, 99), ("TAKE_BACK", -33, 66), ("TAKE_BACK", -66, 0)]


def test_what_was_refunded_before_it_arrived_is_not_earned(
    system: Actor, user: User, now: datetime
) -> None:
    bought = purchase(user, "50.00", refunded=Decimal("20.00"))

    assert services.settle_purchase(actor=system, purchase=bought, now=now) == 30


def test_points_that_were_spent_meanwhile_are_not_taken_back_below_zero(
    system: Actor, staff: Actor, user: User, now: datetime
) -> None:
    bought = purchase(user, "100.00")
    services.settle_purchase(actor=system, purchase=bought, now=now)
    services.spend_points(actor=system, user_id=user.pk, order_id=uuid4(), points=80, now=now)
    undone = purchase(user, "100.00", order_id=bought.order_id, refunded=Decimal("100.00"))

    assert services.settle_purchase(actor=system, purchase=undone, now=now) == -20
    assert balance(user) == 0
    give(staff, user, 10, now)  # the next event of the order finds the rest
    assert services.settle_purchase(actor=system, purchase=undone, now=now) == -10


@pytest.mark.parametrize(
    "fields", [{"currency": "EUR"}, {"goods": "0.99"}, {"goods": "0.00"}], ids=str
)
def test_what_earns_nothing_leaves_no_entry(
    system: Actor, user: User, now: datetime, fields: dict[str, str]
) -> None:
    bought = purchase(user, **fields)

    assert services.settle_purchase(actor=system, purchase=bought, now=now) == 0
    assert book(user) == []


def test_nothing_is_earned_while_points_are_switched_off(
    system: Actor, staff: Actor, user: User, now: datetime
) -> None:
    flags.switch(actor=staff, name="LOYALTY_ENABLED", enabled=False, now=now)
    flags.forget()

    assert services.settle_purchase(actor=system, purchase=purchase(user), now=now) == 0
    assert book(user) == []


# --- life -----------------------------------------------------------------------------------------


def test_the_oldest_points_go_first_and_the_rest_runs_out(
    staff: Actor, user: User, now: datetime
) -> None:
    services.set_program(
        actor=staff, points_per_unit=Decimal(1), point_value=Decimal("0.01"), life_days=10, now=now
    )
    give(staff, user, 100, now)
    give(staff, user, 50, now + 5 * DAY)
    order_id = uuid4()
    services.spend_points(actor=staff, user_id=user.pk, order_id=order_id, points=70, now=now)
    services.return_points(actor=staff, order_id=order_id, points=20, now=now)

    late = now + 10 * DAY
    spendable = selectors.points_of(company_id=staff.company_id, user_id=user.pk, now=late)
    assert spendable == 50  # though nothing has been written yet
    with pytest.raises(PointsInsufficient):
        services.spend_points(actor=staff, user_id=user.pk, order_id=uuid4(), points=51, now=late)
    assert [services.run_out_points(now=late) for _ in range(2)] == [1, 0]
    assert book(user)[-1] == ("EXPIRE", -50, 50)
    assert LoyaltyAccount.objects.get(user_id=user.pk).runs_out_at == now + 15 * DAY
    services.run_out_points(now=now + 15 * DAY)
    assert balance(user) == 0


def test_points_without_an_end_stay(staff: Actor, user: User, now: datetime) -> None:
    services.set_program(
        actor=staff,
        points_per_unit=Decimal(1),
        point_value=Decimal("0.01"),
        life_days=None,
        now=now,
    )
    give(staff, user, 100, now)

    assert services.run_out_points(now=now + 10_000 * DAY) == 0
    assert balance(user) == 100


# --- tiers ----------------------------------------------------------------------------------------


def test_a_tier_brings_its_group_and_more_points_for_a_year(
    system: Actor, company: Company, user: User, now: datetime
) -> None:
    group = CustomerGroup.objects.create(company=company, name="Gold customers")
    LoyaltyTier.objects.create(company=company, name="Silver", from_points=50)
    LoyaltyTier.objects.create(
        company=company, name="Gold", from_points=100, bonus_percent=50, group=group
    )

    def earn(goods: str, at: datetime) -> int:
        return services.settle_purchase(actor=system, purchase=purchase(user, goods), now=at)

    def is_in() -> bool:
        return CustomerGroupMember.objects.filter(group=group, user=user).exists()

    assert (earn("60.00", now), is_in()) == (60, False)
    assert (earn("40.00", now + DAY), is_in()) == (40, True)
    assert earn("10.01", now + 2 * DAY) == 15
    assert services.settle_tiers(now=now + 3 * DAY) == 0
    assert services.settle_tiers(now=now + 365.5 * DAY) == 1  # the first 60 are of another year
    assert not is_in()
    assert LoyaltyAccount.objects.get(user_id=user.pk).tier.name == "Silver"


def test_an_open_cart_follows_its_customer_into_a_tier_and_out_of_it(
    system: Actor, staff: Actor, company: Company, user: User, user_api: Api, now: datetime
) -> None:
    group = CustomerGroup.objects.create(company=company, name="Gold customers")
    tier = LoyaltyTier.objects.create(
        company=company, name="Gold", from_points=100, bonus_percent=0, group=group
    )
    LoyaltyTier.objects.create(company=company, name="Silver", from_points=50)
    factories.make_promotion().groups.add(group)  # 10 % off for them
    variant = factories.make_priced_variant("20.00", available=5)
    user_api.post("/cart")

    def discount() -> str:
        found: str = user_api.get("/cart").json()["totals"]["discountTotal"]
        return found

    user_api.post("/cart/items", {"sku": variant.sku})
    before = selectors.revision(company_id=company.id)
    services.settle_purchase(actor=system, purchase=purchase(user, "60.00"), now=now)
    assert selectors.revision(company_id=company.id) == before  # this tier has no group
    assert discount() == "0.00"
    services.settle_purchase(actor=system, purchase=purchase(user, "40.00"), now=now)
    assert selectors.revision(company_id=company.id) > before
    assert discount() == "2.00"
    services.delete_tier(actor=staff, tier_id=tier.id, now=now)
    assert discount() == "0.00"


def test_who_is_in_the_group_of_a_tier_is_not_decided_by_hand(
    staff: Actor, company: Company, user: User, now: datetime
) -> None:
    group = CustomerGroup.objects.create(company=company, name="Gold customers")
    LoyaltyTier.objects.create(company=company, name="Gold", from_points=100, group=group)

    with pytest.raises(ValidationFailed):
        services.change_group(actor=staff, group_id=group.id, add=[user.pk], now=now)
    with pytest.raises(ValidationFailed):
        services.delete_group(actor=staff, group_id=group.id, now=now)

    assert not CustomerGroupMember.objects.filter(group=group).exists()


# --- staff ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "reason"), [(0, "nothing"), (10, " "), (10, "x" * 201), (2_000_000_000, "too many")]
)
def test_an_adjustment_needs_a_reason_and_a_size(
    staff: Actor, user: User, now: datetime, points: int, reason: str
) -> None:
    with pytest.raises(ValidationFailed):
        services.adjust_points(actor=staff, user_id=user.pk, points=points, reason=reason, now=now)

    assert not LoyaltyEntry.objects.exists()
    assert not AuditEntry.objects.exists()


def test_an_adjustment_is_on_the_record_and_does_not_go_below_zero(
    staff: Actor, user: User, now: datetime
) -> None:
    give(staff, user, 30, now, "Sorry for the wait")
    with pytest.raises(PointsInsufficient):
        give(staff, user, -31, now)

    assert book(user) == [("ADJUST", 30, 30)]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("loyalty.adjusted", "Sorry for the wait")
    with pytest.raises(ValidationFailed):
        services.adjust_points(actor=staff, user_id=uuid4(), points=1, reason="who?", now=now)


def test_the_program_keeps_its_bounds(staff: Actor, now: datetime) -> None:
    for figures in ((-1, "0.01", 1), (1, "0", 1), (1, "0.01", 0)):
        rate, value, life = figures
        with pytest.raises(ValidationFailed):
            services.set_program(
                actor=staff,
                points_per_unit=Decimal(rate),
                point_value=Decimal(value),
                life_days=int(life),
                now=now,
            )

    assert not LoyaltyProgram.objects.exists()


# --- what the database itself refuses -------------------------------------------------------------


def test_entries_are_only_added(staff: Actor, user: User, now: datetime) -> None:
    give(staff, user, 100, now)

    for statement in ("UPDATE loyalty_entries SET points = 1000", "DELETE FROM loyalty_entries"):
        with (
            pytest.raises(ProgrammingError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)

    assert book(user) == [("ADJUST", 100, 100)]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "EARN", "points": 5},
        {"kind": "SPEND", "points": 5, "order_id": UUID(int=1)},
        {"kind": "RETURN", "points": 5},
        {"kind": "TAKE_BACK", "points": 5, "order_id": UUID(int=1)},
        {"kind": "ADJUST", "points": 5},
        {"kind": "ADJUST", "points": 0, "reason": "none"},
        {"kind": "SPEND", "points": -5, "order_id": UUID(int=1), "part": 1},
        {"kind": "ADJUST", "points": -5, "reason": "x", "balance": -1},
    ],
    ids=str,
)
def test_the_table_refuses_what_is_no_entry(
    staff: Actor, user: User, now: datetime, fields: dict[str, Any]
) -> None:
    give(staff, user, 100, now)
    account = LoyaltyAccount.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        LoyaltyEntry.objects.create(
            **{"account": account, "balance": 95, "actor": "x", "at": now, **fields}
        )


# --- the quote ------------------------------------------------------------------------------------


def test_a_quote_spends_no_more_than_the_customer_has(
    staff: Actor, actor_user: Actor, user: User, now: datetime
) -> None:
    give(staff, user, 300, now)

    def total(**fields: Any) -> Decimal:
        basket = Basket(lines=[line("10.00")], currency="USD", points=500, **fields)
        return services.quote(actor=actor_user, basket=basket, now=now).totals.grand_total

    assert total(user_id=user.pk) == Decimal("7.00")
    assert total() == Decimal("10.00")  # a guest has none
    flags.switch(actor=staff, name="LOYALTY_ENABLED", enabled=False, now=now)
    flags.forget()
    assert total(user_id=user.pk) == Decimal("10.00")


def test_points_of_one_company_are_worth_nothing_in_another(
    staff: Actor, user: User, now: datetime
) -> None:
    give(staff, user, 300, now)
    other = factories.make_company()

    with pytest.raises(PointsInsufficient):
        services.check_points(
            actor=actor_for(user, other), points=1, currency=other.currency, now=now
        )
    with pytest.raises(LoyaltyUnavailable):
        services.check_points(
            actor=actor_for(user, factories.default_company()), points=1, currency="EUR", now=now
        )


# --- in other currencies ---------------------------------------------------------------------------


def enter(staff: Actor, rate: str, now: datetime, *, until: datetime | None = None) -> None:
    terms = services.RateTerms(quote="EUR", rate=Decimal(rate), valid_until=until)
    services.set_exchange_rate(actor=staff, terms=terms, now=now)


def test_points_are_spent_where_a_rate_is_in_force(
    staff: Actor, user: User, actor_user: Actor, now: datetime
) -> None:
    give(staff, user, 300, now)
    enter(staff, "0.5", now, until=now + DAY)

    def spendable(at: datetime) -> int:
        return selectors.spendable_points(actor=actor_user, currency="EUR", now=at)

    def total(at: datetime) -> Decimal:
        basket = Basket(lines=[line("10.00")], currency="EUR", points=300, user_id=user.pk)
        return services.quote(actor=actor_user, basket=basket, now=at).totals.grand_total

    services.check_points(actor=actor_user, points=300, currency="EUR", now=now)
    later = now + 2 * DAY
    with pytest.raises(LoyaltyUnavailable):
        services.check_points(actor=actor_user, points=300, currency="EUR", now=later)

    assert (spendable(now), total(now)) == (300, Decimal("8.50"))
    assert (spendable(later), total(later)) == (0, Decimal("10.00"))


def test_goods_earn_at_the_rate_that_was_in_force_when_they_were_ordered(
    staff: Actor, company: Company, user: User, now: datetime
) -> None:
    enter(staff, "0.9137", now)
    enter(staff, "0.5", now + DAY)
    bought = purchase(
        user, "100.00", currency="EUR", paid=Decimal("104.90"), placed_at=now + DAY / 2
    )

    def settle(refunded: str, at: datetime) -> int:
        return services.settle_purchase(
            actor=Actor.system(company.id),
            purchase=replace(bought, refunded=Decimal(refunded)),
            now=at,
        )

    earned = settle("0", now + 2 * DAY)
    again = settle("0", now + 2 * DAY)
    taken = [settle(part, now + 3 * DAY) for part in ("0.01", "50.00", "104.90", "104.90")]

    # 100 / 0.9137 = 109.4451…
    assert (earned, again) == (109, 0)
    # ceil(109 × part ÷ 104.90), and in the end all of it
    assert taken == [-1, -51, -57, 0]
    assert book(user)[-1][2] == 0


def test_goods_of_a_time_without_a_rate_earn_nothing(
    staff: Actor, company: Company, user: User, now: datetime
) -> None:
    enter(staff, "0.5", now, until=now + DAY)
    bought = purchase(user, currency="EUR", placed_at=now + 2 * DAY)

    change = services.settle_purchase(
        actor=Actor.system(company.id), purchase=bought, now=now + 3 * DAY
    )

    assert change == 0
    assert not LoyaltyEntry.objects.exists()


# --- the API --------------------------------------------------------------------------------------


def test_customers_read_their_points(
    staff: Actor, company: Company, user: User, now: datetime, api: Api
) -> None:
    LoyaltyTier.objects.create(company=company, name="Silver", from_points=50)
    services.settle_purchase(
        actor=Actor.system(company.id), purchase=purchase(user, "40.00"), now=now
    )
    give(staff, user, 85, now, "Welcome")

    answer = api.as_user(user).get("/loyalty")

    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert {name: told[name] for name in ("balance", "worth", "currency", "pointValue")} == {
        "balance": 125,
        "worth": "1.25",
        "currency": "USD",
        "pointValue": "0.01",
    }
    assert (told["tier"], told["nextTier"]["pointsToGo"], told["yearPoints"]) == (None, 10, 40)
    assert [(entry["kind"], entry["points"]) for entry in told["entries"]] == [
        ("ADJUST", 85),
        ("EARN", 40),
    ]
    listed = api.as_user(user).get("/loyalty/entries?limit=1").json()
    assert (len(listed["results"]), listed["next"] is not None) == (1, True)
    assert api.as_user(factories.make_user()).get("/loyalty").json()["entries"] == []


def test_points_are_for_accounts_and_can_be_switched_off(
    staff: Actor, user: User, guest_api: Api, api: Api, now: datetime
) -> None:
    assert guest_api.get("/loyalty").status_code == 401
    assert guest_api.get("/loyalty/entries").status_code == 401
    flags.switch(actor=staff, name="LOYALTY_ENABLED", enabled=False, now=now)
    flags.forget()

    refused = api.as_user(user).get("/loyalty")

    assert (refused.status_code, refused.json()["code"]) == (404, "FEATURE_DISABLED")


def test_staff_adjust_points_over_the_api(user: User, api: Api) -> None:
    body = {"userId": str(user.pk), "points": 50, "reason": "Sorry"}

    assert api.as_user(user).post("/loyalty/adjust", body).status_code == 403
    helper = api.as_user(factories.make_staff(is_superuser=False))
    assert helper.post("/loyalty/adjust", body).status_code == 403  # without the permission
    manager = api.as_user(factories.make_staff(is_superuser=True))
    made = manager.post("/loyalty/adjust", body)
    assert (made.status_code, made.json()["balance"]) == (201, 50)
    refused = manager.post("/loyalty/adjust", {**body, "points": -51})
    assert (refused.status_code, refused.json()["code"]) == (409, "POINTS_INSUFFICIENT")
    assert manager.post("/loyalty/adjust", {**body, "points": 0}).status_code == 400
    assert manager.post("/loyalty/adjust", {**body, "points": "1e9"}).status_code == 400
    assert book(user) == [("ADJUST", 50, 50)]


def test_points_that_are_adjusted_by_two_presses_are_adjusted_once(
    staff: Actor, user: User, client: Client, now: datetime
) -> None:
    give(staff, user, 100, now)
    account = LoyaltyAccount.objects.get(user_id=user.pk)
    client.force_login(
        factories.make_staff(is_superuser=True),
        "allauth.account.auth_backends.AuthenticationBackend",
    )
    address = reverse("admin:pricing_loyaltyaccount_adjust", args=[account.pk])
    form = {"points": "7", "reason": "Sorry", "key": client.get(address).context["key"]}

    answers = [client.post(address, form).status_code for _ in range(2)]

    account.refresh_from_db()
    assert (answers, account.balance) == ([302, 302], 107)


# --- many at once ---------------------------------------------------------------------------------


def _race(staff: Actor, user: User, now: datetime) -> list[bool]:
    give(staff, user, 100, now)

    def spend(index: int) -> bool:
        try:
            services.spend_points(
                actor=staff, user_id=user.pk, order_id=uuid4(), points=100, now=now
            )
        except (PointsInsufficient, IntegrityError):
            return False
        return True

    return together(20, spend)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_of_twenty_orders_at_once_one_spends_the_points(
    company: Company, staff: Actor, user: User, now: datetime
) -> None:
    assert sum(_race(staff, user, now)) == 1
    assert book(user) == [("ADJUST", 100, 100), ("SPEND", -100, 0)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_without_the_lock_points_are_spent_more_than_once(
    company: Company, staff: Actor, user: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the lock of the account is for."""
    from pricing.services import loyalty

    def unlocked(company_id: UUID, user_id: UUID) -> LoyaltyAccount:
        account = LoyaltyAccount.objects.filter(user_id=user_id).first()
        return account or LoyaltyAccount.objects.create(company_id=company_id, user_id=user_id)

    monkeypatch.setattr(loyalty, "_lock", unlocked)

    assert sum(_race(staff, user, now)) > 1
