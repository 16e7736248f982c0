"""
The desk where both books lie: comparisons that staff or the night ask for, what they found, and what is done about it.

A run is a row in a due state. A job compares day after day and stores how far it is, so one that breaks off goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from checkout.books import Difference, Kind
from checkout.errors import DifferenceNotFound
from checkout.models import ReconciliationFinding, ReconciliationRun
from checkout.services.comparing import compare_books
from config.platform import audit, outbox
from config.platform.actor import Actor
from config.platform.errors import (
    Conflict,
    DependencyUnavailable,
    FieldError,
    InvalidTransition,
    ValidationFailed,
)
from inventory.models import Company

logger = structlog.get_logger(__name__)

R, F_ = ReconciliationRun.State, ReconciliationFinding.State
TASK = "checkout.tasks.work_reconciliation"
MOST = timedelta(days=366)
CHUNK = timedelta(days=1)
CHUNKS_PER_TURN = 10
LEASE = timedelta(minutes=3)
AGAIN_AFTER = timedelta(minutes=1)
TRIES = 5
KEEP_RUNS = timedelta(days=400)
AGREES = "The books agreed when they were compared again."


def request_run(
    *, actor: Actor, since: datetime, until: datetime, mends: bool, now: datetime
) -> ReconciliationRun:
    """
    Ask for a comparison of a company's books, for payments made in a period of at most 366 days; a job does it.

    :raises ValidationFailed: if the period is empty, too long, or not over before it begins
    :raises Conflict: if one of the company's is under way
    """
    until = min(until, now)
    if since >= until:
        raise ValidationFailed(
            errors=[FieldError("since", "invalid", "The period has to begin before it ends.")]
        )
    if until - since > MOST:
        raise ValidationFailed(
            errors=[FieldError("since", "max_value", f"At most {MOST.days} days at once.")]
        )
    run = ReconciliationRun(
        company_id=actor.company_id,
        since=since,
        until=until,
        compared_until=since,
        mends=mends,
        actor=actor.label,
        due_at=now,
        created_at=now,
    )
    with transaction.atomic():
        # The partial unique index refuses the second of two that are asked for at once.
        ReconciliationRun.objects.bulk_create([run], ignore_conflicts=True)
        if not ReconciliationRun.objects.filter(pk=run.pk).exists():
            raise Conflict("The books are being compared already. Wait for the result.")
        audit.record(
            actor=actor,
            action="books.compared",
            object_type="reconciliation_run",
            object_id=run.pk,
            after={"since": since, "until": until, "mends": mends},
            now=now,
        )
        transaction.on_commit(lambda: outbox.kick(TASK), robust=True)
    return run


def request_nightly(*, now: datetime, days: int = 3) -> list[UUID]:
    """Ask for a comparison of the last days that mends what is safe, for each company that has none under way."""
    asked = []
    for company_id in list(Company.objects.order_by("pk").values_list("pk", flat=True)):
        try:
            run = request_run(
                actor=Actor.system(company_id),
                since=now - timedelta(days=days),
                until=now,
                mends=True,
                now=now,
            )
        except Conflict:
            logger.info("a comparison is under way and was left alone", company=str(company_id))
        else:
            asked.append(run.pk)
    return asked


def work_runs(*, now: datetime) -> int:
    """
    Go on with the comparisons that are due, and return how many differences were found.

    Each is claimed, so two workers never have the same one. A provider that does not answer delays a run by a minute,
    and fails it the fifth time: nothing is concluded from half of a book. Runs outside any transaction.
    """
    found = 0
    while (run := _claim(now)) is not None:
        found += _work(run, now=now)
    return found


@transaction.atomic
def _claim(now: datetime) -> ReconciliationRun | None:
    run: ReconciliationRun | None = (
        ReconciliationRun.objects.filter(state__in=ReconciliationRun.LIVE, due_at__lte=now)
        .for_update(skip_locked=True)
        .first()
    )
    if run is None:
        return None
    if run.attempts >= TRIES:
        _end(run, R.FAILED, error=run.error or "It broke off each time.", now=now)
        return _claim(now)
    run.state, run.due_at = R.RUNNING, now + LEASE
    run.attempts += 1
    run.started_at = run.started_at or now
    run.save(update_fields=["state", "due_at", "attempts", "started_at"])
    return run


def _work(run: ReconciliationRun, *, now: datetime) -> int:
    found = 0
    for _ in range(CHUNKS_PER_TURN):
        until = min(run.compared_until + CHUNK, run.until)
        is_last = until == run.until
        try:
            done = compare_books(
                since=run.compared_until,
                until=None if is_last else until,
                company_id=run.company_id,
                with_stuck=is_last,
                mend=run.mends,
                now=now,
            )
        except DependencyUnavailable as problem:
            _put_off(run, error=str(problem.detail), now=now)
            return found
        found += _write_down(run, done.found, done.left, until=until, now=now)
        if is_last:
            _finish(run, now=now)
            return found
    ReconciliationRun.objects.filter(pk=run.pk).update(state=R.WAITING, due_at=now, attempts=0)
    # The next turn is another task: this one has a time limit.
    outbox.kick(TASK)
    return found


def _put_off(run: ReconciliationRun, *, error: str, now: datetime) -> None:
    run.error = error[:300]
    if run.attempts >= TRIES:
        _end(run, R.FAILED, error=run.error, now=now)
        return
    run.state, run.due_at = R.WAITING, now + AGAIN_AFTER
    run.save(update_fields=["state", "due_at", "error"])


def _end(run: ReconciliationRun, state: str, *, error: str = "", now: datetime) -> None:
    run.state, run.error, run.ended_at = state, error, now
    run.save(update_fields=["state", "error", "ended_at"])


@transaction.atomic
def _write_down(
    run: ReconciliationRun,
    found: Sequence[Difference],
    left: Sequence[Difference],
    *,
    until: datetime,
    now: datetime,
) -> int:
    """Store what one day's comparison found, and how far the run is; return how much of it was news to the run."""
    counts = Counter(run.counts)
    news = 0
    keys_left = {difference.key: difference for difference in left}
    for difference in found:
        # Days overlap by some minutes, and what is stuck belongs to none: each difference counts once a run.
        if ReconciliationFinding.objects.filter(
            key=difference.key, last_seen_at__gte=run.started_at
        ).exists():
            continue
        news += 1
        counts[difference.kind.value] += 1
        is_left = difference.key in keys_left
        run.left += is_left
        run.mended += not is_left
        note_finding(keys_left.get(difference.key, difference), is_left=is_left, now=now)
    run.counts = dict(counts)
    run.compared_until = until
    run.attempts, run.error = 0, ""
    run.due_at = now + LEASE
    run.save()
    return news


