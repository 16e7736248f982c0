"""What a list of products shows around its shelf: facets, chips, sorting and pages, as primitives for templates."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pricing.money import quantize
from pricing.selectors import SORTS, CategoryCount, Facets, Found, Search
from pricing.templatetags.money import money_text

PAGE_SIZE = 24
SHOWN_VALUES = 8
MOST_SHOWN_OPTIONS = 6
_MOST_PAGES = 10_000
_OPTION = "option."
_AMOUNT = re.compile(r"[0-9]{1,9}([.,][0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a list asks for. What cannot be meant is left out, so that every link leads somewhere."""

    path: str
    words: str = ""
    category: str = ""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    in_stock: bool = False
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sort: str = ""
    page: int = 1

    @classmethod
    def read(
        cls, path: str, query: QueryDict, *, currency: str, words: str, category: str
    ) -> Asked:
        """Read the query string; `category` is that of the path, where it has one."""
        sort, page = query.get("sort", ""), query.get("page", "")
        options = {
            key.removeprefix(_OPTION)[:200]: [value[:200] for value in values[:30] if value.strip()]
            for key, values in query.lists()
            if key.startswith(_OPTION)
        }
        return cls(
            path=path,
            words=words,
            category=category,
            min_price=_price(query.get("minPrice", ""), currency),
            max_price=_price(query.get("maxPrice", ""), currency),
            in_stock=query.get("inStock") == "true",
            options={name: values for name, values in [*options.items()][:10] if name and values},
            sort=sort if sort in SORTS else "",
            page=min(int(page), _MOST_PAGES) or 1 if page.isascii() and page.isdigit() else 1,
        )

    def search(self) -> Search:
        return Search(
            q=self.words,
            category=self.category,
            min_price=self.min_price,
            max_price=self.max_price,
            in_stock=True if self.in_stock else None,
            options=self.options,
            sort=self.sort,
        )

    @property
    def _is_in_path(self) -> bool:
        return self.path.startswith("/category/")

    def parameters(self) -> list[tuple[str, str]]:
        """Return what the address carries, in one order, so that one list has one address."""
        pairs = [
            ("q", self.words),
            ("category", "" if self._is_in_path else self.category),
            ("minPrice", "" if self.min_price is None else f"{self.min_price:f}"),
            ("maxPrice", "" if self.max_price is None else f"{self.max_price:f}"),
            ("inStock", "true" if self.in_stock else ""),
            *((_OPTION + name, value) for name, values in self.options.items() for value in values),
            ("sort", self.sort),
            ("page", str(self.page) if self.page > 1 else ""),
        ]
        return [(name, value) for name, value in pairs if value]

    def url(self, **changes: Any) -> str:
        """Return the address of the list with these changes; a change leads to its first page."""
        other = replace(self, **{"page": 1, **changes})
        query = urlencode(other.parameters())
        return f"{other.path}?{query}" if query else other.path

    def in_category(self, slug: str) -> str:
        """Return the address of the same choice in another category, or in none: a page of its own without words."""
        if self.path.startswith("/search/"):
            return self.url(category=slug)
        return self.url(path=f"/category/{slug}/" if slug else "/products/", category=slug)

    def without(self, name: str, value: str) -> str:
        left = {
            key: [one for one in values if (key, one) != (name, value)]
            for key, values in self.options.items()
        }
        return self.url(options={key: values for key, values in left.items() if values})


def _price(text: str, currency: str) -> Decimal | None:
    text = text.strip()
    return quantize(Decimal(text.replace(",", ".")), currency) if _AMOUNT.fullmatch(text) else None


# --- facets ---------------------------------------------------------------------------------------


def facets_of(asked: Asked, facets: Facets, currency: str) -> dict[str, Any]:
    """Return the facets of a list for its form."""
    return {
        "categories": _categories(asked, facets.categories),
        "everything": {"url": asked.in_category(""), "is_chosen": not asked.category},
        "options": [
            {
                "name": option.name,
                "field": _OPTION + option.name,
                "values": values[:shown],
                "more": values[shown:],
                "number": len(values),
            }
            for option in facets.options[:MOST_SHOWN_OPTIONS]
            for values, shown in [_values(option.name, option.values)]
        ],
        "min_price": asked.min_price,
        "max_price": asked.max_price,
        "lowest": _bare(facets.min_price, currency),
        "highest": _bare(facets.max_price, currency),
        "has_price": facets.min_price is not None
        or asked.min_price is not None
        or asked.max_price is not None,
        "in_stock": asked.in_stock,
        "in_stock_count": facets.in_stock,
        "hidden": [
            (name, value)
            for name, value in asked.parameters()
            if name in {"q", "category"} or (name == "sort")
        ],
    }


