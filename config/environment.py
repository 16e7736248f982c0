"""
The one place that reads the environment.

`.env` in the checkout is read first; a variable of the process wins over it. Settings modules take every value
from here, so a key that is missing or malformed stops start-up with a message that names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"))

# Every key that was asked for: `.env.example` has to name each of them.
asked: set[str] = set()

ON = {"on", "true", "yes", "1"}
OFF = {"off", "false", "no", "0"}

# Starts of the values that examples and tutorials carry; a secret that was never replaced begins with one of them.
PLACEHOLDERS = (
    "change",
    "replace",
    "example",
    "secret",
    "django-insecure",
    "password",
    "test-",
    "your",
)
HOW_TO_MAKE_ONE = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def defaults(**values: str) -> None:
    """Supply values for keys that neither the process nor `.env` sets."""
    for key, value in values.items():
        if not os.environ.get(key):
            os.environ[key] = value


def text(key: str, *, default: str = "") -> str:
    """Return the value of `key`; an empty one counts as not set, so that `.env.example` can be copied as it is."""
    asked.add(key)
    return env.str(key, default="").strip() or default


def identifier(key: str, *, default: str) -> str:
    """
    Return the value of `key`, the name of something in the database.

    :raises ImproperlyConfigured: if it is not lower-case letters, digits and _, beginning with a letter
    """
    found = text(key, default=default)
    if not re.fullmatch("[a-z][a-z0-9_]{0,62}", found):
        raise ImproperlyConfigured(f"{key} must be a name of lower-case letters, digits and _.")
    return found


def names(key: str, *, default: Sequence[str] = ()) -> list[str]:
    """Return the values of `key`, which are separated by commas."""
    return [name.strip() for name in text(key).split(",") if name.strip()] or list(default)


def secrets_by_name(key: str, *, length: int = 32) -> dict[str, list[str]]:
    """Return secrets written as `name:secret`, separated by commas; a name may have several, while one is replaced."""
    found: dict[str, list[str]] = {}
    for entry in names(key):
        name, _, value = entry.partition(":")
        if not name or len(value) < length:
            raise ImproperlyConfigured(
                f"{key} needs name:secret with secrets of at least {length} characters; {HOW_TO_MAKE_ONE}"
            )
        found.setdefault(name, []).append(value)
    return found


# Where the embedded engines keep data, logs and sockets.
VAR_DIR = Path(text("VAR_DIR", default=str(BASE_DIR / "var")))


def required(key: str) -> str:
    """Return the value of `key`; stop start-up naming the key where it is missing or empty."""
    value = text(key)
    if not value:
        raise ImproperlyConfigured(f"Set the environment variable {key} (see .env.example).")
    return value


def require(*keys: str) -> None:
    """Stop start-up with one message that names all of `keys` that are missing, so that they are fixed in one go."""
    missing = [key for key in keys if not text(key)]
    if missing:
        noun = "variable" if len(missing) == 1 else "variables"
        raise ImproperlyConfigured(
            f"Set the environment {noun} {', '.join(missing)} (see .env.example)."
        )


def secret(key: str, *, length: int = 32) -> str:
    """Return the secret `key`; stop start-up where it is missing or shorter than `length` characters."""
    value = required(key)
    if len(value) < length:
        raise ImproperlyConfigured(
            f"{key} must have at least {length} characters; {HOW_TO_MAKE_ONE}"
        )
    return value


def refuse_weak(*keys: str) -> None:
    """Stop start-up where a secret is a placeholder, repeats few characters or is shared by two keys."""
    seen: dict[str, str] = {}
    for key in keys:
        value = secret(key)
        if value.lower().startswith(PLACEHOLDERS) or len(set(value)) < 10:
            raise ImproperlyConfigured(f"{key} is too easy to guess; {HOW_TO_MAKE_ONE}")
        if value in seen:
            raise ImproperlyConfigured(f"{key} must differ from {seen[value]}; {HOW_TO_MAKE_ONE}")
        seen[value] = key


def switch(key: str, *, default: bool) -> bool:
    """Return an on/off key. A misspelt value stops start-up, because reading it as *off* could remove a protection."""
    value = text(key).lower()
    if not value:
        return default
    if value in ON | OFF:
        return value in ON
    raise ImproperlyConfigured(f"{key} must be on or off, not {value!r}.")


def number(key: str, *, default: int, minimum: int = 0) -> int:
    """Return a whole number of at least `minimum`; stop start-up naming the key where it is anything else."""
    given = text(key, default=str(default))
    try:
        value = int(given)
    except ValueError:
        raise ImproperlyConfigured(f"{key} must be a whole number, not {given!r}.") from None
    if value < minimum:
        raise ImproperlyConfigured(f"{key} must be at least {minimum}, not {value}.")
    return value


def choice(key: str, *options: str, default: str) -> str:
    """Return one of `options`; stop start-up naming the key and the options where the value is none of them."""
    value = text(key, default=default).lower()
    if value not in options:
        raise ImproperlyConfigured(f"{key} must be one of {', '.join(options)}, not {value!r}.")
    return value


def address_of(key: str, *, hosts: Sequence[str]) -> str:
    """
    Return the address `key` without a path; stop start-up where its host is none of `hosts`.

    Without TLS only this machine may be asked.
    """
    value = text(key)
    parts = urlsplit(value)
    is_here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if (
        parts.hostname not in hosts
        or parts.scheme not in ({"http", "https"} if is_here else {"https"})
        or parts.username is not None
        or parts.path.strip("/")
        or parts.query
    ):
        raise ImproperlyConfigured(
            f"{key} must be an address of {', '.join(hosts)} and no other, not {value!r}."
        )
    return value.rstrip("/")


def redis_database(url: str, offset: int) -> str:
    """
    Return `url` pointing `offset` logical databases further.

    Cache, channel layer and broker each take their own database of one server, so that flushing the cache never
    throws away queued tasks.
    """
    parts = urlsplit(url)
    number = str(redis_number(url) + offset)
    if parts.scheme == "unix":
        query = parse_qs(parts.query) | {"db": [number]}
        return _unsplit(parts._replace(query=urlencode(query, doseq=True)))
    return urlunsplit(parts._replace(path=f"/{number}"))


def redis_number(url: str) -> int:
    """Return the number of the logical database that `url` names."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return int(parse_qs(parts.query).get("db", ["0"])[0])
    return int(parts.path.strip("/") or 0)


def celery_url(url: str) -> str:
    """Return a Redis URL in the spelling of Celery, which has its own scheme for unix sockets."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = parse_qs(parts.query)
    database = query.pop("db", ["0"])[0]
    query["virtual_host"] = [database]
    return _unsplit(parts._replace(scheme="redis+socket", query=urlencode(query, doseq=True)))


def _unsplit(parts: SplitResult) -> str:
    # urlunsplit() drops the empty authority of schemes that it does not know: unix:///run/x would become unix:/run/x.
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (
        f"?{parts.query}" if parts.query else ""
    )
