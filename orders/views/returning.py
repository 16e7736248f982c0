"""
Sending something back, in steps that need no script: what, why, what instead, one last look, done.

Every step carries what the others asked for, so going back loses nothing, and nothing is written before the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key
from inventory.selectors import VariantRef
from orders import selectors
from orders import services as orders
from orders.errors import OrderNotFound
from orders.models import Order, OrderLine, ReturnLine, ReturnRequest
from orders.rendering import link_token, order_path
from orders.services import Offer, Units, Wanted, WantedReturn
from orders.views.steps import once_at_the_end, read_units
from pricing.display import options_text
from pricing.selectors.storefront import option_orders
from pricing.templatetags.money import moment, money_text

REASONS = {
    "size": gettext_lazy("It does not fit"),
    "mind": gettext_lazy("I changed my mind"),
    "described": gettext_lazy("It is not as described"),
    "damaged": gettext_lazy("It arrived damaged"),
    "wrong": gettext_lazy("It is not what I ordered"),
    "late": gettext_lazy("It came too late"),
}
STEPS = ("goods", "why", "instead", "check")
MONEY = "money"
Status = ReturnRequest.Status


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the check page says: what comes back, what the replacement costs, and what follows."""

    brings: Decimal
    replacement: Decimal | None

    @property
    def to_pay(self) -> Decimal:
        return max((self.replacement or Decimal(0)) - self.brings, Decimal(0))

    @property
    def goes_back(self) -> Decimal:
        return max(self.brings - (self.replacement or Decimal(0)), Decimal(0))


def owner_of(request: HttpRequest, number: str) -> tuple[Actor, Order]:
    """
    Return who may send an order back, with the order: who placed it, or for a guest's order, who has its link.

    :raises OrderNotFound: for anybody else
    """
    return selectors.find_as_owner(
        actor=actor_of(request), reference=number, token=request.GET.get("token", "")
    )


def order_url(request: HttpRequest, number: str) -> str:
    """Return the page of an order, with the key to it that the visitor came with."""
    return order_path(number, token=request.GET.get("token", ""))


