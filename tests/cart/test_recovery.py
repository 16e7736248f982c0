"""Abandoned carts and the links that bring them back."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from cart import selectors, services, tokens
from cart.errors import NobodyToRemind, NotAbandoned, RecoveryTokenExpired, RecoveryTokenInvalid
from cart.events import RecoveryDue
from cart.models import Cart, CartLine, CartPolicy, RecoveryAttempt
from checkout.models import Checkout
from config.platform import outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import Forbidden
from config.platform.models import AuditEntry, OutboxEvent
from inventory.models import Reservation, StockLevel
from pricing.models import Price
from tests import factories
from tests.cart.conftest import make_item
from tests.conftest import actor_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(user, company):
    return actor_for(user, company)


@pytest.fixture
def variant(db):
    return make_item("30.00", 5)


@pytest.fixture
def abandoned(owner, variant, now):
    """An account's cart, abandoned an hour and a half ago."""
    services.create(actor=owner, now=now - timedelta(hours=2))
    services.add_line(actor=owner, sku=variant.sku, quantity=2, now=now - timedelta(minutes=90))
    assert services.mark_abandoned(now=now) == 1
    return Cart.objects.get()


def link_of(event: OutboxEvent) -> str:
    found, _envelope = outbox.restore(event)  # type: ignore[misc]
    assert isinstance(found, RecoveryDue)
    return found.link_token


def last_link() -> str:
    return link_of(OutboxEvent.objects.filter(name="cart.recovery_due").latest("id"))


@pytest.fixture
def link(abandoned, now):
    assert services.send_due_recoveries(now=now) == 1
    return last_link()


# --- being abandoned ------------------------------------------------------------------------------


def test_a_cart_is_abandoned_after_the_threshold(owner, variant, now):
    services.create(actor=owner, now=now)
    services.add_line(actor=owner, sku=variant.sku, now=now)

    assert services.mark_abandoned(now=now + timedelta(minutes=60)) == 0
    assert services.mark_abandoned(now=now + timedelta(minutes=61)) == 1
    assert services.mark_abandoned(now=now + timedelta(minutes=62)) == 0

    cart = Cart.objects.get()
    assert (cart.status, cart.abandonment_cycle, cart.version) == ("ABANDONED", 1, 3)
    assert cart.abandoned_at == now + timedelta(minutes=61)
    assert OutboxEvent.objects.filter(name="cart.abandoned").count() == 1


def test_an_empty_cart_is_never_abandoned(owner, variant, now):
    services.create(actor=owner, now=now)
    services.add_line(actor=owner, sku=variant.sku, list="saved", now=now)

    assert services.mark_abandoned(now=now + timedelta(days=1)) == 0


def test_the_policy_sets_another_threshold(company, owner, variant, now):
    CartPolicy.objects.create(company=company, abandonment_threshold_minutes=10)
    services.create(actor=owner, now=now)
    services.add_line(actor=owner, sku=variant.sku, now=now)

    assert services.mark_abandoned(now=now + timedelta(minutes=11)) == 1


def test_any_change_brings_the_cart_back(abandoned, link, owner, now):
    view = services.add_line(actor=owner, sku=make_item().sku, now=now)

    abandoned.refresh_from_db()
    assert view.status == abandoned.status == "ACTIVE"
    assert (
        abandoned.notifications_sent,
        abandoned.next_notification_at,
        abandoned.abandoned_at,
    ) == (0, None, None)


def test_a_look_does_not(abandoned, owner, now):
    selectors.view(actor=owner, now=now)

    abandoned.refresh_from_db()
    assert abandoned.status == "ABANDONED"


def test_many_are_marked_in_few_statements(company, variant, now, statements):
    carts = [
        Cart(
            company=company,
            user_id=uuid4(),
            currency="USD",
            last_activity_at=now - timedelta(hours=3),
            expires_at=now + timedelta(days=1),
            created_at=now,
        )
        for _ in range(50)
    ]
    Cart.objects.bulk_create(carts)
    CartLine.objects.bulk_create(
        CartLine(
            cart=cart,
            product=variant.product,
            variant=variant,
            quantity=1,
            price_when_added=1,
            added_at=now,
        )
        for cart in carts
    )

    with statements() as found:
        assert services.mark_abandoned(now=now, limit=30) == 30
        assert services.mark_abandoned(now=now, limit=30) == 20

    assert len(found) <= 6


