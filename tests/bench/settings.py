"""Production's serving of a shop that may be measured: no debugging, no limits, the test provider, keys of its own."""

from __future__ import annotations

import os

from config import environment

environment.defaults(
    ENVIRONMENT="bench",
    STOREFRONT_URL="http://localhost",
    ALLOWED_HOSTS="localhost,127.0.0.1",
    SECRET_KEY="only-for-the-bench-" + "k" * 40,
    JWT_SIGNING_KEY="only-for-the-bench-" + "j" * 40,
    CART_RECOVERY_HMAC_SECRET="only-for-the-bench-" + "c" * 40,
    PAYMENT_TEST_PROVIDER="on",
    RATE_LIMITS="off",
    TRUSTED_PROXIES="1",  # the load generator says from where each buyer comes
    LOG_LEVEL="warning",
    LOG_FORMAT="json",
)

from config.settings.base import *
from config.settings.base import CACHES, CELERY_BROKER_TRANSPORT_OPTIONS, DATABASES, MIDDLEWARE

DEBUG = False
ROOT_URLCONF = "tests.bench.urls"
MIDDLEWARE = ["tests.bench.middleware.StatementCount", *MIDDLEWARE]

# A database and keys of its own, so that a bench next to a running shop touches nothing of it.
DATABASES["default"]["TEST"] = {
    "NAME": f"bench_{DATABASES['default']['NAME']}",
    "TEMPLATE": os.environ.get("BENCH_TEMPLATE"),  # one that is migrated already
}
CACHES["default"]["KEY_PREFIX"] = "holdfast-bench"
CELERY_BROKER_TRANSPORT_OPTIONS |= {"global_keyprefix": "holdfast-bench:"}
