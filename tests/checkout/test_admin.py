"""The back office of orders and payments: pages open, steps go through the services, figures cannot be edited."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from checkout import services as checkout
from checkout.models import Checkout, Payment, WebhookInbox
from config.platform.models import FeatureFlag
from orders import services as orders
from orders.models import Order, OrderEdit, RefundRequest, ReturnRequest, Shipment
from orders.services import WantedReturn
from tests.factories import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(company):
    client = Client()
    client.force_login(
        make_staff(is_superuser=True), backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    return client


@pytest.fixture
def order(ready):
    found, payment = ready.pay()
    ready.simulate(payment)
    return Order.objects.get(pk=found.pk)


def said(response):
    return [str(message) for message in response.context["messages"]]


MODELS = {
    "orders_order": Order,
    "orders_refundrequest": RefundRequest,
    "orders_returnrequest": ReturnRequest,
    "checkout_checkout": Checkout,
    "checkout_payment": Payment,
    "checkout_webhookinbox": WebhookInbox,
}


@pytest.fixture
def everything(order, staff, now):
    """One row of everything that has a page."""
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    line = order.lines.get()
    orders.request_return(
        actor=staff, order_id=order.id, wanted=[WantedReturn(line.id, 1)], now=now
    )
    orders.request_refund(
        actor=staff, order_id=order.id, amount=Decimal("1.00"), reason="x", now=now
    )


@pytest.mark.parametrize("name", MODELS)
def test_lists_searches_and_details_open(office, everything, name):
    address = reverse(f"admin:{name}_changelist")
    row = MODELS[name].objects.first()

    assert office.get(address).status_code == 200
    assert office.get(address, {"q": "ORD-2026 ' not-a-uuid"}).status_code == 200
    assert office.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_added_or_deleted_by_hand(office, everything, name):
    row = MODELS[name].objects.first()

    assert office.get(reverse(f"admin:{name}_add")).status_code == 403
    assert office.post(reverse(f"admin:{name}_delete", args=[row.pk])).status_code == 403
    assert MODELS[name].objects.filter(pk=row.pk).exists()


def step(office, order, name, **values):
    return office.post(
        reverse(f"admin:orders_order_{name}_order", args=[order.pk]), values, follow=True
    )


def test_staff_ship_and_deliver(office, order):
    asked = office.get(reverse("admin:orders_order_ship_order", args=[order.pk]))
    assert "Tracking number" in asked.content.decode()

    step(office, order, "ship", tracking_number="CP1")
    assert not Shipment.objects.exists(), "a parcel with nothing in it"
    units = {f"units-{line.pk}": line.unsent for line in order.lines.all()}
    step(office, order, "ship", carrier="Coastal Post", tracking_number="CP1", **units)
    order.refresh_from_db()
    assert (order.status, Shipment.objects.get().tracking_number) == ("shipped", "CP1")

    step(office, order, "deliver")
    order.refresh_from_db()
    assert order.status == "delivered"
    refused = step(office, order, "ship")
    assert "An order that is delivered cannot become shipped." in refused.content.decode()
    assert Shipment.objects.count() == 1


def test_staff_cancel_with_a_reason(office, order, now):
    refused = step(office, order, "cancel", reason="")
    order.refresh_from_db()
    assert (refused.status_code, order.status) == (200, "confirmed")

    step(office, order, "cancel", reason="damaged in stock")

    order.refresh_from_db()
    assert (order.status, order.status_changes.last().reason) == ("cancelled", "damaged in stock")
    assert checkout.execute_refunds(now=now) == 1


def test_staff_edit_notes_and_nothing_else(office, order):
    office.post(
        reverse("admin:orders_order_change", args=[order.pk]),
        {
            "staff_notes": "call first",
            "needs_attention": "",
            "grand_total": "0",
            "status": "delivered",
            **{
                f"{prefix}-{field}": 0
                for prefix in ("lines", "status_changes", "shipments", "refund_requests", "edits")
                for field in ("TOTAL_FORMS", "INITIAL_FORMS")
            },
        },
    )

    order.refresh_from_db()
    assert (order.staff_notes, order.status, order.grand_total) == (
        "call first",
        "confirmed",
        Decimal("24.90"),
    )
    assert OrderEdit.objects.get().field == "staff_notes"


def test_staff_pack_several_at_once(office, order):
    answer = office.post(
        reverse("admin:orders_order_changelist"),
        {"action": "start_packing", "_selected_action": [str(order.pk)]},
        follow=True,
    )

    order.refresh_from_db()
    assert order.status == "processing"
    assert said(answer) == ["1 order is being packed."]


def test_staff_decide_returns(office, everything, order):
    for action, status in (("approve", "APPROVED"), ("receive", "RECEIVED")):
        office.post(
            reverse("admin:orders_returnrequest_changelist"),
            {"action": action, "_selected_action": [str(ReturnRequest.objects.get().pk)]},
        )
        assert ReturnRequest.objects.get().status == status


def test_staff_process_a_webhook_again(office, order):
    row = WebhookInbox.objects.get()

    answer = office.post(
        reverse("admin:checkout_webhookinbox_changelist"),
        {"action": "process_again", "_selected_action": [str(row.pk)]},
        follow=True,
    )

    row.refresh_from_db()
    assert said(answer) == ["1 provider event was processed again."]
    assert (row.attempts, row.outcome) == (1, "no change: CAPTURED")


def test_staff_ask_the_provider(office, ready):
    _, payment = ready.pay()
    ready.simulate(payment, delivery="lost")

    office.post(
        reverse("admin:checkout_payment_changelist"),
        {"action": "ask_provider", "_selected_action": [str(payment.pk)]},
    )

    payment.refresh_from_db()
    assert payment.status == "CAPTURED"
    assert FeatureFlag.objects.count() == 0


def test_a_member_of_staff_without_rights_takes_no_step(company, order):
    client = Client()
    client.force_login(
        make_staff(is_superuser=False),
        backend="allauth.account.auth_backends.AuthenticationBackend",
    )

    assert client.post(reverse("admin:orders_order_ship_order", args=[order.pk])).status_code == 403
    assert client.get(reverse("admin:orders_order_changelist")).status_code == 403
    order.refresh_from_db()
    assert order.status == "confirmed"
