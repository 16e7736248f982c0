from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from config.platform.models import new_id
from inventory.models import BackInStockRequest, Reservation, StockLevel
from tests.factories import make_variant
from tests.plants import loosen, plant, sql


def _level() -> StockLevel:
    return make_variant(available=5).stock_levels.get()


def _hold(level: StockLevel, *, expires_at: datetime | None = None, **fields: object) -> None:
    now = timezone.now()
    Reservation.objects.create(
        **{
            "company": level.company,
            "stock_level": level,
            "variant": level.variant,
            "line_id": new_id(),
            "cart_id": new_id(),
            "holder": "test",
            "quantity": 1,
            "started_at": now,
            "expires_at": expires_at or now + timedelta(minutes=15),
            **fields,
        }
    )
    sql(
        "update inventory set available = available - 1, reserved = reserved + 1 where id = %s",
        level.id,
    )


@plant("I01")
def stock_below_zero() -> None:
    level = _level()
    loosen("inventory")
    sql("update inventory set available = -1, reserved = 6 where id = %s", level.id)


@plant("I02")
def held_units_nobody_holds() -> None:
    level = _level()
    sql("update inventory set available = 3, reserved = 2 where id = %s", level.id)


@plant("I03")
def units_no_movement_explains() -> None:
    level = _level()
    sql("update inventory set available = 9, total = 9 where id = %s", level.id)


@plant("I04")
def two_live_holds_of_one_line() -> None:
    level, line_id = _level(), new_id()
    loosen("stock_reservations")
    _hold(level, line_id=line_id)
    _hold(level, line_id=line_id)


@plant("I08")
def a_hold_that_outlived_its_time() -> None:
    _hold(_level(), expires_at=timezone.now() - timedelta(hours=1))


def _request(level: StockLevel, *, is_awaited: bool = True, **fields: object) -> BackInStockRequest:
    sql("update inventory set is_awaited = %s where id = %s", is_awaited, level.id)
    return BackInStockRequest.objects.create(
        **{
            "company": level.company,
            "variant": level.variant,
            "user_id": new_id(),
            "quantity": 1,
            "queued_at": timezone.now() - timedelta(hours=1),
            **fields,
        }
    )


@plant("I10")
def an_offer_that_nothing_is_kept_for() -> None:
    _request(
        _level(),
        status="OFFERED",
        offered_quantity=1,
        offer_expires_at=timezone.now() + timedelta(minutes=30),
    )


@plant("I11")
def one_who_waits_and_no_shelf_knows() -> None:
    _request(_level(), is_awaited=False)


@plant("I12")
def a_free_unit_while_somebody_waits() -> None:
    level = _level()
    _request(level)
    sql("update inventory set updated_at = now() - interval '1 hour' where id = %s", level.id)
