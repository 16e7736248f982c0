"""The work bench of one order: everything about it on one page, what it waits for first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from config.platform.backoffice import people, status
from orders import selectors, services
from orders.admin.refunds import REFUND_TONES
from orders.admin.returns import RETURN_TONES
from orders.admin.timeline import story
from orders.explaining import grounds_of
from orders.models import Order, RefundRequest, ReturnRequest
from orders.selectors.timeline import STATUS_TONES, timeline
from pricing.display import country_name
from pricing.engine import Quote
from pricing.models import PriceDispute
from pricing.templatetags.money import money_text

PAYMENT_TONES = {
    "pending": "warning",
    "authorized": "info",
    "captured": "success",
    "partially_refunded": "warning",
    "refunded": "danger",
    "failed": "danger",
    "cancelled": "danger",
}


def bench_of(request: HttpRequest, order: Order) -> dict[str, Any]:
    """Return what the bench shows, in a constant number of queries."""
    lines = list(order.lines.select_related("warehouse"))
    refunds = list(selectors.refunds_of(order_id=order.pk))
    entries = timeline(order=order)
    names = people(
        [*(entry.actor for entry in entries), *(refund.requested_by for refund in refunds)]
    )
    units = sum(line.unsent for line in lines)
    returns = list(selectors.returns_of(order_id=order.pk))
    return {
        "order": order,
        "state": status(order.get_status_display(), STATUS_TONES[order.status]),
        "payment": status(order.get_payment_status_display(), PAYMENT_TONES[order.payment_status]),
        "next": _next(order, units),
        "waits": [
            {**row, "url": row["url"] if request.user.has_perm(row["right"]) else ""}
            for row in _waits(order, refunds, returns)
        ],
        "lines": [
            {
                "line": line,
                "options": ", ".join(str(value) for value in line.options.values()),
                "gone": [
                    _(text) % {"count": count}
                    for text, count in (
                        ("%(count)d sent", line.shipped_quantity),
                        ("%(count)d cancelled", line.cancelled_quantity),
                        ("%(count)d returned", line.returned_quantity),
                    )
                    if count
                ],
            }
            for line in lines
        ],
        "explanation": _explanation(order),
        "money": _money(order, asked=services.refundable(order)),
        "story": story(request, entries, names=names),
        "shipments": list(order.shipments.all()),
        "refunds": [
            {
                "refund": refund,
                "state": status(refund.get_status_display(), REFUND_TONES[refund.status]),
                "by": names[refund.requested_by],
                "is_open": _is_open(order, refund),
            }
            for refund in refunds
        ],
        "returns": [
            {
                "row": found,
                "state": status(found.get_status_display(), RETURN_TONES[found.status]),
                "units": sum(line.quantity for line in found.lines.all()),
            }
            for found in returns
        ],
        "addresses_url": reverse("admin:orders_order_addresses", args=[order.pk]),
        "ship_to": address_lines(order.shipping_address),
        "bill_to": address_lines(order.billing_address),
        "can_edit": order.status in services.SOLD
        and not any(line.shipped_quantity for line in lines),
        "additions": list(order.additions.order_by("placed_at")),
    }


def _waits(
    order: Order, refunds: Sequence[RefundRequest], returns: Sequence[ReturnRequest]
) -> list[dict[str, Any]]:
    """Return what else waits for somebody at this order, each with the page on which it is decided."""
    failed = [
        {
            "text": _("A refund of %(amount)s failed: %(why)s")
            % {"amount": money_text(refund.amount, refund.currency), "why": refund.failure},
            "url": reverse("admin:orders_refundrequest_change", args=[refund.pk]),
            "right": "orders.view_refundrequest",
        }
        for refund in refunds
        if _is_open(order, refund)
    ]
    undecided = [
        {
            "text": _("A return waits for a decision")
            if row.status == ReturnRequest.Status.REQUESTED
            else _("A return is to come in"),
            "url": reverse("admin:orders_returnrequest_change", args=[row.pk]),
            "right": "orders.view_returnrequest",
        }
        for row in returns
        if row.status in ReturnRequest.UNDECIDED
    ]
    disputed = [
        {
            "text": _("The price of %(product)s is disputed") % {"product": name},
            "url": reverse("admin:pricing_pricedispute_change", args=[pk]),
            "right": "pricing.view_pricedispute",
        }
        for pk, name in PriceDispute.objects.filter(
            order_id=order.pk, status=PriceDispute.Status.OPEN
        )
        .order_by("opened_at")
        .values_list("pk", "name")
    ]
    return [*failed, *undecided, *disputed]


def _is_open(order: Order, refund: RefundRequest) -> bool:
    """Tell whether a refund failed that is still owed: nothing goes back of what was never taken."""
    return refund.status == RefundRequest.Status.FAILED and order.payment_status in services.PAID


def _next(order: Order, units: int) -> Any:
    """Return in a sentence what an order waits for."""
    if order.review == Order.Review.PENDING:
        return _("Somebody has to look at it before it is packed: %(why)s") % {
            "why": order.review_reason
        }
    match order.status:
        case Order.Status.DRAFT:
            return _("The customer has not paid yet. It is cancelled by itself if that stays so.")
        case Order.Status.CONFIRMED | Order.Status.PROCESSING:
            return ngettext(
                "%(count)d unit has to be packed and sent.",
                "%(count)d units have to be packed and sent.",
                units,
            ) % {"count": units}
        case Order.Status.SHIPPED:
            return _("On its way. Mark it as delivered when it has arrived.")
        case Order.Status.DELIVERED:
            return _("Done. The customer may still return it.")
    return _("Nothing is left to do.")


def _explanation(order: Order) -> dict[str, Any] | None:
    if not order.quote:
        return None
    quote = Quote.from_json(order.quote)
    return {
        "steps": quote.steps,
        "not_applied": quote.not_applied,
        "grounds": grounds_of(order),
        "rules": [
            {
                "label": rule["name"],
                "link": _page_of(kind, rule["id"]),
                "terms": [
                    (_in_words(name), value) for name, value in rule.items() if _tells(name, value)
                ],
            }
            for kind, rule in _rules_of(order)
        ],
        "served": _served(order),
        "priced_at": parse_datetime(order.quote.get("basis", {}).get("pricedAt", "")),
    }


def _served(order: Order) -> list[str]:
    """Say of each kind of rule that an outside engine is asked for whose rules they were."""
    names = {"prices": _("Prices"), "shipping": _("Shipping"), "tax": _("Taxes")}
    words = {
        "outside": _("by the outside engine"),
        "own tables": _("by the shop's own tables, the outside engine gave no usable answer"),
        "outside and own tables": _(
            "in part by the outside engine, in part by the shop's own tables"
        ),
    }
    served = order.quote.get("basis", {}).get("servedBy", {})
    return [f"{names[kind]}: {words[by]}" for kind, by in sorted(served.items())]


def _rules_of(order: Order) -> list[tuple[str, dict[str, Any]]]:
    basis = order.quote.get("basis", {})
    found = [("promotion", rule) for rule in basis.get("promotions", ())]
    found += [("taxrate", rule) for rule in basis.get("taxRates", ())]
    if basis.get("shipping"):
        found.append(("shippingrule", basis["shipping"]))
    return found


def _page_of(kind: str, pk: str) -> str:
    """Return where the rule stands as it is now; it may be gone, or say something else by now."""
    return reverse(f"admin:pricing_{kind}_changelist") + f"?id__exact={pk}"


def _tells(name: str, value: Any) -> bool:
    return name not in {"id", "name", "zone"} and value not in (None, "", "0", [], {}, False)


def _in_words(name: str) -> str:
    """Return a term of a rule for reading: `basePrice` is `base price`."""
    return re.sub(r"(?<=[a-z])([A-Z])", r" \1", name).lower()


def _money(order: Order, *, asked: Decimal) -> list[dict[str, Any]]:
    """Return the sums as they add up: goods and shipping, less discounts, plus what tax comes on top."""
    on_top = order.tax_total - order.included_tax
    rows: list[tuple[Any, Decimal, str]] = [(_("Goods"), order.subtotal, "")]
    if order.discount_total:
        rows.append((_("Discounts"), -order.discount_total, ""))
    rows.append((_("Shipping, %(name)s") % {"name": order.shipping_name} if order.shipping_name else _("Shipping"), order.shipping_total, ""))  # fmt: skip
    if on_top or not order.included_tax:
        rows.append((_("Tax"), on_top, ""))
    rows.append((_("Total"), order.grand_total, "total"))
    if order.included_tax:
        rows.append((_("Tax in the prices"), order.included_tax, "note"))
    if order.refunded_total:
        rows.append((_("Refunded"), -order.refunded_total, ""))
        rows.append((_("Kept"), order.grand_total - order.refunded_total, "total"))
    if asked != order.grand_total - order.refunded_total and asked > 0:
        rows.append((_("Can still go back"), asked, "note"))
    return [
        {"label": label, "amount": money_text(value, order.currency), "kind": kind}
        for label, value, kind in rows
    ]


def address_lines(address: dict[str, Any] | None) -> list[str]:
    """Return an address as its lines."""
    given = {key: str(value) for key, value in (address or {}).items() if value}
    town = " ".join(given[key] for key in ("city", "state", "postalCode") if key in given)
    country = given.get("country", "")
    lines = [given.get("name"), given.get("line1"), given.get("line2"), town]
    return [
        line for line in [*lines, country and country_name(country), given.get("phone")] if line
    ]
