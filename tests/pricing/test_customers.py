"""Who a customer is to a promotion: one person with many addresses, groups, first orders, new accounts, certain hours."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import User
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import Basket, Line
from pricing.errors import DiscountLimitReached
from pricing.models import CustomerOrder, Promotion, PromotionUse
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(company: Company) -> Actor:
    return Actor.system(company.id)


def basket(*codes: str, **fields: Any) -> Basket:
    line = Line(
        id=UUID(int=1),
        variant_id=UUID(int=2),
        product_id=UUID(int=3),
        sku="A",
        quantity=1,
        unit_price=Decimal(100),
    )
    return Basket(lines=(line,), currency="USD", codes=codes, **fields)


def saved(actor: Actor, now: datetime, **customer: Any) -> Decimal | str:
    quote = services.quote(actor=actor, basket=basket("CODE", **customer), now=now)
    if quote.not_applied:
        return quote.not_applied[0].reason
    return quote.totals.discount_total


def buy(actor: Actor, now: datetime, *keys: str, codes: tuple[str, ...] = ("CODE",)) -> UUID:
    order_id = uuid4()
    # Quoted for somebody unknown, so that the limit is met when the order is placed.
    quote = services.quote(actor=actor, basket=basket(*codes), now=now)
    services.redeem(actor=actor, order_id=order_id, quote=quote, customer_keys=keys, now=now)
    return order_id


def make_user(email: str) -> User:
    return User.objects.create_user(email, "a-long-password")


# --- the same customer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        (" ann@example.com ", "ann@example.com"),
        ("ann+shop@example.com", "ann@example.com"),
        ("ann+a+b@example.com", "ann@example.com"),
        ("\uff41nn@example.com", "ann@example.com"),  # a full-width letter
        ("a.n.n@gmail.com", "ann@gmail.com"),
        ("a.nn+x@googlemail.com", "ann@gmail.com"),
        ("a.n.n@example.com", "a.n.n@example.com"),  # elsewhere dots tell people apart
        ("+only@example.com", "+only@example.com"),
        ('"odd@name"@example.com', '"odd@name"@example.com'),
        ("no-address", "no-address"),
    ],
)
def test_addresses_that_reach_one_mailbox_are_one(address: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT same_address(%s)", [address])
        assert cursor.fetchone() == (name,)


@pytest.mark.parametrize(
    "second",
    [
        ["email:ANN+2@example.com"],
        ["email:other@example.com", "session:ab"],
        ["user:{account}"],
        ["user:{account}", "email:third@example.com"],
    ],
)
def test_one_customer_has_one_use_whatever_name_is_given(
    staff: Actor, now: datetime, second: list[str]
) -> None:
    account = make_user("ann@example.com")
    factories.make_promotion("CODE", per_customer_limit=1)
    buy(staff, now, "email:ann+1@example.com", "session:ab")
    names = [name.format(account=account.id) for name in second]

    with pytest.raises(DiscountLimitReached):
        buy(staff, now, *names)

    assert PromotionUse.objects.count() == CustomerOrder.objects.count() == 1
    assert saved(staff, now, customer_keys=names) == "used_up"
    assert saved(staff, now, customer_keys=["email:bob@example.com"]) == Decimal("10.00")


def test_an_account_is_known_by_its_address_when_it_comes_back_as_a_guest(
    staff: Actor, now: datetime
) -> None:
    account = make_user("ann@example.com")
    factories.make_promotion("CODE", per_customer_limit=1)
    buy(staff, now, f"user:{account.id}")

    with pytest.raises(DiscountLimitReached):
        buy(staff, now, "email:Ann@example.com")


def test_a_limit_per_customer_is_not_set_below_what_one_has_used(
    staff: Actor, now: datetime
) -> None:
    promotion = factories.make_promotion("CODE", per_customer_limit=2)
    buy(staff, now, "email:ann@example.com")
    buy(staff, now, "email:ann+b@example.com")
    terms = dataclasses.replace(selectors.promotion_terms(promotion), per_customer_limit=1)

    with pytest.raises(ValidationFailed) as refused:
        services.change_promotion(actor=staff, promotion_id=promotion.id, terms=terms, now=now)

    assert [error.field for error in refused.value.errors] == ["perCustomerLimit"]
    promotion.refresh_from_db()
    assert promotion.per_customer_limit == 2


# --- first orders -----------------------------------------------------------------------------------


def test_the_first_order_is_one_only_once(staff: Actor, now: datetime) -> None:
    factories.make_promotion("CODE", first_order_only=True)
    ann = ["email:ann@example.com"]
    assert saved(staff, now, customer_keys=ann) == Decimal("10.00")

    first = buy(staff, now, *ann)

    assert saved(staff, now, customer_keys=ann) == "not_eligible"
    with pytest.raises(DiscountLimitReached):
        buy(staff, now, *ann)
    assert PromotionUse.objects.filter(returned_at=None).count() == 1

    services.return_uses(actor=staff, order_id=first, now=now)
    services.return_uses(actor=staff, order_id=first, now=now)
    assert saved(staff, now, customer_keys=ann) == Decimal("10.00")
    assert Promotion.objects.get().used_count == 0


def test_an_order_without_a_promotion_is_an_order_too(staff: Actor, now: datetime) -> None:
    factories.make_promotion("CODE", first_order_only=True)

    buy(staff, now, "email:ann@example.com", codes=())

    assert CustomerOrder.objects.count() == 1
    assert saved(staff, now, customer_keys=["email:ann@example.com"]) == "not_eligible"


def test_orders_at_another_company_do_not_count(staff: Actor, now: datetime) -> None:
    elsewhere = Actor.system(factories.make_company().id)
    buy(elsewhere, now, "email:ann@example.com", codes=())
    factories.make_promotion("CODE", first_order_only=True)

    assert saved(staff, now, customer_keys=["email:ann@example.com"]) == Decimal("10.00")


# --- groups and new accounts ------------------------------------------------------------------------


def test_a_promotion_for_a_group_is_for_its_members(staff: Actor, now: datetime) -> None:
    ann, bob = make_user("ann@example.com"), make_user("bob@example.com")
    group = services.create_group(actor=staff, name="VIP", now=now)
    terms = selectors.promotion_terms(factories.make_promotion("OTHER"))
    services.create_promotion(
        actor=staff,
        terms=dataclasses.replace(terms, group_ids=(group.id,), codes=("CODE",)),
        now=now,
    )
    assert saved(staff, now, user_id=ann.id) == "not_eligible"

    services.change_group(actor=staff, group_id=group.id, add=[ann.id], now=now)

    assert saved(staff, now, user_id=ann.id) == Decimal("10.00")
    assert saved(staff, now, user_id=bob.id) == "not_eligible"
    assert saved(staff, now) == "not_eligible"


def test_joining_a_group_moves_the_revision_by_which_carts_keep_their_quotes(
    staff: Actor, now: datetime
) -> None:
    group = services.create_group(actor=staff, name="VIP", now=now)
    before = selectors.revision(company_id=staff.company_id)

    services.change_group(
        actor=staff, group_id=group.id, add=[make_user("ann@example.com").id], now=now
    )

    assert selectors.revision(company_id=staff.company_id) > before


def test_a_group_with_a_promotion_stays_because_without_it_the_promotion_would_be_for_all(
    staff: Actor, now: datetime
) -> None:
    group = services.create_group(actor=staff, name="VIP", now=now)
    factories.make_promotion("CODE").groups.add(group)

    with pytest.raises(ValidationFailed):
        services.delete_group(actor=staff, group_id=group.id, now=now)

    group.refresh_from_db()


def test_a_promotion_for_new_customers_looks_at_the_age_of_the_account(
    staff: Actor, now: datetime
) -> None:
    ann = make_user("ann@example.com")
    User.objects.filter(id=ann.id).update(created_at=now - timedelta(days=6))
    factories.make_promotion("CODE", new_customer_days=7)

    assert saved(staff, now, user_id=ann.id) == Decimal("10.00")
    assert saved(staff, now + timedelta(days=1), user_id=ann.id) == "not_eligible"
    assert saved(staff, now) == "not_eligible"


# --- hours ------------------------------------------------------------------------------------------


def test_hours_are_those_of_the_company(staff: Actor) -> None:
    factories.make_promotion("CODE", weekdays=[5], opens_at=time(9), closes_at=time(17))
    services.set_time_zone(
        actor=staff, time_zone="America/New_York", now=datetime(2026, 11, 20, tzinfo=UTC)
    )

    assert saved(staff, datetime(2026, 11, 20, 13, 59, tzinfo=UTC)) == "outside_hours"
    assert saved(staff, datetime(2026, 11, 20, 14, 0, tzinfo=UTC)) == Decimal("10.00")
    assert saved(staff, datetime(2026, 11, 20, 22, 0, tzinfo=UTC)) == "outside_hours"
    # in summer New York is an hour nearer
    assert saved(staff, datetime(2026, 7, 3, 13, 0, tzinfo=UTC)) == Decimal("10.00")


def test_there_are_only_time_zones_that_exist(staff: Actor, now: datetime) -> None:
    with pytest.raises(ValidationFailed):
        services.set_time_zone(actor=staff, time_zone="Middle/Earth", now=now)


# --- what makes no sense ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"weekdays": (0,)}, "weekdays"),
        ({"weekdays": (8,)}, "weekdays"),
        ({"opens_at": time(9)}, "closesAt"),
        ({"closes_at": time(9)}, "opensAt"),
        ({"opens_at": time(9, 0, 30), "closes_at": time(17)}, "opensAt"),
        ({"minimum_quantity": 0}, "minimumQuantity"),
        ({"new_customer_days": 0}, "newCustomerDays"),
        ({"group_ids": (UUID(int=1),)}, "groupIds"),
        ({"excluded_product_ids": (UUID(int=1),)}, "excludedProductIds"),
        ({"excluded_category_ids": (UUID(int=1),)}, "excludedCategoryIds"),
    ],
)
def test_terms_that_make_no_sense_are_refused(
    staff: Actor, now: datetime, change: dict[str, Any], field: str
) -> None:
    terms = selectors.promotion_terms(factories.make_promotion("CODE"))

    with pytest.raises(ValidationFailed) as refused:
        services.create_promotion(
            actor=staff, terms=dataclasses.replace(terms, codes=("NEW",), **change), now=now
        )

    assert [error.field for error in refused.value.errors] == [field]
    assert Promotion.objects.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"weekdays": [8]},
        {"opens_at": time(9)},
        {"minimum_order": Decimal(-1)},
        {"maximum_discount": Decimal(-1)},
        {"usage_limit": 0},
        {"per_customer_limit": 0},
        {"minimum_quantity": 0},
        {"new_customer_days": 0},
        {"value": Decimal(101)},
        {"value": Decimal(-1)},
    ],
)
def test_the_database_refuses_them_too(company: Company, fields: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        factories.make_promotion("CODE", **fields)


def test_a_promotion_that_was_used_does_not_become_another(staff: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("CODE")
    buy(staff, now, "email:ann@example.com")
    terms = selectors.promotion_terms(promotion)

    with pytest.raises(ValidationFailed) as refused:
        services.change_promotion(
            actor=staff,
            promotion_id=promotion.id,
            terms=dataclasses.replace(terms, kind="FREE_SHIPPING", scope="SHIPPING"),
            now=now,
        )

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("kind", "in_use"),
        ("scope", "in_use"),
    ]
    promotion.refresh_from_db()
    assert promotion.kind == "PERCENTAGE"


def test_who_a_customer_is_takes_one_more_query_and_only_where_it_is_asked(
    staff: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    factories.make_promotion()
    services.quote(actor=staff, basket=basket(), now=now)
    with django_assert_num_queries(1):
        services.quote(actor=staff, basket=basket(), now=now)

    factories.make_promotion(first_order_only=True)
    services.quote(actor=staff, basket=basket(), now=now)
    with django_assert_num_queries(2):
        services.quote(actor=staff, basket=basket(), now=now)
