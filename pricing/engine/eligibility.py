"""For whom a promotion is, and when that changes: what there is to say about a customer, not about goods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pricing.engine.terms import Basket, PromotionRule


def refuses_customer(rule: PromotionRule, basket: Basket, now: datetime) -> bool:
    """Return whether the promotion is for other customers."""
    if rule.user_ids and basket.user_id not in rule.user_ids:
        return True
    if rule.scope == "USER" and basket.user_id is None:
        return True
    if rule.group_ids and not rule.group_ids & basket.group_ids:
        return True
    if rule.first_order_only and basket.has_ordered:
        return True
    return rule.new_customer_days is not None and (
        basket.customer_since is None
        or now >= basket.customer_since + timedelta(days=rule.new_customer_days)
    )


def changes(rule: PromotionRule, basket: Basket, now: datetime) -> Iterator[datetime]:
    """Yield moments after which the promotion may be for other customers, or at other hours, than now."""
    if rule.weekly is not None:
        yield rule.weekly.next_change(now)
    if rule.new_customer_days is not None and basket.customer_since is not None:
        end = basket.customer_since + timedelta(days=rule.new_customer_days)
        if end > now:
            yield end
