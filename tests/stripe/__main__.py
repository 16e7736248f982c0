"""`python -m tests.stripe --port 12111 --deliver-to http://127.0.0.1:8000/api/v1/webhooks/stripe --secret whsec_x`"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.stripe.server import StripeServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument("--log", type=Path, help="a file with one JSON line for each movement")
    parser.add_argument("--deliver-to", default="", help="where webhooks are sent to")
    parser.add_argument("--secret", default="whsec_demo", help="what webhooks are signed with")
    options = parser.parse_args()
    server = StripeServer(options.port, log=options.log)
    if options.deliver_to:
        server.deliver_to(options.deliver_to, options.secret)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
