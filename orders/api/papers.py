"""Invoices, credit notes and packing slips."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http.authentication import Staff
from config.platform.http.context import actor_of
from config.platform.http.links import KnownOrLinked, LinkQuery, link_of
from config.platform.http.views import ApiView, ApiViewSet
from orders import documents, selectors, services
from orders.errors import InvoiceNotFound
from orders.models import Invoice, Order
from orders.rendering import render_invoice


class InvoiceViewSet(ApiViewSet):
    """The papers of an order, for whoever may see it: also by `?token=` from its mail."""

    permission_classes = [KnownOrLinked]

    @extend_schema(parameters=[LinkQuery])
    def list(self, request: Request, reference: str) -> Response:
        """List an order's invoice and credit notes with what they say; they are written when first asked for."""
        order, papers = self._papers(request, reference)
        return Response(
            {
                "results": [render_invoice(paper, order) for paper in papers],
                "next": None,
                "previous": None,
            }
        )

    @extend_schema(
        parameters=[LinkQuery], responses={(200, "application/pdf"): OpenApiTypes.BINARY}
    )
    def invoice(self, request: Request, reference: str) -> HttpResponse:
        """Return the invoice of an order as PDF."""
        _order, papers = self._papers(request, reference)
        return _pdf(papers[0])

    @extend_schema(
        parameters=[LinkQuery], responses={(200, "application/pdf"): OpenApiTypes.BINARY}
    )
    def pdf(self, request: Request, reference: str, number: str) -> HttpResponse:
        """Return an invoice or a credit note of an order as PDF."""
        _order, papers = self._papers(request, reference)
        for paper in papers:
            if paper.number == number.upper():
                return _pdf(paper)
        raise InvoiceNotFound

    def _papers(self, request: Request, reference: str) -> tuple[Order, Sequence[Invoice]]:
        order = selectors.find(actor=actor_of(request), reference=reference, token=link_of(request))
        # Who may see the order may have its papers; writing them is the shop's own deed.
        found = services.write_invoices(
            actor=selectors.clerk(order), order_id=order.id, now=timezone.now()
        )
        return order, found


class PackingSlipView(ApiView):
    permission_classes = [Staff]
    rights = {"get": "orders.view_order"}

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return the slip that lies in the parcel: what is still to be sent, without prices."""
        order = selectors.find(actor=actor_of(request), reference=reference)
        content = documents.packing_slip_pdf(**selectors.packing_slip(order=order))
        return _file(content, f"packing-slip-{order.number}.pdf")


def _pdf(paper: Invoice) -> HttpResponse:
    content = documents.invoice_pdf(paper.content, issued_at=paper.issued_at)
    return _file(content, f"{paper.number}.pdf")


def _file(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
