from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.platform.actor import Actor
from config.platform.errors import ImportUnreadable
from inventory.models import Company, Product, StockLevel, StockMovement, Variant
from pricing import services
from pricing.errors import CurrencyUnknown
from pricing.models import Price, PriceChange
from pricing.services import ImportReport
from tests import factories

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parent / "fixtures"
CATALOGUES = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogues"
REAL = sorted(CATALOGUES.glob("*.csv"))
COLUMNS = [
    "Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name", "Option1 Value",
    "Option2 Name", "Option2 Value", "Variant SKU", "Variant Grams", "Variant Inventory Tracker",
    "Variant Inventory Qty", "Variant Inventory Policy", "Variant Price", "Variant Compare At Price",
    "Variant Requires Shipping", "Variant Taxable", "Variant Barcode", "Image Src", "Image Alt Text",
]  # fmt: skip


@pytest.fixture(autouse=True)
def warehouse(company: Company) -> None:
    factories.default_warehouse(company)


def row(handle: str, **values: str) -> dict[str, str]:
    named = {key.replace("_", " "): value for key, value in values.items()}
    first = {"Title": handle.title(), "Published": "true"} if named.pop("first", "1") else {}
    return {
        "Handle": handle,
        "Option1 Value": "Default Title",
        "Variant SKU": f"{handle}-sku",
        "Variant Inventory Qty": "1",
        "Variant Inventory Policy": "deny",
        "Variant Price": "10.00",
        **first,
        **named,
    }


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(*rows: dict[str, str], name: str = "a.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as target:
            writer = csv.DictWriter(target, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def run(actor: Actor, now: datetime, *paths: Path, currency: str = "USD") -> ImportReport:
    return services.import_products(actor=actor, paths=paths, currency=currency, now=now)


def told(report: ImportReport, level: str = "error") -> list[tuple[int, str, str]]:
    return [(note.line, note.handle, note.code) for note in report.notes if note.level == level]


# --- what comes in --------------------------------------------------------------------------------


def test_the_small_export_becomes_products(system: Actor, now: datetime) -> None:
    report = run(system, now, FIXTURES / "export.csv")

    assert report.to_json()["counts"] == {
        "products_created": 5,
        "products_changed": 0,
        "products_unchanged": 0,
        "products_skipped": 2,
        "variants_created": 10,
        "variants_changed": 0,
        "variants_unchanged": 0,
        "prices_set": 10,
        "stock_movements": 4,
        "rows_skipped": 2,
        "warnings": 3,
    }
    shirt = Product.objects.get(slug="chambray-shirt")
    assert (shirt.name, shirt.vendor, shirt.status) == ("Chambray Shirt", "Gull & Co", "active")
    assert shirt.tags == ["linen", "summer", "Größe"]
    assert shirt.option_names == ["Colour", "Size"]
    assert shirt.category is not None
    assert (shirt.category.slug, shirt.category.name) == ("tops-shirts", "Tops & Shirts")
    assert (
        shirt.description
        == '<p>Washed, “soft”, and <a href="https://x.example/" rel="noopener nofollow">ours</a>.</p>'
    )
    assert [(image.url, image.alt) for image in shirt.images.all()] == [
        ("https://cdn.example/shirt-1.jpg", "Front"),
        ("https://cdn.example/shirt-2.jpg", ""),
    ]
    variants = {variant.sku: variant for variant in shirt.variants.all()}
    assert list(variants) == ["CS-B-S", "CS-B-M", "CS-W-S"]
    assert variants["CS-B-M"].options == {"Colour": "Blue", "Size": "M"}
    assert variants["CS-B-S"].weight_grams == 240
    assert variants["CS-W-S"].inventory_policy == "continue"
    price = Price.objects.get(variant__sku="CS-B-M")
    assert (price.amount, price.compare_at) == (Decimal("48.00"), Decimal("60.00"))
    assert StockLevel.objects.get(variant__sku="CS-B-S").available == 12


def test_drafts_downloads_and_single_variants(system: Actor, now: datetime) -> None:
    run(system, now, FIXTURES / "export.csv")

    assert Product.objects.get(slug="hidden-hat").status == "draft"
    card = Variant.objects.get(product__slug="gift-card")
    assert (card.requires_shipping, card.is_taxable, card.options) == (False, False, {})
    assert card.product.option_names == []


def test_missing_and_repeated_skus_are_named_and_reported(system: Actor, now: datetime) -> None:
    report = run(system, now, FIXTURES / "export.csv")

    assert sorted(Variant.objects.filter(product__slug="rope").values_list("sku", flat=True)) == [
        "ROPE",
        "ROPE-2",
        "rope-10-m",
    ]
    assert (14, "rope", "sku_repeated") in told(report, "warning")
    assert (15, "rope", "sku_made") in told(report, "warning")


def test_negative_stock_is_none_and_a_warning(system: Actor, now: datetime) -> None:
    report = run(system, now, FIXTURES / "export.csv")

    level = StockLevel.objects.get(variant__sku="HH-1")
    assert (level.available, level.total, level.backordered) == (0, 0, 0)
    assert (10, "hidden-hat", "negative_stock") in told(report, "warning")
    assert not level.movements.exists()


def test_a_bad_row_leaves_its_product_out_and_no_other(system: Actor, now: datetime) -> None:
    report = run(system, now, FIXTURES / "export.csv")

    assert told(report) == [
        (16, "no-price", "no_price"),
        (18, "bad-numbers", "bad_price"),
        (19, "bad-numbers", "bad_number"),
        (20, "", "bad_row"),
        (21, "", "bad_row"),
    ]
    assert not Product.objects.filter(slug__in=["no-price", "bad-numbers"]).exists()
    assert not Variant.objects.filter(sku__startswith="NP").exists()
    assert Product.objects.filter(slug="last-one").exists()


# --- again ------------------------------------------------------------------------------------------


def snapshot() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Product, Variant, Price, PriceChange, StockLevel, StockMovement)
    ]


