"""The cart over HTTP, for guests and accounts alike: parse, one domain call, render."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from cart import selectors, services
from cart.api import serializers
from cart.api.reading import Found, of_own_cart
from cart.api.rendering import (
    render_bulk,
    render_finding,
    render_hold_status,
    render_item,
    render_preview,
    render_summary,
)
from cart.errors import CartNotFound, ItemNotFound
from cart.models import Cart, CartEvent
from cart.rendering import moment, render_cart
from cart.selectors import CartView
from cart.selectors.views import place_of
from cart.services.carts import plain_destination
from cart.services.knobs import to_json
from config.platform import limits
from config.platform.actor import hash_token
from config.platform.errors import FieldError, MalformedRequest, ValidationFailed
from config.platform.http import (
    Anyone,
    ApiView,
    SignedIn,
    Staff,
    actor_of,
    etag_response,
    if_match,
    page,
)
from config.platform.http.inputs import snake
from pricing import services as pricing
from pricing.engine import Quote
from pricing.money import format_amount
from pricing.rendering import render_shipping, render_taxes

_TAG = re.compile(r"(\d{1,9})(?:-[0-9a-f]{20})?")
NEVER = -1  # no cart has this version


class CartApiView(ApiView):
    """What the views of one cart share: which cart, which version, how the answer looks."""

    @property
    def cart_id(self) -> UUID | None:
        """The cart named in the path, if one is; a malformed id is a cart that nobody has."""
        sent = self.kwargs.get("cart_id")
        return None if sent is None else _uuid(sent, CartNotFound)

    def common(self, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what every write passes on; takes `version` out of the body given."""
        return {
            "actor": actor_of(self.request),
            "now": timezone.now(),
            "cart_id": self.cart_id,
            "expected": self._expected(given if given is not None else {}),
        }

    def _expected(self, given: dict[str, Any]) -> int | None:
        version = given.pop("version", None)
        tag = if_match(self.request)
        if tag is None:
            return version
        found = _TAG.fullmatch(tag)
        said = int(found[1]) if found else NEVER
        return said if version in (None, said) else NEVER

    def read(self, find: Callable[..., Found], **terms: Any) -> Found:
        """Return what a selector finds in the cart that is meant."""
        actor, now = actor_of(self.request), timezone.now()
        asked = partial(find, actor=actor, now=now, cart_id=self.cart_id, **terms)
        return asked() if self.cart_id else of_own_cart(asked, actor=actor, now=now)

    def answer(self, view: CartView, *, status: int = 200, **more: Any) -> Response:
        return Response(
            {**render_cart(view), **more}, status=status, headers={"ETag": f'"{view.etag}"'}
        )


def _uuid(sent: str, missing: type[Exception]) -> UUID:
    try:
        return UUID(sent)
    except ValueError:
        raise missing from None


# --- the cart -------------------------------------------------------------------------------------


class CartsView(CartApiView):
    """The caller's cart."""

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Open the signed-in caller's cart, or return the one that is open (201 or 200)."""
        given = serializers.Create.read(request)
        actor = actor_of(request)
        if actor.user_id is None:
            return self.answer(selectors.view(actor=actor, now=timezone.now()))
        limits.count(actor=actor, scopes=["create_cart"])
        opened = services.create(
            actor=actor, now=timezone.now(), device=request.META.get("HTTP_USER_AGENT", ""), **given
        )
        return self.answer(opened.view, status=201 if opened.is_new else 200)

    def get(self, request: Request, cart_id: str = "") -> Response:
        """
        Return the cart. A signed-in caller always has one: the first look at it opens it, which is all that a read
        ever writes.
        """
        actor, now = actor_of(request), timezone.now()
        if actor.user_id is not None and self.cart_id is None:
            view = services.ensure(actor=actor, now=now).view
        else:
            view = selectors.view(actor=actor, now=now, cart_id=self.cart_id)
        return etag_response(request, view.etag, lambda: render_cart(view))

    def patch(self, request: Request, cart_id: str = "") -> Response:
        """Set client metadata, the address for reminders, where estimates go, or the currency."""
        given = serializers.Update.read(request)
        return self.answer(services.update(**self.common(given), **given))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Empty the active list; what is saved or waits for the next purchase stays."""
        given = serializers.Nothing.read(request)
        return self.answer(services.clear(**self.common(given)))


class PublicCartsView(CartsView):
    """Guest carts. Opening one needs no credentials."""

    def get_permissions(self) -> list[Any]:
        return [Anyone()] if self.request.method == "POST" else list(super().get_permissions())

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Open a guest cart and tell its token, this once (201)."""
        given = serializers.Create.read(request)
        actor = actor_of(request)
        limits.count(actor=actor, scopes=["create_cart"])
        opened = services.create(
            actor=actor, now=timezone.now(), device=request.META.get("HTTP_USER_AGENT", ""), **given
        )
        more = {"sessionToken": opened.token} if opened.token is not None else {}
        return self.answer(opened.view, status=201, **more)


