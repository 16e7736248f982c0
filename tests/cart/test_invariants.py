"""Each check of the cart sees the violation it is there for."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from cart import services
from cart.invariants import CHECKS
from cart.models import Cart, CartLine, RecoveryAttempt
from config.platform.actor import Actor, ActorKind, hash_token
from tests import factories
from tests.cart.conftest import make_item

pytestmark = pytest.mark.django_db

BY_ID = {check.id: check for check in CHECKS}


def violations(check_id: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(BY_ID[check_id].sql)
        return len(cursor.fetchall())


def run(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture
def cart(company) -> Cart:
    now = timezone.now()
    opened = services.create(actor=Actor(kind=ActorKind.ANONYMOUS, company_id=company.id), now=now)
    guest = Actor(
        kind=ActorKind.GUEST, company_id=company.id, session_hash=hash_token(opened.token)
    )
    services.add_line(actor=guest, sku=make_item().sku, quantity=2, now=now)
    return Cart.objects.get(id=opened.view.id)


def second_open_cart(cart: Cart) -> None:
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run("DROP INDEX IF EXISTS one_open_cart_per_session")
    cart.pk = uuid4()
    cart.save(force_insert=True)


def too_many_units(cart: Cart) -> None:
    CartLine.objects.update(quantity=101)


def merged_with_lines(cart: Cart) -> None:
    Cart.objects.update(status="MERGED", merged_into=cart)


def owner_lost(cart: Cart) -> None:
    Cart.objects.update(session=None)


def foreign_line(cart: Cart) -> None:
    CartLine.objects.update(variant=make_item(company=factories.make_company()))


def used_too_early(cart: Cart) -> None:
    now = timezone.now()
    RecoveryAttempt.objects.create(
        cart=cart,
        cycle=1,
        stage=1,
        email="a@example.com",
        token_hash=b"x" * 32,
        created_at=now,
        expires_at=now + timedelta(hours=1),
        used_at=now - timedelta(hours=1),
    )


def closed_cart_holds(cart: Cart) -> None:
    Cart.objects.update(status="EXPIRED")


@pytest.mark.parametrize(
    ("check_id", "plant"),
    [
        ("C01", second_open_cart),
        ("C02", too_many_units),
        ("C03", merged_with_lines),
        ("C04", owner_lost),
        ("C05", foreign_line),
        ("T01", used_too_early),
        ("I06C", closed_cart_holds),
    ],
)
def test_a_planted_violation_is_seen(cart, check_id, plant):
    assert violations(check_id) == 0

    plant(cart)

    assert violations(check_id) == 1
