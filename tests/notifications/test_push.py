"""What open pages are told of leaves in as few messages to Redis as there are commits."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import transaction
from redis.client import Pipeline

from config.platform import outbox
from config.platform.actor import Actor
from config.platform.models import new_id
from inventory.events import HoldExpired
from inventory.models import Company
from notifications import push


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the channels of each round trip."""
    trips: list[list[str]] = []
    execute = Pipeline.execute

    def noted(pipeline: Pipeline, raise_on_error: bool = True) -> list[object]:
        trips.append([command[0][1].split("__")[-1] for command in pipeline.command_stack])
        return list(execute(pipeline, raise_on_error))

    monkeypatch.setattr(Pipeline, "execute", noted)
    return trips


@pytest.mark.django_db(transaction=True)
def test_what_one_statement_announces_leaves_in_one_message(
    company: Company, now: datetime, sent: list[list[str]]
) -> None:
    carts = [new_id() for _ in range(3)]

    with transaction.atomic():
        outbox.publish(
            *(HoldExpired(aggregate_id=cart_id, line_ids=[]) for cart_id in carts),
            actor=Actor.system(company.id),
            now=now,
        )

    assert sent == [[push.cart_group(cart_id) for cart_id in carts]]


def test_a_block_that_raises_still_sends_what_it_was_given(sent: list[list[str]]) -> None:
    with pytest.raises(ZeroDivisionError), push.together():  # noqa: PT012
        push.send("cart.a", {"type": "cart.changed"})
        raise ZeroDivisionError
    push.send("cart.b", {"type": "cart.changed"})

    assert sent == [["cart.a"], ["cart.b"]]
