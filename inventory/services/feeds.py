"""
Feeds: stock of suppliers that the shop fetches (INV-23, JOB-12).

A feed speaks only where it changed: its rows are compared with the last good copy, and only those that differ are applied,
by the same rules as messages. A feed that does not answer, is malformed or suddenly says something absurd changes nothing,
and the last good copy stays.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

import pybreaker
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from config.platform import limits, metrics, outside
from config.platform.actor import Actor
from config.platform.errors import NotFound
from inventory.models import FeedCopy, Product, Source
from inventory.services import changes
from inventory.services.changes import PRODUCT, REFUSED, SET, Change
from inventory.services.stock import MOST_UNITS

logger = structlog.get_logger(__name__)

State = Source.FeedState
MOST_ROWS = 100_000
# A new copy with fewer rows than this share of the last one is taken for a broken export.
LEAST_SHARE = 0.5
# So is one in which nearly everything is gone, where that was not so before.
MOST_ZEROES = 0.9
USUAL_ZEROES = 0.5
# After so many failed runs in a row the supplier is left alone for a while.
FAILURES = 3
REST = timedelta(minutes=10)
RUN_SECONDS = 60.0
_SAVED_EACH = 200  # products

_MEDIA_TYPES = {
    Source.Format.JSON: {"application/json", "text/json"},
    Source.Format.CSV: {"text/csv", "application/csv", "text/plain"},
}


class FeedRefused(Exception):
    """What a supplier sent cannot be true or cannot be read; the text names row and field."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class FeedRow:
    sku: str
    quantity: int
    warehouse: str = ""
    name: str = ""
    status: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.sku, self.warehouse


def fetch_due(*, now: datetime, seconds: float = RUN_SECONDS) -> int:
    """
    Fetch the feeds that are due, one after the other, for about so many seconds; return how many were fetched.

    Each is claimed by moving its next fetch forward. No transaction is open while a supplier is asked.
    """
    ends = time.monotonic() + seconds
    due = Source.objects.filter(is_active=True).exclude(feed_url="")
    due = due.filter(Q(feed_due_at=None) | Q(feed_due_at__lte=now)).order_by("feed_due_at", "pk")
    fetched = 0
    for source in list(due.select_related("warehouse")):
        if time.monotonic() > ends:
            break
        claimed = Source.objects.filter(pk=source.pk, feed_due_at=source.feed_due_at).update(
            feed_due_at=now + timedelta(minutes=source.feed_minutes)
        )
        if claimed:
            pull(source=source, now=now, seconds=max(ends - time.monotonic(), 1))
            fetched += 1
    return fetched


def pull_named(*, slug: str, now: datetime, trusting: bool = False) -> Source:
    """
    Fetch one feed now, however recently it was; `trusting` takes a copy that differs absurdly from the last one.

    :raises NotFound: if there is no such source, or it has no feed
    """
    source = Source.objects.select_related("warehouse").filter(slug=slug).first()
    if source is None or not source.feed_url:
        raise NotFound(f"There is no feed {slug[:40]}.")
    pull(source=source, now=now, trusting=trusting)
    source.refresh_from_db()
    return source  # type: ignore[no-any-return]


def breaker_of(source: Source) -> pybreaker.CircuitBreaker:
    """Return the breaker of a supplier, whose state all processes share. An answer that is refused is an answer."""
    return pybreaker.CircuitBreaker(
        fail_max=FAILURES,
        reset_timeout=REST.total_seconds(),
        exclude=[outside.Refused],
        state_storage=pybreaker.CircuitRedisStorage(
            pybreaker.STATE_CLOSED,
            limits.client(),
            namespace=f"{settings.CACHES['default']['KEY_PREFIX']}:feed:{source.pk}",
        ),
    )


def pull(
    *, source: Source, now: datetime, seconds: float = RUN_SECONDS, trusting: bool = False
) -> None:
    """Fetch a feed, keep it if it is good, and apply what changed; what happened is noted on the source."""
    copy = FeedCopy.objects.filter(source=source).first()
    try:
        document = breaker_of(source).call(
            outside.fetch,
            source.feed_url,
            etag=copy.etag if copy else "",
            last_modified=copy.last_modified if copy else "",
            media_types=_MEDIA_TYPES[Source.Format(source.feed_format)],
            private_hosts=settings.FEED_PRIVATE_HOSTS,
            bounds=BOUNDS,
            pause=PAUSE,
        )
        if document.body is not None:
            rows = read_feed(form=source.feed_format, body=document.body)
            if copy is None or bytes(copy.digest) != _digest(rows):
                if not trusting:
                    _check_plausible(rows, copy)
                copy = _keep(source, rows, document, copy, now)
    except pybreaker.CircuitBreakerError as resting:
        cause = resting.__cause__ or resting.__context__
        reason = f"{cause}; " if isinstance(cause, outside.Unreachable) else ""
        _note(source, State.UNREACHABLE, f"{reason}left alone for {REST}", now)
    except outside.Unreachable as failure:
        _note(source, State.UNREACHABLE, str(failure), now)
    except outside.Refused as failure:
        _note(source, State.REFUSED, f"FEED_NOT_TAKEN: {failure}", now)
    except FeedRefused as refusal:
        _note(source, State.REFUSED, f"{refusal.code}: {refusal}", now)
    else:
        _apply_waiting(source, copy, now, seconds)


