from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cart import selectors, services
from cart.errors import CartExpired, CartLimitExceeded, CartNotFound
from cart.models import Cart, CartEvent, CartLine
from config.platform.errors import ValidationFailed
from inventory.errors import InsufficientStock
from inventory.models import Reservation, StockLevel
from pricing.models import Price
from tests.cart.conftest import make_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(actor_guest, now):
    """A guest who has an open cart."""
    import dataclasses

    from config.platform.actor import hash_token

    opened = services.create(actor=dataclasses.replace(actor_guest, session_hash=None), now=now)
    assert opened.token is not None
    return dataclasses.replace(actor_guest, session_hash=hash_token(opened.token))


def test_adding_holds_the_units_and_prices_the_cart(guest, now):
    variant = make_item("10.00", 5)

    view = services.add_line(actor=guest, sku=variant.sku, quantity=2, now=now)

    [line] = view.items
    assert (line.quantity, line.unit_price, line.subtotal, line.total) == (
        2,
        Decimal("10.00"),
        20,
        20,
    )
    assert (line.hold.state, line.hold.quantity, line.hold.seconds_left) == ("held", 2, 900)
    assert line.hold.expires_at == now + timedelta(minutes=15)
    assert line.available == 5
    assert (view.totals.item_count, view.totals.line_count, view.totals.grand_total) == (2, 1, 20)
    assert view.version == 2
    level = StockLevel.objects.get(variant=variant)
    assert (level.available, level.reserved) == (3, 2)
    assert list(CartEvent.objects.order_by("version").values_list("version", "event")) == [
        (1, "cart.created"),
        (2, "cart.item_added"),
    ]


def test_the_same_item_again_grows_its_line(guest, now):
    variant = make_item(available=5)
    services.add_line(actor=guest, sku=variant.sku, quantity=2, now=now)

    view = services.add_line(actor=guest, variant_id=variant.id, quantity=3, now=now)

    assert [line.quantity for line in view.items] == [5]
    assert StockLevel.objects.get(variant=variant).available == 0


def test_reading_shows_what_the_write_returned(guest, now):
    variant = make_item(available=5)
    written = services.add_line(actor=guest, sku=variant.sku, quantity=2, now=now)

    read = selectors.view(actor=guest, now=now)

    assert read == written
    assert read.etag == written.etag


def test_more_than_there_is_is_refused_and_nothing_is_written(guest, now):
    variant = make_item(available=2)

    with pytest.raises(InsufficientStock) as refused:
        services.add_line(actor=guest, sku=variant.sku, quantity=3, now=now)

    assert refused.value.extra["available"] == 2
    assert not CartLine.objects.exists()
    assert not Reservation.objects.exists()
    assert Cart.objects.get().version == 1


@pytest.mark.parametrize("quantity", [0, -1, 101])
def test_a_quantity_out_of_range_is_refused(guest, now, quantity):
    variant = make_item(available=200)

    with pytest.raises(ValidationFailed):
        services.add_line(actor=guest, sku=variant.sku, quantity=quantity, now=now)


def test_a_sum_over_the_limit_is_refused(guest, now):
    variant = make_item(available=200)
    services.add_line(actor=guest, sku=variant.sku, quantity=60, now=now)

    with pytest.raises(CartLimitExceeded):
        services.add_line(actor=guest, sku=variant.sku, quantity=41, now=now)

    assert CartLine.objects.get().quantity == 60


def test_changing_the_quantity_changes_the_hold(guest, now):
    variant = make_item(available=5)
    line = services.add_line(actor=guest, sku=variant.sku, quantity=2, now=now).items[0]

    view = services.change_line(actor=guest, line_id=line.id, quantity=4, now=now)

    assert view.items[0].quantity == 4
    assert StockLevel.objects.get(variant=variant).available == 1


def test_removing_releases_the_hold(guest, now):
    variant = make_item(available=5)
    line = services.add_line(actor=guest, sku=variant.sku, quantity=2, now=now).items[0]

    view = services.remove_line(actor=guest, line_id=line.id, now=now)

    assert view.items == ()
    assert view.totals.grand_total == 0
    assert StockLevel.objects.get(variant=variant).available == 5


def test_clearing_keeps_the_other_lists(guest, now):
    kept, gone = make_item(), make_item()
    services.add_line(actor=guest, sku=kept.sku, list="next", now=now)
    services.add_line(actor=guest, sku=kept.sku, list="saved", now=now)
    services.add_line(actor=guest, sku=gone.sku, now=now)

    view = services.clear(actor=guest, now=now)

    assert view.items == ()
    assert len(view.saved_items) == 1


def test_the_promised_price_holds_while_the_hold_lives(guest, now):
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now)
    Price.objects.filter(variant=variant).update(amount=Decimal("12.00"))

    during = selectors.view(actor=guest, now=now + timedelta(minutes=14))
    after = selectors.view(actor=guest, now=now + timedelta(minutes=16))

    assert during.items[0].unit_price == Decimal("10.00")
    assert not during.items[0].price_changed
    assert after.items[0].unit_price == Decimal("12.00")
    assert after.items[0].price_changed
    assert {warning.code for warning in after.warnings} == {"PRICE_CHANGED", "HOLD_EXPIRED"}
    assert after.items[0].hold.state == "expired"
    assert after.items[0].problems == ()
    assert after.totals.grand_total == Decimal("12.00")


def test_a_lower_price_counts_at_once(guest, now):
    variant = make_item("10.00")
    services.add_line(actor=guest, sku=variant.sku, now=now)
    Price.objects.filter(variant=variant).update(amount=Decimal("8.00"))

    assert selectors.view(actor=guest, now=now).items[0].unit_price == Decimal("8.00")


def test_convert_leaves_a_fresh_cart_with_the_other_lists(guest, now):
    bought, kept = make_item(), make_item()
    services.add_line(actor=guest, sku=bought.sku, now=now)
    services.add_line(actor=guest, sku=kept.sku, list="saved", now=now)
    old = Cart.objects.get()
    order_id = old.id

    fresh = services.convert(actor=guest, cart_id=old.id, order_id=order_id, now=now)

    view = selectors.view(actor=guest, now=now)
    assert view.id == fresh.id
    assert view.items == ()
    assert [line.sku for line in view.saved_items] == [kept.sku]
    old.refresh_from_db()
    assert (old.status, old.order_id) == ("CONVERTED", order_id)
    assert old.lines.count() == 1


def test_an_expired_cart_says_so(guest, now):
    with pytest.raises(CartExpired):
        selectors.view(actor=guest, now=now + timedelta(days=31))


def test_a_foreign_cart_is_not_there(guest, actor_user, now):
    cart = Cart.objects.get()

    with pytest.raises(CartNotFound):
        selectors.view(actor=actor_user, cart_id=cart.id, now=now)
