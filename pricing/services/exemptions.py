"""Tax exemptions: VAT numbers that customers enter, certificates that staff grant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import AuthRequired, FieldError, ValidationFailed
from pricing.errors import TaxExemptionNotFound
from pricing.models import TaxExemption
from pricing.services.revision import bump
from pricing.terms import ExemptionTerms

LONGEST_NUMBER = 20
Kind, Status = TaxExemption.Kind, TaxExemption.Status


def check_vat_number(number: str) -> tuple[str, str]:
    """
    Return a VAT number as it is stored, and the country of the EU that issued it, in ISO's letters.

    The form and the check digits of that country are looked at; whether the number is in force is not, as that
    needs the authority's own service.

    :raises ValidationFailed: if there cannot be such a number
    """
    refused = ValidationFailed(
        errors=[
            FieldError(
                "vatNumber", "invalid", "This is no VAT number of the EU. Check each character."
            )
        ]
    )
    if len(number) > 2 * LONGEST_NUMBER:
        raise refused
    try:
        normal = vat.validate(number.upper())
    except ValidationError:
        raise refused from None
    issued_by = {"EL": "GR"}.get(normal[:2], normal[:2])
    if not re.fullmatch(r"[A-Z]{2}[A-Z0-9+*]{2,18}", normal):
        raise refused
    return ("EL" + normal[2:] if issued_by == "GR" else normal), issued_by


@transaction.atomic
def enter_vat_number(*, actor: Actor, number: str, now: datetime) -> TaxExemption:
    """
    Note the VAT number of the caller, in the place of an earlier one.

    It counts at once, or once staff have approved it: `VAT_NUMBERS_NEED_APPROVAL`. A number that staff rejected is
    refused to every customer.

    :raises AuthRequired: for a guest: the number belongs to an account
    :raises ValidationFailed: if there cannot be such a number, or staff rejected it
    """
    if actor.user_id is None:
        raise AuthRequired
    normal, issued_by = check_vat_number(number)
    rejected = TaxExemption.objects.filter(
        company_id=actor.company_id, kind=Kind.VAT_NUMBER, status=Status.REJECTED, number=normal
    )
    if rejected.exists():
        raise ValidationFailed(
            errors=[
                FieldError(
                    "vatNumber", "rejected", "We could not confirm this number. Please write to us."
                )
            ]
        )
    row = _own(actor)
    if row is not None and row.number == normal:
        return row
    before = {} if row is None else {"number": row.number, "status": row.status}
    row = row or TaxExemption(
        company_id=actor.company_id, user_id=actor.user_id, kind=Kind.VAT_NUMBER
    )
    is_approved = not settings.VAT_NUMBERS_NEED_APPROVAL
    row.number, row.country = normal, issued_by
    row.valid_from = row.valid_to = None
    row.created_at = now
    row.status = Status.APPROVED if is_approved else Status.PENDING
    row.decided_by, row.decided_at = ("format", now) if is_approved else ("", None)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:  # the same customer did it at the same time
        return enter_vat_number(actor=actor, number=number, now=now)
    _tell(actor, row, "entered", before, {"number": row.number, "status": row.status}, now)
    return row


@transaction.atomic
def remove_vat_number(*, actor: Actor, now: datetime) -> None:
    """
    Forget the VAT number of the caller; without one nothing happens. Placed orders keep it.
    """
    row = _own(actor)
    if row is None:
        return
    _tell(actor, row, "removed", {"number": row.number, "status": row.status}, {}, now)
    row.delete()


@transaction.atomic
def grant_exemption(*, actor: Actor, terms: ExemptionTerms, now: datetime) -> TaxExemption:
    """
    Enter an exemption for a customer.

    :raises ValidationFailed: if the terms contradict themselves, or it is there already
    """
    row = TaxExemption(company_id=actor.company_id, created_at=now)
    return _save(actor, row, terms, "granted", {}, now)


@transaction.atomic
def change_exemption(
    *, actor: Actor, exemption_id: UUID, terms: ExemptionTerms, now: datetime
) -> TaxExemption:
    """
    Approve, reject or change an exemption; placed orders keep what they were charged.

    :raises TaxExemptionNotFound: if there is none
    :raises ValidationFailed: as `grant_exemption`
    """
    row = _find(actor, exemption_id)
    return _save(actor, row, terms, "changed", _values(row), now)


@transaction.atomic
def remove_exemption(*, actor: Actor, exemption_id: UUID, now: datetime) -> None:
    """
    Remove an exemption; orders carry their own copy.

    :raises TaxExemptionNotFound: if there is none
    """
    row = _find(actor, exemption_id)
    _tell(actor, row, "removed", _values(row), {}, now)
    row.delete()


def _own(actor: Actor) -> TaxExemption | None:
    if actor.user_id is None:
        return None
    rows = TaxExemption.objects.filter(
        company_id=actor.company_id, user_id=actor.user_id, kind=Kind.VAT_NUMBER
    )
    row: TaxExemption | None = rows.exclude(status=Status.REJECTED).for_update().first()
    return row


def _find(actor: Actor, exemption_id: UUID) -> TaxExemption:
    rows = TaxExemption.objects.filter(company_id=actor.company_id, id=exemption_id)
    row: TaxExemption | None = rows.for_update().first()
    if row is None:
        raise TaxExemptionNotFound()
    return row


def _save(
    actor: Actor,
    row: TaxExemption,
    terms: ExemptionTerms,
    what: str,
    before: dict[str, object],
    now: datetime,
) -> TaxExemption:
    errors = []
    number, country = terms.number.strip(), terms.country.strip().upper()
    if terms.kind == Kind.VAT_NUMBER:
        try:
            number, country = check_vat_number(number)
        except ValidationFailed as refused:
            errors += [FieldError("number", error.code, error.message) for error in refused.errors]
        if terms.state:
            errors.append(FieldError("state", "invalid", "A VAT number counts in whole countries."))
    elif terms.kind != Kind.CERTIFICATE:
        errors.append(FieldError("kind", "invalid", "There is no such kind."))
    elif not number:
        errors.append(FieldError("number", "required", "The number of the certificate."))
    if not errors and not re.fullmatch(r"[A-Z]{2}|\*", country):
        errors.append(FieldError("country", "invalid", "Two letters, or * for everywhere."))
    if terms.status not in Status.values:
        errors.append(FieldError("status", "invalid", "There is no such status."))
    if terms.valid_from and terms.valid_to and terms.valid_to <= terms.valid_from:
        errors.append(FieldError("validTo", "invalid", "It ends before it begins."))
    if errors:
        raise ValidationFailed(errors=errors)
    terms = dataclasses.replace(terms, number=number, country=country, state=terms.state.strip())
    if row.status != terms.status or row._state.adding:
        is_open = terms.status == Status.PENDING
        row.decided_by, row.decided_at = ("", None) if is_open else (actor.label, now)
    for field in dataclasses.fields(terms):
        setattr(row, field.name, getattr(terms, field.name))
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise ValidationFailed(
            errors=[FieldError("number", "unique", "This customer has one already.")]
        ) from None
    _tell(actor, row, what, before, _values(row), now)
    return row


def _values(row: TaxExemption) -> dict[str, object]:
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(ExemptionTerms)}


def _tell(
    actor: Actor,
    row: TaxExemption,
    what: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    now: datetime,
) -> None:
    audit.record(
        actor=actor,
        action=f"tax_exemption.{what}",
        object_type="tax_exemption",
        object_id=row.id,
        before=before,
        after=after,
        now=now,
    )
    bump(
        actor=actor, what="tax_exemptions", now=now
    )  # carts keep quotes for as long as no rule changes
