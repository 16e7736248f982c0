"""Settings shared by every way of running; `local`, `test` and `production` hold only differences."""

from __future__ import annotations

from datetime import timedelta

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from config.environment import (
    BASE_DIR,
    VAR_DIR,
    address_of,
    celery_url,
    choice,
    env,
    identifier,
    names,
    number,
    redis_database,
    redis_number,
    required,
    secret,
    secrets_by_name,
    switch,
    text,
)
from config.logs import logging_config
from config.settings.backoffice import UNFOLD  # noqa: F401 - a setting

# --- core -------------------------------------------------------------------------------------
VERSION = "1.0.0"
BUILD = text("BUILD")
ENVIRONMENT = required("ENVIRONMENT")  # CFG-04
DEBUG = switch("DEBUG", default=False)
SECRET_KEY = secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = names("SECRET_KEY_FALLBACKS")
STOREFRONT_URL = required("STOREFRONT_URL").rstrip("/")  # CFG-03
ALLOWED_HOSTS = names("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "platform.User"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = True

# What only a demonstration may have; `production` refuses them.
DEMO_LOGINS = switch("DEMO_LOGINS", default=False)
DEV_MAILBOX = switch("DEV_MAILBOX", default=False)  # the page /dev/mail/
PAYMENT_TEST_PROVIDER = switch("PAYMENT_TEST_PROVIDER", default=False)
RATE_LIMITS = switch("RATE_LIMITS", default=True)  # SEC-20…24

SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # an e-mail address is unique without regard to case, which the check cannot see
    "djstripe.W005",  # the secret of webhooks comes from the environment and is never stored
    "djstripe.I006",
]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "channels",
    "djstripe",
    "django_htmx",
    "pgtrigger",
    "config.platform",
    "inventory",
    "pricing",
    "cart",
    "orders",
    "checkout",
    "notifications",
]

MIDDLEWARE = [
    "config.platform.http.RequestMiddleware",  # first: whatever the others answer carries the request id
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.platform.csp.PolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "inventory.middleware.CompanyMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.platform.devices.BrowserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a lock-out into an answer
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "pricing.context.shop",
                "cart.context.cart_badge",
                "checkout.context.wallets",
            ],
        },
    },
]

# --- database (CFG-01, CFG-51) ----------------------------------------------------------------
# Views run in threads, so connections come from a pool. A process that handles one thing at a time (worker, beat,
# tests) sets DB_POOL=off and keeps its one connection.
DB_POOL = switch("DB_POOL", default=True)
# Statements of the busiest paths are planned once per connection (config.platform.prepared). Off behind a proxy that hands
# each transaction another connection and does not follow prepared statements.
DB_PREPARE_STATEMENTS = switch("DB_PREPARE_STATEMENTS", default=True)
DATABASES = {"default": env.db_url_config(required("DATABASE_URL"))}
DATABASES["default"] |= {
    "ENGINE": "config.platform.postgresql",
    "CONN_MAX_AGE": 0 if DB_POOL else 300,
    "CONN_HEALTH_CHECKS": not DB_POOL,  # a pool's connections are checked as they are taken from it
    "OPTIONS": {
        **DATABASES["default"].get("OPTIONS", {}),
        "connect_timeout": 5,
        # Django's own cursors never prepare, whatever this says.
        "prepare_threshold": 5 if DB_PREPARE_STATEMENTS else None,
        "options": " ".join(
            [
                # Left to itself PostgreSQL plans a prepared statement anew at each call where it hopes for a better plan
                # than the kept one. What is prepared here does so little that planning costs it more than running.
                *(["-c plan_cache_mode=force_generic_plan"] if DB_PREPARE_STATEMENTS else []),
                # A request that waits longer than this for a lock or a statement is better refused than queued.
                *(
                    f"-c {name}={number(key, default=milliseconds)}"
                    for name, key, milliseconds in (
                        ("lock_timeout", "DB_LOCK_TIMEOUT_MS", 3_000),
                        ("statement_timeout", "DB_STATEMENT_TIMEOUT_MS", 15_000),
                        ("idle_in_transaction_session_timeout", "DB_IDLE_TIMEOUT_MS", 15_000),
                    )
                ),
            ]
        ),
    },
}
if DB_POOL:
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": number("DB_POOL_MIN_SIZE", default=2),
        "max_size": number("DB_POOL_MAX_SIZE", default=25, minimum=1),
        "max_lifetime": number("DB_POOL_LIFETIME_SECONDS", default=300, minimum=1),
        "timeout": 5,
    }
