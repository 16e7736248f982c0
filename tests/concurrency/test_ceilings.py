"""
What one customer or one address may hold, asked for at one moment on different shelves, so that no shelf's lock helps.

The control takes the gates out: then everybody counts before anybody has written.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.db.models import Sum

from config.platform.actor import Actor, ActorKind
from config.platform.models import new_id
from inventory import services as inventory
from inventory.errors import HoldLimitExceeded
from inventory.models import Company, HoldGate, Reservation, Variant
from inventory.services import Demand, HoldLimits, holds
from tests.factories import make_variant
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

COUNT, UNITS, CEILING = 12, 70, 500  # seven fit
LIMITS = {
    "customer": HoldLimits(units_per_customer=CEILING),
    "address": HoldLimits(units_per_address=CEILING),
}


def callers(whose: str, company: Company) -> list[Actor]:
    """Return twelve callers who are one customer at many addresses, or many customers at one address."""
    one = Actor(kind=ActorKind.USER, company_id=company.id, user_id=new_id(), address="203.0.113.7")
    if whose == "customer":
        return [replace(one, address=f"203.0.113.{number}") for number in range(COUNT)]
    return [replace(one, user_id=new_id()) for _ in range(COUNT)]


def hold(actor: Actor, variant: Variant, whose: str, now: datetime) -> bool:
    try:
        inventory.reserve(
            actor=actor,
            cart_id=new_id(),
            demands=[Demand(new_id(), variant.id, UNITS)],
            expires_at=now + timedelta(minutes=15),
            now=now,
            limits=LIMITS[whose],
        )
    except HoldLimitExceeded:
        return False
    return True


def held() -> int:
    found = Reservation.objects.filter(status="ACTIVE").aggregate(units=Sum("quantity"))
    return int(found["units"] or 0)


@pytest.mark.parametrize("whose", ["customer", "address"])
def test_a_ceiling_is_exact_however_many_ask_at_once(
    whose: str, company: Company, now: datetime
) -> None:
    variants = [make_variant(available=UNITS) for _ in range(COUNT)]
    actors = callers(whose, company)

    served = together(COUNT, lambda index: hold(actors[index], variants[index], whose, now))

    assert sum(served) == CEILING // UNITS
    assert held() == CEILING // UNITS * UNITS


@pytest.mark.parametrize("whose", ["customer", "address"])
def test_without_the_gates_everybody_is_let_through(
    whose: str, company: Company, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "_GATES", "SELECT 1")
    variants = [make_variant(available=UNITS) for _ in range(COUNT)]
    actors = callers(whose, company)
    all_have_written = threading.Barrier(COUNT)

    def run(index: int) -> bool:
        with transaction.atomic():
            served = hold(actors[index], variants[index], whose, now)
            all_have_written.wait(timeout=120)
        return served

    assert sum(together(COUNT, run)) == COUNT
    assert held() == COUNT * UNITS > CEILING


def test_who_only_gives_back_or_is_not_counted_passes_no_gate(
    company: Company, now: datetime
) -> None:
    variant = make_variant(available=UNITS)
    [actor, *_] = callers("address", company)
    line = Demand(new_id(), variant.id, 1)
    options = {"cart_id": new_id(), "expires_at": now + timedelta(minutes=15), "now": now}

    inventory.reserve(actor=actor, demands=[line], **options)
    inventory.reserve(
        actor=actor, demands=[replace(line, quantity=0)], limits=LIMITS["address"], **options
    )

    assert not HoldGate.objects.exists()


def test_other_addresses_do_not_wait_at_a_gate(company: Company, now: datetime) -> None:
    variants = [make_variant(available=UNITS) for _ in range(2)]
    [first, *_] = callers("address", company)
    other = replace(first, user_id=new_id(), address="198.51.100.1")

    with transaction.atomic():  # which has not ended when the other one comes
        assert hold(first, variants[0], "address", now)
        [served] = together(1, lambda _: hold(other, variants[1], "address", now))

    assert served
