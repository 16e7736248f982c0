"""The knobs of a company's carts, by the names the wire contract gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from cart.models import CartPolicy
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, Forbidden, NotFound, ValidationFailed


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ValueError("true or false is needed.")


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"A whole number from {least} to {most} is needed.")
        return value

    return check


def _optional(check: Callable[[Any], int]) -> Callable[[Any], int | None]:
    return lambda value: None if value is None else check(value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"One of {', '.join(choices)} is needed.")
        return str(value)

    return check


def _amount(value: Any) -> Decimal:
    try:
        amount = Decimal(value) if isinstance(value, str) and len(value) <= 15 else None
    except InvalidOperation:
        amount = None
    if (
        amount is None
        or not amount.is_finite()
        or not 0 <= amount <= 1_000_000
        or amount != round(amount, 3)
    ):
        raise ValueError("An amount such as 10.00 is needed.")
    return amount


# name on the wire: (column, check)
KNOBS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "autoActivateNextPurchaseEnabled": ("auto_activate_next_purchase_enabled", _boolean),
    "abandonmentThresholdMinutes": ("abandonment_threshold_minutes", _optional(_whole(1, 43_200))),
    "abandonmentMoveToNextPurchaseDays": ("abandonment_move_to_next_purchase_days", _whole(1, 365)),
    "abandonmentEmailEnabled": ("abandonment_email_enabled", _boolean),
    "abandonmentSmsEnabled": ("abandonment_sms_enabled", _boolean),
    "maxAbandonmentNotifications": ("max_abandonment_notifications", _whole(0, 10)),
    "abandonmentNotificationIntervalHours": (
        "abandonment_notification_interval_hours",
        _whole(1, 720),
    ),
    "minimumOrderValueForAbandonment": ("minimum_order_value_for_abandonment", _amount),
    "maxCartItemsPerUser": ("max_cart_items_per_user", _whole(1, 1_000)),
    "cartExpirationDays": ("cart_expiration_days", _whole(1, 365)),
    "guestCartMergeEnabled": ("guest_cart_merge_enabled", _boolean),
    "realTimeStockValidationEnabled": ("real_time_stock_validation_enabled", _boolean),
    "realTimePriceValidationEnabled": ("real_time_price_validation_enabled", _boolean),
    "mergePolicy": ("merge_policy", _one_of(*CartPolicy.Merge.values)),
    "holdStart": ("hold_start", _one_of(*CartPolicy.HoldStart.values)),
    "holdMinutes": ("hold_minutes", _whole(1, 1_440)),
    "holdMaxMinutes": ("hold_max_minutes", _whole(1, 10_080)),
    "maxHeldUnitsPerCustomer": ("max_held_units_per_customer", _whole(1, 1_000_000)),
    "maxHeldUnitsPerAddress": ("max_held_units_per_address", _whole(1, 1_000_000)),
}


def to_json(policy: CartPolicy) -> dict[str, Any]:
    """Return the knobs by their names on the wire."""
    found = {name: getattr(policy, column) for name, (column, _check) in KNOBS.items()}
    found["minimumOrderValueForAbandonment"] = (
        f"{Decimal(policy.minimum_order_value_for_abandonment):.2f}"
    )
    return found


@transaction.atomic
def set_policy(
    *, actor: Actor, changes: Mapping[str, Any], now: datetime, replace: bool = False
) -> CartPolicy:
    """
    Set knobs by their names on the wire, with an audit entry; each takes effect with the next request anywhere.

    With `replace`, knobs that are not given return to their defaults.

    :raises Forbidden: if the caller is not staff
    :raises ValidationFailed: naming each knob that is unknown or out of range; nothing is written
    """
    if not actor.sees_everything:
        raise Forbidden
    policy = CartPolicy.objects.select_for_update().filter(company_id=actor.company_id).first()
    before = to_json(policy or CartPolicy(company_id=actor.company_id))
    if policy is None or replace:
        policy = CartPolicy(company_id=actor.company_id)
    errors = []
    for name, value in changes.items():
        if name not in KNOBS:
            errors.append(FieldError(name, "unknown_field", "There is no such setting."))
            continue
        column, check = KNOBS[name]
        try:
            setattr(policy, column, check(value))
        except ValueError as refused:
            errors.append(FieldError(name, "invalid", str(refused)))
    if not errors and policy.hold_max_minutes < policy.hold_minutes:
        errors.append(
            FieldError(
                "holdMaxMinutes", "invalid", "A hold cannot end before its first period does."
            )
        )
    if errors:
        raise ValidationFailed(errors=errors)
    policy.save()
    audit.record(
        actor=actor,
        action="cart.policy_changed",
        object_type="cart_policy",
        object_id=actor.company_id,
        before=before,
        after=to_json(policy),
        now=now,
    )
    return policy


def toggle(*, actor: Actor, name: str, now: datetime) -> CartPolicy:
    """
    Turn a knob that is on or off the other way.

    :raises NotFound: if there is no such switch
    """
    column, check = KNOBS.get(name, ("", None))
    if check is not _boolean:
        raise NotFound("There is no such switch.")
    with transaction.atomic():
        current = CartPolicy.objects.select_for_update().filter(company_id=actor.company_id).first()
        value = getattr(current or CartPolicy(company_id=actor.company_id), column)
        return set_policy(actor=actor, changes={name: not value}, now=now)
