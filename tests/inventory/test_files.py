"""Files in the admin: brought, looked at, applied exactly as shown, by those who may."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.platform.actor import Actor
from config.platform.models import AuditEntry, OutboxEvent, User
from inventory import services as inventory
from inventory.models import (
    Category,
    Company,
    ImportRun,
    Product,
    StockLevel,
    StockMovement,
    Variant,
)
from inventory.tasks import work_stock_files
from pricing.models import Price
from pricing.tasks import work_product_files
from tests.factories import (
    default_warehouse,
    make_company,
    make_priced_variant,
    make_product,
    make_staff,
    make_variant,
)

pytestmark = pytest.mark.django_db

EXPORT = Path(__file__).parent.parent / "pricing" / "fixtures" / "export.csv"
LIST = reverse("admin:inventory_importrun_changelist")


@pytest.fixture(autouse=True)
def shop(company: Company) -> None:
    default_warehouse(company)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def office() -> Client:
    return signed_in(make_staff(is_superuser=True))


def bring(office: Client, kind: str, content: bytes | str, **fields: str) -> Any:
    content = content if isinstance(content, bytes) else content.encode()
    address = reverse(f"admin:inventory_importrun_bring_{kind}")
    defaults = {"stock": "new"} if kind == "products" else {}
    return office.post(
        address, {"file": SimpleUploadedFile("autumn.csv", content), **defaults, **fields}
    )


def page(run: ImportRun) -> str:
    return reverse("admin:inventory_importrun_change", args=[run.pk])


def apply(office: Client, run: ImportRun, **fields: str) -> Any:
    run.refresh_from_db()
    return office.post(
        page(run), {"apply": "", "fingerprint": run.fingerprint, **fields}, follow=True
    )


def latest() -> ImportRun:
    return ImportRun.objects.latest("id")


def books() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Category, Product, Variant, Price, StockLevel, StockMovement, OutboxEvent)
    ]


# --- counts -----------------------------------------------------------------------------------------


def test_counts_are_brought_shown_and_applied(office: Client) -> None:
    mug = make_variant(sku="MUG", available=5)
    make_variant(sku="POT", available=2)
    before = books()

    response = bring(
        office, "counts", "SKU,Counted\nMUG,3\nPOT,2\n", reference="Autumn", notes="Ann"
    )
    run = latest()
    assert response["Location"] == page(run)
    assert b"The file is being read" in office.get(page(run)).content
    work_stock_files()

    assert books() == before
    run.refresh_from_db()
    assert (run.state, run.shown["counts"]) == (
        "READY",
        {"changed": 1, "unchanged": 1, "blank": 0, "refused": 0, "units": -2},
    )
    text = office.get(page(run)).content.decode()
    assert "MUG · MAIN" in text
    assert "Apply" in text
    apply(office, run)
    work_stock_files()
    run.refresh_from_db()
    assert (run.state, run.content) == ("DONE", None)
    assert StockLevel.objects.get(variant=mug).total == 3
    movement = StockMovement.objects.latest("id")
    assert (movement.reference, movement.notes, movement.source) == ("Autumn", "Ann", "import")
    assert movement.actor == run.actor
    assert AuditEntry.objects.filter(action="stock.imported", object_id=str(run.pk)).exists()
    assert "Movements of this file" in office.get(page(run)).content.decode()
    assert office.get(LIST).status_code == 200


def test_a_file_is_applied_once(office: Client) -> None:
    mug = make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()
    run = latest()
    apply(office, run)
    again = apply(office, run)
    work_stock_files()
    work_stock_files()

    assert "not waiting to be applied" in again.content.decode()
    assert StockLevel.objects.get(variant=mug).total == 3
    assert StockMovement.objects.filter(type="ADJUSTMENT").count() == 1


def test_if_the_shop_changed_staff_see_it_and_nothing_is_applied(
    office: Client, staff: Actor
) -> None:
    mug = make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()
    run = latest()
    level = StockLevel.objects.get(variant=mug)
    inventory.adjust(actor=staff, stock_level_id=level.id, quantity=-1, now=timezone.now())
    before = books()
    apply(office, run)
    work_stock_files()

    run.refresh_from_db()
    assert books() == before
    assert run.state == "READY"
    assert "Nothing was applied. The shop changed" in run.notice
    assert run.shown["changes"][0]["fields"] == [{"name": "total", "before": "4", "after": "3"}]
    apply(office, run)
    work_stock_files()
    assert StockLevel.objects.get(variant=mug).total == 3


def test_what_was_looked_at_before_it_was_looked_at_again_is_not_applied(office: Client) -> None:
    make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()
    run = latest()

    response = office.post(page(run), {"apply": "", "fingerprint": "0" * 64}, follow=True)

    assert "changed since this was shown" in response.content.decode()
    run.refresh_from_db()
    assert run.state == "READY"


def test_refused_rows_stop_the_file_unless_they_are_left_out(office: Client) -> None:
    mug = make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\nNOPE,1\nMUG,x\n")
    work_stock_files()
    run = latest()
    text = office.get(page(run)).content.decode()
    assert "There is no SKU NOPE." in text
    assert "&#x27;x&#x27;" in text

    refused = apply(office, run)
    work_stock_files()
    assert "Some rows are refused" in refused.content.decode()
    assert StockLevel.objects.get(variant=mug).total == 5

    apply(office, run, skip_refused="on")
    work_stock_files()
    run.refresh_from_db()
    assert run.state == "DONE"
    assert StockLevel.objects.get(variant=mug).total == 3


def test_a_file_can_be_dropped(office: Client) -> None:
    make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()
    run = latest()

    office.post(page(run), {"drop": ""})
    apply(office, run)
    work_stock_files()

    run.refresh_from_db()
    assert (run.state, run.content) == ("DROPPED", None)
    assert StockLevel.objects.get().total == 5


def test_the_progress_tells_the_page_when_to_look_again(office: Client) -> None:
    make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    address = reverse("admin:inventory_importrun_progress", args=[latest().pk])

    working = office.get(address)
    work_stock_files()
    ready = office.get(address)

    assert b"every 1s" in working.content
    assert "HX-Refresh" not in working
    assert ready["HX-Refresh"] == "true"


@pytest.mark.parametrize("kind", ["counts", "products"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04xxxx", "workbook"),
        (b"a,b\n1,2\n", "lacks"),
        (b"\x00\x01\x02\x03", "NUL"),
        ("SKU,Counted\nGröße,1\n".encode() + b"\xff\xfe,1\n", "mixes encodings"),
        (b'SKU,"Counted\nA,1\n', "never closed|lacks"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    office: Client, kind: str, content: bytes, words: str
) -> None:
    before = books()

    bring(office, kind, content)
    work_stock_files()
    work_product_files()

    run = latest()
    assert (run.state, run.content) == ("FAILED", None)
    assert any(word in run.notice for word in words.split("|"))
    assert run.notice[:20] in office.get(page(run)).content.decode().replace("&#x27;", "'")
    assert books() == before


@pytest.mark.parametrize(("size", "words"), [(0, "empty"), (8_000_001, "larger than 8 MB")])
def test_an_empty_or_huge_file_is_refused_at_once(office: Client, size: int, words: str) -> None:
    response = bring(office, "counts", b"x" * size)

    assert words in response.content.decode()
    assert not ImportRun.objects.exists()


def test_work_that_breaks_off_is_taken_up_again_three_times(
    office: Client, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    make_variant(sku="MUG", available=5)
    bring(office, "counts", "SKU,Counted\nMUG,3\n")

    class Broken(inventory.StockFiles):
        def check(self, job: Any, *, now: datetime) -> Any:
            raise RuntimeError("killed")

    for minutes in (0, 4, 8):
        with pytest.raises(RuntimeError):
            inventory.work_files(
                kind="stock", worker=Broken(), now=now + timedelta(minutes=minutes)
            )
        assert (
            inventory.work_files(
                kind="stock", worker=Broken(), now=now + timedelta(minutes=minutes)
            )
            == 0
        )
    inventory.work_files(kind="stock", worker=Broken(), now=now + timedelta(minutes=12))

    assert latest().state == "FAILED"
    assert "broke off" in latest().notice


def test_old_files_are_thrown_away(office: Client, now: datetime) -> None:
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()

    assert inventory.prune_files(now=now + timedelta(hours=1)) == 0
    assert inventory.prune_files(now=now + timedelta(days=2)) == 1
    assert (latest().state, latest().content) == ("DROPPED", None)
    inventory.prune_files(now=now + timedelta(days=100))
    assert not ImportRun.objects.exists()


# --- products -----------------------------------------------------------------------------------------


def test_products_are_brought_shown_and_applied(office: Client) -> None:
    before = books()

    bring(office, "products", EXPORT.read_bytes())
    work_product_files()

    assert books() == before
    run = latest()
    assert run.state == "READY"
    assert run.shown["counts"] == {
        "new": 5, "changed": 0, "unchanged": 0, "prices": 10, "shelves": 0, "left_out": 4,
    }  # fmt: skip
    assert run.shown["changes"][0]["name"] == "chambray-shirt"
    assert {"name": "CS-B-S price", "before": "", "after": "48.00"} in run.shown["changes"][0][
        "fields"
    ]
    text = office.get(page(run)).content.decode()
    assert "This variant has no price." in text
    apply(office, run, skip_refused="on")
    work_product_files()
    run.refresh_from_db()
    assert run.state == "DONE", run.notice
    assert Product.objects.count() == 5
    assert StockLevel.objects.get(variant__sku="CS-B-S").total == 12


def test_products_again_have_nothing_to_apply(office: Client) -> None:
    for _ in range(2):
        bring(office, "products", EXPORT.read_bytes())
        work_product_files()
        if ImportRun.objects.count() == 1:
            apply(office, latest(), skip_refused="on")
            work_product_files()

    run = latest()
    assert (run.shown["changes"], run.shown["counts"]["unchanged"]) == ([], 5)
    assert "There is nothing to apply." in office.get(page(run)).content.decode()


@pytest.mark.parametrize(("stock", "total"), [("new", 5), ("set", 9)])
def test_stock_of_goods_that_are_there_is_left_alone_unless_asked(
    office: Client, stock: str, total: int
) -> None:
    mug = make_product(slug="mug", name="Mug")
    make_priced_variant("5", product=mug, sku="MUG", available=5)
    bring(
        office,
        "products",
        "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\n"
        "mug,Big mug,Title,Default Title,MUG,9,5.00\n",
        stock=stock,
    )
    work_product_files()
    run = latest()
    names = [part["name"] for change in run.shown["changes"] for part in change["fields"]]
    assert names == (["name", "total"] if stock == "set" else ["name"])

    apply(office, run)
    work_product_files()

    run.refresh_from_db()
    assert run.state == "DONE", run.notice
    assert Product.objects.get().name == "Big mug"
    assert StockLevel.objects.get().total == total


def test_a_product_that_was_edited_meanwhile_stops_the_whole_file(office: Client) -> None:
    bring(office, "products", EXPORT.read_bytes())
    work_product_files()
    apply(office, latest(), skip_refused="on")
    work_product_files()
    content = (
        EXPORT.read_bytes()
        .replace(b"Chambray Shirt", b"Linen Shirt")
        .replace(b"Last One", b"The End")
    )
    bring(office, "products", content)
    work_product_files()
    Product.objects.filter(slug="last-one").update(name="Edited")
    before = books()

    apply(office, latest(), skip_refused="on")
    work_product_files()

    # "Last One" → "The End" became "Edited" → "The End": the same outcome, but not what was shown.
    run = latest()
    assert books() == before
    assert (run.state, run.notice[:20]) == ("READY", "Nothing was applied.")
    apply(office, run, skip_refused="on")
    work_product_files()
    assert Product.objects.get(slug="last-one").name == "The End"


# --- lists to take away ---------------------------------------------------------------------------------


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode("utf-8-sig")


def test_the_lists_can_be_taken_away(office: Client) -> None:
    mug = make_product(slug="mug")
    make_priced_variant("5", product=mug, sku="MUG", available=5)
    make_priced_variant("5", sku="POT", available=5)
    make_variant(sku="FOREIGN", available=5, company=make_company())

    everything = office.post(reverse("admin:inventory_importrun_take_list"), {"with_figures": "on"})
    selected = office.post(
        reverse("admin:inventory_stocklevel_changelist"),
        {
            "action": "counting_list",
            "_selected_action": [StockLevel.objects.get(variant__sku="POT").pk],
        },
    )
    goods = office.get(reverse("admin:pricing_price_product_file"))
    some = office.post(
        reverse("admin:inventory_product_changelist"),
        {"action": "export_selected", "_selected_action": [mug.pk]},
    )

    def column(response: Any, name: str) -> list[str]:
        assert response["Content-Disposition"].startswith("attachment")
        return sorted(row[name] for row in csv.DictReader(io.StringIO(body(response))))

    assert column(everything, "SKU") == ["MUG", "POT"]
    assert column(selected, "SKU") == ["POT"]
    assert column(goods, "Variant SKU") == ["MUG", "POT"]
    assert column(some, "Variant SKU") == ["MUG"]


# --- who may --------------------------------------------------------------------------------------------


def with_permissions(*names: str) -> Client:
    user = make_staff(is_superuser=False)
    for name in names:
        app, codename = name.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return signed_in(user)


def test_only_who_may_work_at_shelves_brings_counts(office: Client) -> None:
    mug = make_variant(sku="MUG", available=5)
    clerk = with_permissions("inventory.operate_stock")
    reader = with_permissions("inventory.view_importrun")
    bring(office, "counts", "SKU,Counted\nMUG,3\n")
    work_stock_files()
    run = latest()

    for client in (
        reader,
        with_permissions("inventory.view_stocklevel"),
        signed_in(make_staff(is_superuser=False)),
        Client(),
    ):
        assert bring(client, "counts", "SKU,Counted\nMUG,1\n").status_code in (302, 403)
        assert apply(client, run).status_code in (200, 403)
    assert bring(clerk, "products", EXPORT.read_bytes()).status_code == 403
    assert ImportRun.objects.count() == 1
    work_stock_files()
    assert StockLevel.objects.get(variant=mug).total == 5
    assert reader.get(page(run)).status_code == 200
    assert apply(clerk, run).status_code == 200
    work_stock_files()
    assert StockLevel.objects.get(variant=mug).total == 3


def test_a_list_with_prices_is_for_who_may_see_them() -> None:
    goods = reverse("admin:pricing_price_product_file")

    assert with_permissions("inventory.view_product").get(goods).status_code == 403
    assert (
        with_permissions("inventory.view_product", "pricing.view_price").get(goods).status_code
        == 200
    )
    assert (
        with_permissions("inventory.view_product")
        .post(reverse("admin:inventory_importrun_take_list"))
        .status_code
        == 403
    )


def test_files_of_another_company_are_not_there(office: Client, now: datetime) -> None:
    run = ImportRun.objects.create(
        company=make_company(),
        kind="stock",
        name="x",
        size=1,
        content=b"",
        user_id=make_staff().pk,
        created_at=now,
    )

    assert office.get(page(run)).status_code == 404
    assert office.post(page(run), {"drop": ""}).status_code == 404
