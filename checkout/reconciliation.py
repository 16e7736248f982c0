"""Comparisons of books and their differences in the shape of the wire contract."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from checkout import services
from checkout.books import Kind
from checkout.models import ReconciliationFinding, ReconciliationRun
from orders.rendering import moment
from pricing.money import format_amount


def render_run(run: ReconciliationRun) -> dict[str, Any]:
    """Return a comparison; `counts` says how many differences of each class it found, `left` what it could not mend."""
    return {
        "id": str(run.id),
        "since": moment(run.since),
        "until": moment(run.until),
        "mends": run.mends,
        "state": run.state,
        "percent": run.percent,
        "counts": [{"kind": kind, "count": count} for kind, count in sorted(run.counts.items())],
        "mended": run.mended,
        "left": run.left,
        "error": run.error or None,
        "requestedBy": run.actor,
        "requestedAt": moment(run.created_at),
        "startedAt": moment(run.started_at),
        "endedAt": moment(run.ended_at),
    }


def render_finding(finding: ReconciliationFinding) -> dict[str, Any]:
    """Return a difference; of what is stuck, only our side says anything."""

    def money(amount: Decimal) -> str | None:
        return format_amount(amount, finding.currency) if finding.currency else None

    return {
        "id": str(finding.id),
        "kind": finding.kind,
        "reason": finding.reason or None,
        "state": finding.state,
        "provider": finding.provider or None,
        "providerId": finding.provider_id or None,
        "paymentId": str(finding.payment_id) if finding.payment_id else None,
        "orderId": str(finding.order_id) if finding.order_id else None,
        "orderNumber": finding.order.number if finding.order else None,
        "currency": finding.currency or None,
        "theirs": None if finding.kind == Kind.STUCK else money(finding.theirs),
        "ours": money(finding.ours),
        "paidAt": moment(finding.about_at),
        "firstSeenAt": moment(finding.first_seen_at),
        "lastSeenAt": moment(finding.last_seen_at),
        "closedAt": moment(finding.closed_at),
        "closedBy": finding.closed_by or None,
        "outcome": finding.outcome or None,
    }


def render_finding_with_steps(finding: ReconciliationFinding) -> dict[str, Any]:
    """Return a difference with what may be done about it, the likeliest first, and what a step is taken with."""
    is_open = finding.state == ReconciliationFinding.State.OPEN
    return {
        **render_finding(finding),
        "steps": [step.value for step in services.steps_for(finding)] if is_open else [],
        "seen": finding.fingerprint,
    }
