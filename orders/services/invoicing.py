"""Invoices and credit notes: written when first asked for, numbered without gaps, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from config.platform.actor import Actor
from orders.errors import InvoiceNotAvailable
from orders.models import Invoice, InvoiceCounter, Order, OrderLine, RefundRequest
from orders.services.status import lock
from pricing.engine import Quote
from pricing.money import format_amount, quantize

PREFIXES = {Invoice.Kind.INVOICE: "INV", Invoice.Kind.CREDIT_NOTE: "CN"}


@transaction.atomic
def write_invoices(*, actor: Actor, order_id: UUID, now: datetime) -> list[Invoice]:
    """
    Return an order's invoice and a credit note for each refund carried out, writing those that are missing.

    An invoice of what was only promised is credited whole where the order ended before anything was taken.
    What they say is what was frozen at placement; a number is given once. Locks the order, then the company's
    counters: numbers of a transaction that fails are used by the next.

    :raises OrderNotFound: if there is none for this caller
    :raises InvoiceNotAvailable: if the order was never paid
    """
    order = lock(actor=actor, order_id=order_id)
    known = list(Invoice.objects.filter(order=order).order_by("issued_at", "id"))
    if order.confirmed_at is None or (order.was_never_paid and not known):
        raise InvoiceNotAvailable(extra={"status": order.status})
    lines = list(order.lines.all())
    if not known:
        known.append(
            _write(
                order,
                Invoice.Kind.INVOICE,
                amount=order.grand_total,
                content=_invoice_content(order, lines),
                now=now,
            )
        )
    invoice = known[0]
    noted = {note.refund_request_id for note in known}
    credited = sum((note.amount for note in known[1:]), Decimal(0))
    done = (
        RefundRequest.objects.filter(order=order, status=RefundRequest.Status.DONE, payment_id=None)
        .select_related("moved_to")
        .order_by("done_at", "id")
    )
    for request in done:
        if request.pk in noted:
            continue
        known.append(
            _write(
                order,
                Invoice.Kind.CREDIT_NOTE,
                amount=request.amount,
                content=_credit_content(order, lines, request, invoice, credited=credited),
                now=now,
                request=request,
            )
        )
        credited += request.amount
    if order.was_never_paid and len(known) == 1:
        known.append(
            _write(
                order,
                Invoice.Kind.CREDIT_NOTE,
                amount=invoice.amount,
                content=_void_content(order, invoice),
                now=now,
            )
        )
    return known


def complete_papers(*, order_id: UUID, now: datetime) -> None:
    """Write the credit notes that an invoice lacks; nothing where there is no invoice. Repeating it changes nothing."""
    invoice = Invoice.objects.filter(order_id=order_id).first()
    if invoice is not None:
        actor = Actor.system(invoice.company_id, source="papers")
        write_invoices(actor=actor, order_id=order_id, now=now)


def _write(
    order: Order,
    kind: Invoice.Kind,
    *,
    amount: Decimal,
    content: dict[str, Any],
    now: datetime,
    request: RefundRequest | None = None,
) -> Invoice:
    InvoiceCounter.objects.get_or_create(company_id=order.company_id, kind=kind)
    counter = (
        InvoiceCounter.objects.filter(company_id=order.company_id, kind=kind).for_update().get()
    )
    counter.last += 1
    counter.save(update_fields=["last"])
    number = f"{PREFIXES[kind]}-{counter.last:06d}"
    return Invoice.objects.create(
        company_id=order.company_id,
        order=order,
        kind=kind,
        sequence=counter.last,
        number=number,
        refund_request=request,
        amount=amount,
        currency=order.currency,
        content={**content, "number": number, "kind": str(kind)},
        issued_at=now,
    )


def _head(order: Order) -> dict[str, Any]:
    return {
        "seller": {"name": order.company.name, "country": order.company.country},
        "billTo": order.billing_address or order.shipping_address,
        "shipTo": order.shipping_address,
        "email": order.email,
        "orderNumber": order.number,
        "placedAt": order.placed_at.isoformat(),
        "currency": order.currency,
        "pricesIncludeTax": order.prices_include_tax,
    }


def _invoice_content(order: Order, lines: Iterable[OrderLine]) -> dict[str, Any]:
    def money(amount: Decimal) -> str:
        return format_amount(amount, order.currency)

    lines = list(lines)
    return {
        **_head(order),
        "lines": [
            {
                "sku": line.sku,
                "name": line.name,
                "options": line.options,
                "quantity": line.quantity,
                "unitPrice": money(line.unit_price),
                "discount": money(line.discount),
                "tax": money(line.tax),
                "amount": money(line.total),
            }
            for line in lines
        ],
        "subtotal": money(order.subtotal),
        "discount": money(order.discount_total),
        "shippingName": order.shipping_name,
        "shipping": money(order.shipping_total),
        "tax": money(order.tax_total),
        "taxes": _taxes(order, lines),
        "relief": Quote.from_json(order.quote).relief_json() if "relief" in order.quote else None,
        "total": money(order.grand_total),
        "payments": _payments(order),
    }


def _payments(order: Order) -> list[dict[str, str]]:
    """Return what of an order was paid by goods sent back, and what in money; empty where it was all money."""
    if not order.credit_total:
        return []
    parts = {"exchange": order.credit_total, "money": order.grand_total - order.credit_total}
    return _parts(parts, order.metadata.get("exchangeOf", ""), order.currency)


def _parts(parts: Mapping[str, Decimal], number: str, currency: str) -> list[dict[str, str]]:
    return [
        {"kind": kind, "orderNumber": number, "amount": format_amount(amount, currency)}
        for kind, amount in parts.items()
        if amount
    ]


def _taxes(order: Order, lines: Iterable[OrderLine]) -> list[dict[str, str]]:
    """Return what each rate came to, over goods and shipping; adds up to the order's tax."""
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for line in lines:
        for tax in line.taxes:
            row = sums.setdefault((tax["name"], tax["rate"]), [Decimal(0), Decimal(0)])
            row[0] += Decimal(tax["base"])
            row[1] += Decimal(tax["amount"])
    told = [
        {
            "name": name,
            "rate": rate,
            "base": format_amount(base, order.currency),
            "amount": format_amount(amount, order.currency),
        }
        for (name, rate), (base, amount) in sorted(sums.items())
    ]
    if order.shipping_tax:
        told.append(
            {
                "name": "",
                "rate": "",
                "base": format_amount(
                    order.shipping_total - order.shipping_discount, order.currency
                ),
                "amount": format_amount(order.shipping_tax, order.currency),
            }
        )
    return told


