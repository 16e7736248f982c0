from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from config.platform import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/devices/", views.sign_ins, name="page_devices"),
    path("metrics", views.metrics, name="metrics"),
    path("docs/errors", views.error_codes, name="error_codes"),
]