HTTP_THREADS = number("HTTP_THREADS", default=8, minimum=1)

# --- Redis: cache, channel layer, broker, each in its own logical database (CFG-02) -----------
REDIS_URL = required("REDIS_URL")
CACHE_URL = text("CACHE_URL") or redis_database(REDIS_URL, 0)
CHANNELS_URL = text("CHANNELS_URL") or redis_database(REDIS_URL, 1)
BROKER_URL = text("BROKER_URL") or celery_url(redis_database(REDIS_URL, 2))
EVENT_BUS_URL = text("EVENT_BUS_URL") or BROKER_URL  # CFG-46
EVENT_PUBLISH_TIMEOUT = timedelta(
    seconds=number("EVENT_PUBLISH_TIMEOUT_SECONDS", default=5)
)  # CFG-45

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": "holdfast",
        "TIMEOUT": 300,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 0.5,
            # Without Redis the shop is slower, not down: a cache error is a miss.
            "IGNORE_EXCEPTIONS": True,
        },
    },
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {"address": CHANNELS_URL, "socket_connect_timeout": 0.5, "max_connections": 1_000}
            ],
            # Publish/subscribe ignores the number of the database, so neighbours are kept apart by name.
            "prefix": f"holdfast{redis_number(CHANNELS_URL)}",
        },
    },
}

# --- background work --------------------------------------------------------------------------
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 0.5,
    "socket_timeout": 2,
    "socket_keepalive": True,
    # How long a process that publishes tries to connect: a kick must not hold up its request.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker as long as it takes
