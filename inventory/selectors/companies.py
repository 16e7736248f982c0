"""Whose shop a request is for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from django.db.models import Q

from config.platform.ids import as_uuid
from inventory.errors import CompanyNotFound
from inventory.models import Company

_COMPANIES_REMEMBERED_SECONDS = 30.0
_companies: dict[UUID, Company] = {}
_companies_read_at: float | None = None


def _known_companies() -> dict[UUID, Company]:
    global _companies, _companies_read_at
    if (
        _companies_read_at is None
        or time.monotonic() - _companies_read_at > _COMPANIES_REMEMBERED_SECONDS
    ):
        _companies = Company.objects.in_bulk()
        _companies_read_at = time.monotonic() if _companies else None
    return _companies


def forget_companies() -> None:
    """Read the companies again at the next question; other processes notice within half a minute."""
    global _companies_read_at
    _companies_read_at = None


def default_company() -> Company:
    """
    Return the shop of a single-shop install.

    :raises CompanyNotFound: before the first migration, or if nobody marked a default
    """
    for company in _known_companies().values():
        if company.is_default:
            return company
    raise CompanyNotFound


def resolve_company(header: str | None, host: str) -> UUID:
    """
    Return the company a request is for: the one named by its id or slug, else the host's, else the default.

    Remembered in the process, so a request usually costs no statement.

    :raises CompanyNotFound: if `header` names none
    """
    companies = _known_companies()
    if header:
        found = _named(companies, header)
        if found is None:  # perhaps founded a moment ago, by another process
            found = _named({c.id: c for c in Company.objects.filter(_name_filter(header))}, header)
        if found is None:
            raise CompanyNotFound
        return found.id
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    for company in companies.values():
        if company.host and company.host.lower() == name:
            return company.id
    return default_company().id


def _named(companies: Mapping[UUID, Company], header: str) -> Company | None:
    key = as_uuid(header)
    if key is not None:
        return companies.get(key)
    return next((company for company in companies.values() if company.slug == header), None)


def _name_filter(header: str) -> Q:
    if key := as_uuid(header):
        return Q(id=key)
    return Q(slug=header.replace("\x00", ""))
