"""
The picture of the catalogue that a process keeps for searching (`pricing.facets`), and the words it is searched by.

One statement matches the words, and brings the picture up to its own snapshot: products noted in `catalogue_changes`
since the last one are read again, and so are, for this search only, those whose last units are under a hold that has
run out.
"""

from __future__ import annotations

import re
import struct
import threading
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db import connection

from pricing.facets import Index, Offer, Rate, Row
from pricing.selectors.narrowing import Tree

MOST_WORDS = 8
_WORD = re.compile(r"\w+")
_LEAST_PART = 3  # shorter parts of words are in too many of them, and no index finds them

# A picture that was not used for so long is read anew. Notes of changes are kept for longer (inventory, `prune_changes`).
_KEPT_SECONDS = 3_600.0


def searched_words(text: str) -> list[str]:
    """Return the first words of a text, without accents and in lower case."""
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", text[:200]) if not unicodedata.combining(c)
    )
    return [word.lower() for word in _WORD.findall(plain) if word.strip("_")][:MOST_WORDS]


@dataclass(frozen=True, slots=True)
class Matched:
    hits: Mapping[bytes, int] = field(default_factory=dict)
    suggestion: str = ""
    is_corrected: bool = False


_HIT = struct.Struct(">16si")


def _matched(found: bytes | None, alike: bytes | None, suggestion: str | None) -> Matched:
    """Return the products that words found; those of words that look alike, if there are no others."""
    hits, others = (dict(_HIT.iter_unpack(packed or b"")) for packed in (found, alike))
    if not suggestion or len(others) <= len(hits):
        return Matched(hits)
    return Matched(hits or others, suggestion, not hits)


# Ranks are whole numbers: a float would not survive the way into a cursor and back.
_PACKED = "string_agg(uuid_send(id) || int4send(rank), ''::bytea ORDER BY rank DESC, id)"


_RANKED = """
    SELECT p.id, (ts_rank(p.search, asked.query) * 1000000)::int AS rank
      FROM products p, (SELECT {query} AS query) asked
     WHERE p.company_id = %(company)s AND p.status = %(status)s AND p.search @@ asked.query
"""


_QUERY = "to_tsquery('english', {words}) || to_tsquery('simple', {words})"


_MATCH = """
    found AS MATERIALIZED ({found}),
    parts AS MATERIALIZED (
        SELECT p.id, 0 AS rank FROM products p
         WHERE p.company_id = %(company)s AND p.status = %(status)s AND %(part)s <> ''
           AND (p.name ILIKE %(part)s OR p.search_terms ILIKE %(part)s) AND NOT EXISTS (SELECT FROM found)
    ),
    -- Found less than three, something else may have been meant.
    guess AS MATERIALIZED (
        SELECT string_agg(coalesce(alike.word, asked.word), ' ' ORDER BY asked.place) AS words,
               string_agg('''' || coalesce(alike.word, asked.word) || ''':*', ' & ' ORDER BY asked.place) AS query
          FROM unnest(%(words)s::text[]) WITH ORDINALITY AS asked (word, place)
          LEFT JOIN LATERAL (
               SELECT s.word
                 FROM search_words s, levenshtein(s.word, left(asked.word, 40)) AS apart
                WHERE s.company_id = %(company)s
                  AND (s.word LIKE asked.word || '%%'
                       OR apart <= CASE WHEN length(asked.word) < 5 THEN 1 ELSE 2 END
                       -- two letters changed places
                       OR apart = 2 AND translate(s.word, asked.word, '') || translate(asked.word, s.word, '') = ''
                       OR similarity(s.word, asked.word) > 0.5)
                ORDER BY s.word LIKE asked.word || '%%' DESC, apart, similarity(s.word, asked.word) DESC,
                         s.products DESC, s.word
                LIMIT 1
          ) alike ON true
         WHERE (SELECT count(*) FROM (SELECT FROM found UNION ALL SELECT FROM parts LIMIT 3) few) < 3
    ),
    alike AS MATERIALIZED (
        {alike}
           AND (SELECT words FROM guess) <> %(plain)s
    ),
"""


_MATCH = _MATCH.format(
    found=_RANKED.format(query=_QUERY.format(words="%(asked)s")),
    alike=_RANKED.format(query=_QUERY.format(words="(SELECT query FROM guess)")),
)


_NO_MATCH = """
    found AS (SELECT NULL::uuid AS id, 0 AS rank WHERE false), parts AS (SELECT * FROM found),
    alike AS (SELECT * FROM found), guess AS (SELECT ''::text AS words),
"""