def other_path(order: Order, tail: str = "", *, by_link: bool) -> str:
    """Return the page of an order that belongs to another; who came by a link goes on by the link of this one."""
    return order_path(order.number, tail, token=link_token(order) if by_link else "")


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
@once_at_the_end
def request_return(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Choose what goes back, why, and what comes instead, look it over, and ask for it.

    :raises OrderNotFound: if it is not the visitor's
    """
    actor, order = owner_of(request, number)
    now = timezone.now()
    most = selectors.returnable(order=order)
    ends = selectors.return_until(order=order)
    if ends is None or ends < now or not any(most.values()):
        text = (
            _("The time in which this order could be returned is over.")
            if ends is not None and ends < now
            else _("Nothing of this order can be returned now.")
        )
        messages.error(request, text)
        return redirect(order_url(request, number))
    values = {
        name: str(value).replace("\x00", "").strip()[:500] for name, value in request.POST.items()
    }
    units, problem = read_units(request, most) if request.method == "POST" else ([], "")
    offered = orders.offers(order=order, actor=actor, now=now)
    chosen, unknown = _chosen(units, offered, values)
    step = values.get("step", "goods") if units and not problem and not unknown else "goods"
    if unknown and not problem:
        step, problem = "instead", _("This is no longer there. Choose something else, please.")
    if step == "do":
        return _do(request, actor, order, units=units, chosen=chosen, values=values)
    if step not in STEPS or (step == "instead" and not any(offered[u.line_id] for u in units)):
        step = "check" if step == "instead" else "goods"
    lines = {line.id: line for line in order.lines.all()}
    sums = None
    if step == "check":
        sums, problem = _sums(order, lines, units, chosen, actor)
    taken = {part.line_id: part.quantity for part in units}
    sorts = option_orders(product_ids=[line.product_id for line in lines.values()])
    shown = [
        _line(
            line,
            sorts.get(line.product_id, ()),
            order.currency,
            most=most[line.id],
            quantity=taken.get(line.id, 0),
            values=values,
            offered=offered[line.id],
            instead=chosen.get(line.id),
        )
        for line in lines.values()
        if (most[line.id] if step == "goods" else taken.get(line.id))
    ]
    has_offers = any(offered[part.line_id] for part in units) if units else any(offered.values())
    context = {
        "number": order.number,
        "order_url": order_url(request, number),
        "currency": order.currency,
        "step": step,
        "stages": _stages(step, has_offers=has_offers),
        "next": {"goods": "why", "why": "instead" if has_offers else "check", "instead": "check"}.get(step, "do"),
        "before": {"why": "goods", "instead": "why", "check": "instead" if has_offers else "why"}.get(step, ""),
        "lines": shown,
        "reasons": REASONS.items(),
        "sums": sums,
        "days": settings.ORDER_EXCHANGE_HOLD.days,
        "hours": round(settings.ORDER_EXCHANGE_PAY.total_seconds() / 3600),
        "ends": ends,
        "problem": problem,
        "notes": values.get("notes", ""),
        "form_key": form_key(),
    }  # fmt: skip
    return render(request, "orders/return.html", context, status=422 if problem else 200)


@cache_control(no_store=True)
@require_http_methods(["POST"])
def withdraw(request: HttpRequest, number: str, return_id: UUID) -> HttpResponse:
    """
    Take a request back that nobody has decided yet.

    :raises OrderNotFound: if it is not the visitor's
    """
    actor, order = owner_of(request, number)
    try:
        count(request)
        if not ReturnRequest.objects.filter(pk=return_id, order=order).exists():
            raise OrderNotFound
        orders.withdraw_return(actor=actor, return_id=return_id, now=timezone.now())
        messages.success(request, _("You keep it. The return is off."))
    except ApplicationError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.advice}")
    return redirect(order_url(request, number))


def shown_returns(order: Order, token: str) -> list[dict[str, Any]]:
    """Return the returns of an order in words: what, where it stands, what happens next, and what pays for what."""
    names = {line.id: line.name for line in order.lines.all()}
    return [
        {
            "id": str(found.id),
            "status_text": found.get_status_display(),
            "steps": _story(found, order.currency),
            "asked": found.requested_at,
            "amount": found.refund_amount,
            "can_withdraw": found.status == Status.REQUESTED,
            "withdraw_url": order_path(order.number, f"returns/{found.id}/withdraw/", token=token),
            "lines": [
                f"{part.quantity} × {names.get(part.order_line_id, '')}"
                + (_wanted_text(part) if part.exchange_variant else "")
                for part in found.lines.all()
            ],
            "instead": _instead(found, by_link=bool(token)),
            "failure": _(
                "What you wanted instead is gone, so we pay you back.",
            )
            if found.exchange_failure
            else "",
            "notes": found.notes,
        }
        for found in selectors.returns_of(order_id=order.id)
    ]


def _wanted_text(part: ReturnLine) -> str:
    assert part.exchange_variant is not None
    what = options_text(part.exchange_variant.options) or part.exchange_variant.sku
    return " " + _("for %(what)s") % {"what": what}


def _story(found: ReturnRequest, currency: str) -> list[dict[str, Any]]:
    """Return the steps of a return: those behind it with their time, the one it is at, and those to come."""
    steps = [_done(_("Asked for"), found.requested_at)]
    match found.status:
        case Status.REQUESTED:
            return [
                *steps,
                _now(_("We look at it"), _("And write to you.")),
                _next(_("You send it")),
                _next(_("It is back")),
            ]
        case Status.REJECTED:
            return [*steps, _bad(_("We could not take it back"), found.decided_at)]
        case Status.WITHDRAWN:
            return [*steps, _bad(_("You kept it"), found.decided_at)]
        case Status.CLOSED:
            return [*steps, _bad(_("Nothing came"), found.decided_at)]
        case Status.APPROVED:
            return [
                *steps,
                _done(_("Accepted"), found.decided_at),
                _now(_("Send it to us"), _("We pay as soon as it is here.")),
                _next(_("It is back")),
            ]
    steps += [_done(_("Accepted"), found.decided_at), _done(_("It is back"), found.received_at)]
    missing = sum(part.quantity - (part.received_quantity or 0) for part in found.lines.all())
    if missing:
        steps[-1]["text"] += ". " + _("%(n)d fewer than you announced") % {"n": missing}
    moved = sum((request.moved_amount for request in found.refund_requests.all()), Decimal(0))
    rest = found.refund_amount - moved
    if rest:
        title = _("%(amount)s goes back to you") % {"amount": money_text(rest, currency)}
        steps.append(_done(title, None) if found.status == Status.REFUNDED else _now(title, ""))
    return steps


def _done(title: str, at: Any) -> dict[str, Any]:
    return {"state": "done", "title": title, "text": moment(at) if at else ""}


def _now(title: str, text: str) -> dict[str, Any]:
    return {"state": "now", "title": title, "text": text}


def _next(title: str) -> dict[str, Any]:
    return {"state": "next", "title": title, "text": ""}


def _bad(title: str, at: Any) -> dict[str, Any]:
    return {**_done(title, at), "state": "bad"}


def _instead(found: ReturnRequest, *, by_link: bool) -> dict[str, Any] | None:
    order = found.replacement
    if order is None:
        return None
    is_back = found.status in {Status.RECEIVED, Status.REFUNDED}
    is_open = order.status == Order.Status.DRAFT
    return {
        "number": order.number,
        "status_text": _("kept for you until your parcel is here")
        if is_open and not is_back
        else order.get_status_display(),
        "to_pay": order.to_pay if is_open and is_back else None,
        "url": other_path(order, by_link=by_link),
        "pay_url": other_path(order, "pay/", by_link=by_link) if is_open and is_back else "",
    }


def _chosen(
    units: Sequence[Units], offered: Mapping[UUID, list[Offer]], values: Mapping[str, str]
) -> tuple[dict[UUID, Offer], bool]:
    """Return what is wanted for each line that is not for its money, and whether anything named is not offered."""
    chosen = {}
    unknown = False
    for part in units:
        wanted = values.get(f"instead-{part.line_id}", "") or MONEY
        if wanted == MONEY:
            continue
        offer = next(
            (each for each in offered[part.line_id] if str(each.variant.id) == wanted), None
        )
        if offer is None or not offer.availability.allows(part.quantity):
            unknown = True
        else:
            chosen[part.line_id] = offer
    return chosen, unknown


def _sums(
    order: Order,
    lines: Mapping[UUID, OrderLine],
    units: Sequence[Units],
    chosen: Mapping[UUID, Offer],
    actor: Actor,
) -> tuple[_Sums | None, str]:
    brings = orders.would_bring(order, units)
    if not chosen:
        return _Sums(brings, None), ""
    wanted = [
        Wanted(lines[part.line_id], chosen[part.line_id].variant, part.quantity)
        for part in units
        if part.line_id in chosen
    ]
    try:
        found = orders.estimate(order=order, wanted=wanted, actor=actor, now=timezone.now())
    except ApplicationError as refusal:
        return _Sums(brings, None), f"{refusal.detail} {refusal.advice}"
    return _Sums(brings, found.total), ""


def _do(
    request: HttpRequest,
    actor: Actor,
    order: Order,
    *,
    units: Sequence[Units],
    chosen: Mapping[UUID, Offer],
    values: Mapping[str, str],
) -> HttpResponse:
    try:
        count(request)
        orders.request_return(
            actor=actor,
            order_id=order.id,
            wanted=[
                WantedReturn(
                    part.line_id,
                    part.quantity,
                    str(REASONS.get(values.get(f"why-{part.line_id}", ""), "")),
                    VariantRef(variant_id=chosen[part.line_id].variant.id)
                    if part.line_id in chosen
                    else None,
                )
                for part in units
            ],
            notes=values.get("notes", ""),
            now=timezone.now(),
        )
        messages.success(
            request, _("We have your return. We write to you as soon as we have looked at it.")
        )
    except ApplicationError as refusal:
        reasons = " ".join(str(error.message) for error in refusal.errors)
        messages.error(request, f"{refusal.detail} {reasons or refusal.advice}")
    return redirect(order_url(request, order.number))


def _stages(step: str, *, has_offers: bool) -> list[dict[str, Any]]:
    words = {
        "goods": _("What"),
        "why": _("Why"),
        "instead": _("What instead"),
        "check": _("Check"),
    }
    names = [name for name in STEPS if has_offers or name != "instead"]
    at = names.index(step)
    return [
        {"text": words[name], "is_now": name == step, "is_done": index < at}
        for index, name in enumerate(names)
    ]


def _line(
    line: OrderLine,
    sort: Sequence[str],
    currency: str,
    *,
    most: int,
    quantity: int,
    values: Mapping[str, str],
    offered: Sequence[Offer],
    instead: Offer | None,
) -> dict[str, Any]:
    why = values.get(f"why-{line.id}", "")
    return {
        "id": str(line.id),
        "name": line.name,
        "image": line.image_url,
        "options_text": options_text(line.options, sort),
        "most": most,
        "quantity": quantity,
        "why": why,
        "why_text": REASONS.get(why, ""),
        "instead": str(instead.variant.id) if instead else MONEY,
        "instead_text": _offer_name(instead, line, sort) if instead else _("The money"),
        "offers": [
            {
                "value": str(offer.variant.id),
                "text": _offer_name(offer, line, sort),
                "hint": ". ".join(
                    [_difference(offer, currency), *_stock(offer, quantity)],
                ),
                "is_there": offer.availability.allows(quantity),
            }
            for offer in offered
        ],
    }


def _offer_name(offer: Offer, line: OrderLine, sort: Sequence[str]) -> str:
    if offer.variant.id == line.variant_id:
        return _("The same again")
    return options_text(offer.variant.options, sort) or offer.variant.sku


def _difference(offer: Offer, currency: str) -> str:
    if not offer.difference:
        return _("Costs nothing")
    amount = money_text(abs(offer.difference), currency)
    if offer.difference > 0:
        return _("%(amount)s more each") % {"amount": amount}
    return _("%(amount)s less each") % {"amount": amount}


def _stock(offer: Offer, quantity: int) -> list[str]:
    if not offer.availability.allows(quantity):
        return [_("only %(n)d left") % {"n": offer.availability.shown}]
    if offer.availability.available < quantity:
        return [_("not there yet")]
    return []