def test_running_it_again_changes_nothing_and_writes_no_movement(
    system: Actor, now: datetime
) -> None:
    run(system, now, FIXTURES / "export.csv")
    before = snapshot()

    report = run(system, now + timedelta(hours=1), FIXTURES / "export.csv")

    assert snapshot() == before
    counts = report.to_json()["counts"]
    assert (
        counts["products_unchanged"],
        counts["products_created"],
        counts["products_changed"],
    ) == (5, 0, 0)
    assert (counts["variants_unchanged"], counts["prices_set"], counts["stock_movements"]) == (
        10,
        0,
        0,
    )


def test_what_changed_is_changed_with_one_movement_for_each_quantity(
    system: Actor, now: datetime, file: Any
) -> None:
    run(system, now, file(row("mug", Variant_Inventory_Qty="5"), row("pot"), row("cup")))

    report = run(
        system,
        now + timedelta(hours=1),
        file(
            row("mug", Variant_Inventory_Qty="3"),
            row("pot", Variant_Price="12.00"),
            row("cup", Title="Big Cup"),
        ),
    )

    counts = report.to_json()["counts"]
    assert (counts["products_changed"], counts["prices_set"], counts["stock_movements"]) == (
        1,
        1,
        1,
    )
    assert list(
        StockMovement.objects.filter(variant__sku="mug-sku")
        .order_by("id")
        .values_list("quantity", "balance")
    ) == [(5, 5), (-2, 3)]
    assert Price.objects.get(variant__sku="pot-sku").amount == Decimal("12.00")
    assert Product.objects.get(slug="cup").name == "Big Cup"


def test_skus_of_other_products_are_not_taken_away(system: Actor, now: datetime, file: Any) -> None:
    owner = factories.make_variant(sku="TAKEN", available=None)
    path = file(row("mug", Variant_SKU="TAKEN"), row("pot", Variant_SKU="TAKEN"))

    for hours in (0, 1):
        report = run(system, now + timedelta(hours=hours), path)
        assert [code for *_, code in told(report, "warning")] == ["sku_repeated", "sku_repeated"]

    assert dict(Variant.objects.values_list("sku", "product__slug")) == {
        "TAKEN": owner.product.slug,
        "TAKEN-2": "mug",
        "TAKEN-3": "pot",
    }


