"""Codes made in batches: unguessable, each for one order, told apart in a file, switched off at once."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import Basket, Line, Quote
from pricing.errors import (
    CouponBatchNotFound,
    DiscountExpired,
    DiscountInvalid,
    DiscountLimitReached,
    PromotionNotFound,
)
from pricing.models import Coupon, CouponBatch, Promotion, PromotionUse
from pricing.services.batches import ALPHABET, random_code
from tests import factories
from tests.pricing.test_races import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(company: Company) -> Actor:
    return Actor.system(company.id)


@pytest.fixture
def promotion(company: Company) -> Promotion:
    return factories.make_promotion("NAMED")


def make(actor: Actor, promotion: Promotion, now: datetime, **terms: Any) -> CouponBatch:
    return services.create_batch(
        actor=actor,
        promotion_id=promotion.id,
        now=now,
        **{"name": "Flyers", "number": 3, "prefix": "fly", **terms},
    )


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


def quote_of(actor: Actor, now: datetime, code: str) -> Quote:
    return services.quote(actor=actor, basket=basket(code), now=now)


def redeem(actor: Actor, quote: Quote, now: datetime, who: str = "a") -> UUID:
    order_id = uuid4()
    services.redeem(
        actor=actor,
        order_id=order_id,
        quote=quote,
        customer_keys=(f"email:{who}@example.com",),
        now=now,
    )
    return order_id


# --- making them ------------------------------------------------------------------------------------


def test_codes_are_as_asked_and_no_two_are_the_same(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now, number=500, length=10)

    codes = list(batch.coupons.values_list("code", flat=True))
    assert len(set(codes)) == 500
    for code in codes:
        start, _, letters = code.partition("-")
        assert (start, len(letters)) == ("FLY", 10)
        assert set(letters) <= set(ALPHABET)
    assert set(batch.coupons.values_list("usage_limit", "used_count", "is_active")) == {
        (1, 0, True)
    }
    assert selectors.find_batch(actor=staff, batch_id=batch.id).unused == 500  # type: ignore[attr-defined]


def test_the_alphabet_has_no_look_alikes_and_every_letter_comes_as_often() -> None:
    assert not set("0O1ILU") & set(ALPHABET)
    assert math.log2(len(ALPHABET)) > 4.9

    counts = Counter(random_code(60_000))

    assert set(counts) == set(ALPHABET)
    expected = 60_000 / len(ALPHABET)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 75  # 29 degrees of freedom: beyond that once in 100,000 runs


def test_a_code_that_is_taken_is_made_anew(
    staff: Actor, promotion: Promotion, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    Coupon.objects.create(company=promotion.company, promotion=promotion, code="FLY-AAAAAAAA")
    drawn = iter(["AAAAAAAABBBBBBBB", "BBBBBBBB", "CCCCCCCC"])
    monkeypatch.setattr("pricing.services.batches.random_code", lambda length: next(drawn))

    batch = make(staff, promotion, now, number=2, length=8)

    assert sorted(batch.coupons.values_list("code", flat=True)) == ["FLY-BBBBBBBB", "FLY-CCCCCCCC"]


@pytest.mark.slow
def test_a_hundred_thousand_codes_take_a_few_statements(
    staff: Actor, promotion: Promotion, now: datetime, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(25):
        batch = make(staff, promotion, now, number=100_000)

    assert batch.coupons.count() == 100_000


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"number": 0}, "number"),
        ({"number": 100_001}, "number"),
        ({"length": 7}, "length"),
        ({"length": 31}, "length"),
        ({"prefix": "NO SPACE"}, "prefix"),
        ({"prefix": "=CMD"}, "prefix"),
        ({"prefix": "X" * 20}, "prefix"),
        ({"expires_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")}, "expiresAt"),
    ],
)
def test_what_makes_no_sense_is_refused(
    staff: Actor, promotion: Promotion, now: datetime, terms: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        make(staff, promotion, now, **terms)

    assert [error.field for error in refused.value.errors] == [field]
    assert not CouponBatch.objects.exists()
    assert Coupon.objects.count() == 1


def test_a_promotion_that_applies_by_itself_needs_no_codes(staff: Actor, now: datetime) -> None:
    with pytest.raises(ValidationFailed):
        make(staff, factories.make_promotion(), now)


def test_nobody_makes_codes_for_a_promotion_that_is_gone_or_not_theirs(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    theirs = factories.make_promotion("THEIRS", company=factories.make_company())
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)

    for other in (theirs, promotion):
        with pytest.raises(PromotionNotFound):
            make(staff, other, now)


# --- using them -------------------------------------------------------------------------------------


def test_a_code_is_good_for_one_order_and_comes_back_with_it(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    code = make(staff, promotion, now).coupons.first().code  # type: ignore[union-attr]
    quote = quote_of(staff, now, code)
    assert quote.totals.discount_total == Decimal("10.00")
    order_id = redeem(staff, quote, now)

    assert quote_of(staff, now, code).not_applied[0].reason == "used_up"
    with pytest.raises(DiscountLimitReached):
        redeem(staff, quote, now, "b")
    with pytest.raises(DiscountLimitReached):
        services.check_code(actor=staff, code=code, basket=basket(), now=now)
    assert PromotionUse.objects.count() == 1

    assert services.return_uses(actor=staff, order_id=order_id, now=now) == 1
    assert services.return_uses(actor=staff, order_id=order_id, now=now) == 0
    assert Coupon.objects.get(code=code).used_count == 0
    redeem(staff, quote, now, "b")


def test_codes_end_on_their_own_day(staff: Actor, promotion: Promotion, now: datetime) -> None:
    end = now + timedelta(days=3)
    batch = make(staff, promotion, now, expires_at=end)
    code = batch.coupons.first().code  # type: ignore[union-attr]

    assert quote_of(staff, now, code).valid_until == end
    with pytest.raises(DiscountExpired):
        services.check_code(actor=staff, code=code, basket=basket(), now=end)

    services.set_batch_expiry(actor=staff, batch_id=batch.id, expires_at=None, now=now)
    assert services.check_code(actor=staff, code=code, basket=basket(), now=end) == code


def test_a_personal_code_is_for_its_owner_alone(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    Coupon.objects.create(
        company=promotion.company,
        promotion=promotion,
        code="ANN-ONLY",
        usage_limit=1,
        customer_key="email:ann@example.com",
    )

    for keys in ((), ("email:bob@example.com",)):
        with pytest.raises(DiscountInvalid) as refused:
            services.check_code(
                actor=staff, code="ANN-ONLY", basket=basket(customer_keys=keys), now=now
            )
        assert refused.value.extra["reason"] == "not_eligible"
    ann = basket(customer_keys=("email:Ann+1@example.com",))
    assert services.check_code(actor=staff, code="ann-only", basket=ann, now=now) == "ANN-ONLY"


def test_staff_who_change_a_promotion_leave_its_batches_alone(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now)
    terms = selectors.promotion_terms(Promotion.objects.get())
    assert terms.codes == ("NAMED",)

    services.change_promotion(actor=staff, promotion_id=promotion.id, terms=terms, now=now)

    assert batch.coupons.filter(is_active=True).count() == 3


# --- revoking, listing ------------------------------------------------------------------------------


def test_a_revoked_batch_is_worth_nothing_and_orders_keep_what_they_have(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now)
    used, unused, _ = batch.coupons.values_list("code", flat=True)
    quotes = {code: quote_of(staff, now, code) for code in (used, unused)}
    redeem(staff, quotes[used], now)
    before = selectors.revision(company_id=staff.company_id)

    assert services.revoke_batch(actor=staff, batch_id=batch.id, reason="leaked", now=now) == 2
    assert services.revoke_batch(actor=staff, batch_id=batch.id, now=now) == 0

    assert selectors.revision(company_id=staff.company_id) > before  # carts price anew
    assert quote_of(staff, now, unused).not_applied[0].reason == "unknown"
    with pytest.raises(DiscountLimitReached):  # also with a quote from before
        redeem(staff, quotes[unused], now, "b")
    assert PromotionUse.objects.count() == 1
    shown = selectors.find_batch(actor=staff, batch_id=batch.id)
    assert (shown.used, shown.unused, shown.revoked) == (1, 0, 2)  # type: ignore[attr-defined]


def test_the_file_names_every_code_and_what_became_of_it(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now, prefix="-X")
    first = batch.coupons.order_by("code").first()
    assert first is not None
    redeem(staff, quote_of(staff, now, first.code), now)

    text = "".join(services.batch_lines(actor=staff, batch_id=batch.id, now=now))

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["status"] for row in rows] == ["used", "unused", "unused"]
    # a cell that begins with a hyphen is no formula
    assert [row["code"] for row in rows] == [
        f"'{code}" for code in sorted(batch.coupons.values_list("code", flat=True))
    ]


def test_a_batch_of_another_company_is_not_found(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now)
    other = Actor.system(factories.make_company().id)

    with pytest.raises(CouponBatchNotFound):
        services.revoke_batch(actor=other, batch_id=batch.id, now=now)
    with pytest.raises(CouponBatchNotFound):
        services.set_batch_expiry(actor=other, batch_id=batch.id, expires_at=None, now=now)
    with pytest.raises(CouponBatchNotFound):
        services.batch_lines(actor=other, batch_id=batch.id, now=now)
    assert batch.coupons.filter(is_active=True).count() == 3


def test_the_database_refuses_codes_that_can_be_guessed_and_a_use_too_many(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    batch = make(staff, promotion, now)
    for write in (
        lambda: CouponBatch.objects.update(length=7),
        lambda: CouponBatch.objects.update(number=0),
        lambda: batch.coupons.update(used_count=2),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            write()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_redeem_one_code_at_once_one_has_it(
    staff: Actor, promotion: Promotion, now: datetime
) -> None:
    code = make(staff, promotion, now, number=1).coupons.get().code
    quote = quote_of(staff, now, code)

    outcomes = together(20, 10, lambda i: redeem(staff, quote, now, f"buyer{i}"))

    assert outcomes == {"done": 1, "DiscountLimitReached": 19}
    assert Coupon.objects.get(code=code).used_count == PromotionUse.objects.count() == 1
