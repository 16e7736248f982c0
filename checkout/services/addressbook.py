"""A customer's addresses: kept once, checked like those of a checkout, chosen by id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from checkout import selectors
from checkout.errors import AddressBookFull, AddressNotFound
from checkout.models import Address
from config.platform.actor import Actor
from config.platform.errors import AuthRequired, FieldError, ValidationFailed
from config.platform.models import User
from orders import addresses

MOST_ADDRESSES = 50
COLUMNS = {"postalCode": "postal_code"}


@transaction.atomic
def add_address(
    *,
    actor: Actor,
    address: Mapping[str, Any],
    is_default_shipping: bool = False,
    is_default_billing: bool = False,
    now: datetime,
) -> Address:
    """
    Keep an address of the signed-in caller; the first one is the default for parcels and bills.

    Locks the user, so that two at once cannot both be the default.

    :raises ValidationFailed: listing each field that is malformed, unknown or missing for its country
    :raises AddressBookFull: if there are fifty already
    """
    values = _checked(address)
    book = _lock(actor)
    if len(book) >= MOST_ADDRESSES:
        raise AddressBookFull(extra={"limit": MOST_ADDRESSES})
    entry = Address(
        company_id=actor.company_id,
        user_id=_customer(actor),
        created_at=now,
        updated_at=now,
        **values,
    )
    wanted = {
        "is_default_shipping": is_default_shipping or not book,
        "is_default_billing": is_default_billing or not book,
    }
    _set_defaults(entry, book, wanted)
    entry.save(force_insert=True)
    return entry


@transaction.atomic
def change_address(
    *,
    actor: Actor,
    address_id: UUID,
    changes: Mapping[str, Any],
    is_default_shipping: bool | None = None,
    is_default_billing: bool | None = None,
    now: datetime,
) -> Address:
    """
    Change fields of an address, and whether it is a default; what is not named stays. Orders keep their own copy.

    Locks the user.

    :raises AddressNotFound: if it is not theirs
    :raises ValidationFailed: if what comes of it is not a complete address
    """
    book = _lock(actor)
    entry = next((known for known in book if known.pk == address_id), None)
    if entry is None:
        raise AddressNotFound
    named = {addresses.ALIASES.get(key, key): value for key, value in changes.items()}
    moved = named.get("country") not in {None, entry.country}
    stored = entry.as_fields()
    if moved:  # what was right for one country need not be for another
        stored |= {"state": "", "postalCode": ""}
    for column, value in _checked({**stored, **named}).items():
        setattr(entry, column, value)
    wanted = {
        "is_default_shipping": is_default_shipping,
        "is_default_billing": is_default_billing,
    }
    _set_defaults(entry, [other for other in book if other.pk != entry.pk], wanted)
    entry.updated_at = now
    entry.save()
    return entry


@transaction.atomic
def remove_address(*, actor: Actor, address_id: UUID) -> None:
    """
    Forget an address; orders placed to it keep their own copy.

    :raises AddressNotFound: if it is not theirs
    """
    gone, _ = selectors.addresses_of(actor=actor).filter(pk=address_id).delete()
    if not gone:
        raise AddressNotFound


def _customer(actor: Actor) -> UUID:
    if actor.user_id is None:
        raise AuthRequired("Sign in first.")
    return actor.user_id


def _lock(actor: Actor) -> list[Address]:
    User.objects.select_for_update(no_key=True).get(pk=_customer(actor))
    return list(selectors.addresses_of(actor=actor))


def _set_defaults(entry: Address, others: list[Address], wanted: Mapping[str, bool | None]) -> None:
    for column, value in wanted.items():
        if value is None:
            continue
        if value:
            losers = [other.pk for other in others if getattr(other, column)]
            Address.objects.filter(pk__in=losers).update(**{column: False})
        setattr(entry, column, value)


def _checked(address: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of an address that a parcel can be sent to; errors name bare fields."""
    try:
        clean = addresses.normalise(address, "address")
    except ValidationFailed as refusal:
        raise ValidationFailed(
            errors=[
                FieldError(error.field.removeprefix("address."), error.code, error.message)
                for error in refusal.errors
            ]
        ) from None
    gaps = addresses.missing(clean)
    if gaps == [""]:
        gaps = ["name", "line1", "city", "country"]
    if gaps:
        raise ValidationFailed(
            errors=[FieldError(gap, "required", "This is needed.") for gap in gaps]
        )
    return {COLUMNS.get(field, field): value for field, value in clean.items()}
