"""The shop of the browser tests: as `config.asgi`, with the static files straight from their folders."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import StaticFilesHandler

from config.asgi import application as shop
from config.wsgi import application as wsgi

application = ProtocolTypeRouter(
    {
        "http": WSGIMiddleware(StaticFilesHandler(wsgi), workers=8),  # type: ignore[arg-type]
        "websocket": shop.application_mapping["websocket"],
    }
)
