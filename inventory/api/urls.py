from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from inventory.api import pictures, views, waiting, webhook

urlpatterns: list[URLPattern | URLResolver] = [
    path("inventory", views.StockViewSet.as_view({"get": "list", "post": "create"})),
    path("inventory/product/<uuid:product_id>", views.ProductStockRecordsView.as_view()),
    path(
        "inventory/<uuid:stock_level_id>",
        views.StockViewSet.as_view({"get": "retrieve", "put": "update", "patch": "update"}),
    ),
    path("inventory/<uuid:stock_level_id>/adjust", views.StockViewSet.as_view({"post": "adjust"})),
    path("inventory/receive", views.StockViewSet.as_view({"post": "receive_delivery"})),
    path(
        "inventory/<uuid:stock_level_id>/receive", views.StockViewSet.as_view({"post": "receive"})
    ),
    path(
        "inventory/<uuid:stock_level_id>/transfer", views.StockViewSet.as_view({"post": "transfer"})
    ),
    path("inventory/<uuid:stock_level_id>/count", views.StockViewSet.as_view({"post": "count"})),
    path("inventory/<uuid:stock_level_id>/damage", views.StockViewSet.as_view({"post": "damage"})),
    path(
        "inventory/<uuid:stock_level_id>/transactions",
        views.StockViewSet.as_view({"get": "transactions"}),
    ),
    path("inventory/back-in-stock", waiting.WaitingLineView.as_view()),
    path("back-in-stock", waiting.WaitingView.as_view()),
    path("back-in-stock/confirm", waiting.WaitingConfirmView.as_view()),
    path("back-in-stock/<uuid:request_id>", waiting.WaitingRequestView.as_view()),
    path("products/<str:ref>/back-in-stock", waiting.ProductWaitingView.as_view()),
    path("products/inventory/check", views.StockCheckView.as_view()),
    path("products/inventory/reserve", views.StockReserveView.as_view()),
    path("products/inventory/release", views.StockReleaseView.as_view()),
    path("products/inventory/low-stock", views.StockViewSet.as_view({"get": "low_stock"})),
    path("products/inventory/analytics", views.StockAnalyticsView.as_view()),
    path("products/health", views.CatalogueHealthView.as_view()),
    path("products/<str:ref>/inventory", views.ProductStockView.as_view()),
    path("webhooks/inventory/<slug:source>", webhook.InventoryWebhookView.as_view()),
    path("products/<str:ref>/images", pictures.PicturesView.as_view()),
    path("products/<str:ref>/images/<uuid:image_id>", pictures.PictureView.as_view()),
    path("categories", views.CategoriesView.as_view()),
]
