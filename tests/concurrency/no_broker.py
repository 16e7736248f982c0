"""A served shop whose broker does not answer; what it is woken for has to be found in its tables."""

from __future__ import annotations

from tests.concurrency.settings import *

CELERY_BROKER_URL = "redis://127.0.0.1:1/0"  # nobody listens there
STRIPE_SECRET_KEY = "sk_test_" + "k" * 24
STRIPE_WEBHOOK_SECRET = "whsec_of_the_tests"
