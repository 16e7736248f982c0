"""Codes that go with reminders: personal, one at a time, and only while their promotion runs."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import Basket, Line
from pricing.models import Coupon, Promotion
from tests import factories

pytestmark = pytest.mark.django_db

ANN = "Ann@example.com"


@pytest.fixture
def staff(company: Company) -> Actor:
    return Actor.system(company.id)


@pytest.fixture
def promotion(company: Company) -> Promotion:
    made = factories.make_promotion("GIFT", name="5 % back", reminder_stage=2, per_customer_limit=1)
    made.coupons.all().delete()
    return made


def give(actor: Actor, now: datetime, **asked: Any) -> services.GivenCode | None:
    return services.give_code(
        actor=actor,
        now=now,
        **{"stage": 2, "email": ANN, "expires_at": now + timedelta(days=3), **asked},
    )


def basket(code: str, *keys: str) -> Basket:
    line = Line(
        id=UUID(int=1),
        variant_id=UUID(int=2),
        product_id=UUID(int=3),
        sku="A",
        quantity=1,
        unit_price=Decimal(100),
    )
    return Basket(lines=(line,), currency="USD", codes=(code,), customer_keys=keys)


def test_a_code_is_for_its_owner_once_and_until_its_day(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    given = give(staff, now)
    assert given is not None
    mine, theirs = basket(given.code, f"email:{ANN}"), basket(given.code, "email:bob@example.com")
    quote = services.quote(actor=staff, basket=mine, now=now)
    assert quote.totals.discount_total == Decimal("10.00")
    refused = services.quote(actor=staff, basket=theirs, now=now).not_applied[0]
    assert refused.reason == "not_eligible"
    late = services.quote(actor=staff, basket=mine, now=now + timedelta(days=3))
    assert late.not_applied[0].reason == "expired"

    services.redeem(
        actor=staff, order_id=uuid4(), quote=quote, customer_keys=(f"email:{ANN}",), now=now
    )
    again = services.quote(actor=staff, basket=mine, now=now)
    assert again.not_applied[0].reason == "used_up"
    assert give(staff, now) is None  # once per customer


def test_leaving_carts_behind_again_earns_no_further_code(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    first = give(staff, now)
    later = now + timedelta(days=10)
    second = give(staff, later, email="ann+again@example.com", expires_at=later + timedelta(days=3))

    assert first is not None
    assert second is not None
    assert second.code == first.code
    assert second.expires_at == later + timedelta(days=3)
    assert Coupon.objects.count() == 1


@pytest.mark.parametrize(
    ("asked", "terms"),
    [
        ({"stage": 1}, {}),
        ({}, {"is_active": False}),
        ({}, {"starts_at": datetime.fromisoformat("2100-01-01T00:00:00+00:00")}),
        ({}, {"ends_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")}),
        (
            {},
            {
                "is_active": False,
                "deleted_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00"),
            },
        ),
        ({}, {"usage_limit": 1, "used_count": 1}),
    ],
)
def test_nothing_is_given_for_what_is_not_to_be_had(
    staff: Actor,
    promotion: Promotion,
    now: datetime,
    asked: dict[str, Any],
    terms: dict[str, Any],
) -> None:
    Promotion.objects.update(**terms)

    assert give(staff, now, **asked) is None
    assert not Coupon.objects.exists()


def test_nothing_is_given_while_promotions_are_off_or_elsewhere(
    staff: Actor, promotion: Promotion, now: datetime, settings: Any
) -> None:
    assert give(Actor.system(factories.make_company().id), now) is None

    settings.FEATURES = {**settings.FEATURES, "ORDER_ENABLE_PROMOTIONS": False}
    flags.forget()
    assert give(staff, now) is None
    assert not Coupon.objects.exists()


def test_a_reminder_has_one_promotion_and_that_one_needs_a_code(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    terms = selectors.promotion_terms(promotion)
    changes: list[dict[str, Any]] = [
        {"name": "Second"},
        {"reminder_stage": 3, "is_automatic": True},
        {"reminder_stage": 11},
        {"reminder_stage": 0},
    ]
    for change in changes:
        with pytest.raises(ValidationFailed) as refused:
            services.create_promotion(
                actor=staff, terms=dataclasses.replace(terms, **change), now=now
            )
        assert [error.field for error in refused.value.errors] == ["reminderStage"]
    for stage, automatic in ((2, False), (3, True), (11, False)):
        with pytest.raises(DatabaseError), transaction.atomic():
            factories.make_promotion("X", reminder_stage=stage, is_automatic=automatic)
    assert Promotion.objects.count() == 1
