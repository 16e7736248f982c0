"""Links in reminders."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.api.rendering import render_preview
from cart.rendering import render_cart
from config.platform import limits
from config.platform.http import Anyone, actor_of


class RecoveryView(CartApiView):
    """What a reminder's link leads to. The token is the proof; nothing personal is shown."""

    permission_classes = [Anyone]

    def get(self, request: Request, token: str, cart_id: str = "") -> Response:
        """Show what the link would bring back; changes nothing."""
        actor = actor_of(request)
        _count_recovery(request)
        found = services.preview_recovery(actor=actor, token=token, now=timezone.now())
        return Response(render_preview(found), headers={"Referrer-Policy": "no-referrer"})


class RecoveryRestoreView(CartApiView):
    permission_classes = [Anyone]

    def post(self, request: Request, token: str, cart_id: str = "") -> Response:
        """Bring the lines into the visitor's own cart; works once. A visitor without a cart gets one."""
        serializers.Nothing.read(request)
        actor = actor_of(request)
        _count_recovery(request)
        restored = services.restore(actor=actor, token=token, now=timezone.now())
        # The cart as everywhere, and also beside the report as after a merge: a client may read either.
        more: dict[str, Any] = {"report": restored.report, "cart": render_cart(restored.view)}
        if restored.token is not None:
            more["sessionToken"] = restored.token
        return self.answer(restored.view, **more)


class RecoveryRequestView(CartApiView):
    permission_classes = [Anyone]

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Ask for another reminder; the answer is the same whether or not there is a cart."""
        given = serializers.Email.read(request)
        _count_recovery(request)
        services.request_recovery(actor=actor_of(request), email=given["email"], now=timezone.now())
        return Response(
            {
                "accepted": True,
                "message": "If there is a cart for this address, a mail is on its way.",
            },
            status=202,
        )


def _count_recovery(request: Request) -> None:
    limits.count(actor=actor_of(request), scopes=["recovery"])
