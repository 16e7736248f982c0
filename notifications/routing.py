"""The one socket address."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from notifications.consumers import CartConsumer


async def nowhere(scope: Any, receive: Any, send: Any) -> Any:
    """Refuse a socket at any other address before it opens: a wrong address is no failure of ours."""
    await receive()
    await send({"type": "websocket.close"})


websocket_urlpatterns = [path("ws/cart", CartConsumer.as_asgi()), re_path("", nowhere)]