class NamedCartView(CartsView):
    """A cart named by its id; the caller's, or it is not there."""

    http_method_names = ["get", "patch", "delete"]


class SummaryView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Return the figures for a page's header."""
        actor, now = actor_of(request), timezone.now()
        summary = of_own_cart(lambda: selectors.summary(actor=actor, now=now), actor=actor, now=now)
        return Response(render_summary(summary))


class ValidateView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Say everything that is, or may be, wrong with the cart."""
        found = self.read(selectors.validate)
        return Response(
            {
                "valid": found.valid,
                "problems": [render_finding(finding) for finding in found.findings],
            }
        )


class RefreshView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Look at prices, stock, codes and totals anew."""
        given = serializers.Nothing.read(request)
        return self.answer(services.refresh(**self.common(given)))


class ExplainView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Explain the total, step by step, and why codes did not apply."""
        return Response(self.read(selectors.view).quote.explain())


class EstimateView(CartApiView):
    """What the cart would cost somewhere; nothing is stored."""

    def quote_at(self, given: dict[str, str]) -> Quote:
        option = given.get("shippingOption") or None
        quote = self.read(
            selectors.quote_for,
            destination=place_of(plain_destination(given)),
            shipping_option=option,
        )
        pricing.check_option(quote=quote, option=option)
        return quote


class ShippingEstimateView(EstimateView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Return how the cart could be shipped to a place, cheapest first, and what that costs."""
        quote = self.quote_at(serializers.Destination.read(request))
        return Response(render_shipping(quote))