def note_finding(
    difference: Difference, *, is_left: bool, now: datetime
) -> ReconciliationFinding | None:
    """
    Store a difference, or what became of the one that is known. Call in a transaction.

    What was explained stays explained as long as the amounts are those that somebody explained.
    """
    known: ReconciliationFinding | None = (
        ReconciliationFinding.objects.filter(key=difference.key, state__in=[F_.OPEN, F_.EXPLAINED])
        .for_update()
        .first()
    )
    if known is None:
        finding = ReconciliationFinding(
            company_id=difference.company_id,
            key=difference.key,
            kind=difference.kind.value,
            reason=difference.reason,
            provider=difference.provider,
            provider_id=difference.provider_id,
            payment_id=difference.payment_id,
            order_id=difference.order_id,
            row_id=difference.row_id,
            currency=difference.currency,
            theirs=difference.theirs,
            ours=difference.ours,
            about_at=difference.about_at,
            first_seen_at=now,
            last_seen_at=now,
        )
        if not is_left:
            _close(finding, F_.FIXED, by="system", outcome="Mended when it was found.", now=now)
        # Another company's run may store nobody's money at the same moment.
        ReconciliationFinding.objects.bulk_create([finding], ignore_conflicts=True)
        return finding
    has_moved = (known.theirs, known.ours) != (difference.theirs, difference.ours)
    known.theirs, known.ours, known.last_seen_at = difference.theirs, difference.ours, now
    if known.state == F_.EXPLAINED and has_moved:
        known.state, known.closed_at, known.closed_by, known.outcome = F_.OPEN, None, "", ""
    if not is_left:
        _close(known, F_.FIXED, by="system", outcome="Mended when it was found again.", now=now)
    known.save()
    return known


