"""The embedded default: everything runs from the checkout, with nothing set and no service installed. DEBUG is off."""

from __future__ import annotations

from config import environment
from config.platform.embedded.layout import Layout

# Secrets are made once for this checkout; engines listen on sockets under var/.
layout = Layout(environment.VAR_DIR)
host = environment.text("HOST", default="127.0.0.1")
environment.defaults(
    **layout.secrets(),
    ENVIRONMENT="embedded",
    STOREFRONT_URL=f"http://localhost:{environment.text('PORT', default='8000')}",
    # Whoever lets the demonstration be reached from elsewhere cannot know under which name.
    ALLOWED_HOSTS="*" if host in ("0.0.0.0", "::") else f"localhost,127.0.0.1,[::1],{host}",
    DATABASE_URL=layout.database_url,
    REDIS_URL=layout.redis_url,
    DEMO_LOGINS="on",
    DEV_MAILBOX="on",
    PAYMENT_TEST_PROVIDER="on",
    LOG_FORMAT="console",
    JWT_ISSUER="holdfast",
)

from config.settings.base import *
from config.settings.base import SILENCED_SYSTEM_CHECKS

SILENCED_SYSTEM_CHECKS += [
    "djstripe.W002"
]  # a stand-in for Stripe's servers is what local work wants
