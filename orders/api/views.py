"""Orders over HTTP: parse, one domain call, render."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http.authentication import Anyone, Known, Staff
from config.platform.http.context import actor_of
from config.platform.http.links import KnownOrLinked, LinkQuery, link_of
from config.platform.http.paging import page
from config.platform.http.views import ApiView, ApiViewSet
from inventory.selectors import VariantRef
from orders import selectors, services
from orders.api import serializers
from orders.days import begin_of, end_of
from orders.explaining import render_explanation
from orders.models import Order
from orders.rendering import render_edit, render_order, render_return, render_status_change
from orders.services import Came, DirectItem, Units, WantedReturn


class OrderViewSet(ApiViewSet):
    """The orders of the caller; of the whole company for staff."""

    limits = {"look_up": "lookup", "create": "checkout"}
    staff_only = frozenset(
        # The histories hold what staff wrote to each other: notes, reasons.
        {"set_status", "ship", "deliver", "edit", "review", "status_history", "edit_history"}
    )

    rights = {
        **dict.fromkeys(("set_status", "ship", "deliver", "edit", "review"), "orders.change_order"),
        **dict.fromkeys(("status_history", "edit_history"), "orders.view_order"),
    }

    def get_permissions(self):
        if self.action == "look_up":
            return [Anyone()]
        if self.action in {"retrieve", "explain", "returns", "request_return"}:
            return [KnownOrLinked()]
        return [Staff()] if self.action in self.staff_only else [Known()]

    def list(self, request: Request) -> Response:
        """List the caller's orders, newest first where nothing else is asked."""
        query = serializers.SortedQuery.read_query(request)
        first, last = query.get("placed_from"), query.get("placed_to")
        orders = selectors.orders_of(
            actor=actor_of(request),
            statuses=query.get("status", ()),
            placed_from=first and begin_of(first),
            placed_to=last and end_of(last),
        )
        return Response(
            page(
                orders,
                request,
                order=serializers.SORTS[query["sort"]],
                render=lambda order: render_order(order, staff=actor_of(request).is_staff),
            )
        )

    def create(self, request: Request) -> Response:
        """Place an order from a list of SKUs, in status draft."""
        body = serializers.DirectOrder.read(request)
        actor = actor_of(request)
        order = services.place_direct(
            actor=actor,
            items=[DirectItem(item["sku"], item["quantity"]) for item in body["items"]],
            email=body["email"],
            shipping_address=body["shipping_address"],
            shipping_option=body["shipping_option"],
            currency=body["currency"],
            notes=body["notes"],
            now=timezone.now(),
        )
        return self._answer(request, order, status=201)

    @extend_schema(parameters=[LinkQuery])
    def retrieve(self, request: Request, reference: str) -> Response:
        """Return an order by id or number; `?token=` from its mail opens it too."""
        actor = actor_of(request)
        order = selectors.find(actor=actor, reference=reference, token=link_of(request))
        return Response(render_order(order, staff=actor.is_staff))

    @extend_schema(parameters=[LinkQuery])
    def explain(self, request: Request, reference: str) -> Response:
        """
        Explain an order's total: the steps, and the rules as they stood when it was placed.

        Open to whoever may read the order, `?token=` too; staff see each rule's own terms under `basis`.
        """
        actor = actor_of(request)
        order = selectors.find(actor=actor, reference=reference, token=link_of(request))
        return Response(render_explanation(order, staff=actor.sees_everything))

    def look_up(self, request: Request) -> Response:
        """Find an order by its number and the e-mail address it was placed with."""
        body = serializers.Lookup.read(request)
        return Response(render_order(selectors.look_up(actor=actor_of(request), **body)))

    def cancel(self, request: Request, reference: str) -> Response:
        """Cancel an order that was not sent; what was paid goes back."""
        body = serializers.Reason.read(request)
        order = services.cancel(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            reason=body["reason"],
            now=timezone.now(),
        )
        return self._answer(request, order)

    def cancel_items(self, request: Request, reference: str) -> Response:
        """Cancel some units; their frozen shares are refunded."""
        body = serializers.CancelItems.read(request)
        order = services.cancel_items(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            units=_units(body["items"]),
            reason=body["reason"],
            now=timezone.now(),
        )
        return self._answer(request, order)

    @extend_schema(parameters=[LinkQuery])
    def returns(self, request: Request, reference: str) -> Response:
        """List the returns of an order; `?token=` from the mail of a guest's order opens them too."""
        _owner, order = self._owner(request, reference)
        return Response(
            page(
                list(selectors.returns_of(order_id=order.id)),
                request,
                render=lambda found: render_return(found, order.currency),
            )
        )

    @extend_schema(parameters=[LinkQuery])
    def request_return(self, request: Request, reference: str) -> Response:
        """
        Ask to return units of a delivered order, for their money or for another variant (`exchangeFor`).

        `?token=` from the mail of a guest's order lets its reader ask too.
        """
        body = serializers.ReturnInput.read(request)
        owner, order = self._owner(request, reference)
        found = services.request_return(
            actor=owner,
            order_id=order.id,
            wanted=[
                WantedReturn(
                    item["item_id"],
                    item["quantity"],
                    item["reason"],
                    VariantRef(**item["exchange_for"]) if item["exchange_for"] else None,
                )
                for item in body["items"]
            ],
            notes=body["notes"],
            now=timezone.now(),
        )
        [current] = selectors.returns_of(order_id=order.id).filter(pk=found.pk)
        return Response(render_return(current, order.currency), status=201)

    def set_status(self, request: Request, reference: str) -> Response:
        """Bring an order into a status; staff only."""
        body = serializers.StatusInput.read(request)
        order = services.set_status(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            status=body["status"],
            reason=body["reason"],
            now=timezone.now(),
        )
        return self._answer(request, order)

    def ship(self, request: Request, reference: str) -> Response:
        """Send units of an order, or all that is left of it; staff only."""
        body = serializers.ShipInput.read(request)
        items = body.pop("items", None)
        shipment = services.ship(
            units=None if items is None else _units(items),
            actor=actor_of(request),
            order_id=self._id(request, reference),
            now=timezone.now(),
            **body,
        )
        return self._answer(request, shipment.order)

    def deliver(self, request: Request, reference: str) -> Response:
        """Note that an order has arrived; staff only."""
        body = serializers.Reason.read(request)
        order = services.deliver(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            reason=body["reason"],
            now=timezone.now(),
        )
        return self._answer(request, order)

    def edit(self, request: Request, reference: str) -> Response:
        """Change the notes of staff; staff only."""
        body = serializers.EditInput.read(request)
        order = services.edit(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            reason=body.pop("reason"),
            changes=body,
            now=timezone.now(),
        )
        return self._answer(request, order)

    def review(self, request: Request, reference: str) -> Response:
        """Let an order that was held go on, or cancel it; staff only."""
        body = serializers.ReviewInput.read(request)
        order = services.review(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            approve=body["decision"] == "approve",
            reason=body["reason"],
            now=timezone.now(),
        )
        return self._answer(request, order)

    def address(self, request: Request, reference: str) -> Response:
        """Correct where an order goes, or who is billed, until it is packed."""
        body = serializers.AddressChange.read(request)
        order = services.change_address(
            actor=actor_of(request),
            order_id=self._id(request, reference),
            now=timezone.now(),
            **body,
        )
        return self._answer(request, order)

    def status_history(self, request: Request, reference: str) -> Response:
        """List every status the order went through; staff only."""
        order = selectors.find(actor=actor_of(request), reference=reference)
        return Response(
            page(
                selectors.status_history(order_id=order.id),
                request,
                order=("id",),
                render=render_status_change,
                limit=100,
            )
        )

    def edit_history(self, request: Request, reference: str) -> Response:
        """List every edit of the order; staff only."""
        order = selectors.find(actor=actor_of(request), reference=reference)
        return Response(
            page(
                selectors.edit_history(order_id=order.id),
                request,
                order=("id",),
                render=render_edit,
                limit=100,
            )
        )

    def _id(self, request: Request, reference: str):
        return selectors.find_id(actor=actor_of(request), reference=reference)

    def _owner(self, request: Request, reference: str):
        return selectors.find_as_owner(
            actor=actor_of(request), reference=reference, token=link_of(request)
        )

    def _answer(self, request: Request, order: Order, *, status: int = 200) -> Response:
        actor = actor_of(request)
        current = selectors.find(actor=actor, reference=str(order.id))
        return Response(render_order(current, staff=actor.is_staff), status=status)


