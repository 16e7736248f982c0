"""Looking at a cart without changing it: is it fit to be bought, what would shipping and tax come to, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from cart.selectors.carts import view
from cart.selectors.state import find_head, load_lines
from cart.selectors.views import CartView, LineView, basket_of, judge, place_of
from config.platform.actor import Actor
from pricing import selectors as pricing_selectors
from pricing import services as pricing
from pricing.engine import Place, Quote
from pricing.selectors import ProductView

ERROR, WARNING = "error", "warning"
MOST_ALTERNATIVES = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a cart; an error keeps it from being bought."""

    code: str
    severity: str
    item_id: UUID | None
    message: str
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Validation:
    valid: bool
    findings: list[Finding]


def validate(*, actor: Actor, now: datetime, cart_id: UUID | None = None) -> Validation:
    """
    Return everything that is, or may be, wrong with the caller's cart, line by line; alternatives for what is gone.

    :raises CartNotFound: if there is none for this caller
    """
    cart = view(actor=actor, now=now, cart_id=cart_id)
    instead = instead_of(
        actor=actor, cart=cart, lines=[line for line, _problem in cart.problems], now=now
    )
    findings = [
        Finding(
            problem.code,
            ERROR,
            line.id,
            problem.message,
            {
                **problem.extra,
                "alternatives": [
                    {
                        "productId": str(other.id),
                        "name": other.name,
                        "url": f"/products/{other.slug}/",
                    }
                    for other in instead.get(line.product_id, [])
                ],
            },
        )
        for line, problem in cart.problems
    ]
    most = settings.CART_MAX_QUANTITY_PER_LINE
    findings += [
        Finding(
            "CART_LIMIT_EXCEEDED",
            ERROR,
            line.id,
            _("At most %(most)d units of one item are possible.") % {"most": most},
            {"limit": most, "requested": line.quantity},
        )
        for line in cart.items
        if line.quantity > most
    ]
    if not cart.items:
        findings.append(Finding("CART_EMPTY", WARNING, None, _("The cart is empty."), {}))
    findings += [
        Finding(warning.code, WARNING, warning.item_id, warning.message, warning.extra)
        for warning in cart.warnings
    ]
    return Validation(not any(finding.severity == ERROR for finding in findings), findings)


def instead_of(
    *, actor: Actor, cart: CartView, lines: Iterable[LineView], now: datetime
) -> dict[UUID, list[ProductView]]:
    """Return what could be bought instead of the products of these lines; a constant number of statements, or none."""
    return pricing_selectors.alternatives_to(
        actor=actor,
        product_ids={line.product_id for line in lines},
        currency=cart.currency,
        now=now,
        limit=MOST_ALTERNATIVES,
    )


def quote_for(
    *,
    actor: Actor,
    now: datetime,
    destination: Place | None = None,
    shipping_option: str | None = None,
    customer_keys: Sequence[str] | None = None,
    cart_id: UUID | None = None,
) -> Quote:
    """
    Return what the caller's cart would cost if it went there; nothing is stored.

    Without a destination it is the cart's own, and where it has none, the shop's default country.

    :raises CartNotFound: if there is none for this caller
    """
    head = find_head(actor=actor, now=now, cart_id=cart_id)
    lines, _facts = load_lines(head=head, now=now)
    basket = basket_of(
        head=head,
        judged=judge(head=head, lines=lines, now=now),
        destination=destination or place_of(head.destination) or Place(settings.DEFAULT_COUNTRY),
        shipping_option=shipping_option,
        customer_keys=customer_keys,
    )
    return pricing.quote(actor=actor, basket=basket, now=now, revision=head.revision)