# A product as `pricing.facets` knows it; an offer is [options, prices, stock, stock with holds that ran out].
# Bits of stock: 1 in the default warehouse, 2 in any active one.
_ROWS = """
    SELECT json_agg(json_build_array(
               p.id, p.name, p.status, coalesce(p.category_id::text, ''),
               (extract(epoch FROM p.created_at) * 1000000)::bigint, coalesce(offered.all, '[]')))
      FROM products p
      LEFT JOIN LATERAL (
           SELECT json_agg(json_build_array(
                      v.options, coalesce(priced.all, '{{}}'), CASE WHEN v.inventory_policy = 'continue' THEN 3 ELSE coalesce(stocked.bits, 0) END,
                      CASE WHEN v.inventory_policy = 'continue' THEN 3 ELSE coalesce(stocked.soon, 0) END)
                  ORDER BY v.position, v.id) AS all
             FROM variants v
             LEFT JOIN LATERAL (
                  SELECT json_object_agg(c.currency, (coalesce(s.amount, c.amount) * 1000)::bigint) AS all
                    FROM prices c
                    LEFT JOIN special_prices s
                      ON s.variant_id = c.variant_id AND s.currency = c.currency AND s.group_id IS NULL AND s.from_quantity = 1
                     -- What was announced has happened, even where this clock is behind the one that said so.
                     AND (s.starts_at <= %(now)s OR s.begun_at IS NOT NULL)
                     AND (s.ends_at > %(now)s OR s.ends_at IS NULL) AND s.over_at IS NULL
                   WHERE c.variant_id = v.id
             ) priced ON true
             LEFT JOIN LATERAL (
                  SELECT bit_or(CASE WHEN w.is_default THEN 3 ELSE 2 END) FILTER (WHERE s.available > 0) AS bits,
                         bit_or(CASE WHEN w.is_default THEN 3 ELSE 2 END) FILTER (WHERE s.available > 0 OR NOT s.is_awaited AND EXISTS (
                             SELECT FROM stock_reservations r
                              WHERE r.stock_level_id = s.id AND r.status = 'ACTIVE' AND r.expires_at <= %(now)s
                                AND r.quantity > 0)) AS soon
                    FROM inventory s JOIN warehouses w ON w.id = s.warehouse_id AND w.is_active
                   WHERE s.variant_id = v.id
             ) stocked ON true
            WHERE v.product_id = p.id AND v.is_active
      ) offered ON true
     WHERE {which}
"""


_SINCE = """p.company_id = %(company)s AND p.id = ANY (ARRAY(
    SELECT product_id FROM catalogue_changes WHERE company_id = %(company)s AND xact >= %(since)s))"""


# What changed without a write: holds that ran out (where somebody waits, their units are theirs), and scheduled prices
# that began or ended and were not announced yet.
_OVERDUE = """p.company_id = %(company)s AND p.id = ANY (ARRAY(
    SELECT v.product_id
      FROM stock_reservations r JOIN inventory s ON s.id = r.stock_level_id JOIN variants v ON v.id = s.variant_id
     WHERE r.status = 'ACTIVE' AND r.expires_at <= %(now)s AND r.quantity > 0
       AND s.available = 0 AND NOT s.is_awaited AND s.company_id = %(company)s
     UNION ALL
    SELECT v.product_id FROM special_prices s JOIN variants v ON v.id = s.variant_id
     WHERE s.begun_at IS NULL AND s.starts_at <= %(now)s AND v.company_id = %(company)s
     UNION ALL
    SELECT v.product_id FROM special_prices s JOIN variants v ON v.id = s.variant_id
     WHERE s.over_at IS NULL AND s.ends_at <= %(now)s AND v.company_id = %(company)s))"""


_STATEMENT = """
    WITH {match}
    hits AS (SELECT * FROM found UNION ALL SELECT * FROM parts)
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
           ({changed}),
           ARRAY({ids}),
           ({overdue}),
           (SELECT json_agg(json_build_array(c.id, coalesce(c.parent_id::text, ''), c.slug, c.name, c.is_active)
                            ORDER BY c.position, c.name, c.id) FROM categories c WHERE c.company_id = %(company)s),
           (SELECT {packed} FROM hits), (SELECT {packed} FROM alike), (SELECT words FROM guess),
           (SELECT json_build_array(e.base, e.rate::text, e.places)
              FROM companies c
              JOIN LATERAL (SELECT r.base, r.rate, r.places, r.valid_until FROM exchange_rates r
                             WHERE r.company_id = c.id AND r.base = c.currency AND r.quote = %(currency)s
                               AND r.valid_from <= %(now)s
                             ORDER BY r.valid_from DESC LIMIT 1) e ON e.valid_until IS NULL OR e.valid_until > %(now)s
             WHERE c.id = %(company)s)
"""


