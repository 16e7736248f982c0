"""
`python -m config.serve`: HTTP in production, by granian.

The shop is loaded once, before the workers are forked from this process: they share the pages of code that none of
them writes, which is most of what a worker takes. Nothing here opens a connection, so none is shared.
"""

from __future__ import annotations

import argparse
import gc

from granian.constants import Interfaces
from granian.server import Server

from config import environment


def main() -> None:
    """Serve until told to stop (SIGTERM). WEB_WORKERS and HTTP_THREADS say with how many processes and threads each."""
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()

    load()
    Server(
        "config.wsgi:application",
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=environment.number("WEB_WORKERS", default=2, minimum=1),
        blocking_threads=environment.number("HTTP_THREADS", default=8, minimum=1),
        websockets=False,
        log_access=False,
        respawn_failed_workers=True,
    ).serve()


def load() -> None:
    """Import the shop and everything its URLs lead to, and keep the garbage collector away from it."""
    from django.urls import get_resolver

    import config.wsgi  # noqa: F401

    _ = get_resolver().reverse_dict  # walks all URLs, which imports the views behind them
    gc.collect()
    gc.freeze()  # collecting would write to every object, and so copy every page
    # A request makes thousands of objects, and next to none in circles: looking for those after every 700 new ones, as
    # Python does unless told otherwise, is a tenth of a request's processor time.
    gc.set_threshold(10_000, 20, 10)


if __name__ == "__main__":
    main()
