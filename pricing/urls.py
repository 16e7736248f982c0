from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from pricing import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="page_home"),
    path("products/", views.product_list, name="page_products"),
    path("products/<str:slug>/", views.product, name="page_product"),
    path("category/<str:slug>/", views.category, name="page_category"),
    path("account/points/", views.points, name="page_points"),
    path("search/", views.search, name="page_search"),
]
