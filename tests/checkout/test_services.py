from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cart.errors import CartEmpty
from cart.models import Cart
from checkout import services as checkout
from checkout.errors import (
    CheckoutExpired,
    CheckoutIncomplete,
    PaymentRequired,
    PriceChanged,
    RefundExceedsPayment,
)
from checkout.models import Checkout, Payment, PaymentStatusChange, WebhookInbox
from config.platform import invariants
from config.platform.errors import InvalidTransition, ValidationFailed
from config.platform.models import OutboxEvent
from inventory.errors import HoldFailed
from inventory.models import Reservation, StockLevel, StockMovement
from orders.models import Order, OrderLine, RefundRequest, StatusChange
from pricing.errors import NoShippingZone
from pricing.models import Price
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer, charge_of

pytestmark = pytest.mark.django_db


def stock(variant):
    level = StockLevel.objects.get(variant=variant)
    return level.available, level.reserved, level.total


def codes(view):
    return [(requirement.code, requirement.field) for requirement in view.requirements]


# --- sessions -------------------------------------------------------------------------------------


def test_it_begins_with_holds_and_says_what_is_missing(buyer, variant):
    buyer.email = ""
    buyer.begin()

    view = buyer.view
    assert codes(view) == [
        ("EMAIL_MISSING", "email"),
        ("SHIPPING_ADDRESS_MISSING", "shippingAddress"),
        ("SHIPPING_OPTION_MISSING", "shippingOption"),
    ]
    assert view.checkout.status == Checkout.Status.OPEN
    assert view.quote.totals.grand_total == Decimal("20.00")
    assert stock(variant) == (3, 2, 5)
    assert view.checkout.expires_at == view.hold_expires_at == buyer.now + timedelta(minutes=15)
    assert OutboxEvent.objects.filter(name="cart.checkout_started").count() == 1


def test_it_continues_the_open_checkout_of_a_cart(buyer):
    first = buyer.begin().checkout_id
    second = buyer.begin().checkout_id

    assert first == second
    assert Checkout.objects.count() == 1
    assert OutboxEvent.objects.filter(name="cart.checkout_started").count() == 1


def test_it_refuses_an_empty_cart(shop, now):
    buyer = Buyer.arrive(shop, now)

    with pytest.raises(CartEmpty):
        buyer.begin()

    assert Checkout.objects.count() == 0


def test_it_holds_all_lines_or_none_and_lists_every_failing_one(shop, now):
    first, second = (factories.make_priced_variant(available=3) for _ in range(2))
    third = factories.make_priced_variant(available=9)
    buyer = Buyer.arrive(shop, now).add(first, 3).add(second, 3).add(third, 1)
    later = now + timedelta(minutes=20)
    rival = Buyer.arrive(shop, later).add(first, 2).add(second, 1)
    buyer.now = later

    with pytest.raises(HoldFailed) as refused:
        buyer.begin()

    assert [error.field for error in refused.value.errors] == [
        "items.0.quantity",
        "items.1.quantity",
    ]
    assert Checkout.objects.count() == 0
    assert stock(first) == (1, 2, 3)
    assert rival.begin().view.requirements


