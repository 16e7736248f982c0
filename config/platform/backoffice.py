"""The base of the admin: what may only be looked at, and how a staff action tells of a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from config.platform.errors import ApplicationError


class ReadOnlyAdmin(ModelAdmin):
    """
    Rows that staff see and nobody edits by hand: money, movements, histories, events.

    Actions still run, and call services.
    """

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [
            *{field.name: None for field in self.model._meta.fields},
            *super().get_readonly_fields(request, obj),
        ]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def attempt(request: HttpRequest, run: Callable[[], Any], *, done: str = "") -> bool:
    """Run a service for a staff action; show the refusal, or `done`, and return whether it worked."""
    try:
        run()
    except ApplicationError as refusal:
        detail = "; ".join([str(refusal.detail), *[str(error.message) for error in refusal.errors]])
        messages.error(request, detail)
        return False
    if done:
        messages.success(request, done)
    return True


def attempt_each(
    request: HttpRequest, rows: models.QuerySet[Any], run: Callable[[Any], Any], *, done: str
) -> int:
    """Run a service for every selected row on its own, so that one refusal stops no other; return how many worked."""
    worked = 0
    for row in rows:
        try:
            run(row)
        except ApplicationError as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
        else:
            worked += 1
    if worked:
        messages.success(request, done.format(count=worked))
    return worked


def as_json(value: Any) -> str:
    """Return JSON for reading, in an admin field."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return format_html("<pre>{}</pre>", text)
