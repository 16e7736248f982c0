"""Every address of the project: `/api/v1` (alias `/api`), pages, admin, health."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from config.platform.views import staff_login

api = [
    # The busiest come first: every pattern before costs each of their requests. Inventory's products/health stands
    # before pricing's products/<name>; else no two share a path.
    path("", include("cart.api.urls")),
    path("", include("checkout.api.urls")),
    path("", include("config.platform.api.urls")),
    path("", include("inventory.api.urls")),
    path("", include("pricing.api.urls")),
    path("", include("orders.api.urls")),
    path("", include("notifications.api.urls")),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("api/", include(api)),
    path("admin/login/", staff_login),
    path("admin/", admin.site.urls),
    path("account/", include("allauth.urls")),
    path("", include("config.platform.urls")),
    path("", include("inventory.urls")),
    path("", include("pricing.urls")),
    path("", include("cart.urls")),
    path("", include("checkout.urls")),
    path("", include("orders.urls")),
    path("", include("notifications.urls")),
]

handler400 = "config.platform.http.middleware.bad_request"
handler403 = "config.platform.http.middleware.forbidden"
handler404 = "config.platform.http.middleware.not_found"
handler500 = "config.platform.http.middleware.server_error"