def test_a_sku_repeated_many_times_is_numbered_on_and_on(
    system: Actor, now: datetime, file: Any
) -> None:
    path = file(*(row(f"mug-{n}", Variant_SKU="SAME") for n in range(15)))
    run(system, now, path)
    before = snapshot()

    run(system, now + timedelta(hours=1), path)

    assert Variant.objects.count() == 15
    assert Variant.objects.filter(sku="SAME-15").exists()
    assert snapshot() == before


# --- files that make trouble ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file"),
        (b"", "is empty"),
        (b"Handle,Title\nx,y\n", "lacks Option1 Name"),
        ("Handle;Title\nGröße;x\n".encode("latin-1"), "lacks Option1 Name"),
        (b"\xff\xfe" + "Handle,Title".encode("utf-16-le"), "lacks Option1 Name"),
        (b"Handle,Title\n\x81,x\n", "not UTF-8"),
        (b"PK\x03\x04\x00\x00\x80\x81", "workbook"),
    ],
)
def test_a_file_that_is_no_export_is_refused_before_anything_is_written(
    system: Actor, now: datetime, tmp_path: Path, file: Any, content: bytes | None, message: str
) -> None:
    good = file(row("mug"))
    path = tmp_path / "b.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ImportUnreadable, match=message):
        run(system, now, good, path)

    assert not Product.objects.exists()


def test_a_byte_order_mark_crlf_and_line_breaks_in_fields_are_read(
    system: Actor, now: datetime, tmp_path: Path
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerow(row("mug") | {"Body (HTML)": "<p>One\r\ntwo</p>"})
    writer.writerow(row("pot") | {"Variant Price": "x"})
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())

    report = run(system, now, path)

    assert Product.objects.get().slug == "mug"
    assert told(report) == [(4, "pot", "bad_price")]  # the first product takes two lines


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"Variant_Price": ""}, "no_price"),
        ({"Variant_Price": "ten"}, "bad_price"),
        ({"Variant_Price": "-1"}, "bad_price"),
        ({"Variant_Price": "1.005"}, "bad_price"),
        ({"Variant_Price": "1,000.00"}, "bad_price"),
        ({"Variant_Price": "9" * 17}, "bad_price"),
        ({"Variant_Compare_At_Price": "x"}, "bad_price"),
        ({"Variant_Inventory_Qty": "1.5"}, "bad_number"),
        ({"Variant_Inventory_Qty": "many"}, "bad_number"),
        ({"Variant_Inventory_Qty": "99999999999"}, "bad_number"),
        ({"Variant_Grams": "-5"}, "bad_number"),
        ({"Variant_Inventory_Policy": "maybe"}, "bad_policy"),
        ({"Variant_Taxable": "perhaps"}, "bad_switch"),
        ({"Published": "perhaps"}, "bad_published"),
        ({"Title": ""}, "validation_error"),
        ({"Handle": "!!!"}, "bad_handle"),
        ({"Variant_SKU": "x" * 251}, "bad_sku"),
        ({"Title": "x" * 501}, "validation_error"),
        ({"Variant_Barcode": "1" * 65}, "validation_error"),
        ({"Image_Src": "x" * 1001}, "validation_error"),
    ],
)
def test_a_product_that_cannot_be_taken_is_left_out_with_its_reason(
    system: Actor, now: datetime, file: Any, values: dict[str, str], code: str
) -> None:
    report = run(system, now, file(row("good"), row("bad", **values), row("fine")))

    assert [(line, found) for line, _, found in told(report)] == [(3, code)]
    assert sorted(Product.objects.values_list("slug", flat=True)) == ["fine", "good"]
    assert report.counts["products_skipped"] == 1


def test_one_bad_variant_leaves_the_whole_product_out(
    system: Actor, now: datetime, file: Any
) -> None:
    report = run(
        system,
        now,
        file(
            row("mug", Option1_Name="Size", Option1_Value="S"),
            row("mug", first="", Option1_Value="M", Variant_SKU="M", Variant_Price=""),
        ),
    )

    assert told(report) == [(3, "mug", "no_price")]
    assert not Product.objects.exists()
    assert not Price.objects.exists()


