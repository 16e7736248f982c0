"""
Apple's confirmation that a payment sheet on our site is ours: asked for by us, with our certificate, for the customer's device.

The device says which of Apple's servers to ask. Anybody can send us such an address, so only Apple's published ones are taken.
Source: Apple, "Requesting an Apple Pay payment session" and "Setting up your server".
"""

from __future__ import annotations

import json
import re
import ssl
import time
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from django.conf import settings

from config.platform import outside
from config.platform.breaker import Breaker
from config.platform.errors import (
    ApplicationError,
    DependencyUnavailable,
    FieldError,
    ValidationFailed,
)
from config.platform.http.parsing import loads

logger = structlog.get_logger(__name__)

Session = dict[str, Any]  # Apple's; whoever reads it is the customer's device

MOST_BYTES = 65_536
LONGEST_NAME = 64  # of a shop, on the sheet

_HOST = re.compile(
    r"(cn-)?apple-pay-gateway(-cert|-(nc|pr)-pod[1-5](-dr)?|-(sh|tj)-pod[1-3](-dr)?)?\.apple\.com"
)
_PATH = re.compile(r"/paymentservices/[A-Za-z]{1,40}")


def begin(*, validation_url: str, shop: str) -> Session:
    """
    Return Apple's session for a sheet that shows the name `shop`. It is for one sheet, and over after five minutes.

    Eight seconds at most, tried again within them. A server of Apple's that is silent is left alone for five seconds.

    :raises ValidationFailed: if `validation_url` is none of Apple's
    :raises DependencyUnavailable: if Apple does not answer, or does not accept us
    """
    host = check(validation_url)
    breaker = _breaker(host)
    if breaker.is_open:
        raise _silent()
    domain = urlsplit(settings.STOREFRONT_URL).hostname
    question = {
        "merchantIdentifier": settings.APPLE_PAY_MERCHANT_ID,
        "displayName": shop[:LONGEST_NAME],
        "initiative": "web",
        "initiativeContext": domain,
    }
    started = time.monotonic()
    outcome = "answered"
    limit = settings.APPLE_PAY_TIMEOUT_SECONDS
    try:
        answer = outside.post(
            validation_url,
            body=json.dumps(question).encode(),
            tls=_identity(),
            private_hosts=[host] if settings.APPLE_PAY_GATEWAY else [],
            bounds=outside.Bounds(connect=3, read=limit, total=limit, size=MOST_BYTES),
        )
        breaker.reset()
        session = loads(answer)
    except outside.Unreachable as silence:
        outcome = str(silence)
        breaker.trip(silence)
        raise _silent() from None
    except outside.Refused as refusal:
        outcome = str(refusal)
        raise _silent() from None
    except OSError as missing:
        # The text of such an error may name the file, never what is in it.
        outcome = f"our certificate cannot be used: {missing}"
        raise _silent() from None
    except ApplicationError as strange:
        outcome = f"no JSON: {strange.code}"
        raise _silent() from None
    finally:
        log = logger.info if outcome == "answered" else logger.warning
        log(
            "apple was asked",
            host=host,
            outcome=outcome,
            seconds=round(time.monotonic() - started, 3),
        )
    if not isinstance(session, dict) or not session:
        raise _silent()
    return session


def check(url: str) -> str:
    """
    Return the host of an address that a device was told by Apple.

    :raises ValidationFailed: unless it is https, on a published host, and nothing but host and path
    """
    here = urlsplit(settings.APPLE_PAY_GATEWAY)
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    is_apple = _HOST.fullmatch(place) if not here.netloc else place == here.netloc
    if scheme != "https" or not is_apple or not _PATH.fullmatch(slash + path):
        raise ValidationFailed(
            errors=[
                FieldError("validationUrl", "invalid", "This is not an address of Apple Pay's.")
            ]
        )
    return place if not here.netloc else str(here.hostname)


def _identity() -> ssl.SSLContext:
    """Return who we are to Apple. Read for each call, so a renewed certificate needs no restart."""
    tls = httpx.create_ssl_context(trust_env=False)
    if settings.APPLE_PAY_AUTHORITY:
        tls.load_verify_locations(settings.APPLE_PAY_AUTHORITY)
    # Never asks for a passphrase on the terminal: a key that needs one cannot be used.
    tls.load_cert_chain(
        settings.APPLE_PAY_CERTIFICATE_FILE, settings.APPLE_PAY_KEY_FILE, password=lambda: ""
    )
    return tls


@cache
def _breaker(host: str) -> Breaker:
    """One for each host, so nobody can stop us asking all of them by naming one that is down; there are some dozen."""
    return Breaker(f"apple-pay {host}", rest=5.0)


def _silent() -> DependencyUnavailable:
    return DependencyUnavailable("Apple Pay does not answer. Nothing was charged.", retry_after=5)
