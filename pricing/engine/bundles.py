"""Bundles: parts that were added together cost together what the bundle costs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pricing.engine.goods import Goods
from pricing.engine.terms import BundleOffer, Rules
from pricing.money import split_minor


def bundle_savings(goods: Goods, rules: Rules) -> list[tuple[BundleOffer, dict[int, int]]]:
    """Return what each complete bundle group takes off its lines, below the sum of its parts."""
    groups: dict[UUID, list[int]] = {}
    for index, line in enumerate(goods.lines):
        if line.bundle_group is not None and line.bundle_id is not None:
            groups.setdefault(line.bundle_group, []).append(index)
    taken = []
    for group in sorted(groups):
        indexes = groups[group]
        bundle_ids = {goods.lines[index].bundle_id for index in indexes}
        offer = rules.bundles.get(bundle_ids.pop()) if len(bundle_ids) == 1 else None  # type: ignore[arg-type]
        if offer is None or goods.currency not in offer.prices:
            continue
        count = _count(goods, offer, indexes)
        whole = sum(goods.subtotals[index] for index in indexes)
        saved = whole - count * goods.minor(offer.prices[goods.currency]) if count else 0
        if saved > 0:
            parts = split_minor(saved, [goods.subtotals[index] for index in indexes])
            taken.append((offer, dict(zip(indexes, parts, strict=True))))
    return taken


def _count(goods: Goods, offer: BundleOffer, indexes: Sequence[int]) -> int:
    """Return how many times the group makes the bundle exactly; 0 when parts miss or are too many."""
    quantities: dict[UUID, int] = {}
    for index in indexes:
        line = goods.lines[index]
        quantities[line.variant_id] = quantities.get(line.variant_id, 0) + line.quantity
    if not offer.parts or quantities.keys() != offer.parts.keys():
        return 0
    counts = {divmod(quantities[variant], needed) for variant, needed in offer.parts.items()}
    if len(counts) != 1:
        return 0
    count, remainder = counts.pop()
    return 0 if remainder else count
