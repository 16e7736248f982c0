"""The counting of facets against a naive reading of the rules, on random catalogues."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing import facets
from pricing.facets import (
    ANYWHERE,
    AT_HOME,
    NAME,
    NEWEST,
    PRICE,
    PRICE_DOWN,
    RELEVANCE,
    Counts,
    Index,
    Offer,
    Row,
    Wanted,
)

COLOURS, SIZES = ("Red", "Blue", "Café"), ("S", "M")

offers = st.builds(
    Offer,
    options=st.fixed_dictionaries(
        {}, optional={"Colour": st.sampled_from(COLOURS), "Size": st.sampled_from(SIZES)}
    ),
    prices=st.fixed_dictionaries({}, optional={"USD": st.integers(0, 9), "EUR": st.integers(0, 9)}),
    stock=st.sampled_from([0, ANYWHERE, AT_HOME | ANYWHERE]),
)
rows = st.builds(
    Row,
    id=st.integers(0, 30).map(lambda n: n.to_bytes(16, "big")),
    name=st.sampled_from(["Lamp", "lamp", "Éclair", "Zip"]),
    status=st.sampled_from(["active", "active", "active", "draft"]),
    category=st.sampled_from(["", "a", "b", "c"]),
    created=st.integers(0, 3),
    offers=st.lists(offers, max_size=4),
)
catalogues = st.lists(rows, max_size=20, unique_by=lambda row: row.id)
ids = st.integers(0, 30).map(lambda n: n.to_bytes(16, "big"))
values = st.frozensets(st.sampled_from(["red", "blue", "cafe", "none"]), min_size=1)
searches = st.builds(
    Wanted,
    currency=st.sampled_from(["USD", "EUR", "JPY"]),
    categories=st.none() | st.frozensets(st.sampled_from(["a", "b", "x"])),
    options=st.fixed_dictionaries(
        {}, optional={"colour": values, "size": st.just(frozenset({"m"}))}
    ),
    lowest=st.none() | st.integers(0, 9),
    highest=st.none() | st.integers(0, 9),
    in_stock=st.sampled_from([None, None, True, False]),
    stock=st.sampled_from([AT_HOME, ANYWHERE]),
    hits=st.none() | st.dictionaries(ids, st.integers(0, 3)),
    needs_price=st.booleans(),
)


# --- the oracle -----------------------------------------------------------------------------------


def fitting(row: Row, wanted: Wanted, without: str = "") -> list[Offer]:
    """Return the offers of a product that fit but for one facet."""
    return [
        offer
        for offer in row.offers
        if wanted.currency in offer.prices
        and (
            without == "price"
            or (wanted.lowest is None or offer.prices[wanted.currency] >= wanted.lowest)
            and (wanted.highest is None or offer.prices[wanted.currency] <= wanted.highest)
        )
        and (without == "stock" or wanted.in_stock is not True or offer.stock & wanted.stock)
        and all(
            without == f"={name}" or folded(offer).get(name) in chosen
            for name, chosen in wanted.options.items()
        )
    ]


def folded(offer: Offer) -> dict[str, str]:
    return {facets.fold(name): facets.fold(value) for name, value in offer.options.items()}


def asks_for_offers(wanted: Wanted) -> bool:
    return bool(
        wanted.options
        or wanted.lowest is not None
        or wanted.highest is not None
        or wanted.in_stock
        or wanted.needs_price
    )


def fits(row: Row, wanted: Wanted, without: str = "") -> bool:
    has_stock = any(
        offer.stock & wanted.stock and wanted.currency in offer.prices for offer in row.offers
    )
    return (
        row.status == wanted.status
        and (wanted.hits is None or row.id in wanted.hits)
        and (
            without == "category" or wanted.categories is None or row.category in wanted.categories
        )
        and (without == "stock" or wanted.in_stock is not False or not has_stock)
        and (not asks_for_offers(wanted) or bool(fitting(row, wanted, without)))
    )


def counted(catalogue: list[Row], wanted: Wanted) -> Counts:
    counts = Counts(total=sum(fits(row, wanted) for row in catalogue))
    for row in catalogue:
        if fits(row, wanted, "category"):
            counts.categories[row.category] = counts.categories.get(row.category, 0) + 1
        if fits(row, wanted, "stock") and any(
            offer.stock & wanted.stock for offer in fitting(row, wanted, "stock")
        ):
            counts.in_stock += 1
        if fits(row, wanted, "price"):
            for offer in fitting(row, wanted, "price"):
                price = offer.prices[wanted.currency]
                counts.add(Counts(lowest=price, highest=price))
        for name in ("colour", "size"):
            found = {
                folded(offer).get(name)
                for offer in fitting(row, wanted, f"={name}")
                if fits(row, wanted, f"={name}")
            }
            for value in found - {None}:
                counts.add(Counts(options={name: {str(value): 1}}))
    return counts


KEYS: dict[str, Any] = {
    NEWEST: lambda row, wanted: (-row.created, -int.from_bytes(row.id, "big")),
    NAME: lambda row, wanted: (facets.fold(row.name), row.id),
    RELEVANCE: lambda row, wanted: (-wanted.hits[row.id], row.id),
    PRICE: lambda row, wanted: (price_of(row, wanted), row.id),
    PRICE_DOWN: lambda row, wanted: (-price_of(row, wanted), -int.from_bytes(row.id, "big")),
}


def price_of(row: Row, wanted: Wanted) -> int:
    return min(o.prices[wanted.currency] for o in row.offers if wanted.currency in o.prices)


# --- against the oracle -----------------------------------------------------------------------------


@pytest.fixture(params=[0, 1, 64], ids=["bits", "both", "lists"])
def _kept_as(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep values as bits, as lists of variants, or some of each."""
    monkeypatch.setattr(facets, "_SPARSE", request.param)


