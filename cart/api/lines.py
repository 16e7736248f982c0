"""The lines of a cart: one, several at once, and those that belong together."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import services
from cart.api import serializers
from cart.api.base import CartApiView
from cart.api.rendering import render_bulk, render_item
from cart.errors import ItemNotFound
from cart.rendering import render_cart
from config.platform import limits
from config.platform.actor import Actor
from config.platform.errors import RateLimited
from config.platform.http import actor_of
from config.platform.ids import named_id


class ItemsView(CartApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Put units of a variant into the cart and hold them (201)."""
        found = serializers.AddItem.load(request)
        given = dict(found.validated_data)
        view = services.add_line(**self.common(given), ignored=found.dropped, **given)
        return self.answer(view, status=201)


class ItemView(CartApiView):
    def patch(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Change quantity, note, customisation, metadata or list of a line."""
        found = serializers.ChangeItem.load(request)
        given = dict(found.validated_data)
        view = services.change_line(
            **self.common(given),
            line_id=named_id(item_id, ItemNotFound),
            ignored=found.dropped,
            **given,
        )
        return self.answer(view)

    def put(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Like PATCH."""
        return self.patch(request, item_id, cart_id)

    def delete(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Take a line out and release what it holds."""
        given = serializers.Nothing.read(request)
        view = services.remove_line(**self.common(given), line_id=named_id(item_id, ItemNotFound))
        return self.answer(view)


class MoveView(CartApiView):
    """Move a line to another list: which one stands in the path."""

    to: str = "active"

    def post(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Move a line to this list; its hold is released or taken anew."""
        given = serializers.Nothing.read(request)
        view = services.move_line(
            **self.common(given), line_id=named_id(item_id, ItemNotFound), to=self.to
        )
        return self.answer(view)


class DuplicateView(CartApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Put a second, separate line like this one beside it."""
        given = serializers.Nothing.read(request)
        view = services.duplicate_line(
            **self.common(given), line_id=named_id(item_id, ItemNotFound)
        )
        return self.answer(view)


class BulkView(CartApiView):
    """Up to 100 lines in one call, with an answer for each."""

    limits = {"post": "bulk", "patch": "bulk", "delete": "bulk"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Add many items."""
        found = serializers.BulkAdd.load(request)
        given = dict(found.validated_data)
        items = [services.NewItem(**item) for item in given.pop("items")]
        result = services.add_lines(
            **self.common(given), items=items, ignored=found.dropped_prices(), **given
        )
        return Response(render_bulk(result.view, result.results))

    def patch(self, request: Request, cart_id: str = "") -> Response:
        """Set the quantities of many lines."""
        given = serializers.BulkChange.read(request)
        quantities = [(item["item_id"], item["quantity"]) for item in given.pop("items")]
        result = services.change_lines(**self.common(given), quantities=quantities, **given)
        return Response(render_bulk(result.view, result.results))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Take many lines out."""
        given = serializers.BulkRemove.read(request)
        line_ids = given.pop("item_ids")
        result = services.remove_lines(**self.common(given), line_ids=line_ids, **given)
        return Response(render_bulk(result.view, result.results))


class BundlesView(CartApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Put all parts of a bundle into the cart as one group (201)."""
        given = serializers.AddBundle.read(request)
        return self.answer(services.add_bundle(**self.common(given), **given), status=201)


class BundleView(CartApiView):
    def delete(self, request: Request, group_id: str, cart_id: str = "") -> Response:
        """Take a bundle out with all its parts."""
        given = serializers.Nothing.read(request)
        view = services.remove_bundle(
            **self.common(given), group_id=named_id(group_id, ItemNotFound)
        )
        return self.answer(view)


def _operation(actor: Actor, given: dict[str, Any]) -> services.Operation:
    """Return an operation; codes in a queue count like codes one by one, or a queue would be the way to guess them."""
    refusal = None
    if given["op"] == "discount":
        try:
            limits.count(actor=actor, scopes=["apply_discount"])
        except RateLimited as limited:
            refusal = limited
    return services.Operation(**given, refusal=refusal)


class SyncView(CartApiView):
    limits = {"post": "bulk"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Apply changes that were queued while the client was away; each once."""
        given = serializers.Sync.read(request)
        actor = actor_of(request)
        synced = services.sync(
            actor=actor,
            base_version=given["base_version"],
            operations=[_operation(actor, operation) for operation in given["operations"]],
            now=timezone.now(),
        )
        results = []
        for result in synced.results:
            entry: dict[str, Any] = {"id": result.id, "status": result.status}
            if result.item_id is not None:
                entry["itemId"] = str(result.item_id)
            if result.status == "conflict":
                entry |= {
                    "code": result.code,
                    "message": result.message,
                    "item": render_item(result.item, synced.view.currency),
                }
            results.append(entry)
        return Response({"results": results, "cart": render_cart(synced.view)})
