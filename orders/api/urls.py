from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from config.platform.api.views import ReadinessView
from orders.api import disputes, taxes
from orders.api.edits import EditViewSet
from orders.api.papers import InvoiceViewSet, PackingSlipView
from orders.api.reports import ReportViewSet
from orders.api.shipments import ShipmentViewSet
from orders.api.views import HealthView, OrderViewSet, ReturnViewSet


def _order(**actions: str):
    return OrderViewSet.as_view(dict(actions))


def _return(action: str):
    return ReturnViewSet.as_view({"post": action})


def _report(action: str):
    return ReportViewSet.as_view({"get": action})


def _shipment(**actions: str):
    return ShipmentViewSet.as_view(dict(actions))


urlpatterns: list[URLPattern | URLResolver] = [
    path("products/pricing/disputes", disputes.DisputesView.as_view()),
    path("products/pricing/disputes/<str:dispute_id>", disputes.DisputeView.as_view()),
    path("products/pricing/disputes/<str:dispute_id>/decide", disputes.DecisionView.as_view()),
    path("orders", _order(get="list", post="create")),
    path("orders/health", HealthView.as_view()),
    path("orders/health/dependencies", ReadinessView.as_view()),
    path("orders/analytics", _report("analytics")),
    path("orders/export", _report("export")),
    path("orders/picking", _report("picking")),
    path("orders/picking/export", _report("picking_file")),
    path("orders/lookup", _order(post="look_up")),
    path("orders/returns/<uuid:return_id>/approve", _return("approve")),
    path("orders/returns/<uuid:return_id>/reject", _return("reject")),
    path("orders/returns/<uuid:return_id>/close", _return("close")),
    path("orders/returns/<uuid:return_id>/withdraw", _return("withdraw")),
    path("orders/returns/<uuid:return_id>/receive", _return("receive")),
    path("tax/report", taxes.TaxReportView.as_view()),
    path("tax/report.csv", taxes.TaxReportFileView.as_view()),
    path("tax/entries.csv", taxes.TaxEntriesFileView.as_view()),
    path("orders/<str:reference>", _order(get="retrieve", patch="edit")),
    path("orders/<str:reference>/explain", _order(get="explain")),
    path("orders/<str:reference>/review", _order(post="review")),
    path("orders/<str:reference>/address", _order(patch="address")),
    path("orders/<str:reference>/cancel", _order(post="cancel")),
    path("orders/<str:reference>/cancel-items", _order(post="cancel_items")),
    path("orders/<str:reference>/returns", _order(get="returns", post="request_return")),
    path("orders/<str:reference>/status", _order(put="set_status")),
    path("orders/<str:reference>/ship", _order(post="ship")),
    path("orders/<str:reference>/invoice", InvoiceViewSet.as_view({"get": "invoice"})),
    path("orders/<str:reference>/invoices", InvoiceViewSet.as_view({"get": "list"})),
    path(
        "orders/<str:reference>/invoices/<str:number>/pdf", InvoiceViewSet.as_view({"get": "pdf"})
    ),
    path("orders/<str:reference>/packing-slip", PackingSlipView.as_view()),
    path("orders/<str:reference>/shipments", _shipment(get="list", post="create")),
    path("orders/<str:reference>/shipments/<uuid:shipment_id>", _shipment(patch="update")),
    path("orders/<str:reference>/shipments/<uuid:shipment_id>/deliver", _shipment(post="deliver")),
    path("orders/<str:reference>/deliver", _order(post="deliver")),
    path("orders/<str:reference>/status-history", _order(get="status_history")),
    path("orders/<str:reference>/edits", EditViewSet.as_view({"post": "apply"})),
    path("orders/<str:reference>/edits/preview", EditViewSet.as_view({"post": "preview"})),
    path("orders/<str:reference>/edit-history", _order(get="edit_history")),
]
