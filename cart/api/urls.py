"""
Every address of the cart and of the lists a customer keeps. `/cart/…` and `/public/cart/…` serve both kinds of caller; with an id in the path the cart is
named, and must be the caller's.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from cart.api import (
    alerts,
    carts,
    discounts,
    history,
    holds,
    lines,
    lists,
    merging,
    prices,
    recovery,
    staff,
    upsells,
)


def _lines(base: str) -> list[URLPattern]:
    return [
        path(f"{base}/items", lines.ItemsView.as_view()),
        path(f"{base}/items/<str:item_id>", lines.ItemView.as_view()),
        path(f"{base}/items/<str:item_id>/save", lines.MoveView.as_view(to="saved")),
        path(f"{base}/items/<str:item_id>/next-purchase", lines.MoveView.as_view(to="next")),
        path(f"{base}/items/<str:item_id>/activate", lines.MoveView.as_view(to="active")),
        path(f"{base}/items/<str:item_id>/duplicate", lines.DuplicateView.as_view()),
        path(f"{base}/bulk/items", lines.BulkView.as_view()),
        path(f"{base}/bundles", lines.BundlesView.as_view()),
        path(f"{base}/bundles/<str:group_id>", lines.BundleView.as_view()),
        path(f"{base}/discount", discounts.DiscountsView.as_view()),
        path(f"{base}/discount/<str:code>", discounts.DiscountView.as_view()),
        path(f"{base}/accept-prices", discounts.AcceptPricesView.as_view()),
        path(f"{base}/loyalty", discounts.PointsView.as_view()),
        path(f"{base}/validate", carts.ValidateView.as_view()),
        path(f"{base}/refresh", carts.RefreshView.as_view()),
        path(f"{base}/explain", carts.ExplainView.as_view()),
        path(f"{base}/shipping/estimate", carts.ShippingEstimateView.as_view()),
        path(f"{base}/shipping/rates", carts.ShippingRatesView.as_view()),
        path(f"{base}/tax/estimate", carts.TaxEstimateView.as_view()),
        path(f"{base}/history", history.HistoryView.as_view()),
        path(f"{base}/history/<str:version>/restore", history.RestoreVersionView.as_view()),
    ]


def _own(base: str) -> list[URLPattern]:
    return [
        *_lines(base),
        # other names of the same, from earlier clients
        path(f"{base}/save-for-later/<str:item_id>", lines.MoveView.as_view(to="saved")),
        path(f"{base}/move-to-cart/<str:item_id>", lines.MoveView.as_view(to="active")),
        path(f"{base}/next-purchase/<str:item_id>/activate", lines.MoveView.as_view(to="active")),
        path(f"{base}/summary", carts.SummaryView.as_view()),
        path(f"{base}/upsells", upsells.UpsellsView.as_view()),
        path(f"{base}/upsells/<str:product_id>/add", upsells.AddUpsellView.as_view()),
        path(f"{base}/upsells/<str:product_id>/dismiss", upsells.DismissUpsellView.as_view()),
        path(f"{base}/sync", lines.SyncView.as_view()),
        path(f"{base}/merge/preview", merging.MergeView.as_view(preview=True)),
        path(f"{base}/merge", merging.MergeView.as_view()),
        path(f"{base}/merge/undo", merging.MergeUndoView.as_view()),
        path(f"{base}/past", history.PastCartsView.as_view()),
        path(f"{base}/past/<str:cart_id>/re-add", history.ReAddView.as_view()),
        path(f"{base}/recovery/request", recovery.RecoveryRequestView.as_view()),
        path(f"{base}/recovery/<str:token>", recovery.RecoveryView.as_view()),
        path(f"{base}/recovery/<str:token>/restore", recovery.RecoveryRestoreView.as_view()),
        path(f"{base}/<str:cart_id>/hold", holds.HoldView.as_view()),
        path(f"{base}/<str:cart_id>/hold/status", holds.HoldStatusView.as_view()),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    path("cart/config", staff.ConfigView.as_view()),
    path("cart/config/toggle/<str:feature>", staff.ConfigToggleView.as_view()),
    path("cart/health", staff.HealthView.as_view()),
    path("cart", carts.CartsView.as_view()),
    path("public/cart", carts.PublicCartsView.as_view()),
    *_own("cart"),
    *_own("public/cart"),
    *_lines("public/cart/<str:cart_id>"),
    path("public/cart/<str:cart_id>", carts.NamedCartView.as_view()),
    path("wishlist", lists.WishlistView.as_view()),
    path("wishlist/items", lists.WishesView.as_view()),
    path("wishlist/items/<str:item_id>", lists.WishItemView.as_view()),
    path("wishlist/items/<str:item_id>/move-to-cart", lists.WishToCartView.as_view()),
    path("products/pricing/compare", prices.ComparePricesView.as_view()),
    path("products/pricing/alerts", alerts.PriceAlertsView.as_view()),
    path("products/pricing/alerts/confirm", alerts.PriceAlertConfirmView.as_view()),
    path("products/pricing/alerts/<str:alert_id>", alerts.PriceAlertView.as_view()),
    path("compare", lists.ComparisonView.as_view()),
    path("compare/<str:ref>", lists.ComparedProductView.as_view()),
]
