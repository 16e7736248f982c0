from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from cart.views import adding, alerts, basket, changing, lists, preferences, recovery, waiting

urlpatterns: list[URLPattern | URLResolver] = [
    path("preferences/", preferences.preferences, name="page_preferences"),
    path("cart/", basket.cart, name="page_cart"),
    path("cart/contents/", basket.contents, name="page_cart_contents"),
    path("cart/state/", basket.state, name="page_cart_state"),
    path("cart/add/", adding.add, name="page_cart_add"),
    path("cart/add-bundle/", adding.add_bundle, name="page_cart_bundle"),
    path("cart/lines/<uuid:line_id>/", changing.line, name="page_cart_line"),
    path("cart/upsells/<uuid:product_id>/", changing.upsell, name="page_cart_upsell"),
    path("cart/undo/", changing.undo, name="page_cart_undo"),
    path("cart/clear/", changing.clear, name="page_cart_clear"),
    path("cart/code/", changing.code, name="page_cart_code"),
    path("cart/accept-prices/", changing.accept, name="page_cart_accept"),
    path("cart/points/", changing.points, name="page_cart_points"),
    path("cart/estimate/", changing.estimate, name="page_cart_estimate"),
    path("cart/recover/<str:token>/", recovery.recover, name="page_cart_recover"),
    path("wishlist/", lists.wishlist, name="page_wishlist"),
    path("wishlist/add/", lists.add_wish, name="page_wishlist_add"),
    path("wishlist/<uuid:wish_id>/", lists.wish, name="page_wish"),
    path("back-in-stock/", waiting.ask, name="page_back_in_stock"),
    path("back-in-stock/confirm/<str:token>/", waiting.confirm, name="page_back_in_stock_confirm"),
    path("back-in-stock/<str:token>/", waiting.offer, name="page_back_in_stock_offer"),
    path("account/back-in-stock/", waiting.mine, name="page_back_in_stock_mine"),
    path("price-alerts/", alerts.ask, name="page_price_alert"),
    path("price-alerts/confirm/<str:token>/", alerts.confirm, name="page_price_alert_confirm"),
    path("price-alerts/<str:token>/", alerts.stop, name="page_price_alert_stop"),
    path("account/price-alerts/", alerts.mine, name="page_price_alerts"),
    path("compare/", lists.compare, name="page_compare"),
    path("compare/add/", lists.add_compared, name="page_compare_add"),
    path("compare/change/", lists.change_compared, name="page_compare_change"),
]
