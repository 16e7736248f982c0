"""Money that was asked back of an order, for staff: what failed is tried again, or was paid back by other means."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import selectors, services
from checkout.errors import RefundNotFound
from checkout.models import OutsideRefund
from checkout.rendering import render_refund
from config.platform.http.authentication import Staff
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.paging import page
from config.platform.http.views import ApiViewSet
from orders import selectors as orders
from orders import services as order_services


class PaidOutside(Input):
    means = serializers.ChoiceField(choices=OutsideRefund.Means.choices)
    reference = serializers.CharField(max_length=100, trim_whitespace=False)
    reason = serializers.CharField(max_length=200, trim_whitespace=False)
    paid_on = serializers.DateField()


class Again(Input):
    """An empty body, or none."""


class RefundViewSet(ApiViewSet):
    """The refunds of an order."""

    permission_classes = [Staff]
    rights = {
        "list": "orders.view_refundrequest",
        "retry": "orders.change_refundrequest",
        "pay_outside": "checkout.add_outsiderefund",
    }

    def list(self, request: Request, reference: str) -> Response:
        """List what was asked back of an order, newest first; staff only."""
        found = orders.find_id(actor=actor_of(request), reference=reference)
        return Response(
            page(selectors.refunds_of(order_id=found), request, render=render_refund, limit=100)
        )

    def retry(self, request: Request, reference: str, refund_id: UUID) -> Response:
        """Put a refund that failed back into the queue; staff only."""
        Again.read(request)
        order_id = self._order_of(request, reference, refund_id)
        order_services.retry_refund(
            actor=actor_of(request), request_id=refund_id, now=timezone.now()
        )
        return self._answer(order_id, refund_id)

    def pay_outside(self, request: Request, reference: str, refund_id: UUID) -> Response:
        """Note that a refund that failed was paid back by other means, once; staff only."""
        body = PaidOutside.read(request)
        order_id = self._order_of(request, reference, refund_id)
        services.pay_back_outside(
            actor=actor_of(request), request_id=refund_id, now=timezone.now(), **body
        )
        return self._answer(order_id, refund_id, status=201)

    def _order_of(self, request: Request, reference: str, refund_id: UUID) -> UUID:
        """
        Return the order's id.

        :raises OrderNotFound: if there is no such order for this caller
        :raises RefundNotFound: if the refund is not of this order
        """
        actor = actor_of(request)
        order_id = orders.find_id(actor=actor, reference=reference)
        if services.find_request(actor=actor, request_id=refund_id).order_id != order_id:
            raise RefundNotFound
        return order_id

    def _answer(self, order_id: UUID, refund_id: UUID, *, status: int = 200) -> Response:
        [current] = [
            asked
            for asked in selectors.refunds_of(order_id=order_id)
            if asked.request.pk == refund_id
        ]
        return Response(render_refund(current), status=status)
