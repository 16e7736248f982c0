"""Everybody at once, on a real database; each race beside a control that shows what the lock prevents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from cart import services
from cart.models import Cart, CartEvent, CartLine
from cart.selectors import state
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.errors import ApplicationError
from inventory.models import Reservation, StockLevel
from tests import factories
from tests.cart.conftest import make_item
from tests.conftest import actor_for

STALE = " OFFSET (SELECT 0 FROM pg_sleep(0.02))"  # what is read is from before the pause

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """Run `work(0…)` in as many threads, started together, and return what each returned or raised."""
    start = threading.Barrier(number)
    outcomes: list[object] = [None] * number

    def run(index: int) -> None:
        try:
            start.wait()
            outcomes[index] = work(index)
        except Exception as failure:  # noqa: BLE001 - the outcome is the point
            outcomes[index] = failure
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def guest(company):
    opened = services.create(
        actor=Actor(kind=ActorKind.ANONYMOUS, company_id=company.id), now=timezone.now()
    )
    return Actor(kind=ActorKind.GUEST, company_id=company.id, session_hash=hash_token(opened.token))


def add_twenty(guest, variant) -> list[object]:
    return at_once(
        20, lambda _index: services.add_line(actor=guest, sku=variant.sku, now=timezone.now())
    )


def test_twenty_adds_at_once_are_one_line_with_the_exact_sum(guest):
    variant = make_item(available=50)

    outcomes = add_twenty(guest, variant)

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    [line] = CartLine.objects.all()
    assert line.quantity == 20
    cart = Cart.objects.get()
    assert (cart.version, cart.item_count) == (21, 20)
    assert sorted(CartEvent.objects.values_list("version", flat=True)) == list(range(1, 22))
    level = StockLevel.objects.get()
    assert (level.available, level.reserved) == (30, 20)
    assert sum(Reservation.objects.filter(status="ACTIVE").values_list("quantity", flat=True)) == 20


def test_without_the_lock_adds_are_lost(guest):
    """The control: the same threads, the lock taken out."""
    variant = make_item(available=50)
    services.add_line(actor=guest, sku=variant.sku, now=timezone.now())

    with mock.patch.object(state, "_LOCK", STALE):
        add_twenty(guest, variant)

    assert CartLine.objects.get().quantity < 21


def test_of_many_who_want_the_last_units_as_many_get_them(company):
    variant = make_item(available=5)
    guests = []
    for _ in range(12):
        opened = services.create(
            actor=Actor(kind=ActorKind.ANONYMOUS, company_id=company.id), now=timezone.now()
        )
        guests.append(
            Actor(
                kind=ActorKind.GUEST, company_id=company.id, session_hash=hash_token(opened.token)
            )
        )

    outcomes = at_once(
        12,
        lambda index: services.add_line(actor=guests[index], sku=variant.sku, now=timezone.now()),
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(refused) == 7
    assert {getattr(failure, "code", repr(failure)) for failure in refused} <= {
        "ITEM_OUT_OF_STOCK",
        "INVENTORY_HOLD_FAILED",
    }
    level = StockLevel.objects.get()
    assert (level.available, level.reserved) == (0, 5)
    assert CartLine.objects.count() == 5


def test_one_account_opens_one_cart_however_many_ask(company):
    actor = actor_for(factories.make_user(), company)

    outcomes = at_once(8, lambda _index: services.ensure(actor=actor, now=timezone.now()))

    assert len({outcome.view.id for outcome in outcomes}) == 1  # type: ignore[attr-defined]
    assert Cart.objects.count() == 1
    assert CartEvent.objects.count() == 1


def test_of_twenty_merges_at_once_one_counts(company, guest):
    user = actor_for(factories.make_user(), company)
    variant = make_item(available=50)
    services.create(actor=user, now=timezone.now())
    services.add_line(actor=user, sku=variant.sku, quantity=2, now=timezone.now())
    services.add_line(actor=guest, sku=variant.sku, quantity=3, now=timezone.now())

    outcomes = at_once(
        20,
        lambda _index: services.merge(
            actor=user, session_hash=guest.session_hash, now=timezone.now()
        ),
    )

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    [line] = CartLine.objects.all()
    assert line.quantity == 5
    assert StockLevel.objects.get().reserved == 5
    assert CartEvent.objects.filter(event="cart.merged", cart__status="ACTIVE").count() == 1


def test_merging_and_adding_at_once_loses_nothing_and_locks_nobody_out(company, guest):
    user = actor_for(factories.make_user(), company)
    variants = [make_item(available=50) for _ in range(3)]
    for variant in variants:
        services.add_line(actor=guest, sku=variant.sku, now=timezone.now())
    services.create(actor=user, now=timezone.now())

    def work(index: int) -> object:
        if index % 4 == 0:
            return services.merge(actor=user, session_hash=guest.session_hash, now=timezone.now())
        if index % 4 == 1:
            return services.add_line(actor=guest, sku=variants[index % 3].sku, now=timezone.now())
        return services.add_line(actor=user, sku=variants[(index + 1) % 3].sku, now=timezone.now())

    outcomes = at_once(16, work)

    unexpected = [
        outcome
        for outcome in outcomes
        if isinstance(outcome, Exception) and not isinstance(outcome, ApplicationError)
    ]
    assert unexpected == []
    added = sum(
        1
        for index, outcome in enumerate(outcomes)
        if index % 4 and not isinstance(outcome, Exception)
    )
    lines = CartLine.objects.filter(cart__user_id=user.user_id, list="active")
    assert sum(line.quantity for line in lines) == 3 + added
    assert sum(StockLevel.objects.values_list("reserved", flat=True)) == 3 + added


def test_buying_and_adding_at_once_never_adds_to_the_bought_cart(company, guest):
    from uuid import uuid4

    variant = make_item(available=50)
    view = services.add_line(actor=guest, sku=variant.sku, now=timezone.now())

    def work(index: int) -> object:
        if index == 0:
            return services.convert(
                actor=guest, cart_id=view.id, order_id=uuid4(), now=timezone.now()
            )
        return services.add_line(actor=guest, sku=variant.sku, now=timezone.now())

    outcomes = at_once(6, work)

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    bought = Cart.objects.get(status="CONVERTED")
    fresh = Cart.objects.get(status="ACTIVE")
    counted = sum(CartLine.objects.values_list("quantity", flat=True))
    assert counted == 6
    last = CartEvent.objects.filter(cart=bought).order_by("-version").first()
    assert last is not None
    assert last.event == "cart.converted"
    assert fresh.version >= 1


def test_a_sweep_leaves_a_cart_alone_that_somebody_works_on(company, guest):
    from datetime import timedelta

    from django.db import transaction

    variant = make_item()
    services.add_line(actor=guest, sku=variant.sku, now=timezone.now())
    later = timezone.now() + timedelta(hours=2)

    with transaction.atomic():
        services.lock(actor=guest, cart_id=Cart.objects.get().id)
        [marked] = at_once(1, lambda _index: services.mark_abandoned(now=later))

    assert marked == 0
    assert services.mark_abandoned(now=later) == 1
