"""What a search could be narrowed to: categories and options, each with how many products it would leave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pricing.facets import Index, fold


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """`path` are the slugs from the root down to this one; `count` covers all below it."""

    slug: str
    name: str
    path: tuple[str, ...]
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ValueCount:
    value: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class OptionCounts:
    name: str
    values: Sequence[ValueCount]


@dataclass(frozen=True, slots=True)
class Facets:
    """What could be chosen next. Each facet is counted as if nothing were chosen of it, with all the others in force."""

    categories: Sequence[CategoryCount]
    options: Sequence[OptionCounts]
    min_price: Decimal | None
    max_price: Decimal | None
    in_stock: int


_SIZES = ("xxs", "xs", "s", "m", "l", "xl", "xxl", "2xl", "xxxl", "3xl", "4xl", "5xl")


_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def _natural(value: str) -> tuple[Any, ...]:
    """Return what sorts sizes by size, measures by their number and all else by the alphabet."""
    plain = fold(value)
    if plain in _SIZES:
        return 0, _SIZES.index(plain), plain
    number = _NUMBER.match(plain)
    if number:
        return 1, float(number[0].replace(",", ".")), plain
    return 2, 0, plain


def option_counts(
    index: Index,
    counts: Mapping[str, Mapping[str, int]],
    chosen: Mapping[str, Sequence[str]],
) -> list[OptionCounts]:
    """Return the options of what was found, those of most products first; what is chosen stays even if it leaves none."""
    picked: dict[str, dict[str, str]] = {}
    written = {}
    for name, values in chosen.items():
        written[fold(name)] = name
        picked.setdefault(fold(name), {}).update({fold(value): value for value in values})
    spelling = index.spelling
    found = []
    for key in {*counts, *picked}:
        name, spelled = spelling.get(key, (written.get(key, key), {}))
        numbers = {**dict.fromkeys(picked.get(key, ()), 0), **counts.get(key, {})}
        entries = [
            ValueCount(spelled.get(kind) or picked[key][kind], number, kind in picked.get(key, ()))
            for kind, number in numbers.items()
        ]
        entries.sort(key=lambda entry: _natural(entry.value))
        found.append(OptionCounts(name, entries))
    found.sort(key=lambda option: (-sum(entry.count for entry in option.values), option.name))
    return found


@dataclass(frozen=True, slots=True)
class _Category:
    id: str
    parent: str
    slug: str
    name: str
    is_active: bool


class Tree:
    """The company's categories in the order of staff, as one snapshot has them."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self.all = {row[0]: _Category(*row) for row in rows}
        self.by_slug = {category.slug: category for category in self.all.values()}
        self.below: dict[str, list[str]] = {}
        for category in self.all.values():
            self.below.setdefault(category.parent, []).append(category.id)

    def branch(self, slug: str) -> frozenset[str]:
        """Return a category and all below it; nothing if there is no active one of that slug."""
        category = self.by_slug.get(slug)
        if category is None or not category.is_active:
            return frozenset()
        found: set[str] = set()
        waiting = [category.id]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self.below.get(current, ()))
        return frozenset(found)

    def counts(self, own: Mapping[str, int], *, chosen: str) -> list[CategoryCount]:
        """Return the active categories that hold something, and the chosen one, each before those below it."""
        found: list[CategoryCount] = []
        self._descend("", (), own, chosen, found)
        return found

    def _descend(
        self,
        parent: str,
        path: tuple[str, ...],
        own: Mapping[str, int],
        chosen: str,
        found: list[CategoryCount],
    ) -> int:
        total = 0
        for category_id in self.below.get(parent, ()):
            category = self.all[category_id]
            here = (*path, category.slug)
            place = len(found)
            count = own.get(category_id, 0) + self._descend(category_id, here, own, chosen, found)
            is_chosen = category.slug == chosen
            if category.is_active and (count or is_chosen):
                entry = CategoryCount(category.slug, category.name, here, count, is_chosen)
                found.insert(place, entry)
            total += count
        return total