# --- reminders ------------------------------------------------------------------------------------


def test_reminders_go_out_at_most_three_times_a_day_apart(abandoned, now):
    sent = [
        services.send_due_recoveries(now=now + timedelta(hours=hours))
        for hours in (0, 1, 23, 24, 25, 48, 72, 500)
    ]

    assert sent == [1, 0, 0, 1, 0, 1, 0, 0]
    assert list(RecoveryAttempt.objects.order_by("stage").values_list("cycle", "stage")) == [
        (1, 1),
        (1, 2),
        (1, 3),
    ]
    abandoned.refresh_from_db()
    assert (abandoned.notifications_sent, abandoned.next_notification_at) == (3, None)


def test_the_reminder_s_secret_is_stored_nowhere(abandoned, link):
    [attempt] = RecoveryAttempt.objects.all()

    assert bytes(attempt.token_hash) == tokens.digest_of(link)
    assert link not in str(OutboxEvent.objects.get(name="cart.recovery_due").payload)


@pytest.mark.parametrize(
    "reason", ["cheap", "off", "no address", "bought", "none", "dismissed", "flag"]
)
def test_who_is_not_reminded(reason, abandoned, company, owner, staff, settings, now):
    match reason:
        case "cheap":
            CartPolicy.objects.create(
                company=company, minimum_order_value_for_abandonment=Decimal("60.01")
            )
        case "off":
            CartPolicy.objects.create(company=company, abandonment_email_enabled=False)
        case "none":
            CartPolicy.objects.create(company=company, max_abandonment_notifications=0)
        case "no address":
            Cart.objects.update(user_id=uuid4())
        case "bought":
            Cart.objects.create(
                company=company,
                user_id=owner.user_id,
                status="CONVERTED",
                order_id=uuid4(),
                converted_at=now,
                currency="USD",
                last_activity_at=now,
                expires_at=now,
                created_at=now,
            )
        case "dismissed":
            assert services.dismiss(actor=staff, cart_ids=[abandoned.id], now=now) == 1
        case "flag":
            settings.FEATURES = {**settings.FEATURES, "CART_RECOVERY_ENABLED": False}

    assert services.send_due_recoveries(now=now) == 0
    assert not RecoveryAttempt.objects.exists()
    assert not OutboxEvent.objects.filter(name="cart.recovery_due").exists()


def test_a_guest_who_left_an_address_is_reminded(api, variant, now):
    guest = api.as_guest(api.post("/public/cart").json()["sessionToken"])
    guest.post("/cart/items", {"sku": variant.sku})
    guest.patch("/cart", {"email": "ada@example.com"})
    services.mark_abandoned(now=now + timedelta(hours=2))

    assert services.send_due_recoveries(now=now + timedelta(hours=2)) == 1
    assert RecoveryAttempt.objects.get().email == "ada@example.com"


def test_staff_can_send_one_at_once(abandoned, link, staff, owner, now):
    assert services.send_recovery(actor=staff, cart_id=abandoned.id, now=now) == 2

    assert RecoveryAttempt.objects.count() == 2
    assert RecoveryAttempt.objects.latest("stage").sent_by == staff.label
    assert AuditEntry.objects.filter(action="cart.recovery_sent").count() == 1
    with pytest.raises(Forbidden):
        services.send_recovery(actor=owner, cart_id=abandoned.id, now=now)
    Cart.objects.update(user_id=uuid4())
    with pytest.raises(NobodyToRemind):
        services.send_recovery(actor=staff, cart_id=abandoned.id, now=now)
    Cart.objects.update(status="ACTIVE")
    with pytest.raises(NotAbandoned):
        services.send_recovery(actor=staff, cart_id=abandoned.id, now=now)


