"""What is open to whoever has the link of an order's mail as well: its secret stands in the address as `?token=`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.platform.errors import AuthRequired
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input


class LinkQuery(Input):
    token = serializers.CharField(
        required=False, max_length=200, help_text="From the link in the mail of a guest's order."
    )


class KnownOrLinked(BasePermission):
    """A signed-in caller, a guest with a token, or who brings the secret of a link; others get 401."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not actor_of(request).is_known and not link_of(request):
            raise AuthRequired
        return True


def link_of(request: Request) -> str:
    """Return the secret of the link that the caller came by; empty where there is none."""
    token: str = request.query_params.get("token", "")
    return token
