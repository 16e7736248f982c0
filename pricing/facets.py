"""
Sets of products as long numbers, one bit a variant: what fits a search, and how many each facet would leave.

Pure Python, no database. A `Segment` never changes. Products that changed are put into a newer segment and struck out
of the older ones, so a reader needs no lock, and what it counts belongs to one moment.
"""

from __future__ import annotations

import heapq
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import Any

RELEVANCE, NEWEST, PRICE, PRICE_DOWN, NAME = "relevance", "newest", "price", "-price", "name"
SORTS = (RELEVANCE, NEWEST, PRICE, PRICE_DOWN, NAME)

# Bits of an offer's stock: something may be promised in the default warehouse, or in any active one.
AT_HOME, ANYWHERE = 1, 2

_BLOCKS = 64
_NAME_KEY = 100
_SPARSE = 64  # a value of fewer variants is kept as a list of them: a set of bits is as long as the whole catalogue
YOUNG = 256  # a segment of so many products takes in later changes; its rows are kept for that
_SEGMENTS = 16
_FEW, _SCATTERED = 64, 8

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """An active variant: its options, its prices in thousandths by currency, and the bits of its stock."""

    options: Mapping[str, str]
    prices: Mapping[str, int]
    stock: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A product as the index knows it. `created` is in microseconds; `id` the sixteen bytes of its key."""

    id: bytes
    name: str
    status: str
    category: str
    created: int
    offers: Sequence[Offer] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """What a thousandth of `base` is worth: offers without a price in the other currency are converted by it."""

    base: str
    rate: Fraction
    places: int  # of amounts in the other currency

    def __call__(self, amount: int) -> int:
        """Return thousandths of `base` as thousandths of the other currency, rounded half-up to its places."""
        unit: int = (1_000, 100, 10, 1)[self.places]
        whole = self.rate.denominator * unit
        return (2 * amount * self.rate.numerator + whole) // (2 * whole) * unit


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What to find. `options` are values by name, folded; `hits` are products with their rank, best first.

    A product fits if one of its offers in the currency has the options, the price and the stock that are asked for.
    `in_stock=False` asks for products of which nothing is in stock, `needs_price` for those that have a price.
    """

    currency: str
    rate: Rate | None = None
    status: str = "active"
    categories: frozenset[str] | None = None
    options: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lowest: int | None = None
    highest: int | None = None
    in_stock: bool | None = None
    stock: int = AT_HOME
    hits: Mapping[bytes, int] | None = None
    needs_price: bool = False


@dataclass(slots=True)
class Counts:
    """How many products there are, and how many there would be. Each facet leaves its own choice out of account."""

    total: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    options: dict[str, dict[str, int]] = field(default_factory=dict)
    in_stock: int = 0
    lowest: int | None = None
    highest: int | None = None

    def add(self, other: Counts) -> None:
        self.total += other.total
        self.in_stock += other.in_stock
        for slug, number in other.categories.items():
            self.categories[slug] = self.categories.get(slug, 0) + number
        for name, values in other.options.items():
            mine = self.options.setdefault(name, {})
            for value, number in values.items():
                mine[value] = mine.get(value, 0) + number
        lows = [price for price in (self.lowest, other.lowest) if price is not None]
        highs = [price for price in (self.highest, other.highest) if price is not None]
        self.lowest, self.highest = min(lows, default=None), max(highs, default=None)


def fold(text: str) -> str:
    """Return a text as names and values are compared: without accents, case or doubled spaces."""
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


