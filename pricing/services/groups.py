"""Groups of customers who have prices of their own."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import User
from pricing.errors import CustomerGroupNotFound
from pricing.models import CustomerGroup, CustomerGroupMember, LoyaltyTier
from pricing.services.revision import bump


@transaction.atomic
def create_group(*, actor: Actor, name: str, now: datetime) -> CustomerGroup:
    """
    Make a group without members.

    :raises ValidationFailed: if the name is empty, too long, or taken
    """
    group = CustomerGroup(company_id=actor.company_id)
    _name(group, name)
    audit.record(
        actor=actor,
        action="customer_group.created",
        object_type="customer_group",
        object_id=group.id,
        after={"name": group.name},
        now=now,
    )
    return group


@transaction.atomic
def change_group(
    *,
    actor: Actor,
    group_id: UUID,
    name: str | None = None,
    add: Collection[UUID] = (),
    remove: Collection[UUID] = (),
    now: datetime,
) -> CustomerGroup:
    """
    Rename a group, and let customers join and leave it; who is in already stays.

    :raises CustomerGroupNotFound: if there is none
    :raises ValidationFailed: if the name is empty, too long or taken, an id is no customer's, or who is in the group
        follows from a tier of points; nothing is written
    """
    group = _locked(actor, group_id)
    before = group.name
    known = set(User.objects.filter(id__in=add, is_active=True).values_list("id", flat=True))
    if (add or remove) and LoyaltyTier.objects.filter(group=group).exists():
        raise ValidationFailed(
            errors=[FieldError("add", "follows_tier", "Who is in this group follows from points.")]
        )
    unknown = [str(user_id) for user_id in add if user_id not in known]
    if unknown:
        raise ValidationFailed(
            errors=[FieldError("add", "invalid", f"There is no such customer: {unknown[0]}.")]
        )
    if name is not None:
        _name(group, name)
    CustomerGroupMember.objects.filter(group=group, user__in=remove).delete()
    CustomerGroupMember.objects.bulk_create(
        [CustomerGroupMember(group=group, user_id=user_id) for user_id in sorted(known)],
        ignore_conflicts=True,
    )
    audit.record(
        actor=actor,
        action="customer_group.changed",
        object_type="customer_group",
        object_id=group.id,
        before={"name": before},
        after={
            "name": group.name,
            "added": sorted(str(user_id) for user_id in known),
            "removed": sorted(str(user_id) for user_id in remove),
        },
        now=now,
    )
    # Promotions ask for groups, and a cart keeps its quote while nothing has moved.
    bump(actor=actor, what="customer groups", now=now)
    return group


@transaction.atomic
def delete_group(*, actor: Actor, group_id: UUID, now: datetime) -> None:
    """
    Remove a group that never had a price nor a promotion; one that had is history, and can be emptied.

    :raises CustomerGroupNotFound: if there is none
    :raises ValidationFailed: if it has or had prices, is that of a tier of points, or a promotion is for it: without
        its group it would be for all
    """
    group = _locked(actor, group_id)
    if group.prices.exists():
        raise ValidationFailed(
            errors=[FieldError("prices", "in_use", "The group has prices. Take its members out.")]
        )
    if LoyaltyTier.objects.filter(group=group).exists():
        raise ValidationFailed(
            errors=[FieldError("tier", "in_use", "It is the group of a tier of points.")]
        )
    if group.promotions.exists():
        raise ValidationFailed(
            errors=[
                FieldError("promotions", "in_use", "Promotions are for it. Take its members out.")
            ]
        )
    audit.record(
        actor=actor,
        action="customer_group.deleted",
        object_type="customer_group",
        object_id=group.id,
        before={"name": group.name},
        now=now,
    )
    group.delete()


def _locked(actor: Actor, group_id: UUID) -> CustomerGroup:
    """:raises CustomerGroupNotFound: if the company has no such group"""
    group: CustomerGroup | None = (
        CustomerGroup.objects.filter(id=group_id, company_id=actor.company_id).for_update().first()
    )
    if group is None:
        raise CustomerGroupNotFound()
    return group


def _name(group: CustomerGroup, name: str) -> None:
    group.name = " ".join(name.replace("\x00", "").split())
    if not 0 < len(group.name) <= 100:
        raise ValidationFailed(errors=[FieldError("name", "invalid", "1 to 100 characters.")])
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise ValidationFailed(
            errors=[FieldError("name", "unique", "There is a group of this name.")]
        ) from None