def test_html_is_cleaned_of_what_runs(system: Actor, now: datetime, file: Any) -> None:
    body = '<p onclick="x()">a<script>alert(1)</script><a href="javascript:x()">b</a><iframe src="x"></iframe></p>'

    run(system, now, file(row("mug") | {"Body (HTML)": body}))

    assert Product.objects.get().description == '<p>a<a rel="noopener nofollow">b</a></p>'


def test_prices_are_in_the_currency_named(system: Actor, now: datetime, file: Any) -> None:
    report = run(
        system,
        now,
        file(row("mug", Variant_Price="1500"), row("pot", Variant_Price="10.50")),
        currency="JPY",
    )

    assert list(Price.objects.values_list("currency", "amount")) == [("JPY", Decimal(1500))]
    assert told(report) == [(3, "pot", "bad_price")]
    with pytest.raises(CurrencyUnknown):
        run(system, now, file(row("mug")), currency="XXX")


# --- the command ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("company")
def test_the_command_tells_what_it_did_and_writes_reports(tmp_path: Path) -> None:
    out = io.StringIO()

    call_command(
        "import_products", str(FIXTURES / "export.csv"), report=tmp_path / "r.json", stdout=out
    )
    call_command(
        "import_products",
        str(FIXTURES / "export.csv"),
        report=tmp_path / "r.csv",
        stdout=io.StringIO(),
    )

    assert "Products: 5 created, 0 changed, 0 unchanged, 2 skipped" in out.getvalue()
    assert "export.csv:16 no-price This variant has no price." in out.getvalue()
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"]["products_created"] == 5
    assert {"file", "line", "handle", "level", "code", "message"} == report["notes"][0].keys()
    with (tmp_path / "r.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert ("16", "no-price", "no_price") in [(r["line"], r["handle"], r["code"]) for r in rows]


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere.csv"], "no file"),
        ([str(FIXTURES / "export.csv"), "--report", "r.txt"], "json or a .csv"),
        ([str(FIXTURES / "export.csv"), "--report", "/nowhere/r.json"], "no directory"),
        ([str(FIXTURES / "export.csv"), "--currency", "XXX"], "do not sell"),
        ([str(FIXTURES / "export.csv"), "--company", "nobody"], "no such company"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("import_products", *arguments, stdout=io.StringIO())
    assert not Product.objects.exists()


# --- real catalogues ----------------------------------------------------------------------------------

needs_catalogues = pytest.mark.skipif(
    not REAL, reason="the real catalogues are not beside this checkout"
)


@needs_catalogues
def test_the_real_catalogues_come_in_whole_and_only_once(system: Actor, now: datetime) -> None:
    expected_stock = 0
    handles = set()
    variants = 0
    drafts = 0
    for path in REAL:
        with path.open(encoding="utf-8-sig", newline="") as text:
            for line in csv.DictReader(text):
                handles.add(line["Handle"])
                drafts += line["Published"] == "false"
                if line["Variant Price"]:
                    variants += 1
                    expected_stock += max(0, int(line["Variant Inventory Qty"]))

    report = run(system, now, *REAL)

    assert report.counts["products_created"] == len(handles)
    assert report.counts["products_skipped"] == report.counts["rows_skipped"] == 0
    assert Variant.objects.count() == variants
    assert Product.objects.filter(status="draft").count() == drafts
    assert sum(StockLevel.objects.values_list("total", flat=True)) == expected_stock
    assert sum(StockMovement.objects.values_list("quantity", flat=True)) == expected_stock
    before = snapshot()
    run(system, now + timedelta(hours=1), *REAL)
    assert snapshot() == before


@needs_catalogues
@pytest.mark.slow
def test_thousands_of_variants_take_seconds(system: Actor, now: datetime, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("w", encoding="utf-8", newline="") as target:
        writer: csv.DictWriter[str] | None = None
        for copy in range(3):
            for source in REAL:
                with source.open(encoding="utf-8-sig", newline="") as text:
                    for line in csv.DictReader(text):
                        writer = writer or csv.DictWriter(target, list(line))
                        if target.tell() == 0:
                            writer.writeheader()
                        writer.writerow(line | {"Handle": f"{copy}-{line['Handle']}"})
    start = time.process_time()  # what the machine does besides is not ours

    run(system, now, path)

    assert Variant.objects.count() > 3_700
    assert time.process_time() - start < 10