def test_it_stores_incomplete_addresses_and_keeps_what_is_missing(buyer):
    buyer.begin().fill(shipping_address={"country": "USA", "zipCode": "04101"}, shipping_option="")

    assert buyer.view.checkout.shipping_address["country"] == "US"
    assert buyer.view.checkout.shipping_address["postalCode"] == "04101"
    assert codes(buyer.view) == [
        ("SHIPPING_ADDRESS_MISSING", "shippingAddress.name"),
        ("SHIPPING_ADDRESS_MISSING", "shippingAddress.line1"),
        ("SHIPPING_ADDRESS_MISSING", "shippingAddress.city"),
        ("SHIPPING_ADDRESS_MISSING", "shippingAddress.state"),
        ("SHIPPING_OPTION_MISSING", "shippingOption"),
    ]
    assert [option.id for option in buyer.view.quote.shipping_options] == ["standard"]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"email": "nobody"}, "email", "invalid"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "email", "invalid"),
        ({"notes": "my card: 4242 4242 4242 4242 12/30"}, "notes", "card_data_not_accepted"),
        ({"shipping_address": {**ADDRESS, "name": "A\nB"}}, "shippingAddress.name", "invalid"),
        (
            {"shipping_address": {**ADDRESS, "line2": "378282246310005"}},
            "shippingAddress.line2",
            "card_data_not_accepted",
        ),
        ({"shipping_address": {**ADDRESS, "country": "XX"}}, "shippingAddress.country", "invalid"),
        ({"shipping_address": {**ADDRESS, "state": "Bavaria"}}, "shippingAddress.state", "invalid"),
        (
            {"shipping_address": {**ADDRESS, "postalCode": "ABC"}},
            "shippingAddress.postalCode",
            "invalid",
        ),
        (
            {"shipping_address": {**ADDRESS, "planet": "x"}},
            "shippingAddress.planet",
            "unknown_field",
        ),
        ({"shipping_address": {**ADDRESS, "line1": 5}}, "shippingAddress.line1", "invalid"),
        ({"shipping_option": "rocket"}, "shippingOption", "invalid_choice"),
    ],
)
def test_it_refuses_what_is_malformed_and_writes_nothing(buyer, changes, field, code):
    buyer.begin()
    before = Checkout.objects.values().get()

    with pytest.raises(ValidationFailed) as refused:
        buyer.fill(**changes)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert Checkout.objects.values().get() == before


def test_it_drops_a_shipping_option_that_a_new_address_does_not_have(ready, shop):
    factories.make_shipping_rule("9.00", countries=["DE"], code="parcel")
    ready.view = checkout.update(
        actor=ready.actor,
        checkout_id=ready.checkout_id,
        changes={
            "shipping_address": {
                **ADDRESS,
                "country": "DE",
                "state": "",
                "postalCode": "10115",
            }
        },
        now=ready.now,
    )

    assert ready.view.checkout.shipping_option == ""
    assert codes(ready.view) == [("SHIPPING_OPTION_MISSING", "shippingOption")]


def test_it_expires_with_its_holds(buyer):
    buyer.begin()
    buyer.now += timedelta(minutes=16)

    with pytest.raises(CheckoutExpired):
        buyer.fill()
    assert checkout.expire_due(now=buyer.now) == 1
    assert Checkout.objects.get().status == Checkout.Status.EXPIRED

    first = buyer.view.checkout.id
    assert buyer.begin().checkout_id != first


def test_it_leaves_the_cart_and_its_hold_when_it_is_cancelled(ready, variant):
    checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)
    checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)

    assert Checkout.objects.get().status == Checkout.Status.CANCELLED
    assert Cart.objects.get().status == Cart.Status.ACTIVE
    assert stock(variant) == (3, 2, 5)
    with pytest.raises(InvalidTransition):
        ready.pay()
    assert Order.objects.count() == 0


# --- placing --------------------------------------------------------------------------------------


def test_it_places_everything_at_once(ready, variant):
    order = ready.place()

    order.refresh_from_db()
    assert order.number == f"ORD-{ready.now:%Y%m%d}-000001"
    assert (order.status, order.payment_status) == ("draft", "pending")
    assert (order.subtotal, order.shipping_total, order.grand_total) == (
        Decimal(20),
        Decimal("4.90"),
        Decimal("24.90"),
    )
    assert order.expires_at == ready.now + timedelta(hours=24)
    line = OrderLine.objects.get(order=order)
    assert (line.sku, line.quantity, line.unit_price, line.total) == (
        variant.sku,
        2,
        Decimal(10),
        Decimal(20),
    )
    assert [(c.from_status, c.to_status) for c in StatusChange.objects.all()] == [("", "draft")]
    hold = Reservation.objects.get(status="ACTIVE")
    assert (hold.order_id, hold.order_line_id, hold.quantity) == (order.id, line.id, 2)
    assert hold.expires_at == ready.now + timedelta(minutes=15)
    assert stock(variant) == (3, 2, 5)
    converted, fresh = Cart.objects.order_by("created_at", "id")
    assert (converted.status, converted.order_id) == (Cart.Status.CONVERTED, order.id)
    assert (fresh.status, fresh.lines.count()) == (Cart.Status.ACTIVE, 0)
    placed = Checkout.objects.get()
    assert (placed.status, placed.order_id) == (Checkout.Status.PAYMENT_PENDING, order.id)
    assert list(
        OutboxEvent.objects.filter(name__in=["order.placed", "cart.converted"])
        .order_by("name")
        .values_list("name", flat=True)
    ) == ["cart.converted", "order.placed"]


