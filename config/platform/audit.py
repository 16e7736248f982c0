"""The append-only trail: who did what to which object, with the values before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from config.platform.actor import Actor
from config.platform.models import AuditEntry

_encoder = DjangoJSONEncoder()


def record(
    *,
    actor: Actor,
    action: str,
    object_type: str = "",
    object_id: UUID | str | int = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> AuditEntry:
    """
    Store one entry, in the transaction of the change it tells of.

    `action` is namespaced like `stock.adjusted`. Only what differs between `before` and `after` is kept when both
    are given. Values may be anything JSON can say, dates, UUIDs and decimals.
    """
    entry = _entry(actor, action, object_type, object_id, before, after, reason, now)
    entry.save(force_insert=True)
    return entry


def record_each(
    *,
    actor: Actor,
    action: str,
    object_type: str,
    changes: Iterable[tuple[UUID, Mapping[str, Any], Mapping[str, Any]]],
    reason: str = "",
    now: datetime,
) -> None:
    """Store one entry for each object that one deed changed, given as (id, before, after): one statement for all."""
    AuditEntry.objects.bulk_create(
        _entry(actor, action, object_type, object_id, before, after, reason, now)
        for object_id, before, after in changes
    )


def _entry(
    actor: Actor,
    action: str,
    object_type: str,
    object_id: UUID | str | int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    reason: str,
    now: datetime,
) -> AuditEntry:
    old, new = dict(before or {}), dict(after or {})
    if before is not None and after is not None:
        same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
        old = {key: value for key, value in old.items() if key not in same}
        new = {key: value for key, value in new.items() if key not in same}
    return AuditEntry(
        company_id=actor.company_id,
        action=action,
        actor=actor.label,
        source=actor.source,
        object_type=object_type,
        object_id=str(object_id),
        before=_plain(old),
        after=_plain(new),
        reason=reason[:500],
        request_id=actor.request_id,
        at=now,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return _encoder.default(value)
