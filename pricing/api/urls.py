from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from pricing.api import loyalty, prices, reports, special, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("products", views.ProductsView.as_view()),
    path("products/search", views.ProductSearchView.as_view()),
    path("products/bundles", views.BundlesView.as_view()),
    path("products/validate", views.ValidateView.as_view()),
    path("products/validate/bulk", views.ValidateBulkView.as_view()),
    path("products/pricing/calculate-cart-value", prices.CartValueView.as_view()),
    path("products/pricing/validate", prices.PricesValidateView.as_view()),
    path("products/pricing/report", reports.PriceReportView.as_view()),
    path("products/pricing/report/file", reports.PriceReportFileView.as_view()),
    path("products/<str:ref>", views.ProductView.as_view()),
    path("products/<str:ref>/pricing", views.ProductPricingView.as_view()),
    path("products/<str:ref>/pricing/recommendations", prices.PriceRecommendationsView.as_view()),
    path("products/<str:ref>/pricing/history", prices.PriceHistoryView.as_view()),
    path("price-changes", prices.PriceChangesView.as_view()),
    path("products/<str:ref>/recommendations", views.RecommendationsView.as_view()),
    path("products/<str:ref>/alternatives", views.AlternativesView.as_view()),
    path("products/<str:ref>/upsells", views.UpsellsView.as_view()),
    path("promotions", views.PromotionsView.as_view()),
    path("promotions/active", views.ActivePromotionsView.as_view()),
    path("promotions/<str:promotion_id>", views.PromotionView.as_view()),
    path("special-prices", special.SpecialPricesView.as_view()),
    path("special-prices/<str:special_id>", special.SpecialPriceView.as_view()),
    path("customer-groups", special.GroupsView.as_view()),
    path("customer-groups/<str:group_id>", special.GroupView.as_view()),
    path("loyalty", loyalty.LoyaltyView.as_view()),
    path("loyalty/entries", loyalty.EntriesView.as_view()),
    path("loyalty/adjust", loyalty.AdjustView.as_view()),
    path("tax-rates", views.TaxRatesView.as_view()),
    path("tax-rates/<str:tax_rate_id>", views.TaxRateView.as_view()),
    path("tax/rates", prices.TaxesAtPlaceView.as_view()),
    path("tax/vat-number", views.VatNumberView.as_view()),
    path("shipping-zones", views.ShippingZonesView.as_view()),
    path("shipping-zones/<str:zone_id>", views.ShippingZoneView.as_view()),
    path("shipping-rules", views.ShippingRulesView.as_view()),
    path("shipping-rules/<str:shipping_rule_id>", views.ShippingRuleView.as_view()),
    path("checkout/discount/validate", views.DiscountValidateView.as_view()),
]
