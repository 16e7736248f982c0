"""The one socket address."""

from __future__ import annotations

from django.urls import path

from notifications.consumers import CartConsumer

websocket_urlpatterns = [path("ws/cart", CartConsumer.as_asgi())]