@pytest.mark.usefixtures("_kept_as")
def test_counts_are_those_of_a_naive_reading() -> None:
    @settings(max_examples=60, deadline=None, database=None)
    @given(catalogue=catalogues, wanted=searches)
    def check(catalogue: list[Row], wanted: Wanted) -> None:
        assert Index.of(catalogue).find(wanted).counts() == counted(catalogue, wanted)

    check()


@settings(max_examples=60, deadline=None, database=None)
@given(
    catalogue=catalogues,
    changes=st.lists(st.tuples(catalogues, st.frozensets(ids)), max_size=5),
    wanted=searches,
)
def test_an_index_that_was_changed_counts_like_a_fresh_one(
    catalogue: list[Row], changes: list[tuple[list[Row], frozenset[bytes]]], wanted: Wanted
) -> None:
    index, kept = Index.of(catalogue), {row.id: row for row in catalogue}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facets, "YOUNG", 6)
        for changed, gone in changes:
            index = index.updated(changed, gone | {row.id for row in changed})
            for id in gone:
                kept.pop(id, None)
            kept |= {row.id: row for row in changed}

    assert index.find(wanted).counts() == counted(list(kept.values()), wanted)


@settings(max_examples=60, deadline=None, database=None)
@given(
    older=catalogues,
    newer=catalogues,
    wanted=searches,
    sort=st.sampled_from([NEWEST, NAME, PRICE, PRICE_DOWN, RELEVANCE]),
    size=st.integers(1, 7),
)
def test_pages_go_through_all_in_order_and_back(
    older: list[Row], newer: list[Row], wanted: Wanted, sort: str, size: int
) -> None:
    if sort == RELEVANCE:
        ranked = sorted((wanted.hits or {}).items(), key=lambda hit: (-hit[1], hit[0]))
        object.__setattr__(wanted, "hits", dict(ranked))
    if sort in (PRICE, PRICE_DOWN):
        object.__setattr__(wanted, "needs_price", True)
    kept = {row.id: row for row in [*older, *newer]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facets, "YOUNG", 0)  # two segments
        index = Index.of(older).updated(newer, [row.id for row in newer])
    expected = [row for row in kept.values() if fits(row, wanted)]
    expected.sort(key=lambda row: KEYS[sort](row, wanted))
    finding = index.find(wanted)

    seen: list[tuple[Any, bytes]] = []
    while page := finding.page(sort, size=size, after=seen[-1][0] if seen else None):
        seen += page
        assert len(seen) <= len(expected)

    assert [id for _, id in seen] == [row.id for row in expected]
    for start in range(len(seen)):
        assert finding.page(sort, size=size, skip=start) == seen[start : start + size]
        back = finding.page(sort, size=size, after=seen[start][0], backwards=True)
        assert back == seen[max(0, start - size) : start][::-1]


def test_a_worn_index_says_so() -> None:
    def row(number: int) -> Row:
        return Row(number.to_bytes(16, "big"), "Lamp", "active", "", number)

    index = Index.of([row(n) for n in range(1_000)])
    assert not index.is_worn

    for n in range(2_000):
        index = index.updated([row(n % 1_000)], [(n % 1_000).to_bytes(16, "big")])
        if index.is_worn:
            break

    assert 500 < n < 1_999
    assert index.find(Wanted("USD")).counts().total == 1_000


def test_many_prices_are_cut_where_they_are_asked_to() -> None:
    catalogue = [
        Row(n.to_bytes(16, "big"), "Lamp", "active", "", n, [Offer({}, {"USD": n // 3})])
        for n in range(1_000)
    ]
    index = Index.of(catalogue)

    for lowest, highest in itertools.product([None, 0, 1, 17, 100, 332, 333, 400], repeat=2):
        found = index.find(Wanted("USD", lowest=lowest, highest=highest)).counts().total
        expected = [
            n
            for n in range(1_000)
            if (lowest is None or n // 3 >= lowest) and (highest is None or n // 3 <= highest)
        ]
        assert found == len(expected), (lowest, highest)
