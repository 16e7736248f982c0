"""Invoices and credit notes: numbered without gaps, frozen, adding up, for those who may see the order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
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


@pytest.mark.parametrize("name", ["Ада Лавлейс", "Άντα", "عائشة", "Zoë Ørsted–Łuk", "x" * 190])
def test_the_paper_holds_any_name(paid, system, now, name):
    Order.objects.filter(pk=paid.pk).update(shipping_address={**ADDRESS, "name": name})
    [paper] = written(paid, system, now)

    pdf = documents.invoice_pdf(paper.content, issued_at=now)

    assert pdf.startswith(b"%PDF-")
    assert pdf == documents.invoice_pdf(paper.content, issued_at=now)
    assert len(pdf) < 150_000


def test_a_long_order_takes_more_pages(paid, system, now):
    [paper] = written(paid, system, now)
    content = {**paper.content, "lines": paper.content["lines"] * 40}

    assert documents.invoice_pdf(content, issued_at=now).count(b"/Type /Page\n") >= 3


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