def _bits(slots: Iterable[int], length: int) -> int:
    buffer = bytearray((length + 7) // 8)
    for slot in slots:
        buffer[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(buffer, "little")


class _Prices:
    """The offers of one currency: which they are, and which of them lie between two prices."""

    def __init__(self, slots: int, prices: Mapping[int, int]) -> None:
        order = sorted(prices, key=lambda slot: prices[slot])
        self.slots = array("L", order)
        self.amounts = array("q", (prices[slot] for slot in order))
        self.amount = prices
        self.step = max(1, -(-len(order) // _BLOCKS))
        self.below = [0]  # the offers of the first n blocks
        buffer = bytearray((slots + 7) // 8)
        for at, slot in enumerate(order, 1):
            buffer[slot >> 3] |= 1 << (slot & 7)
            if at % self.step == 0 or at == len(order):
                self.below.append(int.from_bytes(buffer, "little"))
        self.all = self.below[-1]
        self.length = slots

    def between(self, lowest: int | None, highest: int | None) -> int:
        start = 0 if lowest is None else bisect_left(self.amounts, lowest)
        end = len(self.amounts) if highest is None else bisect_right(self.amounts, highest)
        return self._first(end) & ~self._first(start) if start < end else 0

    def _first(self, number: int) -> int:
        if number >= len(self.slots):
            return self.all
        block = number // self.step
        return self.below[block] | _bits(self.slots[block * self.step : number], self.length)


class _Priced:
    """What the offers of a segment cost in one currency, and its products by the cheapest of theirs."""

    def __init__(self, segment: Segment, prices: Mapping[int, int]) -> None:
        self.offers = _Prices(segment.slots, prices)
        self.cheapest: dict[int, int] = {}
        for slot, amount in prices.items():
            number = segment.product_of[slot]
            self.cheapest[number] = min(amount, self.cheapest.get(number, amount))
        ids = segment.ids
        self.order = [n for _, _, n in sorted((a, ids[n], n) for n, a in self.cheapest.items())]


class Segment:
    """
    Some products, each a run of bits: one for every active variant, at least one, and the last stands for the product.

    `spelling` says how names and values of options are written: {folded name: (name, {folded value: value})}.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows if len(rows) <= YOUNG else ()
        self.ids = [row.id for row in rows]
        self.number = {row.id: number for number, row in enumerate(rows)}
        self.created = array("q", (row.created for row in rows))
        self.names = [fold(row.name)[:_NAME_KEY] for row in rows]
        self.last = array("L")
        self.spelling: dict[str, tuple[str, dict[str, str]]] = {}
        prices: dict[str, dict[int, int]] = {}
        values: dict[tuple[str, str], list[int]] = {}
        home: list[int] = []
        anywhere: list[int] = []
        grouped: dict[str, dict[str, list[int]]] = {"status": {}, "category": {}}
        folded: dict[tuple[str, str], tuple[str, str]] = {}
        slot = 0
        for row in rows:
            for offer in row.offers:
                for currency, amount in offer.prices.items():
                    prices.setdefault(currency, {})[slot] = amount
                for pair in offer.options.items():
                    key = folded.get(pair)
                    if key is None:
                        key = folded[pair] = self._spell(*pair)
                    values.setdefault(key, []).append(slot)
                if offer.stock & AT_HOME:
                    home.append(slot)
                if offer.stock & ANYWHERE:
                    anywhere.append(slot)
                slot += 1
            slot += not row.offers
            self.last.append(slot - 1)
            grouped["status"].setdefault(row.status, []).append(slot - 1)
            grouped["category"].setdefault(row.category, []).append(slot - 1)
        self.slots = slot
        self.marks = _bits(self.last, self.slots)
        self.rest = ((1 << slot) - 1) & ~self.marks
        self.status = {name: _bits(slots, self.slots) for name, slots in grouped["status"].items()}
        self.category = {
            name: _bits(slots, self.slots) for name, slots in grouped["category"].items()
        }
        self.stock = {AT_HOME: _bits(home, self.slots), ANYWHERE: _bits(anywhere, self.slots)}
        self.values: dict[str, dict[str, int | Sequence[int]]] = {}
        for (name, value), slots in values.items():
            kept = array("L", slots) if len(slots) < _SPARSE else _bits(slots, self.slots)
            self.values.setdefault(name, {})[value] = kept
        ids = self.ids
        self._priced = {currency: _Priced(self, found) for currency, found in prices.items()}
        self._converted: dict[str, tuple[Rate, _Priced]] = {}
        self.by_name = sorted(range(len(rows)), key=lambda n: (self.names[n], ids[n]))
        self.by_age = sorted(range(len(rows)), key=lambda n: (self.created[n], ids[n]))[::-1]

    def _spell(self, name: str, value: str) -> tuple[str, str]:
        key, kind = fold(name), fold(value)
        self.spelling.setdefault(key, (name, {}))[1].setdefault(kind, value)
        return key, kind

    def marks_of(self, ids: Iterable[bytes]) -> int:
        """Return the products of these ids that are in this segment."""
        numbers = map(self.number.get, ids)
        return _bits((self.last[n] for n in numbers if n is not None), self.slots)

    # --- prices -------------------------------------------------------------------------------

    def priced(self, currency: str, rate: Rate | None) -> _Priced | None:
        """
        Return what the offers cost in a currency: their own price, else that in `rate.base` converted.

        The last rate of each currency is kept. Two threads that find none may both work it out: the result is the same.
        """
        own = self._priced.get(currency)
        home = None if rate is None else self._priced.get(rate.base)
        if rate is None or home is None:
            return own
        at, kept = self._converted.get(currency, (None, None))
        if kept is None or at != rate:
            amounts = {slot: rate(amount) for slot, amount in home.offers.amount.items()}
            kept = _Priced(self, amounts | (dict(own.offers.amount) if own else {}))
            self._converted[currency] = (rate, kept)
        return kept

    # --- sets ---------------------------------------------------------------------------------

    def products_of(self, offers: int) -> int:
        # Adding ones to the low bits of a run carries into its last bit if any of them is set; no run overflows.
        return (((offers & self.rest) + self.rest) | offers) & self.marks

    def offers_with(self, name: str, value: str) -> int:
        found = self.values.get(name, {}).get(value, 0)
        return found if isinstance(found, int) else _bits(found, self.slots)

    @cached_property
    def product_of(self) -> array[int]:
        numbers, slot = array("L"), 0
        for number, last in enumerate(self.last):
            numbers.extend([number] * (last + 1 - slot))
            slot = last + 1
        return numbers


class _Part:
    """A segment under one search. `alive` are the products in it that no newer segment has."""

    def __init__(self, segment: Segment, alive: int, wanted: Wanted) -> None:
        self.segment, self.wanted = segment, wanted
        self.priced = segment.priced(wanted.currency, wanted.rate)
        self.offers = self.priced.offers.all if self.priced else 0
        self.stocked = self.offers & segment.stock[wanted.stock]
        products = alive & segment.status.get(wanted.status, 0)
        if wanted.hits is not None:
            products &= segment.marks_of(wanted.hits)
        self.products = products
        self.placed = segment.marks  # those in the categories
        if wanted.categories is not None:
            self.placed = 0
            for category in wanted.categories:
                self.placed |= segment.category.get(category, 0)
        self.left = segment.marks  # those that are sold out, if that is what is wanted
        if wanted.in_stock is False:
            self.left &= ~segment.products_of(self.stocked)

    def fitting(self, *, without: str = "") -> int | None:
        """Return the offers that fit but for one facet (`price`, `stock`, `=name`); None if any product will do."""
        wanted, segment = self.wanted, self.segment
        chosen = {k: values for k, values in wanted.options.items() if f"={k}" != without}
        priced = without != "price" and (wanted.lowest is not None or wanted.highest is not None)
        stocked = without != "stock" and wanted.in_stock is True
        if not (chosen or priced or stocked or wanted.needs_price):
            return None
        bits = self.stocked if stocked else self.offers
        if priced and bits and self.priced is not None:
            bits &= self.priced.offers.between(wanted.lowest, wanted.highest)
        for name, values in chosen.items():
            any_of = 0
            for value in values:
                any_of |= segment.offers_with(name, value)
            bits &= any_of
        return bits

    @cached_property
    def result(self) -> int:
        found = self.products & self.placed & self.left
        offers = self.fitting()
        return found if offers is None else found & self.segment.products_of(offers)

    def counts(self) -> Counts:
        segment, wanted = self.segment, self.wanted
        counts = Counts(total=self.result.bit_count())
        offers = self.fitting()
        anywhere = self.products & self.left
        if offers is not None:
            anywhere &= segment.products_of(offers)
        if anywhere:
            for category, bits in segment.category.items():
                if number := (anywhere & bits).bit_count():
                    counts.categories[category] = number

        def but_for(facet: str) -> int:
            found = self.fitting(without=facet)
            return self.offers if found is None else found

        here = self.products & self.placed
        if not here:
            return counts
        stocked = but_for("stock") & self.stocked
        counts.in_stock = (here & segment.products_of(stocked)).bit_count()
        here &= self.left
        counts.lowest, counts.highest = self._extremes(but_for("price"), here)
        usual = but_for("")
        for name, values in segment.values.items():
            rest = but_for(f"={name}") if name in wanted.options else usual
            if rest and here and (numbers := self._value_counts(values, rest, here)):
                counts.options[name] = numbers
        return counts

    def _value_counts(
        self, values: Mapping[str, int | Sequence[int]], offers: int, products: int
    ) -> dict[str, int]:
        segment, counts = self.segment, {}
        is_found = self._tester(offers, products)
        for value, slots in values.items():
            if isinstance(slots, int):
                number = (segment.products_of(offers & slots) & products).bit_count()
            else:
                number = len({segment.product_of[slot] for slot in slots if is_found(slot)})
            if number:
                counts[value] = number
        return counts

    def _extremes(self, offers: int, products: int) -> tuple[int | None, int | None]:
        """Return the lowest and the highest price among these offers of these products."""
        if self.priced is None or not offers or not products:
            return None, None
        prices = self.priced.offers
        is_found = self._tester(offers, products)
        if products.bit_count() * _FEW < len(prices.slots):
            # Few products: sooner gone through than the prices of the whole catalogue.
            amounts = [prices.amount[slot] for slot in self._slots_of(products) if is_found(slot)]
            return min(amounts, default=None), max(amounts, default=None)
        low = next((at for at, slot in enumerate(prices.slots) if is_found(slot)), None)
        if low is None:
            return None, None
        high = next(at for at in range(len(prices.slots) - 1, -1, -1) if is_found(prices.slots[at]))
        return prices.amounts[low], prices.amounts[high]

    def _tester(self, offers: int, products: int) -> Callable[[int], bool]:
        """Return whether an offer, by its place, is one of these and of one of these products."""
        segment = self.segment
        size = (segment.slots + 7) // 8
        offer_bytes, marks = offers.to_bytes(size, "little"), products.to_bytes(size, "little")
        product_of, last_of = segment.product_of, segment.last

        def is_found(slot: int) -> bool:
            if not offer_bytes[slot >> 3] >> (slot & 7) & 1:
                return False
            last = last_of[product_of[slot]]
            return bool(marks[last >> 3] >> (last & 7) & 1)

        return is_found

    def _numbers_of(self, products: int) -> Iterator[int]:
        segment = self.segment
        for at, byte in enumerate(products.to_bytes((segment.slots + 7) // 8, "little")):
            for bit in range(8) if byte else ():
                if byte >> bit & 1:
                    yield segment.product_of[at * 8 + bit]

    def _slots_of(self, products: int) -> Iterator[int]:
        last = self.segment.last
        for number in self._numbers_of(products):
            yield from range(last[number - 1] + 1 if number else 0, last[number] + 1)

    def sorted_by(
        self, sort: str, after: Key | None, *, backwards: bool
    ) -> tuple[Iterator[int], Callable[[int], Key]]:
        """Return what fits beyond `after`, by its number, and what tells the key it is sorted by."""
        segment, result = self.segment, self.result
        order, key = self._order(sort)
        if not result:
            return iter(()), key
        marks = result.to_bytes((segment.slots + 7) // 8, "little")
        last = segment.last
        if sort != RELEVANCE and result.bit_count() * _SCATTERED < len(order):
            # Few of many: sooner sorted than found among all the others.
            listed = set(order) if len(order) < len(last) else None
            numbers = self._numbers_of(result)
            order = sorted((n for n in numbers if listed is None or n in listed), key=key)
        start, end = 0, len(order)
        if after is not None and backwards:
            end = bisect_left(order, after, key=key)
        elif after is not None:
            start = bisect_right(order, after, key=key)
        places = range(end - 1, start - 1, -1) if backwards else range(start, end)
        found = (
            order[place]
            for place in places
            if marks[last[order[place]] >> 3] >> (last[order[place]] & 7) & 1
        )
        return found, key

    def _order(self, sort: str) -> tuple[Sequence[int], Callable[[int], Key]]:
        segment = self.segment
        ids = segment.ids
        if sort == RELEVANCE:
            hits = self.wanted.hits or {}
            numbers = [n for n in map(segment.number.get, hits) if n is not None]
            return numbers, lambda n: (-hits[ids[n]], ids[n])
        if sort == NAME:
            return segment.by_name, lambda n: (segment.names[n], ids[n])
        if sort == NEWEST:
            return segment.by_age, lambda n: (-segment.created[n], _turned(ids[n]))
        cheapest = self.priced.cheapest if self.priced else {}
        order = self.priced.order if self.priced else []
        if sort == PRICE:
            return order, lambda n: (cheapest[n], ids[n])
        return order[::-1], lambda n: (-cheapest[n], _turned(ids[n]))


_TURNED = bytes(range(255, -1, -1))


def _turned(key: bytes) -> bytes:
    """Return a key that sorts the other way round."""
    return key.translate(_TURNED)


@dataclass(frozen=True, slots=True)
class Index:
    """All products of a company at one moment: segments, the oldest first, each with what is still alive in it."""

    segments: tuple[tuple[Segment, int], ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Index:
        segment = Segment(rows)
        return cls(((segment, segment.marks),))

    def updated(self, rows: Sequence[Row], ids: Iterable[bytes]) -> Index:
        """Return the index with these rows in place of whatever it had of the products `ids`."""
        gone = set(ids)
        segments = [(s, alive & ~s.marks_of(gone)) for s, alive in self.segments]
        if segments and 0 < len(segments[-1][0].rows) + len(rows) <= YOUNG:
            young, alive = segments[-1]
            if young.rows:
                kept = [
                    row
                    for row, last in zip(young.rows, young.last, strict=True)
                    if alive >> last & 1
                ]
                rows = [*kept, *rows]
                segments.pop()
        if rows:
            fresh = Segment(rows)
            segments.append((fresh, fresh.marks))
        return Index(tuple((s, alive) for s, alive in segments if alive))

    @property
    def is_worn(self) -> bool:
        """Whether it would be better read anew: much in it was replaced, or it is in many pieces."""
        places = sum(len(segment.ids) for segment, _ in self.segments)
        alive = sum(alive.bit_count() for _, alive in self.segments)
        return len(self.segments) > _SEGMENTS or places > YOUNG + 1.5 * alive

    @property
    def spelling(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Return how names and values of options are written: {folded name: (name, {folded value: value})}."""
        found: dict[str, tuple[str, dict[str, str]]] = {}
        for segment, _ in self.segments:
            for key, (name, values) in segment.spelling.items():
                known = found.setdefault(key, (name, {}))[1]
                for kind, value in values.items():
                    known.setdefault(kind, value)
        return found

    def find(self, wanted: Wanted) -> Finding:
        return Finding([_Part(segment, alive, wanted) for segment, alive in self.segments])


@dataclass(frozen=True, slots=True)
class Finding:
    """What fits a search, counted and sorted on demand."""

    parts: Sequence[_Part]

    def counts(self) -> Counts:
        counts = Counts()
        for part in self.parts:
            counts.add(part.counts())
        return counts

    def page(
        self,
        sort: str,
        *,
        size: int,
        after: Key | None = None,
        backwards: bool = False,
        skip: int = 0,
    ) -> list[tuple[Key, bytes]]:
        """
        Return up to `size` products by their keys and ids, in the order of `sort`; by price only what has one.

        They are those beyond `after` but for the first `skip`. `backwards` goes the other way, nearest first.
        """
        walks = [
            (part.segment.ids, *part.sorted_by(sort, after, backwards=backwards))
            for part in self.parts
        ]
        if len(walks) == 1:
            # Keys cost more than the walk, so only those of the page are made.
            [(ids, numbers, key)] = walks
            return [(key(n), ids[n]) for n in islice(numbers, skip, skip + size)]
        keyed = [_keyed(*walk) for walk in walks]
        return list(islice(heapq.merge(*keyed, reverse=backwards), skip, skip + size))


def _keyed(
    ids: Sequence[bytes], numbers: Iterable[int], key: Callable[[int], Key]
) -> Iterator[tuple[Key, bytes]]:
    for number in numbers:
        yield key(number), ids[number]
