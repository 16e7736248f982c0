"""Invoices and credit notes: numbered without gaps, frozen, adding up, for those who may see the order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pypdfium2
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client

from config.platform.actor import Actor
from orders import documents
from orders import services as orders
from orders.errors import InvoiceNotAvailable
from orders.models import Invoice, InvoiceCounter, Order
from orders.services import DirectItem, Units
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS
from tests.threads import together

pytestmark = pytest.mark.django_db


ISSUED = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def invoice_of(
    *, name: str = "Ada Marsh", currency: str = "USD", price: str = "10.00", lines: int = 1
) -> dict[str, Any]:
    """Return what an invoice says, made up: what a PDF is made from."""
    return {
        "kind": "invoice", "number": "INV-000001", "seller": {"name": name[:80], "country": "US"},
        "billTo": {**ADDRESS, "name": name}, "email": "ada@example.com", "orderNumber": "ORD-20261121-000001",
        "placedAt": ISSUED.isoformat(), "currency": currency, "pricesIncludeTax": False,
        "lines": [
            {"sku": f"SKU-{number:03d}", "name": name, "options": {"Colour": name[:60]}, "quantity": 1,
             "unitPrice": price, "discount": "0.00", "tax": "0.00", "amount": price}
            for number in range(lines)
        ],
        "subtotal": price, "discount": "0.00", "shippingName": name[:80], "shipping": "0.00", "tax": "0.00",
        "taxes": [], "relief": None, "total": price,
    }  # fmt: skip


def paper() -> Any:
    from orders.paper import Paper

    return Paper(foot="Kelp", created=ISSUED)


@pytest.fixture
def text_of() -> Callable[[bytes], list[str]]:
    """Return a function that reads the text of each page of a PDF, as a reader of PDFs finds it."""

    def read(pdf: bytes) -> list[str]:
        with pypdfium2.PdfDocument(pdf) as document:
            return [page.get_textpage().get_text_bounded() for page in document]

    return read


def written(order: Order, actor: Actor, now: datetime) -> list[Invoice]:
    return orders.write_invoices(actor=actor, order_id=order.id, now=now)


def test_an_invoice_is_written_once_and_says_what_was_bought(paid, system, now):
    [first] = written(paid, system, now)
    [again] = written(paid, system, now)

    assert (first.pk, first.number, first.amount) == (again.pk, "INV-000001", paid.grand_total)
    content = first.content
    assert sum(Decimal(line["amount"]) for line in content["lines"]) + Decimal("5.50") == Decimal(content["total"])  # fmt: skip
    assert sum(Decimal(tax["amount"]) for tax in content["taxes"]) == paid.tax_total
    paid.lines.update(name="renamed")
    assert written(paid, system, now)[0].content == content


def test_a_paper_tells_its_moments_as_all_answers_do(paid, user_api):
    [paper] = user_api.get(f"/orders/{paid.id}/invoices").json()["results"]
    placed = user_api.get(f"/orders/{paid.id}").json()["placedAt"]

    assert placed.endswith("Z")
    assert paper["content"]["placedAt"] == placed


def test_what_is_not_paid_has_none(draft, system, now, user_api):
    with pytest.raises(InvoiceNotAvailable):
        written(draft, system, now)
    answer = user_api.get(f"/orders/{draft.id}/invoice")
    assert (answer.status_code, answer.json()["code"]) == (409, "INVOICE_NOT_AVAILABLE")
    assert not Invoice.objects.exists()
    assert not InvoiceCounter.objects.exists()


@pytest.mark.parametrize("end", ["cancelled", "refunded"])
def test_what_was_promised_and_never_paid_has_none(draft, system, staff, now, end):
    orders.set_payment_status(
        actor=system, order_id=draft.id, status="authorized", method="test", now=now
    )
    orders.confirm(actor=system, order_id=draft.id, now=now)
    orders.cancel(actor=staff, order_id=draft.id, now=now)
    orders.set_payment_status(actor=system, order_id=draft.id, status=end, now=now)

    with pytest.raises(InvoiceNotAvailable):
        written(draft, system, now)
    assert not Invoice.objects.exists()


@pytest.mark.parametrize("is_asked", [True, False], ids=["asked", "told"])
@pytest.mark.parametrize("end", ["cancelled", "captured", "refunded"])
def test_an_invoice_of_what_was_only_promised_is_taken_back_once_with_the_promise(
    draft, system, staff, now, deliver, is_asked, end
):
    orders.set_payment_status(
        actor=system, order_id=draft.id, status="authorized", method="test", now=now
    )
    orders.confirm(actor=system, order_id=draft.id, now=now)
    [invoice] = written(draft, system, now)
    line = draft.lines.first()
    orders.cancel_items(actor=staff, order_id=draft.id, units=[Units(line.id, 1)], now=now)
    while deliver():
        pass
    assert len(written(draft, system, now)) == 1  # the rest of it stands
    orders.cancel(actor=staff, order_id=draft.id, reason="too late", now=now)
    # what was taken in the same moment goes back as no part of the order
    orders.set_payment_status(actor=system, order_id=draft.id, status=end, now=now)

    for _ in range(2):
        while deliver():
            pass
        if is_asked:
            written(draft, system, now)

    papers = Invoice.objects.filter(order=draft).order_by("number")
    if end == "captured":  # it is not back yet
        assert [paper.number for paper in papers] == [invoice.number]
        return
    note, kept = papers
    assert (note.number, kept.number, note.amount) == ("CN-000001", "INV-000001", invoice.amount)
    content = note.content
    assert (content["invoiceNumber"], content["reason"]) == (invoice.number, "too late")
    assert content["tax"] == invoice.content["tax"]
    assert [line["quantity"] for line in content["lines"]] == [line["quantity"] for line in invoice.content["lines"]]  # fmt: skip
    assert documents.invoice_pdf(content, issued_at=note.issued_at).startswith(b"%PDF-")


def test_an_invoice_is_credited_without_being_asked_for(paid, system, staff, now, refunds, deliver):
    written(paid, system, now)
    orders.cancel(actor=staff, order_id=paid.id, now=now)
    refunds(paid)

    while deliver():
        pass

    assert list(Invoice.objects.filter(order=paid).order_by("number").values_list("number", "amount")) == [
        ("CN-000001", paid.grand_total), ("INV-000001", paid.grand_total),
    ]  # fmt: skip


def test_each_refund_has_a_credit_note_and_together_they_are_the_invoice(
    paid, system, staff, now, refunds
):
    first, second = paid.lines.all()
    orders.cancel_items(actor=staff, order_id=paid.id, units=[Units(first.id, 1)], now=now)
    assert len(written(paid, system, now)) == 1  # not carried out yet
    refunds(paid)
    written(paid, system, now)
    orders.request_refund(
        actor=staff, order_id=paid.id, amount=Decimal("0.07"), reason="sorry", now=now
    )
    orders.cancel(actor=staff, order_id=paid.id, now=now)
    refunds(paid)

    invoice, *notes = written(paid, system, now)

    assert [note.number for note in notes] == ["CN-000001", "CN-000002", "CN-000003"]
    assert sum(note.amount for note in notes) == invoice.amount
    assert sum(Decimal(note.content["tax"]) for note in notes) == paid.tax_total
    assert {note.content["invoiceNumber"] for note in notes} == {invoice.number}
    assert [line["quantity"] for line in notes[0].content["lines"]] == [1]
    assert second.sku in {line["sku"] for line in notes[2].content["lines"]}


def test_a_number_of_a_failed_attempt_is_used_by_the_next(paid, system, now):
    with transaction.atomic():
        written(paid, system, now)
        transaction.set_rollback(True)
    assert not InvoiceCounter.objects.exists()

    assert written(paid, system, now)[0].number == "INV-000001"


def test_what_is_written_stays(paid, system, now):
    [paper] = written(paid, system, now)

    with pytest.raises(DatabaseError), transaction.atomic():
        Invoice.objects.filter(pk=paper.pk).update(amount=0)
    with pytest.raises(DatabaseError), transaction.atomic():
        paper.delete()


@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gaps_when_many_ask(variant, actor_user, system, now):
    placed = []
    for _ in range(4):
        order = orders.place_direct(
            actor=actor_user,
            items=[DirectItem(variant.sku, 1)],
            email="ada@example.com",
            shipping_address=ADDRESS,
            now=now,
        )
        orders.set_payment_status(actor=system, order_id=order.id, status="captured", now=now)
        placed.append(orders.confirm(actor=system, order_id=order.id, now=now))

    def write(index: int) -> str:
        try:
            return written(placed[index % 4], system, now)[0].number
        finally:
            connection.close()

    numbers = together(8, write)

    assert sorted(set(numbers)) == [f"INV-{number:06d}" for number in range(1, 5)]
    assert Invoice.objects.count() == 4


def test_each_company_counts_for_itself(paid, system, now):
    there = factories.make_company()
    InvoiceCounter.objects.create(company=there, kind="invoice", last=41)

    assert written(paid, system, now)[0].number == "INV-000001"
    assert InvoiceCounter.objects.get(company=there).last == 41


NAMES = {
    "Cyrillic": "Ада Лавлейс",
    "Greek": "Άντα",
    "Arabic": "عائشة بنت محمد",
    "Hebrew": "שרה כהן",
    "Chinese": "深圳市南山区 王小明",
    "Japanese": "東京都 山田ﾀﾛｳ",
    "Korean": "김철수",
    "Thai": "สมชาย",
    "Devanagari": "नरेन्द्र",
    "emoji": "🎁 Ada 👩\u200d🚀 ❤️",
    "unassigned": "Ada \U000e0fff",
    "markup": "**Ada** <b>&amp;</b> __x__ --y--",
    "long": "x" * 500,
}


@pytest.mark.parametrize("script", NAMES)
def test_the_paper_holds_any_name(script, caplog):
    content = invoice_of(name=NAMES[script])

    pdf = documents.invoice_pdf(content, issued_at=ISSUED)

    assert pdf.startswith(b"%PDF-")
    assert pdf == documents.invoice_pdf(content, issued_at=ISSUED)
    assert len(pdf) < 150_000
    assert "missing the following glyphs" not in caplog.text


def test_no_letter_is_left_blank():
    written = paper().legible

    assert (
        written("深圳 김철수 عائشة ﾀﾛｳ") == "深圳 김철수 عائشة ﾀﾛｳ"
    )  # as they are: there are letters for them
    assert written("สมชาย") == "smchay"
    assert written("🎁") == ":gift:"
    assert written("👩🚀") == ":woman::rocket:"
    assert written("a\x07\n\U000e0fff") == "a\n\ufffd"
    assert written("e\u0301") == "é"


def test_the_east_asian_font_is_opened_only_where_it_is_needed():
    page = paper()

    page.legible("Ada عائشة สมชาย 🎁")
    assert page.further == []
    page.legible("王")
    assert page.further == ["CJK"]


def test_a_process_that_writes_no_paper_does_not_load_the_pdf_library():
    script = "import django; django.setup(); import config.urls, sys; print('fpdf' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=settings.BASE_DIR, env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"})  # fmt: skip

    assert told.stdout.strip().endswith("False"), told.stderr


@pytest.mark.parametrize(
    ("currency", "price"), [("JPY", "123456789"), ("KWD", "1234567.890"), ("USD", "0.00")]
)
def test_any_money_fits(currency, price, text_of):
    content = invoice_of(currency=currency, price=price)

    [page] = text_of(documents.invoice_pdf(content, issued_at=ISSUED))

    assert f"{price} {currency}" in page
    assert page.count(price) >= 3  # no amount is broken over two lines


def test_a_name_from_right_to_left_turns_nothing_else_round(text_of):
    [page] = text_of(documents.invoice_pdf(invoice_of(name=NAMES["Hebrew"]), issued_at=ISSUED))

    for line in ("1 Harbour Street", "04101 Portland ME", "SKU-000"):
        assert line in page


def test_a_long_order_takes_more_pages_and_loses_no_line(text_of):
    content = invoice_of(lines=130)

    pages = text_of(documents.invoice_pdf(content, issued_at=ISSUED))

    assert len(pages) >= 4
    for number in range(130):
        assert sum(f"SKU-{number:03d}" in page for page in pages) == 1
    assert all("Amount" in page for page in pages[:-1])  # the head of the table is on each
    assert [f"{number}/{len(pages)}" in page for number, page in enumerate(pages, 1)] == [True] * len(pages)  # fmt: skip
    slip = documents.packing_slip_pdf(
        seller="Kelp", number="ORD-1", placed_at=ISSUED, address=ADDRESS, shipping_name="Standard", notes="王",
        lines=[("A1", f"SKU-{number:03d}", "n" * 500, 1) for number in range(130)],
    )  # fmt: skip
    assert sum("SKU-129" in page for page in text_of(slip)) == 1


def test_what_an_exchange_paid_adds_up(text_of):
    content = invoice_of(price="60.00") | {
        "payments": [
            {"kind": "exchange", "orderNumber": "ORD-20261101-000007", "amount": "45.00"},
            {"kind": "money", "orderNumber": "ORD-20261101-000007", "amount": "15.00"},
        ]
    }

    [page] = text_of(documents.invoice_pdf(content, issued_at=ISSUED))

    assert "Paid by what was sent back of ORD-20261101-000007" in " ".join(page.split())
    assert "45.00 USD" in page
    assert "15.00 USD" in page


def test_papers_over_http(paid, user_api, staff_api, guest_api, api):
    listed = user_api.get(f"/orders/{paid.id}/invoices").json()["results"]
    assert [(row["kind"], row["number"], row["amount"]) for row in listed] == [
        ("invoice", "INV-000001", "60.47")
    ]
    for path in (f"/orders/{paid.number}/invoice", listed[0]["pdfUrl"]):
        file = user_api.get(path)
        assert (file.status_code, file["Content-Type"]) == (200, "application/pdf")
        assert file.content.startswith(b"%PDF-")
    gone = user_api.get(f"/orders/{paid.id}/invoices/INV-999999/pdf")
    assert (gone.status_code, gone.json()["code"]) == (404, "INVOICE_NOT_FOUND")

    token = user_api.get(f"/orders/{paid.id}").json()["trackingUrl"].split("token=")[1]
    assert api.get(f"/orders/{paid.id}/invoice?token={token}").status_code == 200
    assert api.get(f"/orders/{paid.id}/invoice").status_code == 401
    for stranger in (guest_api, Api().as_user(factories.make_user())):
        for tail in ("invoice", "invoices", "invoices/INV-000001/pdf"):
            answer = stranger.get(f"/orders/{paid.id}/{tail}")
            assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")

    slip = staff_api.get(f"/orders/{paid.id}/packing-slip")
    assert (slip.status_code, slip["Content-Type"]) == (200, "application/pdf")
    assert user_api.get(f"/orders/{paid.id}/packing-slip").status_code == 403


def test_pages_of_papers(paid: Order, draft: Order, user: Any, user_api: Api) -> None:
    page = Client()
    page.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    token = user_api.get(f"/orders/{paid.id}").json()["trackingUrl"].split("token=")[1]

    assert f"/orders/{paid.number}/invoice/" in page.get(f"/orders/{paid.number}/").content.decode()
    shown = page.get(f"/orders/{paid.number}/invoice/").content.decode()
    assert "INV-000001" in shown
    file = page.get(f"/orders/{paid.number}/invoice/INV-000001.pdf")
    assert (file["Content-Type"], file.content[:5]) == ("application/pdf", b"%PDF-")
    by_link = Client().get(f"/orders/{paid.number}/invoice/?token={token}").content.decode()
    assert f"INV-000001.pdf?token={token}" in by_link
    assert Client().get(f"/orders/{paid.number}/invoice/").status_code == 404
    assert page.get(f"/orders/{paid.number}/invoice/CN-000001.pdf").status_code == 404
