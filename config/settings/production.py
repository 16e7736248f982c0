"""Production: nothing is assumed. What only a demonstration may have is refused by name."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from config import environment

SECRETS = ("SECRET_KEY", "JWT_SIGNING_KEY", "CART_RECOVERY_HMAC_SECRET")
environment.require(
    "ENVIRONMENT", "ALLOWED_HOSTS", "STOREFRONT_URL", "DATABASE_URL", "REDIS_URL", *SECRETS
)
environment.refuse_weak(*SECRETS)

from config.settings.base import *
from config.settings.base import RATE_LIMITS, STOREFRONT_URL, TRUSTED_PROXIES

for _key in ("DEBUG", "DEMO_LOGINS", "DEV_MAILBOX", "PAYMENT_TEST_PROVIDER"):
    if globals()[_key]:
        raise ImproperlyConfigured(f"{_key} must be off in production.")
if not RATE_LIMITS:
    raise ImproperlyConfigured("RATE_LIMITS must be on in production.")
if not STOREFRONT_URL.startswith("https://"):
    raise ImproperlyConfigured("STOREFRONT_URL must start with https:// in production.")

SECURE_SSL_REDIRECT = True
# Probes and scrapers come from inside, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^api/(v1/)?health", r"^metrics$"]
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
