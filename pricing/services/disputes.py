"""Price disputes as records: opened once a line, decided once. What money moves is decided by `orders`, which owns it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.cards import CARD_CODE, CARD_MESSAGE, has_card_number
from config.platform.errors import FieldError, InvalidTransition, ValidationFailed
from pricing.errors import DisputeNotFound, DisputeOpen
from pricing.models import PriceDispute, PriceDisputeChange
from pricing.money import format_amount

Status = PriceDispute.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """The line of an order that is disputed, as it was charged, and what is said against it."""

    order_id: UUID
    order_number: str
    order_line_id: UUID
    variant_id: UUID
    sku: str
    name: str
    currency: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal
    reason: str
    claimed_price: Decimal | None = None
    evidence: str = ""


@transaction.atomic
def open_dispute(*, actor: Actor, disputed: Disputed, now: datetime) -> PriceDispute:
    """
    Open a dispute about a line of an order, which the caller has locked.

    :raises ValidationFailed: if the price claimed is not below the one charged, the reason is none of ours,
        or the evidence holds a card number
    :raises DisputeOpen: if the line has one that is not decided
    """
    evidence = disputed.evidence.replace("\x00", "").strip()
    errors = []
    if disputed.reason not in PriceDispute.Reason.values:
        errors.append(FieldError("reason", "invalid_choice", "There is no such reason."))
    if disputed.reason == PriceDispute.Reason.OTHER and not evidence:
        errors.append(FieldError("evidence", "required", "Say what is wrong."))
    if len(evidence) > 2_000:
        errors.append(FieldError("evidence", "max_length", "At most 2,000 characters."))
    if has_card_number(evidence, issued=True):
        errors.append(FieldError("evidence", CARD_CODE, CARD_MESSAGE))
    claimed = disputed.claimed_price
    if claimed is not None and not 0 <= claimed < disputed.unit_price:
        errors.append(
            FieldError("claimedPrice", "max_value", "Name a price below the one you were charged.")
        )
    if errors:
        raise ValidationFailed(errors=errors)
    dispute = PriceDispute(
        company_id=actor.company_id,
        opened_by=actor.label[:80],
        opened_at=now,
        **{**asdict(disputed), "evidence": evidence},
    )
    try:
        with transaction.atomic():
            dispute.save(force_insert=True)
    except IntegrityError:
        raise DisputeOpen() from None
    _note(dispute, "", actor=actor, now=now)
    return dispute


def lock_dispute(*, actor: Actor, dispute_id: UUID) -> PriceDispute:
    """
    Return a dispute, locked until the transaction ends. Lock its order before.

    :raises DisputeNotFound: if the company has none
    """
    dispute: PriceDispute | None = (
        PriceDispute.objects.filter(company_id=actor.company_id, pk=dispute_id).for_update().first()
    )
    if dispute is None:
        raise DisputeNotFound
    return dispute


def check_decision(dispute: PriceDispute, status: str, answer: str) -> str:
    """
    Return the answer as it will be kept, for a decision that a locked dispute may still take.

    :raises InvalidTransition: if it was decided before
    :raises ValidationFailed: if the customer gets no answer
    """
    if status not in PriceDispute.TRANSITIONS[dispute.status]:
        raise InvalidTransition(extra={"from": dispute.status, "to": status})
    answer = " ".join(answer.replace("\x00", "").split())
    if not 0 < len(answer) <= 500:
        raise ValidationFailed(errors=[FieldError("answer", "required", "1 to 500 characters.")])
    return answer


@transaction.atomic
def decide_dispute(
    dispute: PriceDispute,
    *,
    actor: Actor,
    status: str,
    answer: str,
    amount: Decimal | None = None,
    refund_request_id: UUID | None = None,
    now: datetime,
) -> PriceDispute:
    """
    Write down the decision on a locked dispute, with what is given back for it.

    :raises: what `check_decision` raises
    """
    answer = check_decision(dispute, status, answer)
    before = dispute.status
    dispute.status = status
    dispute.answer = answer
    dispute.amount = amount
    dispute.refund_request_id = refund_request_id
    dispute.resolved_by = actor.label[:80]
    dispute.resolved_at = now
    dispute.save()
    _note(dispute, before, actor=actor, now=now, reason=answer)
    audit.record(
        actor=actor,
        action="price_dispute.decided",
        object_type="price_dispute",
        object_id=dispute.id,
        before={"status": before},
        after={
            "status": status,
            "amount": None if amount is None else format_amount(amount, dispute.currency),
        },
        reason=answer,
        now=now,
    )
    return dispute


def _note(
    dispute: PriceDispute, before: str, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    PriceDisputeChange.objects.create(
        dispute=dispute,
        from_status=before,
        to_status=dispute.status,
        actor=actor.label[:80],
        reason=reason,
        at=now,
    )
