"""Which content security policy a page carries."""

from __future__ import annotations

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class PolicyMiddleware(CSPMiddleware):
    """
    Sends the strict policy with every page, and a looser one only under the prefixes that cannot work with it.

    The admin's theme and the API browser bring scripts or styles that the strict policy would silently break; they
    get their own, so that the pages customers see need not be loosened for them.
    """

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and parts.replace is None:
            for prefix, directives in settings.CONTENT_SECURITY_POLICY_BY_PREFIX.items():
                if request.path_info.startswith(prefix):
                    parts.replace = dict(directives)
        return parts
