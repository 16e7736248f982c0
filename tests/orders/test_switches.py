"""What the shop decides about orders before it starts: how long goods may come back, how long a draft lives, whether at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from checkout import services as checkout
from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import FeatureDisabled
from inventory.models import StockLevel, Variant
from orders import services as orders
from orders.errors import ReturnWindowClosed
from orders.models import Order, ReturnRequest
from orders.services import DirectItem, WantedReturn
from tests.orders.conftest import ADDRESS

pytestmark = pytest.mark.django_db


def ask_back(order: Order, actor: Actor, now: datetime) -> ReturnRequest:
    wanted = [WantedReturn(order.lines.order_by("pk")[0].pk, 1)]
    return orders.request_return(actor=actor, order_id=order.pk, wanted=wanted, now=now)


def test_goods_may_come_back_until_the_window_s_last_moment(
    delivered: Order, actor_user: Actor, now: datetime, settings: Any
) -> None:
    settings.ORDER_RETURN_WINDOW = timedelta(days=2)

    with pytest.raises(ReturnWindowClosed) as refused:
        ask_back(delivered, actor_user, now + timedelta(days=2, seconds=1))
    assert refused.value.extra == {"days": 2}
    assert not ReturnRequest.objects.exists()

    assert ask_back(delivered, actor_user, now + timedelta(days=2)).order_id == delivered.pk


def test_returns_can_be_switched_off(
    delivered: Order, actor_user: Actor, staff: Actor, now: datetime
) -> None:
    flags.switch(actor=staff, name="ORDER_ENABLE_RETURNS", enabled=False, now=now)
    flags.forget()

    with pytest.raises(FeatureDisabled) as refused:
        ask_back(delivered, actor_user, now)

    assert refused.value.extra == {"feature": "ORDER_ENABLE_RETURNS"}
    assert not ReturnRequest.objects.exists()


def test_a_draft_lives_as_long_as_the_shop_says(
    shop: Any, variant: Variant, actor_user: Actor, now: datetime, settings: Any
) -> None:
    settings.ORDER_AUTO_CANCEL_DRAFT = timedelta(hours=1)
    order = orders.place_direct(
        actor=actor_user,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )
    assert order.expires_at == now + timedelta(hours=1)

    assert checkout.cancel_due_drafts(now=now + timedelta(minutes=59)) == 0
    assert checkout.cancel_due_drafts(now=now + timedelta(hours=1, seconds=1)) == 1

    order.refresh_from_db()
    assert (order.status, StockLevel.objects.get(variant=variant).reserved) == ("cancelled", 0)
