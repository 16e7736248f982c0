"""The grounds on which customers are not charged taxes."""

from __future__ import annotations

from uuid import UUID

from config.platform.actor import Actor
from inventory.models import Company
from pricing import engine
from pricing.models import TaxExemption

# The area in which goods move between businesses as intra-Community supplies. Greece numbers as EL but is GR here.
EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)


def find_vat_number(*, actor: Actor) -> TaxExemption | None:
    """Return the VAT number of a customer, approved or waiting for it; None if there is none."""
    if actor.user_id is None:
        return None
    rows = TaxExemption.objects.filter(
        company_id=actor.company_id,
        user_id=actor.user_id,
        kind=TaxExemption.Kind.VAT_NUMBER,
    )
    found: TaxExemption | None = rows.exclude(status=TaxExemption.Status.REJECTED).first()
    return found


def takes_vat_numbers(*, company_id: UUID) -> bool:
    """Return whether a VAT number changes anything here: only in a shop in the EU."""
    return Company.objects.filter(id=company_id, country__in=EU).exists()


def reliefs_of(*, company_id: UUID, user_id: UUID) -> tuple[engine.Relief, ...]:
    """Return a customer's approved grounds in the engine's terms, past and future ones too: one query."""
    rows = TaxExemption.objects.filter(
        company_id=company_id, user_id=user_id, status=TaxExemption.Status.APPROVED
    ).select_related("company")
    return tuple(
        relief for row in rows.order_by("id") if (relief := _relief(row, row.company.country))
    )


def reverse_charge_countries(*, issued_by: str, home: str) -> frozenset[str]:
    """
    Return where deliveries to the owner of a VAT number are taxed at the owner: the EU without the shop's own country.

    Nowhere, unless the shop and the number are of two different countries of the EU: Directive 2006/112/EC, Article
    138 (1), asks for a number of another member state than the one the goods leave from.
    """
    if home not in EU or issued_by not in EU or issued_by == home:
        return frozenset()
    return EU - {home}


def _relief(row: TaxExemption, home: str) -> engine.Relief | None:
    if row.kind == TaxExemption.Kind.CERTIFICATE:
        return engine.Relief(
            reason=engine.EXEMPT,
            reference=row.number,
            countries=frozenset({row.country}),
            state=row.state,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
        )
    countries = reverse_charge_countries(issued_by=row.country, home=home)
    if not countries:
        return None
    return engine.Relief(
        reason=engine.REVERSE_CHARGE,
        reference=row.number,
        countries=countries,
        tax_types=frozenset({"VAT"}),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )
