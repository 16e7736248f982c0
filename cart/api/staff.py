"""How carts behave, and how they are, for staff."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import services
from cart.models import Cart
from cart.services.knobs import to_json
from config.platform.errors import MalformedRequest
from config.platform.http import Anyone, ApiView, Staff, actor_of
from config.platform.http.inputs import snake


class ConfigView(ApiView):
    """The knobs of the company's carts."""

    permission_classes = [Staff]
    rights = {
        "get": "cart.view_cartpolicy",
        **dict.fromkeys(("put", "patch"), "cart.change_cartpolicy"),
    }

    def get(self, request: Request) -> Response:
        """Return every knob."""
        return Response(to_json(services.policy(company_id=actor_of(request).company_id)))

    def put(self, request: Request) -> Response:
        """Set the knobs given; the others return to their defaults."""
        return self._set(request, replace=True)

    def patch(self, request: Request) -> Response:
        """Set the knobs given."""
        return self._set(request, replace=False)

    def _set(self, request: Request, *, replace: bool) -> Response:
        body = request.data
        if not isinstance(body, dict):
            raise MalformedRequest("The body must be a JSON object.")
        names = {
            snake(name): name
            for name in to_json(services.policy(company_id=actor_of(request).company_id))
        }
        changes = {names.get(key, key): value for key, value in body.items()}
        policy = services.set_policy(
            actor=actor_of(request), changes=changes, now=timezone.now(), replace=replace
        )
        return Response(to_json(policy))


class ConfigToggleView(ApiView):
    permission_classes = [Staff]
    rights = {"post": "cart.change_cartpolicy"}

    def post(self, request: Request, feature: str) -> Response:
        """Turn a switch the other way."""
        policy = services.toggle(actor=actor_of(request), name=feature, now=timezone.now())
        return Response(to_json(policy))


class HealthView(ApiView):
    """The cart's part of the health report."""

    permission_classes = [Anyone]

    def get(self, request: Request) -> Response:
        """Say that carts can be read."""
        Cart.objects.values_list("id").first()
        return Response({"status": "ok"})
