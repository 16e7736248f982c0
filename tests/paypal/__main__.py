"""`python -m tests.paypal --port 12112 --deliver-to http://127.0.0.1:8000/api/v1/webhooks/paypal`"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.paypal.server import CLIENT, SECRET, WEBHOOK_ID, PayPalServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.paypal", description=__doc__)
    parser.add_argument("--port", type=int, default=12112)
    parser.add_argument("--log", type=Path, help="a file with one JSON line for each movement")
    parser.add_argument("--deliver-to", default="", help="where webhooks are sent to")
    options = parser.parse_args()
    server = PayPalServer(options.port, log=options.log)
    server.deliver_to(options.deliver_to)
    print(
        f"PAYPAL_API_HOST={server.url} PAYPAL_CLIENT_ID={CLIENT} PAYPAL_CLIENT_SECRET={SECRET} "
        f"PAYPAL_WEBHOOK_ID={WEBHOOK_ID}",
        flush=True,
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
