from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from orders.views import cancelling, changing, detail, disputes, lists, papers, returning

urlpatterns: list[URLPattern | URLResolver] = [
    path("orders/", lists.order_list, name="page_orders"),
    path("orders/lookup/", lists.lookup, name="page_order_lookup"),
    path("orders/<str:number>/", detail.order, name="page_order"),
    path("orders/<str:number>/cancel/", cancelling.cancel, name="page_order_cancel"),
    path("orders/<str:number>/invoice/", papers.invoice, name="page_invoice"),
    path(
        "orders/<str:number>/invoice/<str:paper>.pdf", papers.invoice_file, name="page_invoice_file"
    ),
    path("orders/<str:number>/change/", changing.change, name="page_order_change"),
    path("orders/<str:number>/cancel-items/", cancelling.cancel_items, name="page_order_items"),
    path("orders/<str:number>/dispute/", disputes.dispute, name="page_order_dispute"),
    path("orders/<str:number>/return/", returning.request_return, name="page_order_return"),
    path(
        "orders/<str:number>/returns/<uuid:return_id>/withdraw/",
        returning.withdraw,
        name="page_order_return_withdraw",
    ),
    path("account/", lists.account, name="page_account"),
]