def test_the_mail_says_what_is_in_the_cart_and_nothing_else(abandoned, user, variant, now):
    mail = selectors.recovery_mail(cart_id=abandoned.id, now=now)

    assert mail["user_id"] == user.id
    assert [(line["name"], line["quantity"], line["amount"]) for line in mail["lines"]] == [
        (variant.product.name, 2, "$60.00")
    ]
    assert mail["total"] == "$60.00"


# --- the link -------------------------------------------------------------------------------------


def test_the_preview_shows_things_and_nobody_and_changes_nothing(
    api, link, abandoned, user, variant
):
    before = Cart.objects.values().get()

    response = api.get(f"/cart/recovery/{link}")

    assert response.status_code == 200
    assert response["Referrer-Policy"] == "no-referrer"
    [item] = response.json()["items"]
    assert (item["sku"], item["quantity"], item["unitPrice"]) == (variant.sku, 2, "30.00")
    text = response.content.decode()
    assert user.email not in text
    assert str(user.id) not in text
    assert str(abandoned.id) not in text
    assert Cart.objects.values().get() == before
    assert RecoveryAttempt.objects.get().clicked_at is not None


def test_the_owner_s_own_cart_comes_back_held(user_api, link, abandoned):
    response = user_api.post(f"/cart/recovery/{link}/restore")

    body = response.json()
    assert response.status_code == 200
    assert body["id"] == str(abandoned.id)
    assert body["status"] == "ACTIVE"
    assert [(line["quantity"], line["hold"]["state"]) for line in body["items"]] == [(2, "held")]
    assert [row["action"] for row in body["report"]] == ["kept"]
    abandoned.refresh_from_db()
    assert abandoned.recovered_at is not None
    assert OutboxEvent.objects.filter(name="cart.recovered").count() == 1


def test_a_stranger_gets_copies_in_a_cart_of_their_own_and_its_token(
    api, link, abandoned, user, variant
):
    Price.objects.update(amount=Decimal("25.00"))

    response = api.post(f"/cart/recovery/{link}/restore")

    body = response.json()
    assert response.status_code == 200
    assert body["id"] != str(abandoned.id)
    assert body["owner"] == "guest"
    assert [(line["sku"], line["quantity"], line["unitPrice"]) for line in body["items"]] == [
        (variant.sku, 2, "25.00")
    ]
    [row] = body["report"]
    assert (row["action"], row["oldPrice"], row["unitPrice"]) == ("kept", "30.00", "25.00")
    assert user.email not in response.content.decode()
    assert api.as_guest(body["sessionToken"]).get("/cart").json()["id"] == body["id"]
    abandoned.refresh_from_db()
    assert abandoned.status == "ABANDONED"
    assert abandoned.lines.count() == 1


def test_another_account_gets_copies_too(api, link, abandoned):
    other = api.as_user(factories.make_user())
    other.post("/cart/items", {"sku": make_item().sku})

    body = other.post(f"/cart/recovery/{link}/restore").json()

    assert body["owner"] == "user"
    assert len(body["items"]) == 2
    assert "sessionToken" not in body


def test_what_is_gone_is_reported(api, link, variant):
    StockLevel.objects.update(available=1, reserved=0, total=1)
    Reservation.objects.update(status="EXPIRED")

    body = api.post(f"/cart/recovery/{link}/restore").json()

    [row] = body["report"]
    assert (row["action"], row["quantity"], row["reason"]) == ("capped", 1, "ITEM_OUT_OF_STOCK")
    assert body["items"][0]["quantity"] == 1


def test_a_link_works_once(api, user_api, link):
    first = user_api.post(f"/cart/recovery/{link}/restore")
    second = api.post(f"/cart/recovery/{link}/restore")
    look = api.get(f"/cart/recovery/{link}")

    assert first.status_code == 200
    assert (second.status_code, second.json()["code"]) == (410, "RECOVERY_TOKEN_EXPIRED")
    assert (look.status_code, look.json()["code"]) == (410, "RECOVERY_TOKEN_EXPIRED")
    assert Cart.objects.count() == 1


