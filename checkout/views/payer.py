"""
Who may pay: who placed the order, or for a guest's order, whoever came by its link, on any device.

The link's key goes along to the pages of that one payment in a cookie that is sent to them alone: it stands in no
address that a provider is given to come back to, and opens no other order.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from checkout import selectors
from checkout.errors import PaymentNotFound
from checkout.models import Payment
from config.platform.actor import Actor
from config.platform.http import actor_of
from orders import selectors as placed
from orders.errors import OrderNotFound
from orders.models import Order
from orders.rendering import order_path

COOKIE = "order_key"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who acts for the customer of an order; `token` is what they came by, if by its link."""

    actor: Actor
    order: Order
    token: str = ""

    @property
    def comes_from_cart(self) -> bool:
        """Whether the cart that the order was is the visitor's here; who came by the link has another one, or none."""
        return self.order.checkout_id is not None and not self.token

    @property
    def order_url(self) -> str:
        return self._at("")

    @property
    def pay_url(self) -> str:
        return self._at("pay/")

    def _at(self, tail: str) -> str:
        return order_path(self.order.number, tail, token=self.token)


def payer_of(request: HttpRequest, number: str) -> Payer:
    """:raises OrderNotFound: if it is not the visitor's, and no link opens it"""
    return _payer(request, number, request.GET.get("token", ""))


def payer_of_payment(request: HttpRequest, payment_id: UUID) -> tuple[Payer, Payment]:
    """
    Return a payment with who may act on it.

    :raises PaymentNotFound: if it is not the visitor's, and no link let them in
    """
    actor, token = actor_of(request), request.COOKIES.get(COOKIE, "")
    try:
        found = selectors.find_payment(actor=actor, payment_id=payment_id)
    except PaymentNotFound:
        order_id = selectors.order_of_payment(payment_id=payment_id, company_id=actor.company_id)
        if order_id is None:
            raise
        try:
            payer = _payer(request, str(order_id), token)
        except OrderNotFound:
            raise PaymentNotFound from None
        return payer, selectors.find_payment(actor=payer.actor, payment_id=payment_id)
    return Payer(actor, found.order), found


def let_on(response: HttpResponseBase, payer: Payer, payment_id: UUID) -> HttpResponseBase:
    """Give who came by a link the key to the pages of one payment: nothing else is sent it, and no script sees it."""
    if payer.token:
        response.set_cookie(
            COOKIE,
            payer.token,
            path=reverse("page_pay", args=[payment_id]),
            max_age=int(settings.ORDER_AUTO_CANCEL_DRAFT.total_seconds()),
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response


def _payer(request: HttpRequest, reference: str, token: str) -> Payer:
    actor = actor_of(request)
    owner, order = placed.find_as_owner(actor=actor, reference=reference, token=token)
    return Payer(owner, order, "" if owner is actor else token)