class ShippingRatesView(EstimateView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Return how the cart could be shipped to where it goes, or to the place in the query."""
        quote = self.quote_at(serializers.RatesQuery.read_query(request))
        return Response(render_shipping(quote))


class TaxEstimateView(EstimateView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Return the taxes on the cart if it went to a place, by the way of shipping that is named."""
        quote = self.quote_at(serializers.TaxEstimate.read(request))
        return Response(render_taxes(quote))


# --- lines ----------------------------------------------------------------------------------------


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
            line_id=_uuid(item_id, ItemNotFound),
            ignored=found.dropped,
            **given,
        )
        return self.answer(view)

    def put(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Like PATCH."""
        found = serializers.ChangeItem.load(request)
        given = dict(found.validated_data)
        view = services.change_line(
            **self.common(given),
            line_id=_uuid(item_id, ItemNotFound),
            ignored=found.dropped,
            **given,
        )
        return self.answer(view)

    def delete(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Take a line out and release what it holds."""
        given = serializers.Nothing.read(request)
        view = services.remove_line(**self.common(given), line_id=_uuid(item_id, ItemNotFound))
        return self.answer(view)


class MoveView(CartApiView):
    """Move a line to another list: which one stands in the path."""

    to: str = "active"

    def post(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Move a line to this list; its hold is released or taken anew."""
        given = serializers.Nothing.read(request)
        view = services.move_line(
            **self.common(given), line_id=_uuid(item_id, ItemNotFound), to=self.to
        )
        return self.answer(view)


class DuplicateView(CartApiView):
    limits = {"post": "add_item"}

    def post(self, request: Request, item_id: str, cart_id: str = "") -> Response:
        """Put a second, separate line like this one beside it."""
        given = serializers.Nothing.read(request)
        view = services.duplicate_line(**self.common(given), line_id=_uuid(item_id, ItemNotFound))
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
        view = services.remove_bundle(**self.common(given), group_id=_uuid(group_id, ItemNotFound))
        return self.answer(view)


class SyncView(CartApiView):
    limits = {"post": "bulk"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Apply changes that were queued while the client was away; each once."""
        given = serializers.Sync.read(request)
        synced = services.sync(
            actor=actor_of(request),
            base_version=given["base_version"],
            operations=[services.Operation(**operation) for operation in given["operations"]],
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


# --- codes and holds ------------------------------------------------------------------------------


class DiscountsView(CartApiView):
    limits = {"post": "apply_discount"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Put a code on the cart."""
        given = serializers.Code.read(request)
        return self.answer(services.apply_code(**self.common(given), **given))


class DiscountView(CartApiView):
    def delete(self, request: Request, code: str, cart_id: str = "") -> Response:
        """Take a code off the cart."""
        given = serializers.Nothing.read(request)
        return self.answer(services.remove_code(**self.common(given), code=code))


class AcceptPricesView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Accept the prices that moved since they were added, as they are now; `quoteId` is what was shown."""
        given = serializers.AcceptedPrices.read(request)
        return self.answer(services.accept_prices(**self.common(given), **given))


class PointsView(CartApiView):
    limits = {"post": "apply_discount"}

    def post(self, request: Request, cart_id: str = "") -> Response:
        """Spend points on the goods; they are taken when the order is placed."""
        given = serializers.Points.read(request)
        return self.answer(services.apply_points(**self.common(given), **given))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Take the points off the cart."""
        given = serializers.Nothing.read(request)
        return self.answer(services.remove_points(**self.common(given)))


class HoldView(CartApiView):
    def post(self, request: Request, cart_id: str = "") -> Response:
        """Hold every active line, all or none, anew or for longer within its cap."""
        given = serializers.Nothing.read(request)
        services.require_holds()
        return Response(render_hold_status(services.hold(**self.common(given))))

    def delete(self, request: Request, cart_id: str = "") -> Response:
        """Let go of everything the cart holds."""
        given = serializers.Nothing.read(request)
        services.require_holds()
        return Response(render_hold_status(services.release_hold(**self.common(given))))


class HoldStatusView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """Say what is held, and for how long."""
        view = selectors.view(actor=actor_of(request), now=timezone.now(), cart_id=self.cart_id)
        return Response(render_hold_status(view))


# --- guests who sign in ---------------------------------------------------------------------------


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


# --- the past -------------------------------------------------------------------------------------


class HistoryView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """List what happened to the cart, newest first."""
        events = self.read(selectors.history)
        return Response(page(events, request, order=("-version", "-id"), render=_event))


def _event(event: CartEvent) -> dict[str, Any]:
    return {
        "version": event.version,
        "event": event.event,
        "actor": event.actor,
        "at": moment(event.at),
        "summary": event.summary,
        "changes": event.changes,
    }


class RestoreVersionView(CartApiView):
    def post(self, request: Request, version: str, cart_id: str = "") -> Response:
        """Bring the lines back to what they were at a version, at today's prices and stock."""
        given = serializers.Nothing.read(request)
        if not (version.isascii() and version.isdigit() and len(version) <= 9):
            raise CartNotFound("The cart never had this version.")
        brought = services.restore_version(**self.common(given), version=int(version))
        return self.answer(brought.view, report=brought.report)


class PastCartsView(CartApiView):
    def get(self, request: Request, cart_id: str = "") -> Response:
        """List the carts that were bought or are over, newest first."""
        carts = selectors.past(actor=actor_of(request)).prefetch_related(
            "lines__variant", "lines__product"
        )
        return Response(page(carts, request, order=("-id",), render=_past))


def _past(cart: Cart) -> dict[str, Any]:
    return {
        "id": str(cart.id),
        "status": cart.status,
        "currency": cart.currency,
        "itemCount": cart.item_count,
        "grandTotal": format_amount(cart.grand_total, cart.currency),
        "orderId": str(cart.order_id) if cart.order_id else None,
        "createdAt": moment(cart.created_at),
        "convertedAt": moment(cart.converted_at),
        "items": [
            {
                "sku": line.variant.sku,
                "name": line.product.name,
                "options": line.variant.options,
                "quantity": line.quantity,
                "priceWhenAdded": format_amount(line.price_when_added, cart.currency),
            }
            for line in cart.lines.all()
            if line.list == "active"
        ],
    }


class ReAddView(CartApiView):
    limits = {"post": "bulk"}

    def post(self, request: Request, cart_id: str) -> Response:
        """Put what was in a past cart into the cart, at today's prices."""
        serializers.Nothing.read(request)
        past_id = _uuid(cart_id, CartNotFound)
        brought = services.re_add(actor=actor_of(request), cart_id=past_id, now=timezone.now())
        return self.answer(brought.view, report=brought.report)


# --- links in reminders ---------------------------------------------------------------------------


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


# --- staff ----------------------------------------------------------------------------------------


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
