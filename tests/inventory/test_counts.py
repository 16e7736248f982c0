"""Counts that come in as files: what they set, what they keep, what they refuse, and that it is all or nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import AuditEntry, OutboxEvent, new_id
from config.platform.sheets import Source
from inventory import services as inventory
from inventory.errors import CountsRefused, PreviewOutdated
from inventory.models import Company, StockLevel, StockMovement
from inventory.services import CountRow, Demand
from tests.factories import (
    default_warehouse,
    make_company,
    make_product,
    make_variant,
    make_warehouse,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop(company: Company) -> None:
    default_warehouse(company)


@pytest.fixture
def sell(actor_guest: Actor) -> Callable[..., None]:
    """Return a function that sells units of a variant as an order does: held, then confirmed."""

    def run(variant: Any, quantity: int, at: datetime) -> None:
        line_id, order_id, cart_id = new_id(), new_id(), new_id()
        demand = Demand(line_id, variant.id, quantity)
        inventory.reserve(
            actor=actor_guest,
            cart_id=cart_id,
            demands=[demand],
            expires_at=at + timedelta(minutes=15),
            now=at,
        )
        inventory.assign(
            actor=actor_guest,
            cart_id=cart_id,
            order_id=order_id,
            line_map={line_id: line_id},
            demands=[demand],
            expires_at=at + timedelta(minutes=15),
            now=at,
        )
        inventory.confirm(actor=actor_guest, order_id=order_id, demands=[demand], now=at)

    return run


def hold(actor: Actor, variant: Any, quantity: int, now: datetime) -> None:
    inventory.reserve(
        actor=actor,
        cart_id=new_id(),
        demands=[Demand(new_id(), variant.id, quantity)],
        expires_at=now + timedelta(minutes=15),
        now=now,
    )


def books() -> list[Any]:
    return [
        list(StockLevel.objects.order_by("pk").values()),
        StockMovement.objects.count(),
        OutboxEvent.objects.count(),
        AuditEntry.objects.count(),
    ]


def total(variant: Any, **where: Any) -> int:
    return StockLevel.objects.get(variant=variant, **where).total


def told(refused: CountsRefused) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in refused.errors]


def read(text: str) -> inventory.CountFile:
    return inventory.read_counts(Source.of("count.csv", text.encode()))


# --- what a count does ------------------------------------------------------------------------------


def test_a_count_sets_the_shelf_with_a_movement_and_one_audit_entry(
    staff: Actor, now: datetime
) -> None:
    mug, pot, cup = (make_variant(sku=sku, available=5) for sku in ("MUG", "POT", "CUP"))
    cellar = make_warehouse(code="CELLAR")
    before = StockMovement.objects.count()

    outcome = inventory.apply_counts(
        actor=staff,
        rows=[
            CountRow(sku="MUG", quantity=3),
            CountRow(sku="POT", quantity=5),
            CountRow(sku="CUP", quantity=7, warehouse="CELLAR"),
            CountRow(sku="MUG", quantity=0, warehouse="CELLAR"),
        ],
        reference="Autumn count",
        notes="by Ann",
        now=now,
    )

    assert (total(mug, warehouse__is_default=True), total(pot)) == (3, 5)
    assert (total(cup, warehouse=cellar), total(cup, warehouse__is_default=True)) == (7, 5)
    assert not StockLevel.objects.filter(variant=mug, warehouse=cellar).exists()
    assert [(change.sku, change.difference) for change in outcome.changes] == [
        ("MUG", -2),
        ("CUP", 7),
    ]
    assert outcome.unchanged == 2
    moved = StockMovement.objects.order_by("id")[before:]
    assert [
        (row.type, row.quantity, row.balance, row.reference, row.notes, row.actor, row.source)
        for row in moved
    ] == [
        ("ADJUSTMENT", -2, 3, "Autumn count", "by Ann", staff.label, "api"),
        ("ADJUSTMENT", 7, 7, "Autumn count", "by Ann", staff.label, "api"),
    ]
    [entry] = AuditEntry.objects.filter(action="stock.counted")
    assert entry.after == {"shelves": 2, "unchanged": 2, "left_out": 0, "units": 5}


def test_the_same_counts_again_write_nothing(staff: Actor, now: datetime) -> None:
    make_variant(sku="MUG", available=5)
    rows = [CountRow(sku="MUG", quantity=3)]
    inventory.apply_counts(actor=staff, rows=rows, now=now)
    before = books()

    outcome = inventory.apply_counts(actor=staff, rows=rows, now=now + timedelta(hours=1))

    assert (outcome.changes, outcome.unchanged) == ((), 1)
    assert books() == before


def test_held_units_are_part_of_what_lies_there(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=5)
    hold(actor_guest, mug, 2, now)

    inventory.apply_counts(actor=staff, rows=[CountRow(sku="MUG", quantity=4)], now=now)

    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.total) == (2, 2, 4)


def test_what_was_found_fills_what_is_owed(staff: Actor, actor_guest: Actor, now: datetime) -> None:
    mug = make_variant(sku="MUG", available=0, inventory_policy="continue")
    hold(actor_guest, mug, 3, now)

    inventory.apply_counts(actor=staff, rows=[CountRow(sku="MUG", quantity=5)], now=now)

    level = StockLevel.objects.get()
    assert (level.available, level.reserved, level.backordered) == (2, 3, 0)


# --- while sales go on --------------------------------------------------------------------------------


def test_a_count_of_ten_applied_at_eleven_keeps_what_was_sold_between(
    staff: Actor, sell: Callable[..., None], now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=10)
    StockMovement.objects.count()
    ten = now + timedelta(hours=10)
    sell(mug, 1, ten - timedelta(minutes=30))  # gone before somebody counted: 9 in the books
    sell(mug, 2, ten + timedelta(minutes=30))  # gone since

    outcome = inventory.apply_counts(
        actor=staff,
        rows=[CountRow(sku="MUG", quantity=8)],  # one of the nine is missing
        counted_at=ten,
        now=ten + timedelta(hours=1),
    )

    assert total(mug) == 6
    assert [(change.difference, change.since) for change in outcome.changes] == [(-1, -2)]


def test_without_a_time_a_shelf_that_moved_since_the_list_is_refused(
    staff: Actor, sell: Callable[..., None], now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=10)
    make_variant(sku="POT", available=10)
    sell(mug, 1, now)
    before = books()

    with pytest.raises(
        CountsRefused, match="10 lay there when the list was made, 9 now"
    ) as refused:
        inventory.apply_counts(
            actor=staff,
            rows=[
                CountRow(sku="MUG", quantity=10, expected=10, row=2),
                CountRow(sku="POT", quantity=1, expected=10, row=3),
            ],
            now=now,
        )

    assert told(refused.value) == [("rows.2.expected", "STOCK_CHANGED")]
    assert books() == before


def test_a_timed_count_cannot_be_applied_twice(staff: Actor, now: datetime) -> None:
    mug = make_variant(sku="MUG", available=10)
    later = now + timedelta(hours=2)
    rows = [CountRow(sku="MUG", quantity=8, counted_at=now + timedelta(hours=1))]
    inventory.apply_counts(actor=staff, rows=rows, now=later)

    with pytest.raises(CountsRefused, match="corrected after this count"):
        inventory.apply_counts(actor=staff, rows=rows, now=later + timedelta(hours=1))

    assert total(mug) == 8


def test_the_row_s_own_time_comes_before_that_of_the_file(
    staff: Actor, sell: Callable[..., None], now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=10)
    sell(mug, 1, now + timedelta(hours=1))

    inventory.apply_counts(
        actor=staff,
        rows=[CountRow(sku="MUG", quantity=9, counted_at=now + timedelta(hours=2))],
        counted_at=now + timedelta(minutes=1),
        now=now + timedelta(hours=3),
    )

    assert total(mug) == 9


# --- what is refused ----------------------------------------------------------------------------------


def test_every_bad_row_is_named_and_nothing_is_written(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=5)
    make_variant(sku="POT", available=5)
    make_variant(sku="FOREIGN", available=5, company=make_company())
    hold(actor_guest, mug, 3, now)
    before = books()

    with pytest.raises(CountsRefused) as refused:
        inventory.apply_counts(
            actor=staff,
            rows=[
                CountRow(sku="POT", quantity=1),
                CountRow(sku="NOPE", quantity=1),
                CountRow(sku="FOREIGN", quantity=1),
                CountRow(sku="POT", quantity=1, warehouse="MOON"),
                CountRow(sku="POT", quantity=2),
                CountRow(sku="MUG", quantity=2),
                CountRow(sku="POT", quantity=-1),
                CountRow(sku="POT", quantity=10**10),
                CountRow(sku="MUG", quantity=9, counted_at=now + timedelta(days=1), warehouse=""),
            ],
            now=now,
        )

    assert told(refused.value) == [
        ("rows.2.sku", "PRODUCT_NOT_FOUND"),
        ("rows.3.sku", "PRODUCT_NOT_FOUND"),
        ("rows.4.warehouse", "WAREHOUSE_NOT_FOUND"),
        ("rows.5.sku", "duplicate"),
        ("rows.6.quantity", "STOCK_BELOW_HOLDS"),
        ("rows.7.quantity", "invalid"),
        ("rows.7.sku", "duplicate"),
        ("rows.8.quantity", "invalid"),
        ("rows.8.sku", "duplicate"),
        ("rows.9.sku", "duplicate"),
    ]
    assert books() == before


def test_good_rows_go_in_where_that_was_asked_for(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    mug, pot = make_variant(sku="MUG", available=5), make_variant(sku="POT", available=5)
    hold(actor_guest, mug, 3, now)

    outcome = inventory.apply_counts(
        actor=staff,
        rows=[CountRow(sku="MUG", quantity=2), CountRow(sku="POT", quantity=2)],
        all_or_nothing=False,
        now=now,
    )

    assert (total(mug), total(pot)) == (5, 2)
    assert [(problem.row, problem.code) for problem in outcome.refused] == [
        (1, "STOCK_BELOW_HOLDS")
    ]


def test_a_hold_whose_time_is_over_does_not_stand_in_the_way(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=5)
    hold(actor_guest, mug, 4, now)

    inventory.apply_counts(
        actor=staff, rows=[CountRow(sku="MUG", quantity=1)], now=now + timedelta(hours=1)
    )

    level = StockLevel.objects.get()
    assert (level.available, level.reserved) == (1, 0)


# --- a look first -------------------------------------------------------------------------------------


def test_a_preview_says_what_would_happen_and_writes_nothing(
    staff: Actor, actor_guest: Actor, now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=5)
    make_variant(sku="POT", available=5)
    hold(actor_guest, mug, 1, now)
    rows = [
        CountRow(sku="MUG", quantity=3),
        CountRow(sku="POT", quantity=5),
        CountRow(sku="NOPE", quantity=5),
    ]
    before = books()

    shown = inventory.preview_counts(actor=staff, rows=rows, now=now)

    assert books() == before
    [change] = shown.changes
    assert (change.sku, change.before, change.after, change.reserved) == ("MUG", 5, 3, 1)
    assert (shown.unchanged, [problem.row for problem in shown.refused]) == (1, [3])
    done = inventory.apply_counts(actor=staff, rows=rows[:2], previewed=shown.fingerprint, now=now)
    assert done.changes == shown.changes


def test_what_would_do_something_else_than_was_shown_does_nothing(
    staff: Actor, sell: Callable[..., None], now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=10)
    rows = [CountRow(sku="MUG", quantity=8)]
    shown = inventory.preview_counts(actor=staff, rows=rows, now=now)
    sell(mug, 1, now)
    before = books()

    with pytest.raises(PreviewOutdated):
        inventory.apply_counts(actor=staff, rows=rows, previewed=shown.fingerprint, now=now)

    assert books() == before


def test_a_sale_after_a_timed_count_does_not_change_what_was_shown(
    staff: Actor, sell: Callable[..., None], now: datetime
) -> None:
    mug = make_variant(sku="MUG", available=10)
    rows = [CountRow(sku="MUG", quantity=8)]
    at = now + timedelta(minutes=1)
    shown = inventory.preview_counts(actor=staff, rows=rows, counted_at=at, now=at)
    sell(mug, 1, at + timedelta(minutes=1))

    inventory.apply_counts(
        actor=staff,
        rows=rows,
        counted_at=at,
        previewed=shown.fingerprint,
        now=at + timedelta(minutes=2),
    )

    assert total(mug) == 7


def test_the_statements_do_not_grow_with_the_rows(staff: Actor, now: datetime) -> None:
    product = make_product()
    for number in range(100):
        make_variant(sku=f"S{number}", available=5, product=product)

    def statements(rows: list[CountRow]) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as looking:
            inventory.preview_counts(actor=staff, rows=rows, now=now)
        with CaptureQueriesContext(connection) as applying:
            inventory.apply_counts(actor=staff, rows=rows, now=now)
        return len(looking), len(applying)

    statements([CountRow(sku="S0", quantity=5)])  # what a process asks only once
    ten = statements([CountRow(sku=f"S{number}", quantity=4) for number in range(10)])
    hundred = statements([CountRow(sku=f"S{number}", quantity=3) for number in range(100)])

    assert ten == hundred
    assert ten[0] <= 4
    assert ten[1] <= 14


# --- the file -------------------------------------------------------------------------------------------


def listed(actor: Actor, **wishes: Any) -> str:
    figures = wishes.pop("with_figures", False)
    levels = inventory.shelves_to_count(actor=actor, **wishes)
    return "".join(inventory.write_counting_list(levels=levels, with_figures=figures))


def test_the_counting_list_is_in_walking_order_and_no_cell_is_a_formula(staff: Actor) -> None:
    shirt = make_product(name="=Shirt", option_names=["Size", "B"])
    make_variant(sku="-S2", available=2, product=shirt, position=1, options={"Size": "M", "B": "x"})
    make_variant(sku="S1", available=1, product=shirt, position=0, options={"Size": "S"})
    cap = make_variant(sku="A,1", available=3, product=make_product(name='Cap "9"'))
    make_variant(sku="GONE", available=0, product=make_product(status="discontinued"))
    make_variant(sku="FOREIGN", available=3, company=make_company())
    cellar = make_warehouse(code="CELLAR", priority=200)
    inventory.apply_counts(
        actor=staff,
        rows=[CountRow(sku=cap.sku, quantity=4, warehouse=cellar.code)],
        now=datetime.now(UTC),
    )

    assert listed(staff).split("\r\n") == [
        "\ufeffSKU,Product,Options,Warehouse,Expected,Counted,Counted at",
        "S1,'=Shirt,S,MAIN,1,,",
        "'-S2,'=Shirt,M / x,MAIN,2,,",
        '"A,1","Cap ""9""",,MAIN,3,,',
        '"A,1","Cap ""9""",,CELLAR,4,,',
        "",
    ]
    assert listed(staff, warehouse="CELLAR").count("\r\n") == 2


