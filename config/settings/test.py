"""
Settings of the tests: real PostgreSQL and Redis, nothing leaves the process.

`python -m config.platform.embedded run -- pytest` starts throw-away engines and sets their addresses.
"""

from __future__ import annotations

import os

from config import environment

# One block of logical Redis databases per parallel test process, so that none flushes another's keys.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
environment.defaults(
    ENVIRONMENT="test",
    STOREFRONT_URL="http://testserver",
    ALLOWED_HOSTS="testserver,localhost,127.0.0.1,[::1]",
    SECRET_KEY="only-for-tests-" + "k" * 40,
    JWT_SIGNING_KEY="only-for-tests-" + "j" * 40,
    CART_RECOVERY_HMAC_SECRET="only-for-tests-" + "c" * 40,
    PAYMENT_TEST_PROVIDER="on",
    DEV_MAILBOX="on",
    DEMO_LOGINS="on",
    RATE_LIMITS="off",
    CATALOGUE_CACHE_SECONDS="0",  # tests write rows without announcing them
    DB_POOL="off",
    # A shop refuses who waits for seconds. Beside other tests on two processors everybody may have to.
    DB_LOCK_TIMEOUT_MS="60000",
    DB_STATEMENT_TIMEOUT_MS="120000",
    DB_IDLE_TIMEOUT_MS="120000",
    DB_PREPARE_STATEMENTS="on",  # the shop of the contract suite has it off: both ways are tried
    LOG_LEVEL="warning",
    LOG_FORMAT="console",
)
os.environ["REDIS_URL"] = environment.redis_database(environment.required("REDIS_URL"), 3 * _worker)

from config.settings.base import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Kicks go nowhere: a test drains due rows itself, which is what proves that no kick is needed.
CELERY_BROKER_URL = "memory://"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
