"""Guests who sign in: their cart joins that of their account."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.rendering import render_cart
from config.platform.actor import hash_token
from config.platform.errors import FieldError, ValidationFailed
from config.platform.http import SignedIn, actor_of


class MergeView(CartApiView):
    """Bring a guest's cart into the account's."""

    permission_classes = [SignedIn]
    preview: bool = False

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Merge the guest cart of `sessionToken` (or of the header), or say what that would do."""
        given = serializers.GuestToken.read(request)
        actor, now = actor_of(request), timezone.now()
        token = given.get("session_token")
        session_hash = hash_token(token) if token else actor.session_hash
        if session_hash is None:
            text = "Send the guest's sessionToken."
            raise ValidationFailed(text, errors=[FieldError("sessionToken", "required", text)])
        if self.preview:
            merged = services.preview_merge(actor=actor, session_hash=session_hash, now=now)
        else:
            merged = services.merge(
                actor=actor, session_hash=session_hash, now=now, expected=self._expected(given)
            )
        return Response({"report": merged.report, "cart": render_cart(merged.view)})


class MergeUndoView(CartApiView):
    permission_classes = [SignedIn]

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Take the latest merge of the last 24 hours back."""
        serializers.Nothing.read(request)
        return self.answer(services.undo_merge(actor=actor_of(request), now=timezone.now()))