def test_it_places_once(ready):
    assert ready.place().id == ready.place().id
    assert Order.objects.count() == 1


def test_it_refuses_a_quote_that_is_no_longer_current(ready, variant):
    old = ready.quote_id
    Price.objects.filter(variant=variant).update(amount=Decimal("8.00"))

    with pytest.raises(PriceChanged) as refused:
        ready.place()

    assert refused.value.extra["oldTotal"] == "24.90"
    assert refused.value.extra["newTotal"] == "20.90"
    assert refused.value.extra["quoteId"] != old
    assert Order.objects.count() == 0
    assert Cart.objects.get().status == Cart.Status.ACTIVE
    shown = checkout.update(
        actor=ready.actor, checkout_id=ready.checkout_id, changes={}, now=ready.now
    )
    assert shown.quote.id == refused.value.extra["quoteId"]


def test_it_says_nothing_of_a_total_it_never_showed(ready):
    with pytest.raises(PriceChanged) as refused:
        checkout.place(
            actor=ready.actor, checkout_id=ready.checkout_id, quote_id="f" * 32, now=ready.now
        )

    assert refused.value.extra["oldTotal"] is None
    assert refused.value.extra["newTotal"] == "24.90"


def test_it_places_nothing_while_something_is_missing(buyer):
    buyer.begin()

    with pytest.raises(CheckoutIncomplete) as refused:
        buyer.place()

    assert refused.value.extra["requirements"] == [
        {"code": "SHIPPING_ADDRESS_MISSING", "field": "shippingAddress"},
        {"code": "SHIPPING_OPTION_MISSING", "field": "shippingOption"},
    ]
    assert Order.objects.count() == 0


def test_it_says_first_that_we_do_not_ship_there(buyer):
    buyer.begin().fill(shipping_address={"country": "FR"}, shipping_option="", email="")

    with pytest.raises(NoShippingZone):
        buyer.place()

    assert ("NO_SHIPPING_ZONE", "shippingAddress") in codes(buyer.view)
    assert Order.objects.count() == 0


def test_it_undoes_everything_when_a_hold_is_gone(ready, shop, variant):
    ready.view.checkout.refresh_from_db()
    Checkout.objects.update(expires_at=ready.now + timedelta(hours=1))
    ready.now += timedelta(minutes=20)
    Buyer.arrive(shop, ready.now).add(variant, 4)

    with pytest.raises(CheckoutIncomplete) as refused:
        ready.place()

    assert refused.value.extra["requirements"][-1]["code"] == "ITEM_UNAVAILABLE"
    assert Order.objects.count() == 0


# --- paying ---------------------------------------------------------------------------------------


def test_it_opens_one_payment_for_exactly_the_total(ready):
    order, payment = ready.pay()
    _, again = ready.pay()

    assert payment.pk == again.pk
    assert (payment.status, payment.amount, payment.currency) == (
        "PENDING",
        Decimal("24.90"),
        "USD",
    )
    assert payment.next_action == {
        "type": "simulate",
        "url": f"/api/v1/payments/{payment.id}/simulate",
    }
    charge = charge_of(payment)
    assert (charge.amount, charge.key) == (Decimal("24.90"), payment.idempotency_key)
    assert order.status == "draft"


