"""Files that staff bring: kept, looked at by a job, shown, and applied by a job as they were shown."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q

from config.platform import audit, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import ApplicationError, ImportUnreadable
from config.platform.sheets import Source
from inventory.errors import ImportRunClosed, ImportRunNotFound, PreviewOutdated
from inventory.models import ImportRun

LARGEST_UPLOAD = 8_000_000
MOST_SHOWN = 500
LEASE = timedelta(minutes=3)
KEPT_CONTENT = timedelta(days=1)
KEPT_ROWS = timedelta(days=90)
_TRIES = 3
TASKS: Mapping[str, str] = {
    ImportRun.Kind.STOCK: "inventory.tasks.work_stock_files",
    ImportRun.Kind.PRODUCTS: "pricing.tasks.work_product_files",
}

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileReport:
    """
    What a file would do, or did, in words and numbers for staff.

    `changes` are `{"row", "name", "kind": "new" | "changed", "fields": [{"name", "before", "after"}]}`, `problems` are
    `{"row", "column", "message", "level": "error" | "warning"}`. `fingerprint` names exactly these changes.
    """

    counts: Mapping[str, int]
    changes: Sequence[Mapping[str, Any]]
    problems: Sequence[Mapping[str, Any]]
    fingerprint: str = ""
    reference: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "changes": list(self.changes[:MOST_SHOWN]),
            "more_changes": max(len(self.changes) - MOST_SHOWN, 0),
            "problems": list(self.problems[:MOST_SHOWN]),
            "more_problems": max(len(self.problems) - MOST_SHOWN, 0),
            "refused": sum(problem["level"] == "error" for problem in self.problems),
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True)
class FileJob:
    """What a worker of files is given: the file, how it shall be taken, and by whom."""

    source: Source
    wishes: Mapping[str, Any]
    actor: Actor
    reference: str
    tell: Callable[[int], None] = field(default=lambda percent: None)


class FileWorker(Protocol):
    """Knows one kind of file. `apply` runs in a transaction and refuses what is not what was `previewed`."""

    def check(self, job: FileJob, *, now: datetime) -> FileReport: ...

    def apply(self, job: FileJob, *, previewed: str, now: datetime) -> FileReport: ...


def keep_file(
    *,
    actor: Actor,
    kind: str,
    name: str,
    content: bytes,
    wishes: Mapping[str, Any],
    now: datetime,
) -> ImportRun:
    """
    Keep a file that staff brought, to be looked at by a job.

    :raises ImportUnreadable: if it is empty or larger than 8 MB
    """
    if not content:
        raise ImportUnreadable(f"{name} is empty.")
    if len(content) > LARGEST_UPLOAD:
        raise ImportUnreadable(
            f"{name} is larger than {LARGEST_UPLOAD // 1_000_000} MB. Split it, or use the command line."
        )
    assert actor.user_id is not None
    run = ImportRun.objects.create(
        company_id=actor.company_id,
        kind=kind,
        name=PurePath(name.replace("\x00", "")).name[:200] or "file",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=gzip.compress(content, compresslevel=5),
        wishes=dict(wishes),
        user_id=actor.user_id,
        actor=actor.label,
        created_at=now,
    )
    _kick(kind)
    return run


@transaction.atomic
def apply_file(
    *, actor: Actor, run_id: UUID, fingerprint: str, skip_refused: bool = False, now: datetime
) -> ImportRun:
    """
    Let a job apply a file as it was shown; `fingerprint` is of what the person looked at.

    :raises ImportRunNotFound: if the company has no such file
    :raises ImportRunClosed: if it does not wait for this, or has rows that are refused and not to be skipped
    :raises PreviewOutdated: if it has been looked at again since
    """
    run = _locked(actor, run_id)
    if run.state != ImportRun.State.READY:
        raise ImportRunClosed
    if fingerprint != run.fingerprint:
        raise PreviewOutdated
    if run.shown.get("refused") and not skip_refused:
        raise ImportRunClosed(
            "Some rows are refused. Say that they may be left out, or mend the file."
        )
    run.state = ImportRun.State.APPLYING
    run.wishes = {**run.wishes, "skip_refused": skip_refused}
    run.notice, run.attempts, run.lease_until = "", 0, None
    run.user_id, run.actor = actor.user_id or run.user_id, actor.label
    run.save()
    _kick(run.kind)
    return run


@transaction.atomic
def drop_file(*, actor: Actor, run_id: UUID, now: datetime) -> ImportRun:
    """
    Throw a file away that was not applied.

    :raises ImportRunNotFound: if the company has no such file
    :raises ImportRunClosed: if it was applied, or is being applied
    """
    run = _locked(actor, run_id)
    if run.state not in (ImportRun.State.READY, ImportRun.State.CHECKING):
        raise ImportRunClosed
    _end(run, ImportRun.State.DROPPED, now)
    return run


def work_files(*, kind: str, worker: FileWorker, now: datetime) -> int:
    """
    Look at and apply the files of a kind that are due, one after the other; return how many.

    Each is leased, so that two workers never hold the same one; a run that broke off is taken up again, three times at
    most. Applying and its end are one transaction, so a file is never applied twice.
    """
    done = 0
    while run := _claim(kind, now):
        done += 1
        if run.state == ImportRun.State.CHECKING:
            _check(run, worker, now)
        else:
            _apply(run, worker, now)
    return done


def progress(run_id: UUID) -> int:
    """Return how far the work at a file is, in percent; 0 where nobody knows."""
    return int(cache.get(_key(run_id)) or 0)


def prune_files(*, now: datetime) -> int:
    """Throw away content that nobody applied within a day, and what is told of files after 90 days."""
    waiting = ImportRun.objects.filter(
        state=ImportRun.State.READY, created_at__lt=now - KEPT_CONTENT
    )
    dropped = waiting.update(
        state=ImportRun.State.DROPPED,
        content=None,
        ended_at=now,
        notice="Nobody applied it within a day.",
    )
    gone, _ = (
        ImportRun.objects.filter(created_at__lt=now - KEPT_ROWS, content__isnull=True)
    ).delete()
    return dropped + gone


# --- parts ----------------------------------------------------------------------------------


def _locked(actor: Actor, run_id: UUID) -> ImportRun:
    run: ImportRun | None = (
        ImportRun.objects.filter(company_id=actor.company_id, id=run_id).for_update().first()
    )
    if run is None:
        raise ImportRunNotFound
    return run


def _kick(kind: str) -> None:
    transaction.on_commit(lambda: outbox.kick(TASKS[kind]), robust=True)


def _key(run_id: UUID) -> str:
    return f"import-run:{run_id}"


@transaction.atomic
def _claim(kind: str, now: datetime) -> ImportRun | None:
    due = ImportRun.objects.filter(
        Q(lease_until__isnull=True) | Q(lease_until__lt=now),
        kind=kind,
        state__in=[ImportRun.State.CHECKING, ImportRun.State.APPLYING],
    )
    run: ImportRun | None = due.for_update(skip_locked=True).first()
    if run is None:
        return None
    run.lease_until = now + LEASE
    run.attempts += 1
    if run.attempts > _TRIES:
        run.notice = "The work at this file broke off three times."
        _end(run, ImportRun.State.FAILED, now)
        return _claim(kind, now)
    run.save(update_fields=["lease_until", "attempts"])
    return run


def _job(run: ImportRun) -> FileJob:
    content = gzip.decompress(bytes(run.content or b""))
    actor = Actor(
        kind=ActorKind.STAFF, company_id=run.company_id, user_id=run.user_id, source="import"
    )
    reference = str(run.wishes.get("reference") or "") or f"{run.name} {str(run.id)[-8:]}"

    def tell(percent: int) -> None:
        cache.set(_key(run.id), percent, timeout=600)

    return FileJob(Source.of(run.name, content), run.wishes, actor, reference[:200], tell)


def _check(run: ImportRun, worker: FileWorker, now: datetime) -> None:
    try:
        shown = worker.check(_job(run), now=now)
    except ApplicationError as refused:
        run.notice = refused.detail[:1000]
        _end(run, ImportRun.State.FAILED, now)
        return
    # Unless somebody dropped it meanwhile.
    ImportRun.objects.filter(id=run.id, state=ImportRun.State.CHECKING).update(
        state=ImportRun.State.READY,
        shown=shown.to_json(),
        fingerprint=shown.fingerprint,
        lease_until=None,
        attempts=0,
    )
    cache.delete(_key(run.id))


def _apply(run: ImportRun, worker: FileWorker, now: datetime) -> None:
    job = _job(run)
    try:
        with transaction.atomic():
            mine = ImportRun.objects.filter(
                id=run.id, state=ImportRun.State.APPLYING, lease_until=run.lease_until
            )
            if not mine.for_update():
                return  # the lease ran out and somebody else has it
            shown = worker.apply(job, previewed=run.fingerprint, now=now)
            run.shown = {**shown.to_json(), "changes": run.shown.get("changes", [])}
            audit.record(
                actor=job.actor,
                action=f"{run.kind}.imported",
                object_type="import_run",
                object_id=run.id,
                after={"file": run.name, "sha256": run.sha256, **shown.counts},
                reason=job.reference,
                now=now,
            )
            _end(run, ImportRun.State.DONE, now)
    except ApplicationError as refused:
        logger.info("a file was not applied", run=str(run.id), code=refused.code)
        # Nothing was written. It is looked at once more, so that staff see what it would do now.
        ImportRun.objects.filter(id=run.id).update(
            state=ImportRun.State.CHECKING,
            notice=f"Nothing was applied. {refused.detail}"[:1000],
            lease_until=None,
            attempts=0,
        )
    cache.delete(_key(run.id))


def _end(run: ImportRun, state: str, now: datetime) -> None:
    run.state, run.content, run.ended_at, run.lease_until = state, None, now, None
    run.save(
        update_fields=["state", "content", "ended_at", "lease_until", "notice", "shown", "attempts"]
    )