def _values(name: str, values: Sequence[Any]) -> tuple[list[dict[str, Any]], int]:
    """Return the values of an option and how many of them are shown at once: all that are chosen are."""
    told = [
        {
            "value": entry.value,
            "count": entry.count,
            "is_chosen": entry.is_chosen,
            # Swapped in again, a field keeps the focus if its id stays the same.
            "id": f"o{zlib.crc32(f'{name}={entry.value}'.encode()):08x}",
        }
        for entry in values
    ]
    if len(told) <= SHOWN_VALUES + 2:
        return told, len(told)
    last = max((at for at, entry in enumerate(told, 1) if entry["is_chosen"]), default=0)
    return told, max(SHOWN_VALUES, last)


def _bare(amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return ""
    return (
        f"{amount:.0f}"
        if amount == amount.to_integral_value()
        else f"{quantize(amount, currency):f}"
    )


def _categories(asked: Asked, counts: Iterable[CategoryCount]) -> list[dict[str, Any]]:
    """Return the categories that are open: the first ones, and those below the chosen one and below those above it."""
    known = list(counts)
    opened = next((entry.path for entry in known if entry.is_chosen), ())
    return [
        {
            "name": entry.name,
            "url": asked.in_category(entry.slug),
            "count": entry.count,
            "depth": len(entry.path) - 1,
            "is_chosen": entry.is_chosen,
        }
        for entry in known
        if len(entry.path) == 1 or entry.path[-2] in opened
    ]


def crumbs_of(asked: Asked, facets: Facets) -> list[dict[str, str]]:
    """Return the way from the whole shop down to the chosen category, itself not among them."""
    names = {entry.slug: entry.name for entry in facets.categories}
    chosen = next((entry for entry in facets.categories if entry.is_chosen), None)
    above = chosen.path[:-1] if chosen else ()
    return [{"name": names[slug], "url": f"/category/{slug}/"} for slug in above if slug in names]


def chips_of(asked: Asked, facets: Facets, currency: str) -> list[dict[str, str]]:
    """Return what is chosen, each with the address of the list without it."""
    chips = []
    if asked.category and asked.path.startswith("/search/"):
        name = next((e.name for e in facets.categories if e.is_chosen), asked.category)
        chips.append({"label": name, "url": asked.url(category="")})
    if asked.min_price is not None:
        label = _("from %(amount)s") % {"amount": money_text(asked.min_price, currency)}
        chips.append({"label": label, "url": asked.url(min_price=None)})
    if asked.max_price is not None:
        label = _("up to %(amount)s") % {"amount": money_text(asked.max_price, currency)}
        chips.append({"label": label, "url": asked.url(max_price=None)})
    if asked.in_stock:
        chips.append({"label": _("in stock"), "url": asked.url(in_stock=False)})
    chips += [
        {"label": f"{name}: {value}", "url": asked.without(name, value)}
        for name, values in asked.options.items()
        for value in values
    ]
    return chips


def clear_url(asked: Asked) -> str:
    """Return the address of the list with nothing chosen but where it is and its words."""
    kept = Asked(
        asked.path,
        asked.words,
        asked.category if asked.path.startswith("/category/") else "",
        sort=asked.sort,
    )
    return kept.url()


# --- sorting, pages ---------------------------------------------------------------------------------


def sorts_of(words: str) -> list[tuple[str, str]]:
    sorts = [
        ("newest", _("Newest")),
        ("price", _("Price, low first")),
        ("-price", _("Price, high first")),
        ("name", _("Name")),
    ]
    return [("relevance", _("Best match")), *sorts] if words else sorts


def count_words(total: int) -> str:
    return ngettext("%(n)s thing", "%(n)s things", total) % {"n": f"{total:,}"}


def pages_of(asked: Asked, total: int) -> list[dict[str, Any]]:
    """Return links to the first and the last page and to those around this one; gaps have no address."""
    last = max(1, -(-total // PAGE_SIZE))
    near = {1, last, *range(max(1, asked.page - 1), min(last, asked.page + 1) + 1)}
    pages: list[dict[str, Any]] = []
    before = 0
    for number in sorted(near):
        if number > before + 1:
            pages.append({"number": "", "url": "", "is_current": False})
        is_current = number == asked.page
        pages.append({"number": number, "url": asked.url(page=number), "is_current": is_current})
        before = number
    return pages


def last_page(found: Found) -> int:
    return max(1, -(-found.total // PAGE_SIZE))