def _close(
    finding: ReconciliationFinding, state: str, *, by: str, outcome: str, now: datetime
) -> None:
    finding.state, finding.closed_at = state, now
    finding.closed_by, finding.outcome = by, outcome[:300]


@transaction.atomic
def _finish(run: ReconciliationRun, *, now: datetime) -> None:
    """End a run: what it would have found again and did not is gone."""
    covered = Q(kind=Kind.STUCK) | Q(about_at__gte=run.since, about_at__lt=run.until)
    gone = ReconciliationFinding.objects.filter(
        Q(company_id=run.company_id) | Q(company_id=None),
        covered,
        state=F_.OPEN,
        last_seen_at__lt=run.started_at,
    )
    gone.update(state=F_.FIXED, closed_at=now, closed_by="system", outcome=AGREES)
    _end(run, R.DONE, now=now)


# --- by hand --------------------------------------------------------------------------------------


@transaction.atomic
def explain(
    *, actor: Actor, finding_id: UUID, seen: str, reason: str, now: datetime
) -> ReconciliationFinding:
    """
    Note why a difference is right as it is; it is no longer open unless its amounts change.

    :raises DifferenceNotFound: if the company has none such
    :raises ValidationFailed: without a reason
    :raises Conflict: if it is not what the person `seen` any more
    :raises InvalidTransition: if it is gone already
    """
    reason = reason.strip()
    if not reason:
        raise ValidationFailed(errors=[FieldError("reason", "required", "Please say why.")])
    finding = find_finding(actor=actor, finding_id=finding_id, lock=True)
    if finding.state == F_.EXPLAINED:
        return finding
    if finding.state != F_.OPEN:
        raise InvalidTransition(extra={"from": finding.state, "to": F_.EXPLAINED})
    check_unmoved(finding, seen)
    _close(finding, F_.EXPLAINED, by=actor.label, outcome=reason, now=now)
    finding.save()
    audit.record(
        actor=actor,
        action="difference.explained",
        object_type="difference",
        object_id=finding.pk,
        after={"kind": finding.kind, "theirs": finding.theirs, "ours": finding.ours},
        reason=reason[:500],
        now=now,
    )
    return finding


def find_finding(*, actor: Actor, finding_id: UUID, lock: bool = False) -> ReconciliationFinding:
    """
    Return a difference of the caller's company, or one that is nobody's.

    :raises DifferenceNotFound: if there is none
    """
    visible = ReconciliationFinding.objects.filter(
        Q(company_id=actor.company_id) | Q(company_id=None), pk=finding_id
    )
    finding: ReconciliationFinding | None = (visible.for_update() if lock else visible).first()
    if finding is None:
        raise DifferenceNotFound
    return finding


def check_unmoved(finding: ReconciliationFinding, seen: str) -> None:
    """:raises Conflict: if the difference is not what somebody looked at"""
    if finding.fingerprint != seen:
        raise Conflict("The books have moved since you looked. Look at them again.")


def close_fixed(
    *, actor: Actor, finding_id: UUID, outcome: str, now: datetime
) -> ReconciliationFinding:
    """Note that a difference is gone, once; a second time changes nothing."""
    with transaction.atomic():
        finding = find_finding(actor=actor, finding_id=finding_id, lock=True)
        if finding.state != F_.OPEN:
            return finding
        _close(finding, F_.FIXED, by=actor.label, outcome=outcome, now=now)
        finding.save()
        audit.record(
            actor=actor,
            action="difference.fixed",
            object_type="difference",
            object_id=finding.pk,
            after={"kind": finding.kind, "theirs": finding.theirs, "ours": finding.ours},
            reason=outcome,
            now=now,
        )
    return finding


def prune_runs(*, now: datetime) -> int:
    """Delete runs of more than a year ago; what they found stays."""
    return int(ReconciliationRun.objects.filter(ended_at__lt=now - KEEP_RUNS).delete()[0])
