from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from cart import services
from cart.models import Cart, CartLine, CartPolicy, RecoveryAttempt
from config.platform.models import AuditEntry
from inventory.models import StockLevel
from tests import factories
from tests.cart.conftest import make_item
from tests.conftest import actor_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db) -> Client:
    client = Client()
    client.force_login(
        factories.make_staff(is_superuser=True),
        backend="allauth.account.auth_backends.AuthenticationBackend",
    )
    return client


@pytest.fixture
def cart(company) -> Cart:
    """An abandoned cart of an account."""
    now = timezone.now()
    user = factories.make_user(email="ada@example.com")
    actor = actor_for(user, company)
    services.create(actor=actor, now=now - timedelta(hours=3))
    services.add_line(
        actor=actor,
        sku=make_item("30.00", 5).sku,
        quantity=2,
        note="<i>hi</i>",
        now=now - timedelta(hours=2),
    )
    services.mark_abandoned(now=now)
    return Cart.objects.get()


def test_the_list_can_be_searched_and_filtered(admin, cart):
    sku = CartLine.objects.get().variant.sku
    for query in (
        "",
        "?q=ada@",
        f"?q={sku}",
        f"?q={cart.id}",
        "?status=ABANDONED",
        "?owner=user",
        "?value=50-200",
    ):
        page = admin.get(f"/admin/cart/cart/{query}")
        assert page.status_code == 200, query
        assert "ada@example.com" in page.content.decode(), query
    for query in ("?q=nobody", "?q=%00", "?owner=guest", "?value=0", "?status=EXPIRED"):
        page = admin.get(f"/admin/cart/cart/{query}")
        assert "ada@example.com" not in page.content.decode(), query


def test_the_page_of_a_cart_shows_everything(admin, cart, staff):
    services.send_recovery(actor=staff, cart_id=cart.id, now=timezone.now())

    page = admin.get(f"/admin/cart/cart/{cart.id}/change/").content.decode()

    for text in (
        CartLine.objects.get().variant.sku,
        "$60.00",
        "Left behind",
        "Added",
        "/cart/recover/",
    ):
        assert text in page
    assert "<i>hi</i>" not in page


def test_closed_carts_can_be_looked_at(admin, cart):
    for status in ("EXPIRED", "ACTIVE"):
        Cart.objects.update(status=status, expires_at=timezone.now() - timedelta(days=1))
        assert admin.get(f"/admin/cart/cart/{cart.id}/change/").status_code == 200


def test_carts_are_read_only(admin, cart):
    assert admin.get("/admin/cart/cart/add/").status_code == 403
    assert admin.post(f"/admin/cart/cart/{cart.id}/delete/", {"post": "yes"}).status_code == 403
    admin.post(f"/admin/cart/cart/{cart.id}/change/", {"status": "ACTIVE"})
    cart.refresh_from_db()
    assert cart.status == "ABANDONED"


def test_the_queue_has_its_figures_and_sends_in_bulk(admin, cart):
    page = admin.get("/admin/cart/abandonedcart/").content.decode()
    assert "ada@example.com" in page
    assert "$60.00" in page

    response = admin.post(
        "/admin/cart/abandonedcart/",
        {"action": "send_recovery", "_selected_action": [str(cart.id)]},
        follow=True,
    )

    assert response.status_code == 200
    assert RecoveryAttempt.objects.get().email == "ada@example.com"
    assert AuditEntry.objects.filter(action="cart.recovery_sent").count() == 1


def test_dismissing_takes_a_cart_out_of_the_queue(admin, cart):
    admin.post(
        "/admin/cart/abandonedcart/", {"action": "dismiss", "_selected_action": [str(cart.id)]}
    )

    cart.refresh_from_db()
    assert cart.dismissed_at is not None
    assert "ada@example.com" not in admin.get("/admin/cart/abandonedcart/").content.decode()
    assert services.send_due_recoveries(now=timezone.now()) == 0


def test_the_buttons_of_a_cart_s_page(admin, cart):
    line = CartLine.objects.get()
    url = f"/admin/cart/cart/{cart.id}/act/"

    admin.post(url, {"verb": "send"})
    admin.post(url, {"verb": "quantity", "line": str(line.id), "quantity": "3"})
    line.refresh_from_db()
    after_quantity = line.quantity
    admin.post(url, {"verb": "quantity", "line": str(line.id), "quantity": "99"})
    admin.post(url, {"verb": "quantity", "line": "rubbish", "quantity": "x"})
    admin.post(url, {"verb": "remove", "line": str(line.id)})

    assert admin.get(url).status_code == 405
    assert RecoveryAttempt.objects.count() == 1
    assert after_quantity == 3
    assert not CartLine.objects.exists()
    assert StockLevel.objects.get().available == 5
    assert list(
        AuditEntry.objects.filter(object_type="cart")
        .values_list("action", flat=True)
        .order_by("id")
    ) == [
        "cart.recovery_sent",
        "cart.line_changed",
        "cart.line_removed",
    ]


def test_staff_who_edit_do_not_become_the_holder(admin, cart):
    from inventory.models import Reservation

    line = CartLine.objects.get()
    admin.post(
        f"/admin/cart/cart/{cart.id}/act/",
        {"verb": "quantity", "line": str(line.id), "quantity": "1"},
    )

    held = Reservation.objects.filter(status="ACTIVE").first()
    assert held is None or held.holder == f"user:{cart.user_id}"


def test_another_company_s_carts_are_not_there(admin, cart):
    Cart.objects.update(company=factories.make_company())

    assert "ada@example.com" not in admin.get("/admin/cart/cart/").content.decode()
    assert admin.get(f"/admin/cart/cart/{cart.id}/change/").status_code == 302


def test_the_knobs_are_changed_through_their_service(admin, company):
    form = {
        "hold_start": "add", "hold_minutes": 20, "hold_max_minutes": 60, "max_held_units_per_customer": 10,
        "max_held_units_per_address": 50, "max_cart_items_per_user": 50, "cart_expiration_days": 10,
        "guest_cart_merge_enabled": "on", "merge_policy": "max", "abandonment_threshold_minutes": "",
        "abandonment_email_enabled": "on", "max_abandonment_notifications": 2,
        "abandonment_notification_interval_hours": 12, "minimum_order_value_for_abandonment": "5.00",
        "abandonment_move_to_next_purchase_days": 7,
    }  # fmt: skip

    added = admin.post("/admin/cart/cartpolicy/add/", form)
    changed = admin.post(
        f"/admin/cart/cartpolicy/{company.id}/change/", {**form, "hold_minutes": 30}
    )
    refused = admin.post(
        f"/admin/cart/cartpolicy/{company.id}/change/", {**form, "hold_minutes": 90}
    )

    assert (added.status_code, changed.status_code, refused.status_code) == (302, 302, 200)
    policy = CartPolicy.objects.get()
    assert (
        policy.hold_minutes,
        policy.merge_policy,
        policy.auto_activate_next_purchase_enabled,
    ) == (30, "max", False)
    assert AuditEntry.objects.filter(action="cart.policy_changed").count() == 2
    assert admin.get("/admin/cart/cartpolicy/", follow=True).status_code == 200
    assert admin.get("/admin/cart/cartpolicy/add/").status_code == 403
