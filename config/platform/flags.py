"""Switches: the environment gives the default (`settings.FEATURES`), a row overrides it without a deploy."""

from __future__ import annotations

import time
from datetime import datetime

from django.conf import settings
from django.db import transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FeatureDisabled, NotFound
from config.platform.models import FeatureFlag

REMEMBERED_SECONDS = 2.0

_overrides: dict[str, bool] = {}
_read_at: float | None = None


def is_enabled(name: str) -> bool:
    """Return whether the feature is on; what staff change shows in every process within two seconds."""
    if name not in settings.FEATURES:
        raise KeyError(f"settings.FEATURES knows no switch {name}")
    refresh()
    return _overrides.get(name, settings.FEATURES[name])


def refresh() -> None:
    """Read the overrides if they are due. Called before a lock is taken, so that nobody waits for it under the lock."""
    global _overrides, _read_at
    before, started = _read_at, time.monotonic()
    if before is not None and started - before <= REMEMBERED_SECONDS:
        return
    if before is not None:
        _read_at = started  # one thread reads, the others go on with what is known
    try:
        _overrides = dict(FeatureFlag.objects.values_list("name", "enabled"))
    except BaseException:
        _read_at = before
        raise
    _read_at = started


def require(name: str) -> None:
    """:raises FeatureDisabled: if the feature is switched off"""
    if not is_enabled(name):
        raise FeatureDisabled(extra={"feature": name})


@transaction.atomic
def switch(*, actor: Actor, name: str, enabled: bool, now: datetime) -> FeatureFlag:
    """
    Override a feature's default from now on, with an audit entry.

    :raises NotFound: if there is no such feature
    """
    if name not in settings.FEATURES:
        raise NotFound(f"There is no feature {name}.")
    before = FeatureFlag.objects.select_for_update().filter(name=name).first()
    was = before.enabled if before else settings.FEATURES[name]
    flag, _ = FeatureFlag.objects.update_or_create(name=name, defaults={"enabled": enabled})
    audit.record(
        actor=actor,
        action="feature.switched",
        object_type="feature",
        object_id=name,
        before={"enabled": was},
        after={"enabled": enabled},
        now=now,
    )
    transaction.on_commit(forget)
    return flag


@transaction.atomic
def restore_default(*, actor: Actor, name: str, now: datetime) -> None:
    """Take an override away, with an audit entry; the environment's default holds again."""
    for flag in FeatureFlag.objects.select_for_update().filter(name=name):
        audit.record(
            actor=actor,
            action="feature.restored",
            object_type="feature",
            object_id=name,
            before={"enabled": flag.enabled},
            after={"enabled": settings.FEATURES.get(name)},
            now=now,
        )
        flag.delete()
    transaction.on_commit(forget)


def forget() -> None:
    """Read the overrides again at the next question."""
    global _read_at
    _read_at = None