def test_a_link_is_over_after_72_hours(link, owner, now):
    with pytest.raises(RecoveryTokenExpired):
        services.restore(actor=owner, token=link, now=now + timedelta(hours=72))
    assert services.preview_recovery(actor=owner, token=link, now=now + timedelta(hours=71))


def test_a_link_is_over_when_the_cart_was_bought(link, abandoned, owner, now):
    Cart.objects.update(status="CONVERTED", order_id=uuid4())

    with pytest.raises(RecoveryTokenExpired):
        services.restore(actor=owner, token=link, now=now)


def test_a_link_is_over_when_the_cart_was_abandoned_anew(link, owner, now):
    services.add_line(actor=owner, sku=make_item().sku, now=now)
    services.mark_abandoned(now=now + timedelta(hours=2))

    with pytest.raises(RecoveryTokenExpired):
        services.preview_recovery(actor=owner, token=link, now=now + timedelta(hours=2))


def test_every_bit_of_a_link_counts(link, owner, now):
    content = base64.urlsafe_b64decode(link)
    for position in range(len(content) * 8):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        assert tokens.read(base64.urlsafe_b64encode(changed).decode()) is None
    for wrong in (
        link[:-1],
        link + "A",
        link + "=",
        link[1:],
        "",
        "x" * 104,
        link.replace(link[5], "é", 1),
        link + "\n",
    ):
        with pytest.raises(RecoveryTokenInvalid):
            services.preview_recovery(actor=owner, token=wrong, now=now)


def test_a_link_of_another_key_purpose_company_or_cart_is_none_of_ours(
    link, abandoned, owner, settings, now
):
    attempt = RecoveryAttempt.objects.get()
    other_cart = tokens.sign(
        cart_id=uuid4(), attempt_id=attempt.id, expires_at=attempt.expires_at, cycle=1
    )
    other_attempt = tokens.sign(
        cart_id=abandoned.id, attempt_id=uuid4(), expires_at=attempt.expires_at, cycle=1
    )
    longer = tokens.sign(
        cart_id=abandoned.id, attempt_id=attempt.id, expires_at=now + timedelta(days=900), cycle=1
    )
    for forged in (other_cart, other_attempt, longer):
        with pytest.raises(RecoveryTokenInvalid):
            services.preview_recovery(actor=owner, token=forged, now=now)
    foreign = Actor(kind=ActorKind.ANONYMOUS, company_id=factories.make_company().id)
    with pytest.raises(RecoveryTokenInvalid):
        services.preview_recovery(actor=foreign, token=link, now=now)

    old = settings.CART_RECOVERY_HMAC_SECRET
    settings.CART_RECOVERY_HMAC_SECRET = "n" * 40
    with pytest.raises(RecoveryTokenInvalid):
        services.preview_recovery(actor=owner, token=link, now=now)
    settings.CART_RECOVERY_HMAC_SECRET_FALLBACKS = [old]
    assert services.preview_recovery(actor=owner, token=link, now=now)


def test_wrong_links_are_400_over_http(api):
    for wrong in ("x", "0" * 104, "%2e%2e", "é" * 20):
        for response in (
            api.get(f"/cart/recovery/{wrong}"),
            api.post(f"/cart/recovery/{wrong}/restore"),
        ):
            assert (response.status_code, response.json()["code"]) == (
                400,
                "RECOVERY_TOKEN_INVALID",
            )


def test_trying_links_is_limited(api, rate_limits):
    answers = [api.get("/cart/recovery/x").status_code for _ in range(11)]

    assert answers == [400] * 10 + [429]


def test_an_order_that_follows_is_credited_to_the_reminder(link, owner, abandoned, company, now):
    services.restore(actor=owner, token=link, now=now)
    order_id = uuid4()
    services.convert(actor=owner, cart_id=abandoned.id, order_id=order_id, now=now)

    assert RecoveryAttempt.objects.get().order_id == order_id
    metrics = selectors.abandoned_metrics(company_id=company.id, now=now)
    assert (metrics.mails_sent, metrics.recovered_count, metrics.orders) == (1, 1, 1)
    assert metrics.recovered_value == Decimal("60.000")
    assert metrics.recovery_rate == 1.0


