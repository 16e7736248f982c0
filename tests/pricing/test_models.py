"""What the database itself refuses, and the invariants that watch the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from config.platform.actor import Actor
from config.platform.invariants import Check
from pricing import services
from pricing.invariants import CHECKS
from pricing.models import (
    Coupon,
    CustomerOrder,
    Price,
    PriceChange,
    Promotion,
    PromotionUse,
    TaxRate,
)
from tests import factories
from tests.plants import PLANTS
from tests.pricing import plants as _plants  # noqa: F401 - fills PLANTS

pytestmark = pytest.mark.django_db


def refused(write: Any) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        write()


def test_a_variant_has_one_price_in_a_currency() -> None:
    variant = factories.make_priced_variant()

    refused(lambda: factories.make_price(variant, "11.00"))
    refused(lambda: factories.make_price(factories.make_variant(), "-0.01"))
    assert Price.objects.count() == 1


def test_the_history_of_prices_is_append_only(system: Actor, now: datetime) -> None:
    variant = factories.make_variant()
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(10), now=now
    )

    refused(lambda: PriceChange.objects.update(new_amount=1))
    refused(lambda: PriceChange.objects.all().delete())
    assert PriceChange.objects.get().new_amount == 10


@pytest.mark.parametrize(
    "fields",
    [
        {"value": Decimal(-1)},
        {"value": Decimal(101)},
        {"kind": "FIXED_AMOUNT", "currency": ""},
        {"usage_limit": 1, "used_count": 2},
    ],
)
def test_a_promotion_makes_sense(company: Any, fields: dict[str, Any]) -> None:
    refused(lambda: factories.make_promotion(**fields))
    assert not Promotion.objects.exists()


def test_a_promotion_does_not_end_before_it_begins(company: Any, now: datetime) -> None:
    refused(lambda: factories.make_promotion(starts_at=now, ends_at=now - timedelta(days=1)))


@pytest.mark.parametrize("code", ["", "lower", "WITH SPACE", "Ä", "A" * 51])
def test_a_coupon_looks_like_one(company: Any, code: str) -> None:
    refused(lambda: factories.make_promotion(code))


def test_a_code_is_there_once_per_company(company: Any) -> None:
    factories.make_promotion("SAVE10")
    factories.make_promotion("SAVE10", company=factories.make_company())

    with pytest.raises(IntegrityError), transaction.atomic():
        factories.make_promotion("SAVE10")
    assert Coupon.objects.count() == 2


def test_a_tax_rate_is_a_fraction_and_there_once(company: Any) -> None:
    factories.make_tax_rate("0.19")

    refused(lambda: factories.make_tax_rate("1.5", name="Other"))
    refused(lambda: factories.make_tax_rate("0.2"))
    assert TaxRate.objects.count() == 1


# --- invariants ---------------------------------------------------------------------------------------


def violations(check: Check) -> int:
    with connection.cursor() as cursor:
        cursor.execute(check.sql, {"grace": timedelta(0)})
        return len(cursor.fetchall())


def use_of(promotion: Promotion, now: datetime, **fields: Any) -> PromotionUse:
    order_id = uuid4()
    if fields.pop("of_an_order", True):
        CustomerOrder.objects.create(
            order_id=order_id,
            company=promotion.company,
            customer_keys=["email:a"],
            placed_at=now,
            undone_at=fields.get("returned_at"),
        )
    return PromotionUse.objects.create(
        **{
            "promotion": promotion,
            "order_id": order_id,
            "customer_key": "email:a",
            "customer_keys": ["email:a"],
            "amount": 1,
            "currency": "USD",
            "used_at": now,
            **fields,
        }
    )


def plant_r01(actor: Actor, now: datetime) -> None:
    factories.make_promotion("A", usage_limit=5, used_count=2)


def plant_r02(actor: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("A", per_customer_limit=1)
    use_of(promotion, now)
    use_of(promotion, now)


def plant_r04(actor: Actor, now: datetime) -> None:
    use_of(factories.make_promotion("A"), now, code="B")


def plant_r05(actor: Actor, now: datetime) -> None:
    variant = factories.make_variant()
    services.set_price(
        actor=actor, variant_id=variant.id, currency="USD", amount=Decimal(10), now=now
    )
    Price.objects.update(amount=11)


def plant_r06(actor: Actor, now: datetime) -> None:
    factories.make_promotion("A", deleted_at=now, is_active=False)


def plant_r07(actor: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("A")
    promotion.coupons.update(usage_limit=1)
    use_of(promotion, now, code="A")


def plant_r08(actor: Actor, now: datetime) -> None:
    use_of(factories.make_promotion("A"), now, of_an_order=False)


PLANTED = {
    "R01": plant_r01, "R02": plant_r02, "R04": plant_r04, "R05": plant_r05, "R06": plant_r06, "R07": plant_r07,
    "R08": plant_r08,
}  # fmt: skip


def test_every_check_has_a_planted_violation() -> None:
    # those that are not planted here are in tests/test_invariants.py
    assert {check.id for check in CHECKS} <= PLANTED.keys() | PLANTS.keys()


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.id in PLANTED], ids=lambda check: check.id
)
def test_a_planted_violation_is_caught(check: Check, system: Actor, now: datetime) -> None:
    assert violations(check) == 0

    PLANTED[check.id](system, now)

    assert violations(check) == 1


def test_ordinary_use_violates_nothing(system: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("A", usage_limit=2, per_customer_limit=2)
    for _ in range(2):
        use_of(promotion, now, code="A")
    Promotion.objects.update(used_count=2)
    use_of(promotion, now, returned_at=now)
    variant = factories.make_variant()
    for amount in (10, 12):
        services.set_price(
            actor=system, variant_id=variant.id, currency="USD", amount=Decimal(amount), now=now
        )
    services.delete_promotion(actor=system, promotion_id=factories.make_promotion("B").id, now=now)

    assert {check.id: violations(check) for check in CHECKS} == {check.id: 0 for check in CHECKS}
