"""Carts swept by hand: what a dry run says is what then happens, and it changes nothing."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from cart import services
from cart.models import Cart, CartEvent, CartLine, RecoveryAttempt
from config.platform.models import OutboxEvent
from inventory.models import Reservation
from tests.cart.conftest import make_item
from tests.conftest import actor_for
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def said(command: str, *arguments: str) -> list[str]:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue().splitlines()


def everything() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Cart, CartLine, CartEvent, RecoveryAttempt, OutboxEvent, Reservation)
    ]


@pytest.fixture
def carts(company: Any) -> list[Cart]:
    """Three carts of known customers with something in them, touched three hours ago."""
    then = timezone.now() - timedelta(hours=3)
    made = []
    for _ in range(3):
        actor = actor_for(make_user(), company)
        services.create(actor=actor, now=then)
        view = services.add_line(actor=actor, sku=make_item("30.00").sku, now=then)
        made.append(Cart.objects.get(pk=view.id))
    return made


def test_recovery_by_hand_says_first_and_then_does(carts: list[Cart]) -> None:
    before = everything()

    assert said("recover_carts", "--dry-run") == [
        "3 carts would be left behind.",
        "3 carts would be reminded.",
    ]
    assert everything() == before

    assert said("recover_carts") == ["3 carts were left behind.", "3 carts were reminded."]
    assert said("recover_carts") == ["0 carts were left behind.", "0 carts were reminded."]
    assert RecoveryAttempt.objects.count() == 3


def test_clean_up_by_hand_says_first_and_then_does(carts: list[Cart]) -> None:
    now = timezone.now()
    over, week, old = carts
    Cart.objects.filter(pk=over.pk).update(expires_at=now - timedelta(minutes=1))
    Cart.objects.filter(pk=week.pk).update(
        status="ABANDONED", abandoned_at=now - timedelta(days=8), expires_at=now + timedelta(days=9)
    )
    Cart.objects.filter(pk=old.pk).update(
        status="EXPIRED", updated_at=now - timedelta(days=91), expires_at=now - timedelta(days=91)
    )
    before = everything()

    would = said("clean_up_carts", "--dry-run")
    assert everything() == before
    done = said("clean_up_carts")

    assert would == [
        "1 carts would be expired.",
        "1 carts would be kept for the next purchase.",
        "1 carts would be deleted.",
    ]
    assert done == [line.replace("would be", "were") for line in would]
    assert set(Cart.objects.values_list("pk", "status")) == {
        (over.pk, "EXPIRED"),
        (week.pk, "ACTIVE"),
    }