def _void_content(order: Order, invoice: Invoice) -> dict[str, Any]:
    """Return what takes an invoice back whole."""
    said = invoice.content
    ended = order.status_changes.filter(to_status=Order.Status.CANCELLED).last()
    return {
        **_head(order),
        "invoiceNumber": invoice.number,
        "reason": (ended.reason if ended else "") or "cancelled",
        "lines": [
            {key: line[key] for key in ("sku", "name", "options", "quantity", "amount")}
            for line in said["lines"]
        ],
        "shipping": format_amount(order.shipping_total - order.shipping_discount, order.currency),
        "tax": said["tax"],
        "total": said["total"],
        "payments": [],
    }


def _credit_content(
    order: Order,
    lines: Iterable[OrderLine],
    request: RefundRequest,
    invoice: Invoice,
    *,
    credited: Decimal,
) -> dict[str, Any]:
    """The tax of a credit is a fixed function of what was credited before: all credits have the invoice's tax."""
    by_id = {str(line.id): line for line in lines}

    def tax_upto(amount: Decimal) -> Decimal:
        if not order.grand_total:
            return Decimal(0)
        return quantize(order.tax_total * amount / order.grand_total, order.currency)

    tax = tax_upto(credited + request.amount) - tax_upto(credited)
    return {
        **_head(order),
        "invoiceNumber": invoice.number,
        "reason": request.reason,
        "lines": [
            {
                "sku": by_id[part["itemId"]].sku,
                "name": by_id[part["itemId"]].name,
                "options": by_id[part["itemId"]].options,
                "quantity": part["quantity"],
                "amount": part["amount"],
            }
            for part in request.lines
        ],
        "shipping": format_amount(request.shipping_amount, order.currency),
        "tax": format_amount(tax, order.currency),
        "total": format_amount(request.amount, order.currency),
        "payments": _parts(
            {"moved": request.moved_amount, "refund": request.amount - request.moved_amount},
            request.moved_to.number,
            order.currency,
        )
        if request.moved_to is not None
        else [],
    }