# Replaced by tests, which have no time to wait.
BOUNDS = outside.Bounds()
PAUSE = 0.3


# --- reading ----------------------------------------------------------------------------------


def read_feed(*, form: str, body: bytes) -> list[FeedRow]:
    """
    Return the rows of a feed, or refuse all of it: a feed with one impossible row is not what we think it is.

    :raises FeedRefused: naming the row (the first is 1) and the field
    """
    raw = _json_rows(body) if form == Source.Format.JSON else _csv_rows(body)
    if not raw:
        raise FeedRefused("FEED_EMPTY", "it has no rows")
    if len(raw) > MOST_ROWS:
        raise FeedRefused("FEED_TOO_LONG", f"it has more than {MOST_ROWS} rows")
    rows = [_row(number, values) for number, values in enumerate(raw, start=1)]
    seen: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, start=1):
        if row.key in seen:
            raise FeedRefused(
                "FEED_DUPLICATE", f"row {number}, sku: {row.sku} stands in row {seen[row.key]} too"
            )
        seen[row.key] = number
    return rows


def _json_rows(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise FeedRefused("FEED_MALFORMED", "it is not JSON, or was cut off") from None
    rows = content.get("items") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise FeedRefused("FEED_COLUMNS", 'a list of rows is needed, or one under "items"')
    return rows


def _csv_rows(body: bytes) -> list[Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FeedRefused("FEED_MALFORMED", "it is not UTF-8") from None
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or []]
        missing = [name for name in ("sku", "quantity") if name not in columns]
        if missing:
            raise FeedRefused(
                "FEED_COLUMNS",
                f"no column {', '.join(missing)}; there are {', '.join(columns)[:200]}",
            )
        reader.fieldnames = columns
        return list(reader)
    except csv.Error as failure:
        raise FeedRefused("FEED_MALFORMED", f"row {reader.line_num}: {failure}") from None


def _row(number: int, values: Any) -> FeedRow:
    def refuse(field: str, text: str) -> FeedRefused:
        return FeedRefused("FEED_ROW", f"row {number}, {field}: {text}")

    if not isinstance(values, Mapping):
        raise refuse("row", "an object is needed")
    texts = {}
    for field, most in (("sku", 255), ("warehouse", 40), ("name", 500), ("status", 12)):
        value = values.get(field)
        text = value.strip() if isinstance(value, str) else value
        if text is None:
            text = ""
        if not isinstance(text, str) or len(text) > most or not text.isprintable():
            raise refuse(field, f"a text of at most {most} characters is needed")
        texts[field] = text
    if not texts["sku"]:
        raise refuse("sku", "it is missing")
    if texts["status"] and texts["status"] not in Product.Status.values:
        raise refuse("status", f"{texts['status']} is no status")
    quantity = values.get("quantity")
    if isinstance(quantity, str):
        digits = quantity.strip()
        quantity = (
            int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else None
        )
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise refuse("quantity", "a whole number is needed")
    if not 0 <= quantity <= MOST_UNITS:
        raise refuse("quantity", f"a number from 0 to {MOST_UNITS} is needed")
    return FeedRow(quantity=quantity, **texts)


def _check_plausible(rows: Sequence[FeedRow], copy: FeedCopy | None) -> None:
    """:raises FeedRefused: if this looks like a broken export rather than like news"""
    zeroes = sum(row.quantity == 0 for row in rows) / len(rows)
    usual = copy.zero_count / copy.row_count if copy else 0.0
    if copy and len(rows) < copy.row_count * LEAST_SHARE:
        raise FeedRefused(
            "FEED_SHRANK",
            f"it has {len(rows)} rows, and had {copy.row_count}: the last good copy stays",
        )
    if zeroes > MOST_ZEROES and usual < USUAL_ZEROES:
        raise FeedRefused(
            "FEED_ALL_ZERO",
            f"{zeroes:.0%} of its rows say 0, and {usual:.0%} did: the last good copy stays",
        )


# --- keeping and applying ---------------------------------------------------------------------


@transaction.atomic
def _keep(
    source: Source,
    rows: Sequence[FeedRow],
    document: outside.Document,
    before: FeedCopy | None,
    now: datetime,
) -> FeedCopy:
    """Make this the last good copy; what differs from the one before, or was not applied then, waits to be applied."""
    old = _rows_of(before) if before else []
    known = {row.key: row for row in old}
    if before:
        for place in before.waiting:
            known.pop(old[place].key, None)
        for name in before.refused:
            sku, _, warehouse = name.partition("\t")
            known.pop((sku, warehouse), None)
    copy = FeedCopy(
        source=source,
        rows=zlib.compress(json.dumps([astuple(row) for row in rows]).encode()),
        digest=_digest(rows),
        row_count=len(rows),
        zero_count=sum(row.quantity == 0 for row in rows),
        etag=document.etag,
        last_modified=document.last_modified,
        fetched_at=now,
        waiting=[place for place, row in enumerate(rows) if known.get(row.key) != row],
    )
    copy.save()
    return copy


def _apply_waiting(source: Source, copy: FeedCopy | None, now: datetime, seconds: float) -> None:
    if copy is None or not copy.waiting:
        _note(source, State.UNCHANGED, "nothing changed", now)
        return
    rows = _rows_of(copy)
    actor = Actor.system(source.company_id, source="feed")
    reference = f"{source.slug}:feed {copy.fetched_at:%Y-%m-%dT%H:%M:%SZ}"
    said = [
        (place, change) for place in copy.waiting for change in _said(rows[place], copy.fetched_at)
    ]
    tasks = changes.by_product(actor=actor, changes=said)
    waiting, counted, codes = set(copy.waiting), Counter[str](), Counter[str]()
    ends = time.monotonic() + seconds
    for number, task in enumerate(tasks, start=1):
        outcomes = changes.apply(
            actor=actor, source=source, task=task, reference=reference, now=now
        )
        for outcome in outcomes:
            row = rows[outcome.index]
            counted[outcome.status] += 1
            if outcome.status == REFUSED:
                codes[outcome.code] += 1
                copy.refused["\t".join(row.key)] = outcome.code
        waiting -= {place for place, _ in task.changes}
        if number % _SAVED_EACH == 0 or number == len(tasks) or time.monotonic() > ends:
            # What is set twice is set once, so it does no harm that a crash forgets the last few.
            copy.waiting = sorted(waiting)
            copy.applied_at = None if waiting else now
            copy.save(update_fields=["waiting", "refused", "applied_at"])
        if time.monotonic() > ends:
            break
    told = ", ".join(f"{count} {status}" for status, count in sorted(counted.items()))
    if codes:
        told += f" ({', '.join(f'{count} × {code}' for code, count in codes.most_common(3))})"
    if waiting:
        told += f", {len(waiting)} rows are left for the next run"
        Source.objects.filter(pk=source.pk).update(feed_due_at=now)
    _note(source, State.APPLIED, f"{copy.row_count} rows: {told}", now)


def _said(row: FeedRow, at: datetime) -> list[Change]:
    said = [
        Change(
            kind=SET, sku=row.sku, quantity=row.quantity, warehouse=row.warehouse, occurred_at=at
        )
    ]
    if row.name or row.status:
        said.append(
            Change(kind=PRODUCT, sku=row.sku, name=row.name, status=row.status, occurred_at=at)
        )
    return said


def _rows_of(copy: FeedCopy) -> list[FeedRow]:
    return [FeedRow(*values) for values in json.loads(zlib.decompress(bytes(copy.rows)))]


def _digest(rows: Sequence[FeedRow]) -> bytes:
    return hashlib.sha256(json.dumps([astuple(row) for row in rows]).encode()).digest()


def _note(source: Source, state: str, note: str, now: datetime) -> None:
    good = state in (State.APPLIED, State.UNCHANGED)
    metrics.count("inventory_feed_fetches_total", source=source.slug, result=str(state))
    log: Callable[..., Any] = logger.info if good else logger.warning
    log("a feed was fetched", source=source.slug, state=str(state), note=note)
    fields: dict[str, Any] = {"feed_tried_at": now, "feed_state": state, "feed_note": note[:1000]}
    if good:
        fields["feed_good_at"] = now
    Source.objects.filter(pk=source.pk).update(**fields)
