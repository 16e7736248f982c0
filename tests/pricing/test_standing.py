"""Promotions paused and taken up again, deleted and brought back, and copied as drafts."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry
from inventory.models import Company
from pricing import engine, selectors, services
from pricing.errors import PromotionNotFound
from pricing.models import Coupon, Promotion, Revision
from pricing.terms import PromotionTerms
from tests import factories

pytestmark = pytest.mark.django_db


def make(staff: Actor, now: datetime, **terms: Any) -> Promotion:
    return services.create_promotion(
        actor=staff,
        terms=PromotionTerms(
            **{"name": "Ten", "kind": "PERCENTAGE", "value": Decimal(10), "codes": ["TEN"], **terms}
        ),
        now=now,
    )


def saved_with(code: str, company: Company, now: datetime) -> Decimal:
    """Return what a code takes off a basket of 100.00."""
    actor = Actor(kind="anonymous", company_id=company.id)  # type: ignore[arg-type]
    line = engine.Line(
        id=uuid4(),
        variant_id=uuid4(),
        product_id=uuid4(),
        sku="A",
        quantity=1,
        unit_price=Decimal("100.00"),
    )
    basket = engine.Basket(lines=[line], currency="USD", codes=[code] if code else [])
    return services.quote(actor=actor, basket=basket, now=now).totals.discount_total


def state(promotion: Promotion) -> tuple[Any, ...]:
    """Return all that a refusal must leave alone."""
    return (
        Promotion.objects.filter(id=promotion.id).values_list().get(),
        sorted(promotion.coupons.values_list("code", "is_active")),
        AuditEntry.objects.count(),
        Revision.objects.values_list("number", flat=True).get(),
    )


# --- paused ---------------------------------------------------------------------------------------


def test_a_paused_promotion_rests_until_it_is_taken_up_again(
    staff: Actor, company: Company, now: datetime
) -> None:
    promotion = make(staff, now)
    assert saved_with("TEN", company, now) == 10

    assert services.pause_promotion(actor=staff, promotion_id=promotion.id, now=now)
    assert saved_with("TEN", company, now) == 0
    assert services.resume_promotion(actor=staff, promotion_id=promotion.id, now=now)
    assert saved_with("TEN", company, now) == 10
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "promotion.created",
        "promotion.paused",
        "promotion.resumed",
    ]


def test_a_second_press_changes_nothing(staff: Actor, now: datetime) -> None:
    promotion = make(staff, now)
    before = state(promotion)

    assert not services.resume_promotion(actor=staff, promotion_id=promotion.id, now=now)

    assert state(promotion) == before


# --- deleted and brought back ---------------------------------------------------------------------


def test_what_is_restored_has_its_codes_and_rests(
    staff: Actor, company: Company, now: datetime
) -> None:
    promotion = make(staff, now, codes=["TEN", "OLD"])
    terms = selectors.promotion_terms(promotion)
    services.change_promotion(
        actor=staff,
        promotion_id=promotion.id,
        terms=PromotionTerms(name="Ten", kind="PERCENTAGE", value=Decimal(10), codes=["TEN"]),
        now=now,
    )
    works = services.create_batch(
        actor=staff, promotion_id=promotion.id, name="Flyer", number=2, now=now
    )
    dead = services.create_batch(
        actor=staff, promotion_id=promotion.id, name="Lost", number=2, now=now
    )
    services.revoke_batch(actor=staff, batch_id=dead.id, now=now)
    Coupon.objects.create(
        company=company, promotion=promotion, code="MINE", customer_key="email:a@example.com"
    )
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    assert not promotion.coupons.filter(is_active=True).exists()

    restored = services.restore_promotion(
        actor=staff, promotion_id=promotion.id, now=now, reason="By mistake"
    )

    assert (restored.deleted_at, restored.is_active, restored.codes_when_deleted) == (
        None,
        False,
        None,
    )
    active = set(promotion.coupons.filter(is_active=True).values_list("code", flat=True))
    assert active == {"TEN", "MINE", *works.coupons.values_list("code", flat=True)}
    assert saved_with("TEN", company, now) == 0
    services.resume_promotion(actor=staff, promotion_id=promotion.id, now=now)
    assert saved_with("TEN", company, now) == 10
    assert saved_with("OLD", company, now) == 0
    assert AuditEntry.objects.get(action="promotion.restored").reason == "By mistake"
    assert terms.codes == ("OLD", "TEN")


def test_its_code_is_kept_for_it_meanwhile(staff: Actor, now: datetime) -> None:
    promotion = make(staff, now)
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)

    with pytest.raises(ValidationFailed) as refused:
        make(staff, now, name="Another")

    assert [(e.field, e.code) for e in refused.value.errors] == [("code", "unique")]
    assert Promotion.objects.count() == 1


def test_a_code_that_another_one_has_is_named_and_nothing_is_restored(
    staff: Actor, now: datetime
) -> None:
    promotion = make(staff, now, codes=["TEN", "TWO"])
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    other = make(staff, now, name="Another", codes=["ELSE"])
    Coupon.objects.filter(code="TWO").update(promotion=other)
    before = state(promotion)

    with pytest.raises(ValidationFailed) as refused:
        services.restore_promotion(actor=staff, promotion_id=promotion.id, now=now)

    assert [str(error.message) for error in refused.value.errors] == [
        "Another promotion has TWO now."
    ]
    assert state(promotion) == before


def test_a_reminder_that_another_one_goes_with_is_named(staff: Actor, now: datetime) -> None:
    promotion = make(staff, now, codes=[], reminder_stage=2)
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    make(staff, now, name="Later", codes=[], reminder_stage=2)
    before = state(promotion)

    with pytest.raises(ValidationFailed) as refused:
        services.restore_promotion(actor=staff, promotion_id=promotion.id, now=now)

    [error] = refused.value.errors
    assert (error.field, error.code) == ("reminderStage", "unique")
    assert "Later" in str(error.message)
    assert state(promotion) == before


def test_what_was_not_deleted_stays_as_it_is(staff: Actor, now: datetime) -> None:
    promotion = make(staff, now)
    before = state(promotion)

    assert services.restore_promotion(actor=staff, promotion_id=promotion.id, now=now).is_active

    assert state(promotion) == before


# --- copied ---------------------------------------------------------------------------------------


def test_a_copy_is_a_draft_on_the_same_terms_without_its_codes(staff: Actor, now: datetime) -> None:
    source = make(
        staff,
        now,
        name="x" * 200,
        minimum_order=Decimal(50),
        weekdays=(5,),
        reminder_stage=1,
        ends_at=now + timedelta(days=3),
        usage_limit=7,
    )
    Promotion.objects.filter(id=source.id).update(used_count=5)

    copy = services.copy_promotion(actor=staff, promotion_id=source.id, now=now)

    of_source = selectors.promotion_terms(Promotion.objects.get(id=source.id))
    of_copy = selectors.promotion_terms(copy)
    changed = {
        name: getattr(of_copy, name)
        for name in of_source.__slots__
        if getattr(of_copy, name) != getattr(of_source, name)
    }
    assert changed == {
        "name": ("Copy of " + "x" * 200)[:200],
        "codes": (),
        "reminder_stage": None,
        "is_active": False,
    }
    assert copy.used_count == 0


@pytest.mark.parametrize(
    "verb", ["pause_promotion", "resume_promotion", "restore_promotion", "copy_promotion"]
)
def test_a_promotion_of_another_company_is_not_found(
    verb: str, staff: Actor, company: Company, now: datetime
) -> None:
    foreign = factories.make_promotion("CODE", company=factories.make_company())

    for promotion_id in (foreign.id, uuid4()):
        with pytest.raises(PromotionNotFound):
            getattr(services, verb)(actor=staff, promotion_id=promotion_id, now=now)

    assert Promotion.objects.count() == 1
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("verb", ["pause_promotion", "resume_promotion", "copy_promotion"])
def test_what_was_deleted_has_to_be_restored_first(verb: str, staff: Actor, now: datetime) -> None:
    promotion = make(staff, now)
    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    before = state(promotion)

    with pytest.raises(PromotionNotFound):
        getattr(services, verb)(actor=staff, promotion_id=promotion.id, now=now)

    assert state(promotion) == before


# --- over the API ---------------------------------------------------------------------------------


def test_staff_find_what_was_deleted_and_restore_it(staff_api: Any, user_api: Any) -> None:
    made = staff_api.post(
        "/promotions", {"code": "TEN", "name": "Ten", "kind": "PERCENTAGE", "value": "10"}
    ).json()
    path = f"/promotions/{made['id']}"
    staff_api.delete(path)

    def listed(query: str) -> list[str]:
        return [row["id"] for row in staff_api.get(f"/promotions{query}").json()["results"]]

    assert (listed(""), listed("?deleted=true")) == ([], [made["id"]])
    assert staff_api.get(path).status_code == 404
    assert user_api.post(f"{path}/restore", {}).status_code == 403
    unknown = staff_api.post(f"{path}/restore", {"because": "x"})
    assert (unknown.status_code, Promotion.objects.get().deleted_at is None) == (400, False)

    answer = staff_api.post(f"{path}/restore", {"reason": "By mistake"})

    assert answer.status_code == 200
    assert answer.json() == {**made, "active": False}
    assert (listed(""), listed("?deleted=true")) == ([made["id"]], [])
    assert staff_api.post(f"{path}/restore", {}).status_code == 200
