"""Which shop a request is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http.response import HttpResponseBase

from config.platform.http import problem
from inventory import selectors
from inventory.errors import CompanyNotFound
from inventory.models import Company


class CompanyMiddleware:
    """Sets `request.company_id`: the company of `X-Company-Id`, else of the host name, else the default one."""

    def __init__(self, get_response: Callable[[Any], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponseBase:
        header = request.META.get("HTTP_X_COMPANY_ID", "").strip()
        try:
            request.company_id = selectors.resolve_company(header or None, request.get_host())
        except CompanyNotFound as refusal:
            return problem(request, refusal)
        except DatabaseError:
            # Health has to answer while the database does not; whatever else needs it will say so itself.
            request.company_id = Company.DEFAULT_ID
        return self.get_response(request)
