"""One violation for each invariant of pricing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from config.platform.models import new_id
from pricing.models import LoyaltyAccount, LoyaltyEntry, PriceChange, Promotion, PromotionUse
from tests.factories import default_company, make_priced_variant, make_promotion
from tests.plants import loosen, plant, sql


def use(promotion: Promotion, **fields: Any) -> PromotionUse:
    return PromotionUse.objects.create(
        **{
            "promotion": promotion,
            "order_id": new_id(),
            "customer_key": "email:a@example.com",
            "customer_keys": ["email:a@example.com"],
            "amount": Decimal(1),
            "currency": "USD",
            "used_at": timezone.now(),
            **fields,
        }
    )


@plant("R01")
def a_use_nobody_counted() -> None:
    use(make_promotion(usage_limit=3))


@plant("R02")
def one_use_too_many_for_a_customer() -> None:
    promotion = make_promotion(per_customer_limit=1, used_count=2)
    use(promotion)
    use(promotion)


@plant("R04")
def a_use_of_a_code_that_never_was() -> None:
    use(make_promotion("SAVE10"), code="OTHER")


@plant("R05")
def a_price_its_history_does_not_know() -> None:
    variant = make_priced_variant("10.00")
    now = timezone.now()
    for amount, age in (("10.00", 2), ("12.00", 1)):
        PriceChange.objects.create(
            variant=variant,
            currency="USD",
            new_amount=Decimal(amount),
            actor="system",
            changed_at=now - timedelta(hours=age),
        )


@plant("R06")
def a_deleted_promotion_whose_code_works() -> None:
    promotion = make_promotion("SAVE10")
    loosen("promotions", "coupons")
    sql("update promotions set deleted_at = now(), is_active = false where id = %s", promotion.id)


def points(kind: str, number: int, balance: int, **fields: Any) -> LoyaltyEntry:
    """An entry as somebody would write it who goes round the services."""
    account, _ = LoyaltyAccount.objects.update_or_create(
        company=default_company(),
        user_id=fields.pop("user_id", UUID(int=77)),
        defaults={"balance": balance},
    )
    return LoyaltyEntry.objects.create(
        account=account,
        kind=kind,
        points=number,
        balance=balance,
        actor="system",
        at=timezone.now(),
        **fields,
    )


@plant("R10")
def points_that_no_entry_knows() -> None:
    points("ADJUST", 100, 120, reason="a gift")


@plant("R11")
def more_points_back_than_were_spent() -> None:
    order_id = new_id()
    points("ADJUST", 100, 100, reason="a gift")
    points("SPEND", -50, 50, order_id=order_id)
    points("RETURN", 60, 110, order_id=order_id)


@plant("R07")
def a_use_of_a_code_that_its_counter_does_not_know() -> None:
    promotion = make_promotion("ONE")
    promotion.coupons.update(usage_limit=1)
    use(promotion, code="ONE")


@plant("R08")
def a_use_by_an_order_that_no_customer_has_placed() -> None:
    use(make_promotion())
