"""An order's papers: a page to print, and the PDF behind it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from config.platform.http import actor_of
from config.platform.http.forms import count
from orders import documents, selectors
from orders import services as orders
from orders.errors import InvoiceNotAvailable, InvoiceNotFound
from orders.models import Invoice, Order
from orders.rendering import order_path
from pricing.display import country_name, percent_text


@cache_control(no_store=True)
@require_safe
def invoice(request: HttpRequest, number: str) -> HttpResponse:
    """
    Show the invoice of an order for printing, with links to it and to its credit notes as PDF.

    :raises OrderNotFound: if it is not the visitor's, and the link's token does not open it
    """
    try:
        order, papers = _papers(request, number)
    except InvoiceNotAvailable:
        return redirect(f"/orders/{number}/")
    token = request.GET.get("token", "")
    paper = papers[0]
    return render(
        request,
        "orders/invoice.html",
        {
            "order_number": order.number,
            "order_url": order_path(order.number, token=token),
            "paper": paper,
            "content": paper.content,
            "taxes": _taxes(paper.content),
            "taxes_included": paper.content["pricesIncludeTax"],
            "payments": documents.payments_of(paper.content),
            "has_discount": Decimal(paper.content["discount"]) > 0,
            "seller_country": country_name(paper.content["seller"]["country"]),
            "bill_to": address_lines(paper.content["billTo"]),
            "files": [
                {
                    "number": each.number,
                    "name": _("Invoice") if each.kind == Invoice.Kind.INVOICE else _("Credit note"),
                    "url": order_path(order.number, f"invoice/{each.number}.pdf", token=token),
                }
                for each in papers
            ],
        },
    )


@require_safe
def invoice_file(request: HttpRequest, number: str, paper: str) -> HttpResponse:
    """
    Return an invoice or credit note as PDF.

    :raises OrderNotFound: if the order is not the visitor's, and the link's token does not open it
    :raises InvoiceNotFound: if it is none of the order's
    """
    _order, papers = _papers(request, number)
    for found in papers:
        if found.number == paper:
            content = documents.invoice_pdf(found.content, issued_at=found.issued_at)
            response = HttpResponse(content, content_type="application/pdf")
            response["Content-Disposition"] = f'inline; filename="{found.number}.pdf"'
            response["Cache-Control"] = "no-store"
            return response
    raise InvoiceNotFound


def _papers(request: HttpRequest, number: str) -> tuple[Order, list[Invoice]]:
    count(request)
    order = selectors.find(
        actor=actor_of(request), reference=number, token=request.GET.get("token", "")
    )
    return order, orders.write_invoices(
        actor=selectors.clerk(order), order_id=order.id, now=timezone.now()
    )


def _taxes(content: dict[str, Any]) -> list[dict[str, str]]:
    """Return what each tax was charged on and came to, as the paper says it; shipping stands for itself."""
    return [
        {
            "label": f"{row['name']} {percent_text(Decimal(row['rate']))}"
            if row["rate"]
            else str(_("Tax on shipping")),
            "base": row["base"],
            "amount": row["amount"],
        }
        for row in content.get("taxes", ())
        if Decimal(row["amount"])
    ]


def address_lines(address: dict[str, str] | None) -> list[str]:
    """Return an address as it is written on paper and on pages, line by line."""
    given = address or {}
    town = " ".join(given[key] for key in ("city", "state", "postalCode") if given.get(key))
    country = country_name(given.get("country", ""))
    lines = [given.get("name", ""), given.get("line1", ""), given.get("line2", ""), town, country]
    return [line for line in lines if line]
