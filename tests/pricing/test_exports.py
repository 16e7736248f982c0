"""Product files out and in again: the same bytes, and no change to what is there already."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.actor import Actor
from config.platform.models import OutboxEvent
from inventory.models import (
    Category,
    Company,
    Product,
    ProductImage,
    StockLevel,
    StockMovement,
    Variant,
)
from inventory.services.products import search_terms
from pricing import services
from pricing.errors import CurrencyUnknown
from pricing.models import Price, PriceChange
from pricing.services import ImportReport
from tests import factories

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parent / "fixtures"
CATALOGUES = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogues"
needs_catalogues = pytest.mark.skipif(
    not CATALOGUES.is_dir(), reason="the real catalogues are not beside this checkout"
)


@pytest.fixture(autouse=True)
def warehouse(company: Company) -> None:
    factories.default_warehouse(company)


@pytest.fixture
def elsewhere() -> Actor:
    """Return the actor of an empty company."""
    company = factories.make_company()
    factories.default_warehouse(company)
    return Actor.system(company.id)


def export(actor: Actor, **wishes: Any) -> str:
    return "".join(services.export_products(actor=actor, currency="USD", **wishes).lines())


def bring_in(actor: Actor, now: datetime, path: Path) -> ImportReport:
    return services.import_products(actor=actor, paths=[path], currency="USD", now=now)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def snapshot() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (
            Category, Product, ProductImage, Variant, Price, PriceChange, StockLevel, StockMovement, OutboxEvent,
        )
    ]  # fmt: skip


def go_round(actor: Actor, elsewhere: Actor, now: datetime, tmp_path: Path) -> str:
    """Export; import that where it came from and into an empty shop; return what both then say."""
    first = export(actor)
    path = tmp_path / "export.csv"
    path.write_text(first, encoding="utf-8", newline="")
    before = snapshot()

    again = bring_in(actor, now + timedelta(hours=1), path)

    assert [note for note in again.notes if note.level == "error"] == []
    assert snapshot() == before
    bring_in(elsewhere, now + timedelta(hours=2), path)
    assert export(elsewhere) == first
    return first


# --- round trips ------------------------------------------------------------------------------------


def test_the_small_export_goes_round_without_loss(
    system: Actor, elsewhere: Actor, now: datetime, tmp_path: Path
) -> None:
    bring_in(system, now, FIXTURES / "export.csv")

    text = go_round(system, elsewhere, now, tmp_path)

    assert len(rows_of(text)) == 11


@needs_catalogues
@pytest.mark.slow
def test_the_real_catalogues_go_round_without_loss(
    system: Actor, elsewhere: Actor, now: datetime, tmp_path: Path
) -> None:
    for path in sorted(CATALOGUES.glob("*.csv")):
        bring_in(system, now, path)

    text = go_round(system, elsewhere, now, tmp_path)

    rows = rows_of(text)
    assert len({row["Handle"] for row in rows}) == 328
    assert {row["Variant Weight Unit"] for row in rows} == {"", "lb", "kg"}


@needs_catalogues
def test_the_bicycles_come_in_once(system: Actor, now: datetime) -> None:
    bring_in(system, now, CATALOGUES / "bicycles.csv")
    before = snapshot()

    report = bring_in(system, now + timedelta(hours=1), CATALOGUES / "bicycles.csv")

    assert snapshot() == before
    assert (report.counts["stock_movements"], report.counts["prices_set"]) == (0, 0)


def test_difficult_goods_go_round_without_loss(
    system: Actor, elsewhere: Actor, now: datetime, tmp_path: Path
) -> None:
    """Everything the format has a place for, in its worst form."""
    attic = Category.objects.create(
        company_id=system.company_id, slug="attic-1", name="Tops & Bits"
    )
    other = Category.objects.create(company_id=system.company_id, slug="b", name="Tops Bits")
    odd = Category.objects.create(company_id=system.company_id, slug="c", name="日本語")
    shirt = factories.make_product(
        slug="shirt",
        name='=HYPERLINK("http://x")',
        description='<p>One, "two"\nthree\u2028four; \x0b five</p>',
        vendor="-Gull, & Co",
        tags=["+a", "b c", "Größe"],
        option_names=["@Size", "Colour", "Cut"],
        category=attic,
        metadata={
            "own": 1,
            "file_columns": {
                "product": {"SEO Title": "-x"},
                "variants": {"S-1": {"Variant Tax Code": "@y"}},
            },
        },
    )
    for place, sku in enumerate(["S-1", "-S-2", "'=S3"]):
        variant = factories.make_variant(
            product=shirt,
            sku=sku,
            position=place,
            available=place * 7,
            options={"@Size": "-5", "Colour": ["ö", "a,b", "c\nd"][place], "Cut": "'x"},
            barcode=["0012", "'7", "=1"][place],
            weight_grams=place,
            inventory_policy=["deny", "continue", "deny"][place],
            requires_shipping=bool(place),
            is_taxable=not place,
            image="=http://x/y.png" if place else "",
        )
        Price.objects.create(
            variant=variant,
            currency="USD",
            amount=Decimal("10.50"),
            compare_at=Decimal("12.00") if place else None,
        )
    for place in range(5):
        ProductImage.objects.create(
            product=shirt,
            url=f"demo/{place}.svg",
            alt=["=a", "b\nc", "", "d,e", '"'][place],
            position=place,
        )
    for slug, status, category in (
        ("a-draft", "draft", other), ("gone", "discontinued", odd), ("Plain_1", "active", None),
    ):  # fmt: skip
        product = factories.make_product(slug=slug, status=status, category=category)
        factories.make_priced_variant("1", product=product, sku=slug)
    for product in Product.objects.all():
        product.search_terms = search_terms(product.variants.all())
        product.save(update_fields=["search_terms"])
    shirt.refresh_from_db()

    text = go_round(system, elsewhere, now, tmp_path)

    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    copy = Product.objects.get(company_id=elsewhere.company_id, slug="shirt")
    assert (copy.name, copy.vendor, copy.tags) == (shirt.name, shirt.vendor, shirt.tags)
    assert copy.metadata == {"file_columns": shirt.metadata["file_columns"]}
    assert [variant.sku for variant in copy.variants.all()] == ["S-1", "-S-2", "'=S3"]
    assert copy.variants.get(sku="S-1").barcode == "0012"
    assert StockLevel.objects.get(variant__product=copy, variant__sku="'=S3").total == 14
    assert (
        Product.objects.get(company_id=elsewhere.company_id, slug="gone").status == "discontinued"
    )


def test_the_words_to_search_for_do_not_depend_on_the_order_of_rows() -> None:
    variants = [
        Variant(sku=sku, position=place, options={"Size": sku.lower(), "Colour": "red"})
        for place, sku in enumerate("CAB")
    ]

    assert search_terms(variants) == search_terms(variants[::-1]) == "C red c A a B b"


# --- the format --------------------------------------------------------------------------------------


def test_rows_are_laid_out_as_shopify_does(system: Actor, now: datetime) -> None:
    bring_in(system, now, FIXTURES / "export.csv")

    rows = [row for row in rows_of(export(system)) if row["Handle"] == "hidden-hat"]

    assert [
        (row["Title"], row["Published"], row["Status"], row["Option1 Name"], row["Option1 Value"],
         row["Variant SKU"], row["Image Src"], row["Image Position"])
        for row in rows
    ] == [
        ("Hidden Hat", "false", "draft", "Size", "One", "HH-0", "https://cdn.example/hat.jpg", "1"),
        ("", "", "", "", "Two", "HH-1", "https://cdn.example/hat-2.jpg", "2"),
        ("", "", "", "", "", "", "https://cdn.example/hat-3.jpg", "3"),
    ]  # fmt: skip
    assert "\r" not in export(system)


def test_what_the_format_cannot_carry_is_left_out_and_named(system: Actor) -> None:
    for slug, fields, variant in (
        ("good", {}, {}),
        ("four-options", {"option_names": ["a", "b", "c", "d"]}, {}),
        ("unnamed", {}, {"options": {"Size": "S"}}),
        ("comma", {"tags": ["a,b"]}, {}),
    ):
        product = factories.make_product(slug=slug, **fields)  # type: ignore[arg-type]
        factories.make_priced_variant("1", product=product, sku=slug, **variant)
    factories.make_product(slug="empty")
    factories.make_variant(product=factories.make_product(slug="unpriced"))

    found = services.export_products(actor=system, currency="USD")
    rows = rows_of("".join(found.lines()))

    assert [row["Handle"] for row in rows] == ["good"]
    assert found.written == 1
    assert found.left_out.keys() == {"four-options", "unnamed", "comma", "empty", "unpriced"}


def test_the_statements_do_not_grow_with_the_products(system: Actor) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            export(system)
        return len(captured)

    factories.make_priced_variant("1")
    one = statements()
    for _ in range(30):
        factories.make_priced_variant("1")

    assert statements() == one <= 8


def test_only_products_of_the_company_and_of_the_filter_go_out(
    system: Actor, elsewhere: Actor
) -> None:
    factories.make_priced_variant("1", product=factories.make_product(slug="mug"))
    factories.make_priced_variant("1", product=factories.make_product(slug="pot"))

    assert len(rows_of(export(elsewhere))) == 0
    only = Product.objects.filter(slug="pot")
    assert [row["Handle"] for row in rows_of(export(system, products=only))] == ["pot"]
    with pytest.raises(CurrencyUnknown):
        services.export_products(actor=system, currency="XXX")


# --- columns ------------------------------------------------------------------------------------------


def test_a_column_that_the_file_lacks_changes_nothing(
    system: Actor, now: datetime, tmp_path: Path
) -> None:
    bring_in(system, now, FIXTURES / "export.csv")
    names = [
        "Handle", "Title", "Option1 Name", "Option1 Value", "Option2 Name", "Option2 Value", "Variant SKU",
        "Variant Inventory Qty", "Variant Price", "Variant Compare At Price", "Variant Inventory Policy",
    ]  # fmt: skip
    path = tmp_path / "narrow.csv"
    with path.open("w", newline="") as target:
        writer = csv.DictWriter(target, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows_of(export(system)))
    before = snapshot()

    bring_in(system, now + timedelta(hours=1), path)

    assert snapshot() == before


def test_foreign_columns_are_kept_changed_and_taken_away(
    system: Actor, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    head = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price"
    path.write_text(
        f"{head},Gift Card,Variant Weight Unit\nmug,Mug,Size,S,M-S,1,5,false,kg\nmug,,,L,M-L,1,5,,lb\n"
    )
    bring_in(system, now, path)
    mug = Product.objects.get()
    Product.objects.update(metadata={**mug.metadata, "own": "stays"})

    assert mug.metadata["file_columns"] == {
        "product": {"Gift Card": "false"},
        "variants": {
            "M-S": {"Variant Weight Unit": "kg"},
            "M-L": {"Variant Weight Unit": "lb"},
        },
    }
    assert [(row["Gift Card"], row["Variant Weight Unit"]) for row in rows_of(export(system))] == [
        ("false", "kg"),
        ("", "lb"),
    ]
    path.write_text(f"{head},Gift Card\nmug,Mug,Size,S,M-S,1,5,\nmug,,,L,M-L,1,5,\n")
    bring_in(system, now + timedelta(hours=1), path)
    mug.refresh_from_db()
    assert mug.metadata["own"] == "stays"
    assert mug.metadata["file_columns"].keys() == {"variants"}


def test_pictures_stand_in_the_order_of_their_positions(
    system: Actor, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src,"
        "Image Position,Status\nmug,Mug,Title,Default Title,M,1,5,two.png,2,archived\nmug,,,,,,,one.png,1,\n"
    )

    bring_in(system, now, path)

    assert list(ProductImage.objects.order_by("position").values_list("url", flat=True)) == [
        "one.png",
        "two.png",
    ]
    assert Product.objects.get().status == "discontinued"


@pytest.mark.parametrize(
    ("encoding", "delimiter", "end"),
    [("cp1252", ";", "\r\n"), ("utf-8-sig", ",", "\r\n"), ("utf-16", "\t", "\n")],
)
def test_a_file_that_a_spreadsheet_saved_says_the_same(
    system: Actor, now: datetime, tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    bring_in(system, now, FIXTURES / "export.csv")
    rows = rows_of(export(system))
    path = tmp_path / "a.csv"
    with path.open("w", encoding=encoding, newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]), delimiter=delimiter, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
    before = snapshot()

    bring_in(system, now + timedelta(hours=1), path)

    assert snapshot() == before


# --- the command ---------------------------------------------------------------------------------------


def test_the_command_writes_a_file_and_names_what_it_left_out(
    system: Actor, now: datetime, tmp_path: Path
) -> None:
    bring_in(system, now, FIXTURES / "export.csv")
    factories.make_product(slug="empty")
    out, err, path = io.StringIO(), io.StringIO(), tmp_path / "out.csv"

    call_command("export_products", str(path), stdout=out, stderr=err)
    screen = io.StringIO()
    call_command(
        "export_products", "--handle", "rope", "gift-card", stdout=screen, stderr=io.StringIO()
    )

    assert path.read_bytes().decode() == export(system)
    assert "5 products are in" in out.getvalue()
    assert "empty was left out: it has no variant on sale" in err.getvalue()
    assert {row["Handle"] for row in rows_of(screen.getvalue())} == {"rope", "gift-card"}
    with pytest.raises(CommandError, match="do not sell"):
        call_command("export_products", "--currency", "XXX")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_products", "/nowhere/x.csv")