def test_it_confirms_and_sells_when_the_money_is_there(ready, variant):
    order, payment = ready.pay()
    ready.simulate(payment)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert (payment.status, payment.captured_amount) == ("CAPTURED", Decimal("24.90"))
    assert list(
        PaymentStatusChange.objects.values_list("from_status", "to_status", "captured")
    ) == [
        ("", "PENDING", Decimal(0)),
        ("PENDING", "AUTHORIZED", Decimal(0)),
        ("AUTHORIZED", "CAPTURED", Decimal("24.90")),
    ]
    assert stock(variant) == (3, 0, 3)
    sale = StockMovement.objects.get(type="SALE")
    assert (sale.quantity, sale.order_line_id) == (-2, OrderLine.objects.get().id)
    assert Reservation.objects.get(order_id=order.id).status == "COMPLETED"
    assert Checkout.objects.get().status == Checkout.Status.COMPLETED
    names = list(OutboxEvent.objects.order_by("id").values_list("name", flat=True))
    for name in ("payment.authorized", "payment.captured", "order.confirmed"):
        assert names.count(name) == 1
    assert WebhookInbox.objects.get().outcome == "PENDING -> CAPTURED"


def test_it_completes_without_any_webhook_and_again(ready):
    order, payment = ready.pay()
    ready.simulate(payment, delivery="lost")
    assert WebhookInbox.objects.count() == 0

    assert ready.complete().id == order.id
    assert ready.complete().status == "confirmed"
    assert Order.objects.count() == 1


def test_it_asks_for_the_payment_while_it_is_open(ready):
    with pytest.raises(PaymentRequired):
        ready.complete()
    _, payment = ready.pay()

    with pytest.raises(PaymentRequired) as refused:
        ready.complete()

    assert refused.value.extra["payment"]["id"] == str(payment.id)
    assert Order.objects.get().status == "draft"


def test_it_takes_each_webhook_once_and_in_any_order(ready):
    order, payment = ready.pay()
    ready.simulate(payment, "requires_action", "normal")
    ready.simulate(payment, "succeed", "duplicate")
    rows = list(WebhookInbox.objects.order_by("-id"))
    assert len(rows) == 2

    for row in rows:  # the newest first
        assert checkout.process_webhook(webhook_id=row.pk, now=ready.now) is True
        assert checkout.process_webhook(webhook_id=row.pk, now=ready.now) is False

    payment.refresh_from_db()
    order.refresh_from_db()
    assert (payment.status, order.status) == ("CAPTURED", "confirmed")
    assert StockMovement.objects.filter(type="SALE").count() == 1
    assert [row.outcome for row in WebhookInbox.objects.order_by("id")] == [
        "no change: CAPTURED",
        "PENDING -> CAPTURED",
    ]


def test_it_frees_the_goods_at_once_when_a_payment_fails_and_takes_them_again(ready, variant):
    order, payment = ready.pay()
    ready.simulate(payment, "decline")

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.payment_status) == ("draft", "failed")
    assert (payment.status, payment.failure) == ("FAILED", "card_declined")
    assert stock(variant) == (5, 0, 5)
    assert OutboxEvent.objects.filter(name="payment.failed").count() == 1
    with pytest.raises(PaymentRequired):
        ready.complete()

    _, second = ready.pay()
    assert second.pk != payment.pk
    assert stock(variant) == (3, 2, 5)
    ready.simulate(second)
    assert ready.complete().status == "confirmed"
    assert stock(variant) == (3, 0, 3)


def test_it_refuses_another_try_when_the_goods_are_gone(ready, shop, variant):
    _, payment = ready.pay()
    ready.simulate(payment, "decline")
    Buyer.arrive(shop, ready.now).add(variant, 4)

    with pytest.raises(HoldFailed):
        ready.pay()

    assert Payment.objects.count() == 1
    assert Order.objects.get().status == "draft"


def test_it_reserves_again_when_the_money_comes_late(ready, variant):
    order, payment = ready.pay()
    ready.simulate(payment, "succeed_late")

    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert stock(variant) == (3, 0, 3)


