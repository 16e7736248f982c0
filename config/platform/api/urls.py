from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config.platform.api import views
from config.platform.http.rendering import OwnChoice

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/register", views.RegisterView.as_view(), name="register"),
    path("auth/refresh", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout", views.LogoutView.as_view(), name="logout"),
    path("health", views.HealthView.as_view(), name="health"),
    path("health/ready", views.ReadinessView.as_view(), name="readiness"),
    path("monitoring/performance", views.PerformanceView.as_view(), name="performance"),
    path("schema", SpectacularAPIView.as_view(content_negotiation_class=OwnChoice), name="schema"),
    path(
        "docs",
        SpectacularSwaggerView.as_view(url_name="schema", content_negotiation_class=OwnChoice),
        name="docs",
    ),
]
