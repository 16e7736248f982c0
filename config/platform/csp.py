"""Which content security policy a page carries."""

from __future__ import annotations

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from config.platform.http import is_api

HEADER = "Content-Security-Policy"
# What is data and no page needs nothing; a browser that shows it all the same runs and frames nothing.
DATA = "default-src 'none'; frame-ancestors 'none'"


class PolicyMiddleware(CSPMiddleware):
    """
    Sends the strict policy with every page, and a looser one only under the prefixes that cannot work with it.

    The admin's theme and the API browser bring scripts or styles that the strict policy would silently break; they
    get their own, so that the pages customers see need not be loosened for them. What the API says in JSON carries a
    fixed one: putting one together per answer costs as much as rendering a cart.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if is_api(request) and "json" in response.headers.get("Content-Type", ""):
            response.headers.setdefault(HEADER, DATA)
            return response
        return super().process_response(request, response)

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and parts.replace is None:
            for prefix, directives in settings.CONTENT_SECURITY_POLICY_BY_PREFIX.items():
                if request.path_info.startswith(prefix):
                    parts.replace = dict(directives)
        return parts
