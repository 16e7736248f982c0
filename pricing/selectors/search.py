"""
Search over the catalogue: what fits, how many each facet would leave, and one page of it. Two statements.

The first one reads the picture of the catalogue (`pricing.selectors.picture`), the second one the products of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any
from uuid import UUID

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.models import Product
from pricing.facets import (
    ANYWHERE,
    AT_HOME,
    NEWEST,
    PRICE,
    PRICE_DOWN,
    RELEVANCE,
    SORTS,
    Key,
    Wanted,
    fold,
)
from pricing.selectors.catalogue import ProductView, products_shown
from pricing.selectors.narrowing import Facets, option_counts
from pricing.selectors.picture import Picture, read_picture, searched_words

_THOUSANDTHS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """
    What a customer looks for. An empty field asks for nothing; `category` is a slug, and covers those below it.

    Of an option any one of its values will do; of several options each one must fit, on one and the same variant, which
    must have the price and the stock that are asked for, too. `in_stock=False` asks for what is sold out.
    """

    q: str = ""
    category: str = ""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    in_stock: bool | None = None
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sort: str = ""
    status: str = ""  # staff only


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    One page of what was found. `keys` are those of its first and last product, to go on from.

    `suggestion` is how the words may have been meant; `is_corrected` says that this is what was looked for, because
    nothing was found for them as they were.
    """

    products: Sequence[ProductView]
    total: int
    facets: Facets
    sort: str
    suggestion: str = ""
    is_corrected: bool = False
    keys: tuple[Sequence[Any], Sequence[Any]] | None = None
    has_more: bool = False


def search_catalogue(
    *,
    actor: Actor,
    currency: str,
    search: Search,
    now: datetime,
    size: int = 20,
    after: Sequence[Any] | None = None,
    backwards: bool = False,
    skip: int = 0,
) -> Found:
    """
    Return a page of the products that match, with facets: two statements, whatever the size.

    Words match by stem and by beginning, SKUs whole and by their parts; where none does, inside of names and SKUs; where
    that finds nothing either, words that look alike. `after` is a key of an earlier page, `skip` leaves some out.
    Lists hold what is sold; staff may ask for another status. An unknown category holds nothing.

    :raises ValidationFailed: if `after` is not a key of a list in this order
    """
    words = searched_words(search.q)
    text = search.q.replace("\x00", " ").strip()
    sort = search.sort if search.sort in SORTS else RELEVANCE
    if sort == RELEVANCE and not text:
        sort = NEWEST
    key = None if after is None else _key_of(after, sort)
    status = search.status if actor.sees_everything and search.status else Product.Status.ACTIVE
    picture, matched = read_picture(
        company_id=actor.company_id,
        currency=currency,
        words=words,
        text=text,
        status=status,
        now=now,
    )
    tree = picture.categories
    hits = matched.hits if text else None
    wanted = _wanted(search, picture, currency, status, hits, sort)
    finding = picture.index.find(wanted)
    page = finding.page(sort, size=size + 1, after=key, backwards=backwards, skip=skip)
    has_more, page = len(page) > size, page[:size]
    if backwards:
        page.reverse()
    views = products_shown(
        actor=actor, currency=currency, ids=[UUID(bytes=row_id) for _, row_id in page]
    )
    counts = finding.counts()
    facets = Facets(
        categories=tree.counts(counts.categories, chosen=search.category),
        options=option_counts(picture.index, counts.options, search.options),
        min_price=_amount(counts.lowest),
        max_price=_amount(counts.highest),
        in_stock=counts.in_stock,
    )
    return Found(
        products=views,
        total=counts.total,
        facets=facets,
        sort=sort,
        suggestion=matched.suggestion,
        is_corrected=matched.is_corrected,
        keys=(_sent(sort, page[0][0]), _sent(sort, page[-1][0])) if page else None,
        has_more=has_more,
    )


def nearest_in_price(
    *,
    actor: Actor,
    currency: str,
    wanted: Sequence[tuple[str, Decimal]],
    size: int,
    now: datetime,
) -> list[list[UUID]]:
    """
    Return for each category (a slug) and price the products of it in stock that cost at least, and those that cost at
    most that much: up to `size` of either, the nearest first. One statement for all of them.
    """
    if not wanted:
        return []
    picture, _matches = read_picture(
        company_id=actor.company_id,
        currency=currency,
        words=[],
        text="",
        status=Product.Status.ACTIVE,
        now=now,
    )
    found = []
    for category, price in wanted:
        ids: list[UUID] = []
        dearer = Search(category=category, in_stock=True, min_price=price)
        cheaper = Search(category=category, in_stock=True, max_price=price)
        for sort, search in ((PRICE, dearer), (PRICE_DOWN, cheaper)):
            terms = _wanted(search, picture, currency, Product.Status.ACTIVE, None, sort)
            page = picture.index.find(terms).page(sort, size=size)
            ids += [UUID(bytes=row_id) for _key, row_id in page]
        found.append(list(dict.fromkeys(ids)))
    return found


def _wanted(
    search: Search,
    picture: Picture,
    currency: str,
    status: str,
    hits: Any,
    sort: str,
) -> Wanted:
    return Wanted(
        currency=currency,
        rate=picture.rate,
        status=status,
        categories=picture.categories.branch(search.category) if search.category else None,
        options={
            fold(name): frozenset(map(fold, values))
            for name, values in search.options.items()
            if values
        },
        lowest=_thousandths(search.min_price, ROUND_CEILING),
        highest=_thousandths(search.max_price, ROUND_FLOOR),
        in_stock=search.in_stock,
        stock=ANYWHERE if flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES") else AT_HOME,
        hits=hits,
        needs_price=sort in (PRICE, PRICE_DOWN),
    )


def _sent(sort: str, key: Key) -> list[Any]:
    return [sort, key[0], key[1].hex()]


def _key_of(sent: Sequence[Any], sort: str) -> Key:
    kind = str if sort == "name" else int
    if len(sent) == 3 and sent[0] == sort and type(sent[1]) is kind and isinstance(sent[2], str):
        try:
            return sent[1], bytes.fromhex(sent[2])
        except ValueError:
            pass
    message = "This cursor belongs to another list."
    raise ValidationFailed(errors=[FieldError("cursor", "invalid", message)])


def _thousandths(amount: Decimal | None, rounding: str) -> int | None:
    if amount is None:
        return None
    return int((amount * _THOUSANDTHS).to_integral_value(rounding=rounding))


def _amount(thousandths: int | None) -> Decimal | None:
    return None if thousandths is None else Decimal(thousandths) / _THOUSANDTHS
