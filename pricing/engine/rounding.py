"""Where taxes are rounded: on each line, or once per rate on the whole and then split back over the lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from uuid import UUID

from pricing.engine.goods import share
from pricing.engine.taxes import Taxes
from pricing.engine.terms import PER_LINE, PER_ORDER
from pricing.money import split_minor


def spread(items: Sequence[tuple[Taxes, int]], rounding: str) -> list[list[int]]:
    """
    Return what each tax comes to on each amount shown, in the order of `Taxes.parts`.

    `PER_LINE` rounds each on its own. `PER_ORDER` rounds every rate once on the sum. `KEEP_GROSS` rounds taxes that
    are added as `PER_LINE`, so that no line costs anything else, and the net amount behind included ones once on the
    sum. What was rounded on the sum is split over the lines by largest remainder.
    """
    taxes = [of_item.rounded(amount) for of_item, amount in items]
    if rounding != PER_LINE:
        _spread_included(items, taxes, by_net=rounding != PER_ORDER)
    if rounding == PER_ORDER:
        _spread_added(items, taxes)
    return taxes


def relieved(items: Sequence[tuple[Taxes, int]], rounding: str) -> list[int]:
    """Return the tax in each amount shown that the customer is not charged, rounded where included taxes are."""
    off = [of_item.relieved(amount) for of_item, amount in items]
    if rounding != PER_LINE:
        groups: dict[tuple[UUID, ...], list[int]] = {}
        for index, (of_item, _) in enumerate(items):
            if of_item.full is not None:
                rates = tuple(rule.id for rule in of_item.full.included)
                groups.setdefault(rates, []).append(index)
        for members in groups.values():
            shown = [items[index][1] for index in members]
            whole = items[members[0]][0].relieved(sum(shown), by_net=rounding != PER_ORDER)
            for index, part in zip(members, split_minor(whole, shown), strict=True):
                off[index] = part
    return off


def _spread_included(
    items: Sequence[tuple[Taxes, int]], taxes: list[list[int]], *, by_net: bool
) -> None:
    groups: dict[tuple[UUID, ...], list[int]] = {}
    for index, (of_item, _) in enumerate(items):
        rates = tuple(rule.id for rule in of_item.included)
        if rates:
            groups.setdefault(rates, []).append(index)
    for members in groups.values():
        of_group = items[members[0]][0]
        shown = [items[index][1] for index in members]
        whole = of_group.inside(sum(shown), by_net=by_net)
        # Lines first, then rates out of what each line holds: so no line holds more tax than it costs, however small.
        held = split_minor(whole, shown)
        for position, of_rate in enumerate(of_group.split(whole)):
            parts = split_minor(of_rate, held)
            for index, part in zip(members, parts, strict=True):
                taxes[index][position] = part
            held = [rest - part for rest, part in zip(held, parts, strict=True)]


def _spread_added(items: Sequence[tuple[Taxes, int]], taxes: list[list[int]]) -> None:
    of_rule: dict[UUID, list[tuple[int, int, int, int]]] = {}
    for index, (of_item, shown) in enumerate(items):
        first = len(of_item.included)
        for position, (numerator, denominator) in enumerate(of_item.added, start=first):
            of_rule.setdefault(of_item.parts[position][0].id, []).append(
                (index, position, shown * numerator, denominator)
            )
    for places in of_rule.values():
        scale = math.lcm(*{denominator for *_, denominator in places})
        weights = [exact * (scale // denominator) for *_, exact, denominator in places]
        of_rate = split_minor(share(sum(weights), 1, scale), weights)
        for (index, position, *_), amount in zip(places, of_rate, strict=True):
            taxes[index][position] = amount