_IDS = (
    "SELECT product_id FROM catalogue_changes WHERE company_id = %(company)s AND xact >= %(since)s"
)


def _sql(*, is_text: bool, is_anew: bool) -> str:
    return _STATEMENT.format(
        match=_MATCH if is_text else _NO_MATCH,
        changed=_ROWS.format(which="p.company_id = %(company)s" if is_anew else _SINCE),
        ids="SELECT NULL::uuid WHERE false" if is_anew else _IDS,
        overdue=_ROWS.format(which=_OVERDUE),
        packed=_PACKED,
    )


_SQL = {
    (text, anew): _sql(is_text=text, is_anew=anew)
    for text in (True, False)
    for anew in (True, False)
}


@dataclass(frozen=True, slots=True)
class _Known:
    """What a process knows of a catalogue, and the oldest transaction that may not have been over by then."""

    index: Index
    since: int
    read_at: float


@dataclass(frozen=True, slots=True)
class Picture:
    """`rate` converts prices into the currency that was asked for; None at home, and where there is none in force."""

    index: Index
    categories: Tree
    rate: Rate | None


_known: dict[UUID, _Known] = {}


_publishing = threading.Lock()


_reading_anew = threading.Lock()


def forget_catalogue() -> None:
    """Read the whole catalogue at the next search."""
    _known.clear()


def read_picture(
    *,
    company_id: UUID,
    currency: str,
    words: Sequence[str],
    text: str,
    status: str,
    now: datetime,
) -> tuple[Picture, Matched]:
    part = "" if len(text) < _LEAST_PART else f"%{_escaped(text[:100])}%"
    parameters = {
        "company": company_id,
        "currency": currency,
        "now": now,
        "status": status,
        "words": list(words),
        "plain": " ".join(words),
        "asked": " & ".join(f"'{word}':*" for word in words),
        "part": part,
    }
    known = _usable(company_id)
    if known is not None:
        return _answered(company_id, known, parameters, is_text=bool(text))
    with _reading_anew:  # one thread reads it all, the others wait and go on from there
        return _answered(company_id, _usable(company_id), parameters, is_text=bool(text))


def _usable(company_id: UUID) -> _Known | None:
    known = _known.get(company_id)
    if known is None or known.index.is_worn or time.monotonic() - known.read_at > _KEPT_SECONDS:
        return None
    return known


def _answered(
    company_id: UUID, known: _Known | None, parameters: dict[str, Any], *, is_text: bool
) -> tuple[Picture, Matched]:
    before = _known.get(company_id)
    sql = _SQL[is_text, known is None]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters | {"since": known.since if known else 0})
        since, changed, ids, overdue, categories, found, alike, guess, rate = cursor.fetchone()
    if known is None:
        index = Index.of(_rows(changed))
    elif ids:
        index = known.index.updated(_rows(changed), {changed_id.bytes for changed_id in ids})
    else:
        index = known.index
    # What an open transaction sees may be rolled back, and what another thread read meanwhile may be newer.
    if not connection.in_atomic_block:
        with _publishing:
            if _known.get(company_id) is before:
                _known[company_id] = _Known(index, since, time.monotonic())
    if overdue:
        rows = _rows(overdue, is_overdue=True)
        index = index.updated(rows, {row.id for row in rows})
    picture = Picture(index, Tree(categories or ()), _rate(rate))
    return picture, _matched(found, alike, guess)


def _rate(sent: Sequence[Any] | None) -> Rate | None:
    return None if sent is None else Rate(sent[0], Fraction(sent[1]), sent[2])


def _rows(sent: Iterable[Sequence[Any]] | None, *, is_overdue: bool = False) -> list[Row]:
    return [
        Row(
            UUID(row_id).bytes,
            name,
            status,
            category,
            created,
            [
                Offer(
                    {str(k): str(v) for k, v in options.items()},
                    prices,
                    soon if is_overdue else stock,
                )
                for options, prices, stock, soon in offers
            ],
        )
        for row_id, name, status, category, created, offers in sent or ()
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
