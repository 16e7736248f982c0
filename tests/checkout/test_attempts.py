"""Card testing: too many payments that come to nothing end in a wait; honest customers never notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from checkout import selectors
from checkout import services as checkout
from checkout.models import Payment
from config.platform import alerts
from config.platform.errors import RateLimited
from config.platform.models import Alert, AuditEntry
from inventory.models import StockLevel
from orders.models import Order
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer, intent_of
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rate_limits")]
REFUSED = "payment.attempts_refused"


def decline(buyer: Buyer, times: int) -> None:
    for _ in range(times):
        _, payment = buyer.pay()
        buyer.simulate(payment, "decline")


def press(buyer: Buyer, key: str) -> Any:
    return buyer.api.request(
        "POST",
        f"/checkout/{buyer.checkout_id}/payment",
        {"method": "test", "quoteId": buyer.quote_id},
        key=key,
    )


def test_after_five_declines_the_next_try_has_to_wait(ready: Buyer, variant: Any) -> None:
    decline(ready, 5)
    before = Payment.objects.count()

    answers = [press(ready, f"key-{number}") for number in range(3)]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert answer.json()["extra"] == {
            "scope": "payment_attempts", "limit": 5, "windowSeconds": 3600,
        }  # fmt: skip
        assert 3500 < int(answer["Retry-After"]) <= 3600
    assert Payment.objects.count() == before
    assert Order.objects.get().status == "draft"
    assert StockLevel.objects.get(variant=variant).reserved == 0
    entry = AuditEntry.objects.get(action=REFUSED)  # one, however often they knock
    assert "192.0.2.7" not in f"{entry.object_id} {entry.before} {entry.after}"


def test_the_wait_ends_when_enough_declines_are_old(ready: Buyer) -> None:
    decline(ready, 5)
    first = Payment.objects.earliest("created_at")
    Payment.objects.filter(pk=first.pk).update(created_at=ready.now - timedelta(minutes=40))
    with pytest.raises(RateLimited) as refusal:
        ready.pay()
    assert refusal.value.retry_after is not None
    assert 1190 <= refusal.value.retry_after <= 1200

    Payment.objects.filter(pk=first.pk).update(created_at=ready.now - timedelta(minutes=61))
    _, payment = ready.pay()
    ready.simulate(payment)

    assert ready.complete().status == "confirmed"


def test_four_declines_and_a_good_card_are_an_honest_customer(ready: Buyer) -> None:
    decline(ready, 4)
    _, payment = ready.pay()
    ready.simulate(payment)

    assert ready.complete().status == "confirmed"
    assert not AuditEntry.objects.filter(action=REFUSED).exists()


def test_what_is_paid_is_never_counted(
    shop: Any, variant: Any, now: datetime, settings: Any
) -> None:
    settings.PAYMENT_MAX_INTENTS = 2
    for _ in range(4):
        buyer = Buyer.arrive(shop, now).add(variant, 1).begin().fill()
        _, payment = buyer.pay()
        buyer.simulate(payment)
        assert buyer.complete().status == "confirmed"


def test_many_intents_that_come_to_nothing_are_too_many(
    shop: Any, now: datetime, settings: Any
) -> None:
    """One client, many carts with fresh tokens: by its address."""
    settings.PAYMENT_MAX_INTENTS = 1
    rich = factories.make_priced_variant("10.00", available=50)
    for _ in range(4):
        Buyer.arrive(shop, now).add(rich, 1).begin().fill().pay()
    fifth = Buyer.arrive(shop, now).add(rich, 1).begin().fill()
    with pytest.raises(RateLimited) as refusal:
        fifth.pay()

    assert refusal.value.extra["scope"] == "payment_attempts"
    assert Order.objects.count() == 4  # not even placed
    assert StockLevel.objects.get(variant=rich).reserved == 5  # and still held in the cart

    other = Buyer.arrive(shop, now)
    other.actor = replace(other.actor, address="198.51.100.9")
    other.add(rich, 1).begin().fill().pay()


def test_a_stranger_cannot_lock_out_whose_mail_address_they_use(
    ready: Buyer, shop: Any, variant: Any, now: datetime
) -> None:
    decline(ready, 5)
    victim = Buyer.arrive(shop, now, email=ready.email)
    victim.actor = replace(victim.actor, address="198.51.100.9")

    _, payment = victim.add(variant, 1).begin().fill().pay()

    assert payment.status == "PENDING"


def test_an_open_payment_is_continued_although_others_failed(ready: Buyer, settings: Any) -> None:
    decline(ready, 4)
    _, payment = ready.pay()
    settings.PAYMENT_MAX_DECLINES = 4

    assert ready.pay()[1].pk == payment.pk


def test_staff_are_not_counted(ready: Buyer, staff: Any) -> None:
    decline(ready, 5)
    order = Order.objects.get()

    payment = checkout.start_payment(actor=staff, order_id=order.id, method="test", now=ready.now)

    assert payment.status == "PENDING"


def test_the_switch_of_limits_ends_it(ready: Buyer, settings: Any) -> None:
    settings.RATE_LIMITS = False
    decline(ready, 7)

    assert press(ready, "one").status_code == 200


def test_staff_are_told(ready: Buyer) -> None:
    decline(ready, 5)
    assert selectors.attempt_figures(now=ready.now).declined == 5
    with pytest.raises(RateLimited):
        ready.pay()

    alerts.evaluate(now=ready.now)

    alert = Alert.objects.get(rule="card_testing")
    assert (alert.level, alert.value) == (Alert.Level.WARNING, 1)


# --- what the review queue learns -----------------------------------------------------------------


@pytest.fixture
def reviewed(settings: Any) -> None:
    settings.ORDER_REVIEW = True
    settings.ORDER_REVIEW_AMOUNT = settings.ORDER_REVIEW_PER_HOUR = 0


def test_an_order_paid_after_three_declines_waits_for_a_look(ready: Buyer, reviewed: None) -> None:
    decline(ready, 3)
    _, payment = ready.pay()
    ready.simulate(payment)

    order = ready.complete()

    assert (order.review, order.review_reason) == (
        Order.Review.PENDING, "several payments were declined before",
    )  # fmt: skip


def test_two_declines_are_nothing_to_look_at(ready: Buyer, reviewed: None) -> None:
    decline(ready, 2)
    _, payment = ready.pay()
    ready.simulate(payment)

    assert ready.complete().review == ""


def test_a_card_used_under_other_names_is_noticed_by_reference_only(
    shop: Any, now: datetime, stripe: StripeServer, reviewed: None
) -> None:
    rich = factories.make_priced_variant("10.00", available=50)
    found = []
    for name in ("ada", "ada", "bo", "cy"):
        buyer = Buyer.arrive(shop, now, email=f"{name}@example.com").add(rich, 1).begin().fill()
        _, payment = buyer.pay("card")
        stripe.books.confirm(intent_of(payment), "pm_card_visa")
        found.append(buyer.complete().review_reason)

    assert found == ["", "", "", "the card was used under other names"]
    assert set(Payment.objects.values_list("card", flat=True)) == {"fp_visa_4242"}
    assert all(set(each) == {"brand", "last4"} for each in Payment.objects.values_list("metadata", flat=True))  # fmt: skip


def test_many_orders_from_one_network_address_are_noticed_whoever_they_name(
    shop: Any, now: datetime, reviewed: None, settings: Any
) -> None:
    settings.ORDER_REVIEW_PER_HOUR = 1  # four of an address
    rich = factories.make_priced_variant("10.00", available=50)
    found = []
    for number in range(6):
        buyer = Buyer.arrive(shop, now, email=f"{number}@example.com")
        if number == 5:
            buyer.actor = replace(buyer.actor, address="198.51.100.9")
        buyer.add(rich, 1).begin().fill(shipping_address={**ADDRESS, "line1": f"{number} Quay"})
        _, payment = buyer.pay()
        buyer.simulate(payment)
        found.append(buyer.complete().review_reason)

    assert found == ["", "", "", "", "many orders from one network address within an hour", ""]


def test_a_declined_card_is_remembered_too(ready: Buyer, stripe: StripeServer) -> None:
    _, payment = ready.pay("card")
    with pytest.raises(StripeProblem):
        stripe.books.confirm(intent_of(payment), "pm_card_chargeDeclined")
    checkout.settle(payment_id=payment.id, now=ready.now)

    payment.refresh_from_db()
    assert (payment.status, payment.card) == ("FAILED", "fp_visa_0002")