def test_it_gives_the_money_back_when_it_comes_late_and_the_goods_are_gone(ready, shop, variant):
    order, payment = ready.pay()
    ready.simulate(payment, "succeed_late", "lost")
    Buyer.arrive(shop, ready.now).add(variant, 5)

    with pytest.raises(HoldFailed):
        ready.complete()

    order.refresh_from_db()
    assert order.status == "cancelled"
    assert order.needs_attention == "Sold out while the customer paid: the money goes back."
    request = RefundRequest.objects.get()
    assert (request.amount, request.status) == (Decimal("24.90"), "due")
    assert OutboxEvent.objects.filter(name="order.cancelled").count() == 1

    assert checkout.execute_refunds(now=ready.now) == 1
    assert checkout.execute_refunds(now=ready.now) == 0
    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.payment_status, order.refunded_total) == ("refunded", Decimal("24.90"))
    assert (payment.status, payment.refunded_amount) == ("REFUNDED", Decimal("24.90"))
    assert charge_of(payment).refunded_amount == Decimal("24.90")
    assert StockMovement.objects.filter(type="SALE").count() == 0
    with pytest.raises(HoldFailed):
        ready.complete()


def test_it_returns_a_payment_that_came_after_the_order_was_cancelled(ready, variant):
    order, payment = ready.pay()
    checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)
    payment.refresh_from_db()
    assert payment.status == "CANCELLED"
    charge = charge_of(payment)
    assert charge.status == "canceled"
    ready.simulate(payment, "succeed_late")

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.payment_status) == ("cancelled", "captured")
    assert payment.status == "CAPTURED"
    assert checkout.execute_refunds(now=ready.now) == 1
    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.payment_status, payment.status) == ("refunded", "REFUNDED")
    assert order.refunded_total == 0
    assert stock(variant)[2] == 5


def test_it_returns_the_second_of_two_payments(ready):
    order, first = ready.pay()
    ready.simulate(first, "decline")
    _, second = ready.pay()
    ready.simulate(second)
    ready.simulate(first, "succeed_late")

    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    request = RefundRequest.objects.get()
    assert (request.payment_id, request.amount) == (first.id, Decimal("24.90"))
    assert checkout.execute_refunds(now=ready.now) == 1
    order.refresh_from_db()
    assert (order.payment_status, order.refunded_total) == ("captured", 0)
    assert charge_of(Payment.objects.get(pk=first.pk)).refunded_amount == Decimal("24.90")


def test_a_payment_too_many_gives_nothing_but_itself_back(ready, staff):
    _, extra = ready.pay()
    ready.simulate(extra, "decline")
    _, payment = ready.pay()
    ready.simulate(payment)
    ready.simulate(extra, "succeed_late")  # it is the older one, and its refund is still due
    about = {"actor": staff, "amount": Decimal("4.90"), "reason": "late", "now": ready.now}

    with pytest.raises(RefundExceedsPayment):
        checkout.refund_payment(payment_id=extra.id, **about)
    assert checkout.refundable(payment_id=extra.id) == 0
    checkout.refund_payment(payment_id=payment.id, **about)

    assert charge_of(Payment.objects.get(pk=extra.pk)).refunded_amount == 0
    assert checkout.execute_refunds(now=ready.now) == 1
    given = [
        charge_of(Payment.objects.get(pk=each.pk)).refunded_amount for each in (extra, payment)
    ]
    assert given == [Decimal("24.90"), Decimal("4.90")]
    assert set(RefundRequest.objects.values_list("status", flat=True)) == {"done"}


def test_it_flags_an_order_whose_payment_is_disputed(ready):
    order, payment = ready.pay()
    ready.simulate(payment, "dispute")

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.is_disputed, payment.is_disputed) == ("confirmed", True, True)
    assert order.needs_attention == "The customer disputes the payment."


def test_it_takes_no_notice_of_a_payment_of_another_amount(ready):
    order, payment = ready.pay()
    charge = charge_of(payment)
    charge.amount = charge.captured_amount = Decimal("1.00")
    charge.status = "succeeded"
    charge.save()

    checkout.settle(payment_id=payment.id, now=ready.now)
    checkout.settle(payment_id=payment.id, now=ready.now)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status, payment.captured_amount) == ("draft", "PENDING", 0)
    assert order.needs_attention == "The provider reports another payment than ours."


