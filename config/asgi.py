"""
One port for everything: HTTP through a thread pool, `/ws` through Channels.

Plain Django under ASGI costs a thread hop for each synchronous middleware and a new thread, hence new connections,
for each request; behind a2wsgi the same views answer three to five times as many requests.
"""

from __future__ import annotations

from typing import cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

# First: this sets Django up, and the consumers behind the routing import models.
from config.wsgi import application as wsgi_application
from notifications.routing import websocket_urlpatterns

application = ProtocolTypeRouter(
    {
        "http": WSGIMiddleware(cast(WSGIApp, wsgi_application), workers=settings.HTTP_THREADS),
        "websocket": URLRouter(websocket_urlpatterns),
    }
)