def test_asking_for_another_mail_tells_nothing(api, abandoned, user, now):
    known = api.post("/cart/recovery/request", {"email": user.email.upper()})
    unknown = api.post("/cart/recovery/request", {"email": "nobody@example.com"})
    at_once = api.post("/cart/recovery/request", {"email": user.email})

    assert known.status_code == unknown.status_code == at_once.status_code == 202
    assert known.json() == unknown.json() == at_once.json()
    assert RecoveryAttempt.objects.count() == 1
    assert api.post("/cart/recovery/request", {"email": "no address"}).status_code == 400


# --- after a week, after a month ------------------------------------------------------------------


def test_after_a_week_the_items_of_an_account_wait_for_the_next_purchase(
    abandoned, owner, variant, now
):
    assert services.move_abandoned_to_next(now=now + timedelta(days=6)) == 0
    assert services.move_abandoned_to_next(now=now + timedelta(days=7)) == 1

    view = selectors.view(actor=owner, now=now + timedelta(days=7))
    assert (view.status, view.items) == ("ACTIVE", ())
    assert [(line.sku, line.quantity) for line in view.next_purchase_items] == [(variant.sku, 2)]


def test_an_item_that_waits_already_is_joined(owner, variant, now):
    services.create(actor=owner, now=now - timedelta(days=9))
    services.add_line(actor=owner, sku=variant.sku, now=now - timedelta(days=9))
    services.add_line(
        actor=owner, sku=variant.sku, quantity=3, list="next", now=now - timedelta(days=9)
    )
    services.mark_abandoned(now=now - timedelta(days=8))

    services.move_abandoned_to_next(now=now)

    [line] = CartLine.objects.all()
    assert (line.list, line.quantity) == ("next", 4)


def test_carts_expire_and_hold_nothing_any_more(owner, variant, now):
    services.create(actor=owner, now=now)
    services.add_line(actor=owner, sku=variant.sku, now=now)
    Cart.objects.update(expires_at=now + timedelta(minutes=1))

    assert services.expire_due(now=now) == 0
    assert services.expire_due(now=now + timedelta(minutes=1)) == 1

    assert Cart.objects.get().status == "EXPIRED"
    assert StockLevel.objects.get().available == 5
    assert OutboxEvent.objects.filter(name="cart.expired").count() == 1


def test_old_carts_are_deleted(abandoned, now):
    assert services.delete_old(now=now + timedelta(days=89)) == 0
    assert services.delete_old(now=now + timedelta(days=91)) == 1
    assert not CartLine.objects.exists()


def test_a_cart_that_a_checkout_refers_to_is_kept(abandoned, now):
    Checkout.objects.create(
        company=abandoned.company,
        cart=abandoned,
        user_id=abandoned.user_id,
        currency="USD",
        status="CANCELLED",
        created_at=now,
        expires_at=now,
    )

    assert services.delete_old(now=now + timedelta(days=91)) == 0
    assert Cart.objects.exists()


# --- two clicks at once ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_clicks_at_once_one_wins(company):
    now = timezone.now()
    variant = make_item("30.00", 50)
    user = factories.make_user()
    owner = actor_for(user, company)
    services.create(actor=owner, now=now - timedelta(hours=2))
    services.add_line(actor=owner, sku=variant.sku, now=now - timedelta(minutes=90))
    services.mark_abandoned(now=now)
    services.send_due_recoveries(now=now)
    link = last_link()
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def click() -> None:
        stranger = Actor(kind=ActorKind.ANONYMOUS, company_id=company.id, address="192.0.2.1")
        try:
            start.wait()
            services.restore(actor=stranger, token=link, now=now)
            outcomes.append("restored")
        except RecoveryTokenExpired:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused"] * 7 + ["restored"]
    assert CartLine.objects.count() == 2
