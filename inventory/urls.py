from __future__ import annotations

from django.urls import URLPattern, URLResolver, re_path

from inventory import views
from inventory.pictures import NAME

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(rf"^media/(?P<name>{NAME.pattern})\Z", views.picture, name="picture"),
]
