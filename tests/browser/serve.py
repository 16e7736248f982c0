"""
The shop of the browser tests: as `config.asgi`, with the static files straight from their folders.

Run as a program it loads the shop once and then is asked, a line at a time, to serve it in a fresh process and to stop
that one: loading takes as long as a test does.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.urls import get_resolver

from config.asgi import application as shop
from config.platform.embedded.process import follow_parent
from config.wsgi import application as wsgi

PATIENCE = 60.0  # seconds to end in

application = ProtocolTypeRouter(
    {
        "http": WSGIMiddleware(StaticFilesHandler(wsgi), workers=8),  # type: ignore[arg-type]
        "websocket": shop.application_mapping["websocket"],
    }
)


def main(port: int) -> None:
    """Obey `start LOG` and `stop`, and answer each with a line, until there are no more."""
    _ = get_resolver().reverse_dict  # what each would load by itself
    child = 0
    for line in sys.stdin:
        verb, _, log = line.strip().partition(" ")
        if verb == "start":
            child = os.fork()
            if child == 0:
                _serve(port, log)
        else:
            _stop(child)
        print(verb, flush=True)


def _serve(port: int, log: str) -> None:
    follow_parent(signal.SIGTERM)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    import uvicorn

    uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning")
    os._exit(0)


def _stop(child: int) -> None:
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]))
