"""Start-up refuses settings that would be unsafe, and names the key that is missing or wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from config import environment
from config.environment import BASE_DIR, celery_url, redis_database
from config.logs import masked

GOOD = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "shop.example.com",
    "STOREFRONT_URL": "https://shop.example.com",
    "DATABASE_URL": "postgres://shop:password@db.example.com/shop?sslmode=require",
    "REDIS_URL": "redis://:password@redis.example.com:6379/0",
    # Look random, and are the same in each process, as names of parametrised tests have to be.
    "SECRET_KEY": hashlib.sha256(b"1").hexdigest(),
    "JWT_SIGNING_KEY": hashlib.sha256(b"2").hexdigest(),
    "CART_RECOVERY_HMAC_SECRET": hashlib.sha256(b"3").hexdigest(),
}


def start(module: str, values: dict[str, str], *, then: str = "", env_file: str = "/dev/null"):
    """Import the settings `module` in a process that has only `values` in its environment."""
    return subprocess.run(
        [sys.executable, "-c", f"import {module} as settings\n{then}"],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "ENV_FILE": env_file, **values},
        capture_output=True,
        text=True,
    )


def refusal(**changes: str) -> str:
    """Return the last line of what production settings say to the good values with `changes`."""
    done = start("config.settings.production", GOOD | changes)
    assert done.returncode != 0, "it started"
    return done.stderr.strip().splitlines()[-1]


def test_production_starts_with_everything_set():
    done = start(
        "config.settings.production",
        GOOD,
        then="print(settings.DEBUG, settings.SESSION_COOKIE_SECURE)",
    )

    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.parametrize("key", GOOD)
def test_production_names_the_key_that_is_missing(key):
    message = refusal(**{key: ""})

    assert f"Set the environment variable {key} " in message


def test_production_names_all_missing_keys_at_once():
    message = refusal(DATABASE_URL="", SECRET_KEY="")

    assert "DATABASE_URL, SECRET_KEY" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DEBUG", "on"),
        ("DEMO_LOGINS", "true"),
        ("DEV_MAILBOX", "1"),
        ("PAYMENT_TEST_PROVIDER", "true"),
        ("RATE_LIMITS", "off"),
        ("RATE_LIMITS", "offf"),
        ("STOREFRONT_URL", "http://shop.example.com"),
        ("SECRET_KEY", "short"),
        ("ORDER_NUMBER_SEQUENCE_KEY", 'x"; DROP TABLE orders; --'),
        ("JWT_SIGNING_KEY", "x" * 31),
        ("CART_RECOVERY_HMAC_SECRET", "a" * 64),
        ("SECRET_KEY", "change-me-" + GOOD["SECRET_KEY"]),
        ("JWT_SIGNING_KEY", GOOD["SECRET_KEY"]),
        ("HTTP_THREADS", "many"),
        ("PAYMENT_CAPTURE_MODE", "sometimes"),
        ("STRIPE_API_HOST", "https://stripe.example.com"),
        ("STRIPE_API_HOST", "http://api.stripe.com"),
        ("STRIPE_API_HOST", "https://api.stripe.com@evil.example.com"),
        ("PAYPAL_API_HOST", "https://paypal.example.com"),
        ("PAYPAL_API_HOST", "http://api-m.paypal.com"),
    ],
)
def test_production_refuses_and_names(key, value):
    assert key in refusal(**{key: value})


def test_manage_shows_a_missing_key_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env={
            "PATH": os.environ["PATH"],
            "ENV_FILE": "/dev/null",
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            **{key: value for key, value in GOOD.items() if key != "DATABASE_URL"},
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_embedded_default_needs_nothing_and_keeps_debug_off(tmp_path):
    done = start(
        "config.settings.local",
        {"VAR_DIR": str(tmp_path)},
        then="print(settings.DEBUG, settings.DEMO_LOGINS, settings.PAYMENT_TEST_PROVIDER, len(settings.SECRET_KEY) > 31)",
    )

    assert done.stdout.split() == ["False", "True", "True", "True"], done.stderr


def test_env_example_names_every_key_and_changes_nothing_when_copied(tmp_path):
    show = "from config.environment import asked\nprint(*sorted(asked))\n"
    show += "print({k: v for k, v in sorted(vars(settings).items()) if k.isupper() and k not in ('LOGGING', 'UNFOLD')})"
    values = {"VAR_DIR": str(tmp_path), "ENVIRONMENT": "embedded"}
    lines = (BASE_DIR / ".env.example").read_text().splitlines()
    named = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    # The embedded default turns on what the example leaves off, as production needs it.
    demo = {"DEMO_LOGINS": "on", "DEV_MAILBOX": "on", "PAYMENT_TEST_PROVIDER": "on"}

    plain = start("config.settings.local", values, then=show)
    copied = start(
        "config.settings.local", values | demo, then=show, env_file=str(BASE_DIR / ".env.example")
    )

    assert plain.returncode == copied.returncode == 0, copied.stderr
    asked = set(plain.stdout.splitlines()[0].split())
    assert asked - named - {"DJANGO_SETTINGS_MODULE"} == set()
    read = re.findall(
        r'"([A-Z][A-Z_]+)"', "".join(path.read_text() for path in code_that_reads_the_environment())
    )
    assert named - set(read) - {"HOST", "PORT"} == set(), "named but read nowhere"
    assert plain.stdout.splitlines()[1] == copied.stdout.splitlines()[1]


def code_that_reads_the_environment():
    yield from (BASE_DIR / "config" / "settings").glob("*.py")
    yield from (BASE_DIR / "config" / "platform" / "embedded").glob("*.py")
    yield BASE_DIR / "config" / "environment.py"
    yield BASE_DIR / "config" / "serve.py"


@pytest.mark.parametrize(
    ("values", "tls", "ssl"),
    [
        ({}, True, False),
        ({"SMTP_PORT": "465"}, False, True),
        ({"SMTP_PORT": "25", "SMTP_TLS": "off"}, False, False),
    ],
    ids=["submission", "465", "plain"],
)
def test_mail_leaves_by_the_relay_that_the_environment_names(values, tls, ssl):
    """CFG-20: any relay; 587 is where mail is submitted unless another port is named."""
    relay = {"SMTP_HOST": "smtp.example.com", "SMTP_USER": "apikey", "SMTP_PASS": "p%40ss word"}

    done = start(
        "config.settings.production",
        GOOD | relay | values,
        then="import json; print(json.dumps({k: v for k, v in vars(settings).items() if k.startswith('EMAIL_')}))",
    )

    found = json.loads(done.stdout)
    assert found == {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "smtp.example.com",
        "EMAIL_PORT": int(values.get("SMTP_PORT", 587)),
        "EMAIL_HOST_USER": "apikey",
        "EMAIL_HOST_PASSWORD": "p%40ss word",
        "EMAIL_USE_TLS": tls,
        "EMAIL_USE_SSL": ssl,
        "EMAIL_TIMEOUT": 10,
    }


def test_only_the_environment_module_reads_the_environment():
    allowed = re.compile(
        r"environ\.(setdefault\(\"DJANGO_SETTINGS_MODULE|get\(\"(ENV_FILE|PYTEST_XDIST_WORKER)\")|\*\*os\.environ"
    )
    for app in ("cart", "checkout", "inventory", "notifications", "orders", "pricing", "config"):
        for path in (BASE_DIR / app).rglob("*.py"):
            # Commands that talk to a shop over HTTP are clients; what they are given is not the shop's.
            if path.name == "environment.py" or {"embedded", "management"} & set(path.parts):
                continue
            for line in path.read_text().splitlines():
                if "os.environ" in line or "getenv" in line:
                    assert allowed.search(line) or path.parent.name == "settings", f"{path}: {line}"


@pytest.mark.parametrize(
    ("url", "offset", "expected"),
    [
        ("redis://host", 1, "redis://host/1"),
        ("redis://:secret@host:6379/3", 2, "redis://:secret@host:6379/5"),
        ("rediss://host/0", 0, "rediss://host/0"),
        ("unix:///run/valkey.sock", 2, "unix:///run/valkey.sock?db=2"),
        ("unix:///run/valkey.sock?db=4", 1, "unix:///run/valkey.sock?db=5"),
    ],
)
def test_redis_database_counts_from_the_one_that_was_given(url, offset, expected):
    assert redis_database(url, offset) == expected


def test_celery_url_spells_unix_sockets_in_celery_s_way():
    assert (
        celery_url("unix:///run/valkey.sock?db=2")
        == "redis+socket:///run/valkey.sock?virtual_host=2"
    )
    assert celery_url("redis://host/2") == "redis://host/2"


def test_require_says_nothing_where_all_is_there(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "x")

    environment.require("SOME_KEY")


@pytest.mark.parametrize(
    "text",
    [
        "GET /cart/recover/SECRET-TOKEN/",
        "GET /unsubscribe/SECRET-TOKEN/?x=1",
        "GET /orders/lookup/?token=SECRET-TOKEN&x=1",
        "Authorization: Bearer SECRET-TOKEN",
        "GET /checkout/pay/1/?payment_intent_client_secret=pi_1_secret_SECRETTOKEN&x=1",
        "key sk_live_SECRETTOKEN",
    ],
)
def test_logs_hide_what_opens_something(text):
    assert "SECRET-TOKEN" not in masked(text)
    assert "SECRETTOKEN" not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        '"GET /search/?q=4242424242424242 HTTP/1.1" 200',
        "GET /search/?q=4242%204242%204242%204242&x=1",
        "GET /search/?q=4242+4242+4242+4242",
        "note 5555-5555-5555-4444, 12/30",
        "request_id=378282246310005",
    ],
)
def test_logs_hide_card_numbers(text):
    hidden = masked(text)

    assert "***" in hidden
    assert not re.search(r"4242|4444|0005", hidden)


@pytest.mark.parametrize(
    "text",
    [
        "order ORD-20261121-000001 took 12.3 ms at 2026-11-21 10:00:00.123456",
        "barcode 4006381333931",
        "event 01a200caafd776f6b1480ff184b46873",
    ],
)
def test_logs_show_other_numbers(text):
    assert masked(text) == text


def test_logs_hide_guest_tokens():
    assert masked("X-Session-Token: " + "0a" * 32) == "X-Session-Token: ***"
