"""Shipping: the zone of a place, and the ways to ship there with their prices."""

from __future__ import annotations

from collections.abc import Sequence

from pricing.engine.goods import Goods
from pricing.engine.places import fold, postal_form, prefix_form
from pricing.engine.terms import ANYWHERE, Place, ShippingMethod, Zone


def zone_for(zones: Sequence[Zone], place: Place | None) -> Zone | None:
    if place is None:
        return None
    country, state, postal = (
        place.country.upper(),
        fold(place.state),
        postal_form(place.postal_code),
    )
    best: tuple[tuple[int, bool, bool, int], Zone] | None = None
    for zone in sorted(zones, key=lambda zone: zone.id):
        listed = country in zone.countries
        if not listed and ANYWHERE not in zone.countries:
            continue
        if zone.states and state not in {fold(name) for name in zone.states}:
            continue
        lengths = [
            len(prefix)
            for prefix in map(prefix_form, zone.postal_prefixes)
            if prefix and postal.startswith(prefix)
        ]
        if zone.postal_prefixes and not lengths:
            continue
        rank = (max(lengths, default=0), bool(zone.states), listed, zone.priority)
        if best is None or rank > best[0]:
            best = (rank, zone)
    return best[1] if best else None


def options_in(zone: Zone | None, goods: Goods, worth: int) -> list[tuple[int, ShippingMethod]]:
    """Return the ways to ship goods of this worth, cheapest first."""
    if zone is None:
        return []
    options = []
    for method in zone.methods:
        if method.currency != goods.currency:
            continue
        if method.minimum_order is not None and worth < goods.minor(method.minimum_order):
            continue
        if method.maximum_order is not None and worth >= goods.minor(method.maximum_order):
            continue
        options.append((_price(method, goods, worth), method))
    return sorted(
        options,
        key=lambda option: (option[0], -option[1].priority, option[1].max_days, option[1].code),
    )


def _price(method: ShippingMethod, goods: Goods, worth: int) -> int:
    if method.type == "FREE":
        return 0
    if method.free_over is not None and worth >= goods.minor(method.free_over):
        return 0
    cost = method.base_price
    if method.type == "WEIGHT_BASED":
        weight = sum(line.weight_grams * line.quantity for line in goods.shipped)
        cost += method.per_kilogram * weight / 1000
    elif method.type == "ITEM_COUNT":
        units = sum(line.quantity for line in goods.shipped)
        cost += method.per_unit * units
    return goods.minor(cost)