def test_it_finds_payments_that_nobody_told_us_of(ready):
    """F19: no message ever comes."""
    order, payment = ready.pay()
    ready.simulate(payment, delivery="lost")

    assert checkout.reconcile(now=ready.now) == 0
    assert checkout.reconcile(now=ready.now + timedelta(minutes=10)) == 1

    order.refresh_from_db()
    assert order.status == "confirmed"


def test_it_cancels_drafts_that_were_not_paid_within_a_day(ready, variant):
    order, payment = ready.pay()
    later = ready.now + timedelta(hours=24)

    assert checkout.cancel_due_drafts(now=later - timedelta(seconds=1)) == 0
    assert checkout.cancel_due_drafts(now=later) == 1

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.payment_status, payment.status) == (
        "cancelled",
        "cancelled",
        "CANCELLED",
    )
    assert charge_of(payment).status == "canceled"
    assert Checkout.objects.get().status == Checkout.Status.EXPIRED
    assert stock(variant) == (5, 0, 5)


def test_it_confirms_a_draft_that_turns_out_to_be_paid_when_its_day_is_over(ready):
    order, payment = ready.pay()
    ready.simulate(payment, delivery="lost")

    assert checkout.cancel_due_drafts(now=ready.now + timedelta(hours=24)) == 0

    order.refresh_from_db()
    assert order.status == "confirmed"


def test_it_puts_the_lines_back_when_a_placed_checkout_is_cancelled(ready, variant):
    order, payment = ready.pay()

    checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status) == ("cancelled", "CANCELLED")
    cart = Cart.objects.get(status=Cart.Status.ACTIVE)
    assert [(line.variant_id, line.quantity) for line in cart.lines.all()] == [(variant.id, 2)]


def test_it_does_not_cancel_what_is_paid(ready):
    order, payment = ready.pay()
    ready.simulate(payment, delivery="lost")

    with pytest.raises(InvalidTransition):
        checkout.cancel(actor=ready.actor, checkout_id=ready.checkout_id, now=ready.now)

    order.refresh_from_db()
    assert order.status == "confirmed"


def test_it_needs_no_payment_for_what_costs_nothing(ready, shop):
    factories.make_promotion("FREE", value=Decimal(100))
    factories.make_promotion("NOSHIP", kind="FREE_SHIPPING", scope="SHIPPING", value=0)
    from cart import services as carts

    for code in ("FREE", "NOSHIP"):
        carts.apply_code(actor=ready.actor, code=code, now=ready.now)
    ready.fill()
    assert ready.view.quote.totals.grand_total == 0
    assert ready.view.methods == []

    order = ready.complete()

    assert (order.status, order.payment_status, order.grand_total) == ("confirmed", "captured", 0)
    assert Payment.objects.count() == 0
    assert Checkout.objects.get().status == Checkout.Status.COMPLETED


def test_it_waits_for_capture_in_manual_mode(ready, settings, staff):
    settings.PAYMENT_CAPTURE_MODE = "manual"
    order, payment = ready.pay()
    ready.simulate(payment)

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, order.payment_status, payment.status) == (
        "confirmed",
        "authorized",
        "AUTHORIZED",
    )
    assert payment.captured_amount == 0

    captured = checkout.capture(actor=staff, payment_id=payment.id, amount=None, now=ready.now)
    order.refresh_from_db()
    assert (captured.status, captured.captured_amount, order.payment_status) == (
        "CAPTURED",
        Decimal("24.90"),
        "captured",
    )


def test_an_order_of_an_account_breaks_no_rule(ready, company):
    order, payment = ready.pay()
    ready.simulate(payment)
    Order.objects.filter(pk=order.pk).update(user_id=factories.make_user().pk)

    checked = invariants.run(invariants.select(invariants.all_checks(), klass="S"))

    assert [result.to_json() for result in checked if not result.holds] == []
