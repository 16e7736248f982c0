"""
Every address of the cart and of the lists a customer keeps. `/cart/…` and `/public/cart/…` serve both kinds of caller; with an id in the path the cart is
named, and must be the caller's.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from cart.api import alerts, lists, prices, upsells, views


def _lines(base: str) -> list[URLPattern]:
    return [
        path(f"{base}/items", views.ItemsView.as_view()),
        path(f"{base}/items/<str:item_id>", views.ItemView.as_view()),
        path(f"{base}/items/<str:item_id>/save", views.MoveView.as_view(to="saved")),
        path(f"{base}/items/<str:item_id>/next-purchase", views.MoveView.as_view(to="next")),
        path(f"{base}/items/<str:item_id>/activate", views.MoveView.as_view(to="active")),
        path(f"{base}/items/<str:item_id>/duplicate", views.DuplicateView.as_view()),
        path(f"{base}/bulk/items", views.BulkView.as_view()),
        path(f"{base}/bundles", views.BundlesView.as_view()),
        path(f"{base}/bundles/<str:group_id>", views.BundleView.as_view()),
        path(f"{base}/discount", views.DiscountsView.as_view()),
        path(f"{base}/discount/<str:code>", views.DiscountView.as_view()),
        path(f"{base}/accept-prices", views.AcceptPricesView.as_view()),
        path(f"{base}/loyalty", views.PointsView.as_view()),
        path(f"{base}/validate", views.ValidateView.as_view()),
        path(f"{base}/refresh", views.RefreshView.as_view()),
        path(f"{base}/explain", views.ExplainView.as_view()),
        path(f"{base}/shipping/estimate", views.ShippingEstimateView.as_view()),
        path(f"{base}/shipping/rates", views.ShippingRatesView.as_view()),
        path(f"{base}/tax/estimate", views.TaxEstimateView.as_view()),
        path(f"{base}/history", views.HistoryView.as_view()),
        path(f"{base}/history/<str:version>/restore", views.RestoreVersionView.as_view()),
    ]


def _own(base: str) -> list[URLPattern]:
    return [
        *_lines(base),
        # other names of the same, from earlier clients
        path(f"{base}/save-for-later/<str:item_id>", views.MoveView.as_view(to="saved")),
        path(f"{base}/move-to-cart/<str:item_id>", views.MoveView.as_view(to="active")),
        path(f"{base}/next-purchase/<str:item_id>/activate", views.MoveView.as_view(to="active")),
        path(f"{base}/summary", views.SummaryView.as_view()),
        path(f"{base}/upsells", upsells.UpsellsView.as_view()),
        path(f"{base}/upsells/<str:product_id>/add", upsells.AddUpsellView.as_view()),
        path(f"{base}/upsells/<str:product_id>/dismiss", upsells.DismissUpsellView.as_view()),
        path(f"{base}/sync", views.SyncView.as_view()),
        path(f"{base}/merge/preview", views.MergeView.as_view(preview=True)),
        path(f"{base}/merge", views.MergeView.as_view()),
        path(f"{base}/merge/undo", views.MergeUndoView.as_view()),
        path(f"{base}/past", views.PastCartsView.as_view()),
        path(f"{base}/past/<str:cart_id>/re-add", views.ReAddView.as_view()),
        path(f"{base}/recovery/request", views.RecoveryRequestView.as_view()),
        path(f"{base}/recovery/<str:token>", views.RecoveryView.as_view()),
        path(f"{base}/recovery/<str:token>/restore", views.RecoveryRestoreView.as_view()),
        path(f"{base}/<str:cart_id>/hold", views.HoldView.as_view()),
        path(f"{base}/<str:cart_id>/hold/status", views.HoldStatusView.as_view()),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    path("cart/config", views.ConfigView.as_view()),
    path("cart/config/toggle/<str:feature>", views.ConfigToggleView.as_view()),
    path("cart/health", views.HealthView.as_view()),
    path("cart", views.CartsView.as_view()),
    path("public/cart", views.PublicCartsView.as_view()),
    *_own("cart"),
    *_own("public/cart"),
    *_lines("public/cart/<str:cart_id>"),
    path("public/cart/<str:cart_id>", views.NamedCartView.as_view()),
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
