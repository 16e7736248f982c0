"""
How log lines look: one JSON object a line for machines, or one readable line for people.

Whatever `structlog.contextvars` holds while a line is written (the request id, the actor) is part of it, whether the
line comes from our code or from a library that logs through the standard library.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from config.platform.cards import without_card_numbers

EventDict = MutableMapping[str, Any]

# Links of recovery and unsubscribe mails and guest tokens open what they name: none may be readable in a log (SEC-30).
_SECRETS = (
    (re.compile(r"(/cart/recover(?:y)?/|/unsubscribe/)[^/\s?\"]+"), r"\1***"),
    (re.compile(r"\b[0-9a-fA-F]{64}\b"), "***"),
    (re.compile(r"([?&]token=)[^&\s\"]+"), r"\1***"),
    (re.compile(r"\b(pi_\w+?_secret_|(?:sk|rk)_(?:test|live)_|whsec_)\w+"), r"\1***"),
    (re.compile(r"\bBearer [\w.~+/-]+"), "Bearer ***"),
    # PostgreSQL quotes the row that broke a constraint, with whatever personal data it holds.
    (re.compile(r"\b(DETAIL|CONTEXT):\s.*"), r"\1: ***"),
)


def masked(text: str) -> str:
    """Return `text` with every token and card number in it replaced by stars."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return without_card_numbers(text)


def mask_tokens(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Replace tokens in every text of a log line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def logging_config(*, form: str, level: str) -> dict[str, Any]:
    """
    Return Django's LOGGING for `form` ("json" or "console") from `level` upwards, and set structlog up to match.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    tail: list[Any]
    if form == "json":
        tail = [
            structlog.processors.format_exc_info,
            mask_tokens,
            structlog.processors.JSONRenderer(),
        ]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=False,
            pad_event_to=0,
            # The default prints every local variable of every frame, secrets among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
        tail = [mask_tokens, renderer]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django would print errors of requests to a console of its own, a second time and in another form.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # An answer of 4xx is the caller's news, not ours.
            "django.request": {"level": "ERROR"},
            "uvicorn": {"handlers": [], "propagate": True},
            "uvicorn.access": {"handlers": [], "level": level, "propagate": True},
            "celery": {"level": level},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
        },
    }
