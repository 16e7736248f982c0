"""Everything between HTTP and the services, in one import: `from config.platform.http import ApiView, Input, page`."""

from config.platform.http.authentication import Anyone, ApiAuthentication, Known, SignedIn, Staff
from config.platform.http.context import (
    actor_of,
    forget_actor,
    guest_token,
    is_api,
    set_guest_cookie,
)
from config.platform.http.inputs import Input, JsonObject, Output, page_of, single_line
from config.platform.http.middleware import RequestMiddleware
from config.platform.http.paging import AskedPage, asked_page, page, page_answer
from config.platform.http.problems import camel, problem
from config.platform.http.rendering import timestamp
from config.platform.http.views import (
    ApiView,
    ApiViewSet,
    etag_matches,
    etag_response,
    if_match,
    public_response,
    retry_on_conflict,
)

__all__ = [
    "Anyone",
    "ApiAuthentication",
    "ApiView",
    "ApiViewSet",
    "AskedPage",
    "Input",
    "JsonObject",
    "Known",
    "Output",
    "RequestMiddleware",
    "SignedIn",
    "Staff",
    "actor_of",
    "asked_page",
    "camel",
    "etag_matches",
    "etag_response",
    "forget_actor",
    "guest_token",
    "if_match",
    "is_api",
    "page",
    "page_answer",
    "page_of",
    "problem",
    "public_response",
    "retry_on_conflict",
    "set_guest_cookie",
    "single_line",
    "timestamp",
]
