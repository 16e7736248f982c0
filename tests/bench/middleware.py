"""Counts SQL, on demand only: a request that does not ask is not slowed by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tests.bench.statements import is_control, split

ASKED = "HTTP_X_COUNT_STATEMENTS"


class StatementCount:
    """
    Answers `X-Count-Statements: 1` with `X-Statements` and `X-Round-Trips`.

    Several statements may travel in one batch, so they are two numbers. BEGIN, COMMIT and savepoints are not counted.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if ASKED not in request.META:
            return self.get_response(request)
        trips = statements = 0

        def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal trips, statements
            own = [part for part in split(sql) if not is_control(part)]
            trips += bool(own)
            statements += len(own)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(count):
            response = self.get_response(request)
        response.headers["X-Round-Trips"] = str(trips)
        response.headers["X-Statements"] = str(statements)
        return response
