"""Whether a promotion stands: paused, taken up again, brought back after it was deleted, and copied as a draft."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from pricing import selectors
from pricing.errors import PromotionNotFound
from pricing.models import Promotion
from pricing.services.promotions import create_promotion
from pricing.services.revision import bump

_LONGEST_NAME = 200


@transaction.atomic
def pause_promotion(*, actor: Actor, promotion_id: UUID, now: datetime, reason: str = "") -> bool:
    """
    Let a promotion and its codes rest until it is taken up again; return False where it rested already.

    Locks the promotion. Orders keep what they have; carts lose it at their next look.

    :raises PromotionNotFound: if there is none, or it was deleted
    """
    return _switch(actor, promotion_id, False, "promotion.paused", now, reason)


@transaction.atomic
def resume_promotion(*, actor: Actor, promotion_id: UUID, now: datetime, reason: str = "") -> bool:
    """
    Let a paused promotion apply again, in its period; return False where it was not paused. Locks the promotion.

    :raises PromotionNotFound: if there is none, or it was deleted
    """
    return _switch(actor, promotion_id, True, "promotion.resumed", now, reason)


@transaction.atomic
def restore_promotion(
    *, actor: Actor, promotion_id: UUID, now: datetime, reason: str = ""
) -> Promotion:
    """
    Bring a deleted promotion back, paused, with the codes it had; one that is there stays as it is.

    Its codes were kept for it meanwhile. Those of batches that were revoked stay revoked. Locks the promotion.

    :raises PromotionNotFound: if there never was such a one
    :raises ValidationFailed: if its place with a reminder, or one of its codes, was given to another one meanwhile
    """
    promotion = _locked(actor, promotion_id, Q())
    if promotion.deleted_at is None:
        return promotion
    errors = []
    if promotion.reminder_stage is not None:
        other = Promotion.objects.filter(
            company_id=actor.company_id, reminder_stage=promotion.reminder_stage, deleted_at=None
        ).first()
        if other is not None:
            errors.append(
                FieldError(
                    "reminderStage",
                    "unique",
                    _("Reminder %(stage)d brings “%(name)s” now. Take it from that one first.")
                    % {"stage": promotion.reminder_stage, "name": other.name},
                )
            )
    codes = promotion.codes_when_deleted or []
    kept = promotion.coupons.filter(code__in=codes)
    gone = set(codes) - set(kept.values_list("code", flat=True))
    if gone:
        errors.append(
            FieldError(
                "code",
                "unique",
                _("Another promotion has %(codes)s now.") % {"codes": ", ".join(sorted(gone))},
            )
        )
    if errors:
        raise ValidationFailed(errors=errors)
    promotion.deleted_at = None
    promotion.codes_when_deleted = None
    promotion.save(update_fields=["deleted_at", "codes_when_deleted"])
    kept.update(is_active=True)
    promotion.coupons.filter(
        Q(batch__isnull=False, batch__revoked_at=None) | Q(batch=None) & ~Q(customer_key="")
    ).update(is_active=True)
    _tell(actor, "promotion.restored", promotion, now, reason)
    return promotion


@transaction.atomic
def copy_promotion(*, actor: Actor, promotion_id: UUID, now: datetime) -> Promotion:
    """
    Make a paused promotion on the same terms as another one, without its codes and its place with a reminder.

    :raises PromotionNotFound: if there is none, or it was deleted
    :raises ValidationFailed: if the terms would be refused today
    """
    source = selectors.find_promotion(actor=actor, promotion_id=promotion_id)
    name = _("Copy of %(name)s") % {"name": source.name}
    terms = dataclasses.replace(
        selectors.promotion_terms(source),
        name=name[:_LONGEST_NAME],
        codes=(),
        reminder_stage=None,
        is_active=False,
    )
    return create_promotion(actor=actor, terms=terms, now=now)


def _locked(actor: Actor, promotion_id: UUID, which: Q) -> Promotion:
    promotion: Promotion | None = (
        Promotion.objects.filter(which, company_id=actor.company_id, id=promotion_id)
        .for_update()
        .first()
    )
    if promotion is None:
        raise PromotionNotFound()
    return promotion


def _switch(
    actor: Actor, promotion_id: UUID, is_active: bool, action: str, now: datetime, reason: str
) -> bool:
    promotion = _locked(actor, promotion_id, Q(deleted_at=None))
    if promotion.is_active == is_active:
        return False
    promotion.is_active = is_active
    promotion.save(update_fields=["is_active"])
    _tell(actor, action, promotion, now, reason)
    return True


def _tell(actor: Actor, action: str, promotion: Promotion, now: datetime, reason: str) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type="promotion",
        object_id=promotion.id,
        after={"name": promotion.name, "is_active": promotion.is_active},
        reason=reason,
        now=now,
    )
    bump(actor=actor, what="promotions", now=now)