class ReturnViewSet(ApiViewSet):
    """Decisions about returns: by staff, and until there is one, by who asked."""

    rights = dict.fromkeys(("approve", "reject", "close", "receive"), "orders.change_returnrequest")

    def get_permissions(self):
        return [KnownOrLinked()] if self.action == "withdraw" else [Staff()]

    @extend_schema(parameters=[LinkQuery])
    def withdraw(self, request: Request, return_id) -> Response:
        """Take back a request that nobody has decided; `?token=` from the mail of a guest's order lets its reader too."""
        serializers.Reason.read(request)
        owner = selectors.owner_of_return(
            actor=actor_of(request), return_id=return_id, token=link_of(request)
        )
        return self._answer(
            services.withdraw_return(actor=owner, return_id=return_id, now=timezone.now())
        )

    def approve(self, request: Request, return_id) -> Response:
        """Let the customer send the goods back; what is wanted in exchange is ordered and held."""
        serializers.Reason.read(request)
        return self._answer(
            services.approve_return(
                actor=actor_of(request), return_id=return_id, now=timezone.now()
            )
        )

    def reject(self, request: Request, return_id) -> Response:
        """Refuse a return."""
        body = serializers.RejectReturn.read(request)
        return self._answer(
            services.reject_return(
                actor=actor_of(request), return_id=return_id, now=timezone.now(), **body
            )
        )

    def close(self, request: Request, return_id) -> Response:
        """Give up an approved return of which nothing came."""
        body = serializers.RejectReturn.read(request)
        return self._answer(
            services.close_return(
                actor=actor_of(request), return_id=return_id, now=timezone.now(), **body
            )
        )

    def receive(self, request: Request, return_id) -> Response:
        """Take returned goods in, as announced or as counted; the money is owed back, or pays for the exchange."""
        body = serializers.ReceiveReturn.read(request)
        return self._answer(
            services.receive_return(
                actor=actor_of(request),
                return_id=return_id,
                damaged=frozenset(body["damaged"]),
                came={
                    item["item_id"]: Came(item["received"], item["damaged"])
                    for item in body.get("items", ())
                },
                refund_missing=body["refund_missing"],
                now=timezone.now(),
            )
        )

    def _answer(self, found) -> Response:
        [current] = selectors.returns_of(order_id=found.order_id).filter(pk=found.pk)
        return Response(render_return(current, found.order.currency))


class HealthView(ApiView):
    """The orders part of the health report (ORD-28)."""

    permission_classes = [Anyone]

    def get(self, request: Request) -> Response:
        """Say that orders can be read; how many wait for payment is for staff."""
        actor = actor_of(request)
        drafts = selectors.count_drafts(actor=actor)
        return Response({"status": "ok"} | ({"drafts": drafts} if actor.is_staff else {}))


def _units(items) -> list[Units]:
    return [Units(item["item_id"], item["quantity"]) for item in items]