def test_a_list_with_figures_comes_back_as_no_change(staff: Actor, now: datetime) -> None:
    make_variant(sku="=A", available=2)
    make_variant(sku="'=B", available=3)
    before = books()

    found = read(listed(staff, with_figures=True))
    outcome = inventory.apply_counts(actor=staff, rows=found.rows, now=now)

    assert (outcome.changes, outcome.unchanged, found.problems) == ((), 2, ())
    assert books() == before


def test_rows_without_a_figure_were_not_counted(staff: Actor) -> None:
    make_variant(sku="A", available=2)

    found = read(listed(staff))

    assert (found.rows, found.problems, found.blank) == ((), (), 1)


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("A,,-1,,", "quantity", "'-1'"),
        ("A,,1.5,,", "quantity", "'1.5'"),
        ('A,,"1,5",,', "quantity", "'1,5'"),
        ("A,,1e3,,", "quantity", "'1e3'"),
        ("A,,9999999999999,,", "quantity", "whole number"),
        ("A,,ten,,", "quantity", "'ten'"),
        ("A,,٣,,", "quantity", "whole number"),
        ("A,,'=1,,", "quantity", "'=1'"),
        (",,1,,", "sku", "no SKU"),
        ("A,,1,x,", "expected", "'x'"),
        ("A,,1,,yesterday", "counted_at", "'yesterday'"),
        ("A,,1,,2026-11-21", "counted_at", "a time such as"),
        ("A,,1,,2026-13-41 10:00", "counted_at", "a time such as"),
        ("A,,1,,,x", "row", "6 values for 5 columns"),
        ('A,"x"y,1,,', "row", "middle of a cell"),
        ('A,"x,1,,', "row", "never closed"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(row: str, column: str, words: str) -> None:
    found = read(f"SKU,Warehouse,Counted,Expected,Counted at\nOK,,1,,\n{row}\n")

    assert [count.sku for count in found.rows] == ["OK"]
    [problem] = found.problems
    assert (problem.row, problem.column) == (3, column)
    assert words in problem.message


def test_a_file_of_another_country_is_read(company: Company) -> None:
    content = "SKU;Lager;Counted;Counted at\r\nGröße;x;3.0;2026-11-21T10:00:00+01:00\r\n"

    [row] = inventory.read_counts(Source.of("a.csv", content.encode("cp1252"))).rows

    assert row == CountRow(
        sku="Größe", quantity=3, counted_at=datetime(2026, 11, 21, 9, tzinfo=UTC), row=2
    )


# --- the commands ---------------------------------------------------------------------------------------


def command(name: str, *arguments: Any, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *map(str, arguments), stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_the_commands_write_a_list_and_take_it_back(tmp_path: Path) -> None:
    mug = make_variant(sku="MUG", available=5)
    path = tmp_path / "list.csv"

    assert "1 shelves are in" in command("export_stock", path)[0]
    path.write_text(path.read_text(encoding="utf-8-sig").replace(",5,,", ",5,4,"))
    assert "1 shelves would change" in command("import_stock", path, "--dry-run")[0]
    assert total(mug) == 5
    assert "1 shelves changed" in command("import_stock", path)[0]

    assert total(mug) == 4
    movement = StockMovement.objects.latest("id")
    assert (movement.reference, movement.source, movement.actor) == ("list.csv", "import", "system")
    with pytest.raises(CommandError, match="1 rows cannot be applied"):
        command("import_stock", path)  # the list says 5 and 4 lie there by now


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("SKU,Counted\nA,x\n", [], "1 rows cannot be applied"),
        ("SKU\nA\n", [], "lacks Counted"),
        ("SKU,Counted\nA,1\n", ["--counted-at", "noon"], "not a time"),
        ("SKU,Counted\nA,1\n", ["--company", "nobody"], "no such company"),
    ],
)
def test_the_command_says_what_is_wrong_and_changes_nothing(
    tmp_path: Path, content: str, arguments: list[str], message: str
) -> None:
    make_variant(sku="A", available=5)
    path = tmp_path / "a.csv"
    path.write_text(content)
    before = books()

    with pytest.raises(CommandError, match=message):
        command("import_stock", path, *arguments)

    assert books() == before


def test_the_command_can_leave_out_what_is_refused(tmp_path: Path) -> None:
    mug = make_variant(sku="MUG", available=5)
    path = tmp_path / "a.csv"
    path.write_text("SKU,Counted\nMUG,4\nNOPE,1\nMUG,x\n")

    out, err = command("import_stock", path, "--skip-refused")

    assert "1 shelves changed" in out
    assert "2 rows were refused" in out
    assert "row 3, sku: There is no SKU NOPE." in err
    assert total(mug) == 4