# A kick only shortens a wait, so a broker that is down must not hold up the request that kicks.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# Off for all: a task that kills its worker would kill the next one too. A job whose rows count their tries may turn it on.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# Below the visibility timeout: past that, the broker hands a task that still runs to a second worker.
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_TIME_LIMIT = 110
CELERY_TIMEZONE = text("JOB_TIME_ZONE", default="UTC")  # CFG-55
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
DJANGO_CELERY_BEAT_TZ_AWARE = True
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    # A kick on commit usually comes first; this is for when it was lost.
    "relay events": {
        "task": "config.platform.tasks.relay",
        "schedule": timedelta(seconds=3),
        "options": {"expires": 3},
    },
    "forward events to outsiders": {
        "task": "config.platform.tasks.forward",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "check invariants": {
        "task": "config.platform.tasks.check_invariants",
        "schedule": timedelta(minutes=15),
    },
    "check alerts": {
        "task": "config.platform.tasks.check_alerts",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "send messages": {
        "task": "notifications.tasks.send_messages",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "sum up what ran low": {
        "task": "notifications.tasks.send_digests",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "write of what is back": {
        "task": "notifications.tasks.mail_kept_back",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 300},
    },
    "mark abandoned carts": {
        "task": "cart.tasks.mark_abandoned",
        "schedule": timedelta(minutes=15),
    },
    "remind of abandoned carts": {
        "task": "cart.tasks.send_recoveries",
        "schedule": timedelta(minutes=10),
    },
    "expire carts": {
        "task": "cart.tasks.expire_carts",
        "schedule": crontab(minute=0),
    },
    "keep abandoned items for the next purchase": {
        "task": "cart.tasks.move_to_next_purchase",
        "schedule": crontab(hour=2, minute=0),
    },
    "clean up carts": {
        "task": "cart.tasks.clean_up",
        "schedule": crontab(hour=3, minute=0),
    },
    "release expired holds": {
        "task": "inventory.tasks.release_expired_holds",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "fetch feeds": {
        "task": "inventory.tasks.fetch_feeds",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "reconcile stock": {
        "task": "inventory.tasks.reconcile_stock",
        "schedule": timedelta(minutes=15),
    },
    "work off messages about stock": {
        "task": "inventory.tasks.sweep_messages",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "prune messages about stock": {
        "task": "inventory.tasks.prune_messages",
        "schedule": timedelta(days=1),
    },
    "make renditions of pictures": {
        "task": "inventory.tasks.make_renditions",
        "schedule": timedelta(seconds=20),
        "options": {"expires": 20},
    },
    "count what is bought together": {
        "task": "orders.tasks.count_co_purchases",
        "schedule": crontab(hour=2, minute=40),
    },
    "sweep files of pictures": {
        "task": "inventory.tasks.sweep_files",
        "schedule": crontab(hour=4, minute=10),
    },
    # Units are offered when they come back; this is for what nothing freed, such as a product that is sold again.
    "serve who waits": {
        "task": "inventory.tasks.serve_waiting",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "work at files of counts": {
        "task": "inventory.tasks.work_stock_files",
        "schedule": timedelta(seconds=30),
        "options": {"expires": 30},
    },
    "work at files of products": {
        "task": "pricing.tasks.work_product_files",
        "schedule": timedelta(seconds=30),
        "options": {"expires": 30},
    },
    # A scheduled price is in force by itself; this tells open pages and those who wait for a price.
    "announce prices": {
        "task": "pricing.tasks.announce_prices",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "run out points": {
        "task": "pricing.tasks.run_out_points",
        "schedule": timedelta(minutes=15),
        "options": {"expires": 900},
    },
    "settle tiers": {
        "task": "pricing.tasks.settle_tiers",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3600},
    },
    "fetch exchange rates": {
        "task": "pricing.tasks.fetch_exchange_rates",
        "schedule": timedelta(hours=1),
        "options": {"expires": 600},
    },
    "throw away old files": {
        "task": "inventory.tasks.prune_files",
        "schedule": timedelta(hours=1),
    },
    "keep search": {
        "task": "inventory.tasks.keep_search",
        "schedule": timedelta(minutes=10),
        "options": {"expires": 600},
    },
    "work off webhooks": {
        "task": "checkout.tasks.sweep_inbox",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "carry out refunds": {
        "task": "checkout.tasks.execute_refunds",
        "schedule": timedelta(seconds=20),
        "options": {"expires": 20},
    },
    "reconcile payments": {
        "task": "checkout.tasks.reconcile",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "expire checkouts": {
        "task": "checkout.tasks.expire_checkouts",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "cancel drafts": {
        "task": "checkout.tasks.cancel_drafts",
        "schedule": timedelta(hours=1),
    },
    "compare books": {
        "task": "checkout.tasks.compare_books",
        "schedule": timedelta(days=1),
    },
    "work reconciliation": {
        "task": "checkout.tasks.work_reconciliation",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "mirror stripe": {
        "task": "checkout.tasks.mirror_stripe",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "prune webhooks": {
        "task": "checkout.tasks.prune_inbox",
        "schedule": timedelta(days=1),
    },
    "prune platform tables": {
        "task": "config.platform.tasks.prune",
        "schedule": timedelta(hours=1),
    },
}

# --- internationalisation, files --------------------------------------------------------------
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "locale"]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = text("STATIC_ROOT", default=str(VAR_DIR / "static"))
MEDIA_URL = "/media/"
MEDIA_ROOT = text("MEDIA_ROOT", default=str(VAR_DIR / "media"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_MAX_AGE = 3_600

# --- log-in -----------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses an address that guessed too often
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/account/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_RATE_LIMITS: dict[str, str] | bool = {} if RATE_LIMITS else False
ACCOUNT_PREVENT_ENUMERATION = True
MFA_TOTP_ISSUER = "Holdfast"

AXES_ENABLED = RATE_LIMITS
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_HTTP_RESPONSE_CODE = 429
AXES_USERNAME_CALLABLE = "config.platform.guessing.name_tried"
AXES_CLIENT_IP_CALLABLE = "config.platform.guessing.address_tried"

# --- web security -----------------------------------------------------------------------------
# How many proxies in front of us may be believed about the client's address (X-Forwarded-For).
TRUSTED_PROXIES = number("TRUSTED_PROXIES", default=0)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 24 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = names("CSRF_TRUSTED_ORIGINS", default=[STOREFRONT_URL])
X_FRAME_OPTIONS = "DENY"
# Recovery and unsubscribe links carry their token in the path: other sites must not learn it (SEC-30). Not stricter:
# under "no-referrer" a browser posts a page's forms with "Origin: null", which the CSRF check refuses.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FILES = 20
UPLOAD_MAX_BYTES = 64 * 1_048_576  # of a request with files: several pictures of one product
FILE_UPLOAD_HANDLERS = [
    "config.platform.http.uploads.Ceiling",  # first: what is too much is not even written to a disk
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- API --------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, object] = {
    # Our views take theirs from config.platform.http; these are for what libraries bring, such as the schema view.
    "DEFAULT_SCHEMA_CLASS": "config.platform.schema.Schema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.platform.http.ApiAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.platform.http.parsing.StrictJSONParser"],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, object] = {
    "TITLE": "Holdfast",
    "DESCRIPTION": "Cart, checkout, orders, pricing and stock.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_PERMISSIONS": ["config.platform.http.Anyone"],
    "SERVE_AUTHENTICATION": [],
    "PREPROCESSING_HOOKS": ["config.platform.schema.keep_v1"],
    # Enumerations stay where they are used: as components they would need a name each.
    "POSTPROCESSING_HOOKS": ["config.platform.schema.finish"],
}
SIMPLE_JWT = {  # CFG-21
    "SIGNING_KEY": secret("JWT_SIGNING_KEY"),
    "ALGORITHM": "HS256",
    "ISSUER": text("JWT_ISSUER", default="holdfast"),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=number("JWT_ACCESS_MINUTES", default=30, minimum=1)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=number("JWT_REFRESH_DAYS", default=14, minimum=1)),
    "LEEWAY": 10,
    "UPDATE_LAST_LOGIN": False,
}

# --- payments (CFG-19, CFG-58) ----------------------------------------------------------------
PAYMENT_CAPTURE_MODE = choice("PAYMENT_CAPTURE_MODE", "automatic", "manual", default="automatic")
STRIPE_SECRET_KEY = text("STRIPE_SECRET_KEY")
STRIPE_PUBLISHABLE_KEY = text("STRIPE_PUBLISHABLE_KEY")
STRIPE_WEBHOOK_SECRET = text("STRIPE_WEBHOOK_SECRET")
STRIPE_TIMEOUT_SECONDS = 8
# Starting a payment holds the goods for so long, and each further try anew (CONF-58).
PAYMENT_LIFETIME = timedelta(minutes=number("PAYMENT_LIFETIME_MINUTES", default=15, minimum=1))
PAYMENT_MAX_ATTEMPTS = number(
    "PAYMENT_MAX_ATTEMPTS", default=10, minimum=1
)  # failed ones, then the order fails
# Card testing: how many payments that came to nothing one client may have in a window; an address four times as many.
PAYMENT_MAX_DECLINES = number("PAYMENT_MAX_DECLINES", default=5)
PAYMENT_MAX_INTENTS = number("PAYMENT_MAX_INTENTS", default=30)
PAYMENT_ATTEMPTS_WINDOW = timedelta(
    minutes=number("PAYMENT_ATTEMPTS_WINDOW_MINUTES", default=60, minimum=1)
)
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# dj-stripe checks the form of its key at start-up, whether or not cards are taken; this one opens nothing.
STRIPE_TEST_SECRET_KEY = (
    "sk_test_" + "0" * 24 if STRIPE_LIVE_MODE or not STRIPE_SECRET_KEY else STRIPE_SECRET_KEY
)
STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY if STRIPE_LIVE_MODE else ""
if text("STRIPE_API_HOST"):
    # Stripe, or a stand-in for it on this machine: no other may ever be sent the key.
    STRIPE_API_HOST = address_of(
        "STRIPE_API_HOST", hosts=("api.stripe.com", "127.0.0.1", "localhost", "::1")
    )
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
# dj-stripe's own migrations rename their way through years of history, 45 seconds of it; this is where they end.
MIGRATION_MODULES = {"djstripe": "checkout.djstripe_migrations"}

# --- content security policy ------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "https:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-src": ["'none'"],
        "manifest-src": ["'self'"],
        "worker-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}
# By the start of the path. The admin's theme evaluates attributes and styles inline; the API browser styles inline.
CONTENT_SECURITY_POLICY_BY_PREFIX: dict[str, dict[str, list[str]]] = {
    "/admin/": {
        "script-src": ["'self'", "'unsafe-eval'", "'unsafe-inline'"],
        "style-src": ["'self'", "'unsafe-inline'"],
    },
    "/api/docs": {"style-src": ["'self'", "'unsafe-inline'"]},
    # Mails style inline; the mailbox of the demonstration frames them in a sandbox.
    "/dev/mail/": {
        "style-src": ["'self'", "'unsafe-inline'"],
        "frame-src": ["'self'"],
        "frame-ancestors": ["'self'"],
    },
}

# What card fields need, which are Stripe's own frames: with the page that has them, and no other.
CONTENT_SECURITY_POLICY_OF_CARDS = {
    "script-src": ["'self'", "https://js.stripe.com", "https://*.js.stripe.com"],
    "connect-src": ["'self'", "https://api.stripe.com"],
    "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
}

# --- mail (CFG-20, CFG-53) --------------------------------------------------------------------
EMAIL_BACKEND = text("EMAIL_BACKEND") or (
    "notifications.mailbox.MailboxBackend"
    if DEV_MAILBOX
    else "django.core.mail.backends.smtp.EmailBackend"
)
EMAIL_HOST = text("SMTP_HOST", default="localhost")
EMAIL_PORT = number("SMTP_PORT", default=587)
EMAIL_HOST_USER = text("SMTP_USER")
EMAIL_HOST_PASSWORD = text("SMTP_PASS")
# Port 465 speaks TLS from the first byte, the others change to it (RFC 8314).
EMAIL_USE_SSL = switch("SMTP_TLS", default=True) and EMAIL_PORT == 465
EMAIL_USE_TLS = switch("SMTP_TLS", default=True) and not EMAIL_USE_SSL
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = text("MAIL_FROM", default="Holdfast <shop@example.com>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
LOW_STOCK_EMAILS = names("LOW_STOCK_EMAILS")
ALERT_EMAILS = names("ALERT_EMAILS")
RETURN_REQUEST_EMAILS = names("RETURN_REQUEST_EMAILS")  # whoever decides returns (MSG-13)
PRICE_DISPUTE_EMAILS = names("PRICE_DISPUTE_EMAILS")  # whoever decides price disputes

# --- the shop's knobs -------------------------------------------------------------------------
# Start values. What staff change while the shop runs (CFG-32…44, 52) are rows of CartPolicy; switches are rows of
# FeatureFlag and start from here (FLAG-01).
DEFAULT_COUNTRY = text("DEFAULT_COUNTRY", default="US").upper()  # CFG-30
DEFAULT_CURRENCY = text("DEFAULT_CURRENCY", default="USD").upper()  # CFG-31
# A VAT number that a customer enters counts when its form and check digits are right, or only when staff approved it.
VAT_NUMBERS_NEED_APPROVAL = switch("VAT_NUMBERS_NEED_APPROVAL", default=False)
# Engines of others that say which taxes and ways to ship apply (VAG-17); an empty address leaves it to our own tables.
OUTSIDE_ENGINES = {
    "tax": text("OUTSIDE_TAX_URL"),
    "shipping": text("OUTSIDE_SHIPPING_URL"),
    "prices": text("OUTSIDE_PRICES_URL"),
}
OUTSIDE_ENGINE_KEY = text("OUTSIDE_ENGINE_KEY")
OUTSIDE_ENGINE_TIMEOUT = number("OUTSIDE_ENGINE_TIMEOUT_SECONDS", default=3, minimum=1)
OUTSIDE_ENGINE_KEEP = timedelta(
    minutes=number("OUTSIDE_ENGINE_KEEP_MINUTES", default=60, minimum=1)
)
OUTSIDE_PRICES_KEEP = timedelta(
    seconds=number("OUTSIDE_PRICES_KEEP_SECONDS", default=120, minimum=1)
)
OUTSIDE_ENGINE_FALLBACK = switch("OUTSIDE_ENGINE_FALLBACK", default=True)

CART_RECOVERY_HMAC_SECRET = secret("CART_RECOVERY_HMAC_SECRET")  # CFG-05
CART_RECOVERY_TOKEN_LIFETIME = timedelta(  # CFG-06
    hours=number("CART_RECOVERY_TOKEN_EXPIRY_HOURS", default=72, minimum=1)
)
CART_ABANDONMENT_THRESHOLD = timedelta(  # CFG-07
    minutes=number("CART_ABANDONMENT_THRESHOLD_MINUTES", default=60, minimum=1)
)
CART_AUTOSAVE_INTERVAL = timedelta(
    seconds=number("CART_AUTOSAVE_SECONDS", default=30, minimum=1)
)  # CFG-47
CART_MAX_QUANTITY_PER_LINE = number("CART_MAX_QUANTITY_PER_LINE", default=100, minimum=1)  # CFG-48
HOLD_DURATION = timedelta(
    minutes=number("INVENTORY_HOLD_DURATION_MINUTES", default=15, minimum=1)
)  # CFG-14
HOLD_MAX_DURATION = timedelta(minutes=number("INVENTORY_HOLD_MAX_MINUTES", default=45, minimum=1))
HOLD_START = choice("HOLD_START", "cart", "checkout", default="cart")  # CFG-58
HOLD_MAX_UNITS_PER_CUSTOMER = number(
    "HOLD_MAX_UNITS_PER_CUSTOMER", default=1_000, minimum=1
)  # CFG-52
HOLD_MAX_UNITS_PER_ADDRESS = number("HOLD_MAX_UNITS_PER_ADDRESS", default=5_000, minimum=1)
# How long units are kept for the first in line when they come back.
BACK_IN_STOCK_OFFER = timedelta(
    minutes=number("BACK_IN_STOCK_OFFER_MINUTES", default=30, minimum=1)
)
DEFAULT_REORDER_LEVEL = number("DEFAULT_REORDER_LEVEL", default=10)  # CFG-50
DEFAULT_REORDER_QUANTITY = number("DEFAULT_REORDER_QUANTITY", default=50)
# Who may post to /api/v1/webhooks/inventory/<source>: by the source's short name, several while a key is replaced.
INVENTORY_WEBHOOK_SECRETS = secrets_by_name("INVENTORY_WEBHOOK_SECRETS")
# Hosts that feeds may be fetched from although their address is not public.
FEED_PRIVATE_HOSTS = names("FEED_PRIVATE_HOSTS")
# Where exchange rates come from, into which currencies, and how long a rate lasts when nothing newer comes.
EXCHANGE_RATES_URL = text("EXCHANGE_RATES_URL")
EXCHANGE_RATES_CURRENCIES = [code.upper() for code in names("EXCHANGE_RATES_CURRENCIES")]
EXCHANGE_RATES_MAX_AGE = timedelta(
    hours=number("EXCHANGE_RATES_MAX_AGE_HOURS", default=120, minimum=24)
)
ORDER_NUMBER_SEQUENCE_KEY = identifier("ORDER_NUMBER_SEQUENCE_KEY", default="order_number")
INVOICE_FALLBACK_FONT = text("INVOICE_FALLBACK_FONT", default="")
# Orders that staff look at before anything is packed; a figure of 0 switches its rule off.
ORDER_REVIEW = switch("ORDER_REVIEW", default=False)
ORDER_REVIEW_AMOUNT = number(
    "ORDER_REVIEW_AMOUNT", default=1000
)  # in whole units of the order's currency
ORDER_REVIEW_PER_HOUR = number("ORDER_REVIEW_PER_HOUR", default=5)  # of one customer or address
ORDER_RETURN_WINDOW = timedelta(days=number("ORDER_RETURN_WINDOW_DAYS", default=30))  # CFG-23
# What is sent out in exchange is kept while the return travels, and then for so long until a difference is paid.
ORDER_EXCHANGE_HOLD = timedelta(days=number("ORDER_EXCHANGE_HOLD_DAYS", default=14, minimum=1))
ORDER_EXCHANGE_PAY = timedelta(hours=number("ORDER_EXCHANGE_PAY_HOURS", default=72, minimum=1))
ORDER_AUTO_CANCEL_DRAFT = timedelta(
    hours=number("ORDER_AUTO_CANCEL_DRAFT_HOURS", default=24, minimum=1)
)  # CFG-24

FEATURES = {
    "CART_SYNC_ENABLED": switch("CART_SYNC_ENABLED", default=True),  # CFG-08
    "CART_RECOVERY_ENABLED": switch("CART_RECOVERY_ENABLED", default=True),  # CFG-09
    "AI_UPSELL_ENABLED": switch("AI_UPSELL_ENABLED", default=False),  # CFG-10
    "INVENTORY_HOLD_ENABLED": switch("INVENTORY_HOLD_ENABLED", default=True),  # CFG-13
    "EXPRESS_CHECKOUT_ENABLED": switch("EXPRESS_CHECKOUT_ENABLED", default=False),  # CFG-15
    "ORDER_ENABLE_PARTIAL_CANCELLATION": switch(
        "ORDER_ENABLE_PARTIAL_CANCELLATION", default=True
    ),  # CFG-25
    "ORDER_ENABLE_RETURNS": switch("ORDER_ENABLE_RETURNS", default=True),  # CFG-26
    "ORDER_ENABLE_PROMOTIONS": switch("ORDER_ENABLE_PROMOTIONS", default=True),  # CFG-27
    "ORDER_ENABLE_MULTIPLE_WAREHOUSES": switch(
        "ORDER_ENABLE_MULTIPLE_WAREHOUSES", default=True
    ),  # CFG-28
    "ORDER_ENABLE_GUEST_CHECKOUT": switch("ORDER_ENABLE_GUEST_CHECKOUT", default=True),  # CFG-29
    "LOYALTY_ENABLED": switch("LOYALTY_ENABLED", default=True),  # CFG-57, to the end
    "ANALYTICS_ENABLED": switch("ANALYTICS_ENABLED", default=True),
    "WISHLIST_ENABLED": switch("WISHLIST_ENABLED", default=True),
    "COMPARISON_ENABLED": switch("COMPARISON_ENABLED", default=True),
    "CART_SHARING_ENABLED": switch("CART_SHARING_ENABLED", default=True),
    "OFFLINE_ENABLED": switch("OFFLINE_ENABLED", default=True),
}
AWS_BEDROCK_REGION = text("AWS_BEDROCK_REGION", default="us-east-1")  # CFG-11
AWS_BEDROCK_MODEL_ID = text(
    "AWS_BEDROCK_MODEL_ID", default="anthropic.claude-sonnet-4-20250514-v1:0"
)  # CFG-12
APPLE_PAY_MERCHANT_ID = text("APPLE_PAY_MERCHANT_ID")  # CFG-16
APPLE_PAY_CERTIFICATE_FILE = text("APPLE_PAY_CERTIFICATE_FILE")
APPLE_PAY_KEY_FILE = text("APPLE_PAY_KEY_FILE")
APPLE_PAY_TIMEOUT_SECONDS = 8.0
# Tests alone ask a stand-in on this machine in Apple's place: no variable of the environment leads elsewhere.
APPLE_PAY_GATEWAY = ""
APPLE_PAY_AUTHORITY = ""
GOOGLE_PAY_MERCHANT_ID = text("GOOGLE_PAY_MERCHANT_ID")  # CFG-17
PAYPAL_CLIENT_ID = text("PAYPAL_CLIENT_ID")  # CFG-18
PAYPAL_CLIENT_SECRET = text("PAYPAL_CLIENT_SECRET")
if PAYPAL_CLIENT_ID and not PAYPAL_CLIENT_SECRET:
    raise ImproperlyConfigured(
        "Set the environment variable PAYPAL_CLIENT_SECRET, which PAYPAL_CLIENT_ID needs."
    )
PAYPAL_WEBHOOK_ID = text("PAYPAL_WEBHOOK_ID")
PAYPAL_MERCHANT_ID = text("PAYPAL_MERCHANT_ID")
PAYPAL_TIMEOUT_SECONDS = 8
PAYPAL_API_HOST = "https://api-m.paypal.com"
if text("PAYPAL_API_HOST"):
    # PayPal, its sandbox, or a stand-in for it on this machine: no other may ever be sent the secret.
    PAYPAL_API_HOST = address_of(
        "PAYPAL_API_HOST",
        hosts=("api-m.paypal.com", "api-m.sandbox.paypal.com", "127.0.0.1", "localhost", "::1"),
    )
if PAYPAL_CLIENT_ID:
    # A form that leads to PayPal goes there by redirect, which browsers count as where the form goes.
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append(
        PAYPAL_API_HOST.replace("//api-m.", "//www.")
    )

CACHE_LIFETIMES = {  # CFG-49
    "session": timedelta(days=number("CACHE_SESSION_DAYS", default=30, minimum=1)),
    "summary": timedelta(seconds=number("CACHE_SUMMARY_SECONDS", default=300)),
    "price": timedelta(seconds=number("CACHE_PRICE_SECONDS", default=600)),
    "stock": timedelta(seconds=number("CACHE_STOCK_SECONDS", default=60)),
}
# How long public catalogue answers are kept in Redis at most; a change of the catalogue ends it at once. 0: not at all.
CATALOGUE_CACHE = timedelta(seconds=number("CATALOGUE_CACHE_SECONDS", default=30))
RETENTION = {  # CFG-54
    "abandoned_carts": timedelta(days=number("RETENTION_ABANDONED_DAYS", default=90, minimum=1)),
    "converted_carts": timedelta(days=number("RETENTION_CONVERTED_DAYS", default=730, minimum=1)),
    "events": timedelta(days=number("RETENTION_EVENTS_DAYS", default=30, minimum=1)),
}

# --- admin, logs ------------------------------------------------------------------------------
METRICS_TOKEN = text("METRICS_TOKEN")  # empty: /metrics answers private addresses only
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_config(
    form=choice("LOG_FORMAT", "json", "console", default="json"),
    level=choice("LOG_LEVEL", "debug", "info", "warning", "error", default="info").upper(),
)
