"""Feeds of suppliers, fetched from a server that hangs, drips, lies and redirects."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from config.platform import health, metrics, outside
from config.platform.actor import Actor
from config.platform.models import JobRun
from inventory import services as inventory
from inventory import tasks
from inventory.models import FeedCopy, Product, Source, StockLevel, StockMovement
from inventory.services import feeds
from tests.conftest import Api
from tests.factories import make_variant, make_warehouse
from tests.inventory.supplier import (
    Supplier,
    bomb,
    drip,
    drip_body,
    hang,
    reply,
    running,
    slam,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    with running() as found:
        yield found


@pytest.fixture
def source(company: Any, supplier: Supplier, settings: Any, monkeypatch: Any) -> Source:
    settings.FEED_PRIVATE_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(feeds, "BOUNDS", outside.Bounds(connect=9, read=9, total=20, size=100_000))
    monkeypatch.setattr(feeds, "PAUSE", 0.001)
    return Source.objects.create(
        company=company, slug="sup", name="Supplier", feed_url=supplier.url, feed_minutes=15
    )


def rows(**stock: int) -> bytes:
    return json.dumps([{"sku": sku, "quantity": units} for sku, units in stock.items()]).encode()


def pull(source: Source, **more: Any) -> tuple[str, str]:
    found = inventory.pull_named(slug=source.slug, now=more.pop("now", timezone.now()), **more)
    return found.feed_state, found.feed_note


def total(sku: str) -> int:
    return StockLevel.objects.get(variant__sku=sku).total


# --- what it does -----------------------------------------------------------------------------


def test_it_applies_what_a_feed_says_as_movements(source: Source, supplier: Supplier) -> None:
    make_variant(sku="A", available=1)
    supplier.answer = reply(rows(A=7, UNKNOWN=3), ETag='"one"')

    state, note = pull(source)

    assert (state, total("A")) == ("applied", 7)
    assert "2 rows: 1 applied, 1 refused (1 × PRODUCT_NOT_FOUND)" in note
    row = StockMovement.objects.get(source="feed")
    assert (row.quantity, row.reference[:8]) == (6, "sup:feed")
    copy = FeedCopy.objects.get()
    assert (copy.row_count, copy.waiting, copy.refused) == (
        2,
        [],
        {"UNKNOWN\t": "PRODUCT_NOT_FOUND"},
    )
    assert "Accept-Encoding: gzip" in supplier.asked[0]


def test_a_csv_feed_may_name_warehouse_name_and_status(source: Source, supplier: Supplier) -> None:
    variant = make_variant(sku="A", available=1)
    make_warehouse(code="EAST")
    source.feed_format = "csv"
    source.save()
    text = "\ufeffSKU;Quantity;Warehouse;Name;Status\r\nA;5;EAST;Better;draft\r\n"
    supplier.answer = reply(gzip.compress(text.encode()), kind="text/csv; charset=utf-8", Content_Encoding="gzip")  # fmt: skip

    assert pull(source)[0] == "applied"

    levels = dict(variant.stock_levels.values_list("warehouse__code", "total"))
    assert levels == {"MAIN": 1, "EAST": 5}
    product = Product.objects.get(id=variant.product_id)
    assert (product.name, product.status) == ("Better", "draft")


def test_what_did_not_change_is_asked_for_once_and_never_applied_again(
    source: Source, supplier: Supplier, system: Actor, now: datetime
) -> None:
    variant = make_variant(sku="A", available=1)
    supplier.script = [
        reply(rows(A=7), ETag='"one"', Last_Modified="Fri, 20 Nov 2026 10:00:00 GMT")
    ]
    supplier.answer = reply(status="304 Not Modified", kind="")
    pull(source)
    inventory.adjust(
        actor=system, stock_level_id=variant.stock_levels.get().id, quantity=-2, type="DAMAGE", now=timezone.now(),
    )  # fmt: skip

    assert pull(source) == ("unchanged", "nothing changed")

    assert total("A") == 5  # it said nothing new
    assert 'If-None-Match: "one"' in supplier.asked[1]
    assert "If-Modified-Since: Fri, 20 Nov 2026 10:00:00 GMT" in supplier.asked[1]


def test_only_rows_that_differ_from_the_last_good_copy_are_applied(
    source: Source, supplier: Supplier, system: Actor
) -> None:
    make_variant(sku="A", available=1)
    sold = make_variant(sku="B", available=1)
    supplier.answer = reply(rows(A=7, B=7, LATER=2))
    pull(source)
    inventory.adjust(
        actor=system, stock_level_id=sold.stock_levels.get().id, quantity=-3, type="DAMAGE", now=timezone.now(),
    )  # fmt: skip
    make_variant(sku="LATER", available=1)
    supplier.answer = reply(rows(A=9, B=7, LATER=2))

    state, note = pull(source)

    assert (state, total("A"), total("B"), total("LATER")) == ("applied", 9, 4, 2)
    assert "2 applied" in note


def test_a_run_that_stops_goes_on_from_the_copy(
    source: Source, supplier: Supplier, monkeypatch: Any
) -> None:
    for sku in "ABC":
        make_variant(sku=sku, available=1)
    supplier.script = [reply(rows(A=5, B=5, C=5), ETag='"one"')]
    supplier.answer = reply(status="304 Not Modified", kind="")
    feeds.pull(source=source, now=timezone.now(), seconds=-1)
    assert [total(sku) for sku in "ABC"] == [5, 1, 1]
    assert FeedCopy.objects.get().waiting == [1, 2]

    assert pull(source)[0] == "applied"

    assert [total(sku) for sku in "ABC"] == [5, 5, 5]
    assert FeedCopy.objects.get().applied_at is not None


# --- suppliers in trouble ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (hang, "Time"),
        (drip, "Time"),
        (drip_body, "Time"),
        (slam, "disconnected"),
        (reply(status="500 Oops"), "the server answered 500"),
        (reply(status="429 Slow down"), "the server answered 429"),
        (reply(rows(A=9), length=5_000), "closed connection"),
        (reply(gzip.compress(rows(A=9))[:-9], Content_Encoding="gzip"), "ended too early"),
    ],
    ids=["hangs", "drips a header", "drips a body", "slams", "500", "429", "truncated", "gzip cut"],
)
def test_a_supplier_in_trouble_changes_nothing_and_keeps_nobody_waiting(
    source: Source, supplier: Supplier, answer: Any, words: str, now: datetime, monkeypatch: Any
) -> None:
    make_variant(sku="A", available=1)
    supplier.answer = reply(rows(A=7))
    pull(source, now=now)
    good = FeedCopy.objects.get().digest
    supplier.answer = answer
    if answer in (hang, drip, drip_body):
        monkeypatch.setattr(feeds, "BOUNDS", outside.Bounds(connect=1, read=0.3, total=0.6))
    started = timezone.now()

    state, note = pull(source, now=now + timedelta(minutes=15))

    assert state == "unreachable"
    assert words in note
    assert timezone.now() - started < timedelta(seconds=9)
    assert total("A") == 7
    assert FeedCopy.objects.get().digest == good
    source.refresh_from_db()
    assert source.feed_good_at == now


def test_a_passing_failure_is_tried_again(source: Source, supplier: Supplier) -> None:
    make_variant(sku="A", available=1)
    supplier.script = [reply(status="503 Busy"), slam]
    supplier.answer = reply(rows(A=7))

    assert pull(source)[0] == "applied"
    assert (total("A"), len(supplier.asked)) == (7, 3)


def test_after_three_bad_runs_the_supplier_is_left_alone(
    source: Source, supplier: Supplier
) -> None:
    supplier.answer = reply(status="500 Oops")
    for _ in range(3):
        assert pull(source)[0] == "unreachable"
    asked = len(supplier.asked)

    state, note = pull(source)

    assert (state, len(supplier.asked)) == ("unreachable", asked)
    assert "left alone" in note
    assert inventory.breaker_of(source).current_state == "open"
    inventory.breaker_of(source).half_open()
    supplier.answer = reply(rows(X=1))
    assert pull(source)[0] == "applied"
    assert inventory.breaker_of(source).current_state == "closed"


# --- where it must not go ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0.0.0.0:{port}/",
        "http://100.64.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1:{port}/",
        "gopher://x",
    ],
)
@pytest.mark.parametrize("is_redirect", [True, False], ids=["redirect", "address"])
def test_it_never_asks_what_is_not_public(
    source: Source, supplier: Supplier, url: str, is_redirect: bool
) -> None:
    url = url.format(port=supplier.port)
    supplier.answer = reply(rows(A=1))
    if is_redirect:
        supplier.script = [reply(status="302 Found", Location=url)]
    else:
        Source.objects.update(feed_url=url)

    state, note = pull(source)

    assert state == "refused", note
    assert "FEED_NOT_TAKEN" in note
    assert "secret" not in note
    assert len(supplier.asked) == (1 if is_redirect else 0)


def test_a_name_that_resolves_inside_is_refused_where_it_connects(
    source: Source, monkeypatch: Any
) -> None:
    inside = [(2, 1, 6, "", ("192.168.1.9", 80))]
    monkeypatch.setattr(outside.socket, "getaddrinfo", lambda *args, **more: inside)
    Source.objects.update(feed_url="http://supplier.example.com/stock")

    assert pull(source) == (
        "refused", "FEED_NOT_TAKEN: supplier.example.com is not a public address",
    )  # fmt: skip


def test_it_follows_a_few_redirects_and_no_more(source: Source, supplier: Supplier) -> None:
    make_variant(sku="A", available=1)
    hop = reply(status="302 Found", Location="/elsewhere")
    supplier.script, supplier.answer = [hop] * 3, reply(rows(A=7))
    assert pull(source)[0] == "applied"
    assert supplier.asked[3].startswith("GET /elsewhere ")

    supplier.answer = hop
    assert pull(source) == ("refused", "FEED_NOT_TAKEN: more than 3 redirects")


# --- suppliers that lie -----------------------------------------------------------------------

LIES = {
    "a bomb": (bomb(50_000_000), "larger than 100000 bytes"),
    "too large": (reply(b" " * 100_001), "larger than 100000 bytes"),
    "a web page": (reply(b"<html>", kind="text/html"), "the server sent text/html"),
    "no type": (reply(b"[]", kind=""), "no content type"),
    "another packing": (reply(b"x", Content_Encoding="br"), "packed it as br"),
    "not packed at all": (reply(b"[]", Content_Encoding="gzip"), "not packed as it says"),
    "404": (reply(status="404 Not Found"), "the server answered 404"),
    "not JSON": (reply(b'[{"sku"'), "FEED_MALFORMED"),
    "no list": (reply(b'{"rows": []}'), "FEED_COLUMNS"),
    "deep": (reply(b"[" * 50_000), "FEED_MALFORMED"),
    "nothing": (reply(b"[]"), "FEED_EMPTY"),
    "no sku": (reply(b'[{"quantity": 1}]'), "FEED_ROW: row 1, sku"),
    "no object": (reply(b"[1]"), "FEED_ROW: row 1, row"),
    "negative": (reply(b'[{"sku": "A", "quantity": -1}]'), "FEED_ROW: row 1, quantity"),
    "huge": (reply(b'[{"sku": "A", "quantity": 9999999999}]'), "row 1, quantity"),
    "a fraction": (reply(b'[{"sku": "A", "quantity": 1.5}]'), "row 1, quantity"),
    "a boolean": (reply(b'[{"sku": "A", "quantity": true}]'), "row 1, quantity"),
    "a bad status": (reply(b'[{"sku":"A","quantity":1,"status":"gone"}]'), "row 1, status"),
    "NUL": (reply(b'[{"sku": "A\\u0000", "quantity": 1}]'), "row 1, sku"),
    "twice": (
        reply(b'[{"sku":"A","quantity":1},{"sku":"B","quantity":1},{"sku":"A","quantity":2}]'),
        "FEED_DUPLICATE: row 3, sku: A stands in row 1 too",
    ),
    "a third of the rows": (reply(rows(A=1, B=2)), "FEED_SHRANK: it has 2 rows, and had 6"),
    "all gone": (reply(rows(A=0, B=0, C=0, D=0, E=0, F=0)), "FEED_ALL_ZERO: 100%"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_feed_that_lies_is_refused_with_a_reason_and_the_last_good_copy_stays(
    source: Source, supplier: Supplier, name: str
) -> None:
    for sku in "ABCDEF":
        make_variant(sku=sku, available=1)
    supplier.answer = reply(rows(A=7, B=7, C=7, D=7, E=7, F=7))
    pull(source)
    supplier.answer, words = LIES[name]

    state, note = pull(source)

    assert state == "refused", note
    assert words in note
    assert {total(sku) for sku in "ABCDEF"} == {7}
    assert FeedCopy.objects.get().row_count == 6
    assert 'inventory_feed_refused{source="sup"} 1' in metrics.exposition(now=timezone.now())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"article,stock\nA,1\n",
            "FEED_COLUMNS: no column sku, quantity; there are article, stock",
        ),
        (b"sku,quantity\nA,1\nB,many\n", "FEED_ROW: row 2, quantity"),
        (b"sku,quantity\nA,-1\n", "FEED_ROW: row 1, quantity"),
        (b'sku,quantity\n"A,1\n', "FEED_MALFORMED: row"),
        (b"\xff\xfe", "FEED_MALFORMED"),
        (b"", "FEED_COLUMNS"),
        (b"sku,quantity\n", "FEED_EMPTY"),
    ],
)
def test_a_csv_feed_that_is_wrong_names_row_and_field(
    source: Source, supplier: Supplier, body: bytes, words: str
) -> None:
    make_variant(sku="A", available=1)
    Source.objects.update(feed_format="csv")
    supplier.answer = reply(body, kind="text/csv")

    state, note = pull(source)

    assert state == "refused"
    assert words in note
    assert (total("A"), FeedCopy.objects.count()) == (1, 0)


def test_staff_may_take_a_copy_that_looks_absurd(
    source: Source, supplier: Supplier, capsys: Any
) -> None:
    for sku in "ABC":
        make_variant(sku=sku, available=1)
    supplier.answer = reply(rows(A=7, B=7, C=7))
    pull(source)
    supplier.answer = reply(rows(A=0, B=0, C=0))

    with pytest.raises(SystemExit) as ended:
        call_command("fetch_feeds", "sup")
    assert (ended.value.code, total("A")) == (1, 7)
    with pytest.raises(SystemExit) as ended:
        call_command("fetch_feeds", "sup", "--trust")
    assert (ended.value.code, total("A")) == (0, 0)
    with pytest.raises(SystemExit) as ended:
        call_command("fetch_feeds", "nobody")
    assert ended.value.code == 1
    assert "sup: refused: FEED_ALL_ZERO" in capsys.readouterr().out


# --- when, and who is told --------------------------------------------------------------------


def test_the_job_fetches_what_is_due_and_no_more_often(source: Source, supplier: Supplier) -> None:
    make_variant(sku="A", available=1)
    supplier.answer = reply(rows(A=7))

    tasks.fetch_feeds()
    tasks.fetch_feeds()

    assert len(supplier.asked) == 1
    assert [run.count for run in JobRun.objects.order_by("started_at")] == [1, 0]
    assert inventory.fetch_due(now=timezone.now() + timedelta(minutes=16)) == 1
    Source.objects.update(is_active=False)
    assert inventory.fetch_due(now=timezone.now() + timedelta(hours=1)) == 0


def test_a_stale_feed_shows_in_health_and_numbers(
    source: Source, supplier: Supplier, staff_api: Api, now: datetime
) -> None:
    supplier.answer = reply(rows(A=7))
    pull(source, now=now - timedelta(minutes=46))
    assert (
        staff_api.get("/products/health")
        .json()["problems"][0]
        .startswith("the feed sup is applied")
    )
    assert health.readiness(now=now)["checks"]["stock"]["status"] == "degraded"
    assert 'inventory_feed_age_seconds{source="sup"} 2760' in metrics.exposition(now=now)

    pull(source, now=now)
    assert health.readiness(now=now)["checks"]["stock"]["status"] == "ok"
