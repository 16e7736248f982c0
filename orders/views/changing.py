"""
Changing a placed order: type over what it is, see what that comes to, and do exactly that. No script needed.

What is typed travels with every step, so going back loses nothing, and nothing is written before the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

from config.platform import flags
from config.platform.actor import Actor
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.http.forms import count, form_key
from inventory.errors import HoldFailed
from inventory.selectors import VariantRef
from orders import selectors
from orders import services as orders
from orders.errors import EditCostsMore, OrderAddressFixed, OrderNotEditable, PriceChanged
from orders.models import Order, OrderLine
from orders.services import DirectItem, Edit, Proposal
from orders.views.papers import address_lines
from orders.views.steps import once_at_the_end
from pricing.display import countries_of, discounts_of, options_text, totals_of
from pricing.engine import ShippingOption
from pricing.errors import NoShippingZone
from pricing.selectors.baskets import Offer, Wanted, offers
from pricing.selectors.search import Search, search_catalogue
from pricing.selectors.storefront import option_orders

ADDRESS = ("name", "line1", "line2", "city", "state", "postal_code", "country", "phone")
BILL = "bill_"
BILL_LABELS = {
    "name": (gettext_lazy("Name"), "billing name"),
    "line1": (gettext_lazy("Street and number"), "billing address-line1"),
    "line2": (gettext_lazy("Flat, floor, boat"), "billing address-line2"),
    "city": (gettext_lazy("City"), "billing address-level2"),
    "postal_code": (gettext_lazy("Postal code"), "billing postal-code"),
    "state": (gettext_lazy("State or region"), "billing address-level1"),
}
MOST_MORE, MOST_ADDED, MOST_FOUND = 100, 20, 8


@dataclass
class Wish:
    """
    What a visitor typed: units by line, units by SKU of what comes on top, the way it goes, and both addresses.

    `errors` says by the name of a field what is wrong with it.
    """

    units: dict[UUID, int]
    added: dict[str, int]
    option: str
    parcel: dict[str, str]
    bill: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


@cache_control(no_store=True)
@require_http_methods(["GET", "HEAD", "POST"])
@once_at_the_end
def change(request: HttpRequest, number: str) -> HttpResponseBase:
    """
    Change a confirmed order: fewer or more of a thing, other things, another way to ship, another address.

    :raises OrderNotFound: if it is not the visitor's
    """
    actor = actor_of(request)
    order = selectors.find(
        actor=actor, reference=str(selectors.find_id(actor=actor, reference=number))
    )
    try:
        ways = orders.ways_to_ship(actor=actor, order_id=order.id, now=timezone.now())
    except OrderNotEditable as refusal:
        return _too_late(request, order, refusal)
    except ApplicationError:  # nobody could say what shipping costs now: it stays as it is
        ways = ()
    page = _Page(request, order, actor, ways)
    if request.method != "POST":
        return page.form(page.stored())
    wish = page.typed()
    words = _text(request, "find")
    step = request.POST.get("step", "")
    if step == "find" or (step == "review" and words and words != _text(request, "found")):
        return page.form(wish, words=words)
    if step == "back":
        return page.form(wish)
    if wish.errors:
        return page.form(wish)
    return page.apply(wish) if step == "do" else page.look(wish)


def _too_late(request: HttpRequest, order: Order, refusal: OrderNotEditable) -> HttpResponse:
    """Say why an order can no longer be changed, and what can be done instead."""
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": request.path})
    waits = order.status == Order.Status.DRAFT
    context = {
        "number": order.number,
        "detail": refusal.detail,
        "advice": "" if waits else refusal.advice,
        "can_leave_out": order.status in orders.SOLD
        and flags.is_enabled("ORDER_ENABLE_PARTIAL_CANCELLATION")
        and any(line.unsent for line in order.lines.all()),
    }
    return render(request, "orders/change_closed.html", context, status=409)


class _Page:
    """One visit of the page: the order as it is, and what may be typed over it."""

    def __init__(
        self, request: HttpRequest, order: Order, actor: Actor, ways: Sequence[ShippingOption]
    ) -> None:
        self.request, self.order, self.actor, self.ways = request, order, actor, ways
        self.lines: dict[UUID, OrderLine] = {
            line.id: line for line in order.lines.all() if line.unsent
        }
        self.is_sent = bool(order.shipping_address)
        self.may_take_out = flags.is_enabled("ORDER_ENABLE_PARTIAL_CANCELLATION")

    # --- what was typed -------------------------------------------------------------------------

    def stored(self) -> Wish:
        """Return the order as it is, as if it had been typed."""
        return Wish(
            units={line.id: line.unsent for line in self.lines.values()},
            added={},
            option=self.order.shipping_option,
            parcel=_fields_of(self.order.shipping_address),
            bill=_fields_of(self.order.billing_address),
        )

    def typed(self) -> Wish:
        """Return what was typed; what is not there stays as it is."""
        wish, post = self.stored(), self.request.POST
        for line_id, line in self.lines.items():
            name = f"units-{line_id}"
            least = 0 if self.may_take_out else line.unsent
            most = line.unsent + MOST_MORE
            wanted = _number(post.get(name, str(line.unsent)))
            if wanted is None or not least <= wanted <= most:
                wish.errors[name] = _("A number from %(least)d to %(most)d, please.") % {"least": least, "most": most}  # fmt: skip
            else:
                wish.units[line_id] = wanted
        for name, sku in _additions(post):
            wanted = _number(post.get(name, ""))
            if wanted is None or wanted > MOST_MORE:
                wish.added[sku] = 1
                wish.errors[name] = _("A number from %(least)d to %(most)d, please.") % {"least": 0, "most": MOST_MORE}  # fmt: skip
            elif wanted:
                wish.added[sku] = wanted
        if len(wish.added) > MOST_ADDED:
            wish.added = dict(list(wish.added.items())[:MOST_ADDED])
            wish.errors["find"] = _("That is too much at once.")
        wish.option = _text(self.request, "shipping_option")[:40] or wish.option
        for prefix, address in (("", wish.parcel), (BILL, wish.bill)):
            for each in ADDRESS:
                if prefix + each in post:
                    address[each] = _text(self.request, prefix + each)
        return wish

    def _edit(self, wish: Wish) -> Edit:
        """Return what was typed as an edit: only what differs from the order as it is."""
        now = self.stored()
        return Edit(
            quantities={
                line_id: units
                for line_id, units in wish.units.items()
                if units != self.lines[line_id].unsent
            },
            add=[DirectItem(sku, units) for sku, units in wish.added.items()],
            shipping_address=wish.parcel if wish.parcel != now.parcel else None,
            billing_address=wish.bill if wish.bill != now.bill and _is_begun(wish.bill) else None,
            shipping_option=wish.option if self.is_sent else "",
        )  # fmt: skip

    # --- the steps ------------------------------------------------------------------------------

    def look(self, wish: Wish, *, note: str = "") -> HttpResponse:
        """Show what it comes to, or what is wrong with it beside the field it was typed into."""
        edit = self._edit(wish)
        try:
            count(self.request, "checkout")
            proposal = orders.preview_edit(
                actor=self.actor, order_id=self.order.id, edit=edit, now=timezone.now()
            )
        except ApplicationError as refusal:
            return self._refused(wish, edit, refusal)
        return self._review(wish, proposal, note)

    def apply(self, wish: Wish) -> HttpResponse:
        """Do exactly what was shown, or show what it would come to by now."""
        edit = self._edit(wish)
        try:
            count(self.request, "checkout")
            done = orders.apply_edit(
                actor=self.actor,
                order_id=self.order.id,
                edit=edit,
                quote_id=_text(self.request, "quote"),
                reason="by the customer",
                now=timezone.now(),
            )
        except PriceChanged:
            return self.look(
                wish, note=_("This has changed since you saw it. Look at it again, please.")
            )
        except ApplicationError as refusal:
            return self._refused(wish, edit, refusal)
        if done.addition is not None:
            messages.success(self.request, _("It is changed. What you added is held for you until it is paid."))  # fmt: skip
            return redirect(f"/orders/{done.addition.number}/pay/")
        messages.success(self.request, _("It is changed."))
        return redirect(f"/orders/{self.order.number}/")

    def _offers(self, wanted: Sequence[tuple[VariantRef, int]]) -> list[Offer]:
        return offers(
            actor=self.actor,
            wanted=[Wanted(ref=ref, quantity=units) for ref, units in wanted],
            currency=self.order.currency,
        )

    def _refused(self, wish: Wish, edit: Edit, refusal: ApplicationError) -> HttpResponse:
        """Say a refusal beside the field that it is about; what is about none is said above."""
        if isinstance(refusal, OrderNotEditable):
            return _too_late(self.request, self.order, refusal)
        if isinstance(refusal, HoldFailed):
            self._say_short(wish, refusal)
            return self.form(wish)
        lines = [f"units-{line_id}" for line_id in edit.quantities]
        added = [f"add-{item.sku}" for item in edit.add]
        above = [] if refusal.errors else [f"{refusal.detail} {refusal.advice}"]
        place = ""
        if (
            isinstance(refusal, EditCostsMore)
            and edit.shipping_option != self.order.shipping_option
        ):
            place = "shipping_option"
        elif isinstance(refusal, EditCostsMore | NoShippingZone | OrderAddressFixed):
            place = "country"
        if place:
            wish.errors[place] = above.pop()
        for error in refusal.errors:
            head, _dot, rest = error.field.partition(".")
            row = int(rest.partition(".")[0]) if rest.partition(".")[0].isdigit() else -1
            fields = {"items": lines, "add": added}.get(head, [])
            if 0 <= row < len(fields):
                wish.errors[fields[row]] = str(error.message)
            elif head in {"shippingAddress", "billingAddress"}:
                name = {"postalCode": "postal_code"}.get(rest, rest) or "line1"
                wish.errors[(BILL if head == "billingAddress" else "") + name] = str(error.message)
            elif head == "shippingOption":
                wish.errors["shipping_option"] = str(error.message)
            else:
                above.append(str(error.message))
        return self.form(wish, above=above)

    def _say_short(self, wish: Wish, refusal: HoldFailed) -> None:
        """Say beside each field how much is left of what somebody else was quicker to take."""
        short = {row["sku"]: row["available"] for row in refusal.extra.get("lines", ())}
        for line_id, units in wish.units.items():
            line = self.lines[line_id]
            if units > line.unsent and line.sku in short:
                wish.errors[f"units-{line_id}"] = orders.what_is_left(short[line.sku])
        for sku in wish.added:
            if sku in short:
                wish.errors[f"add-{sku}"] = orders.what_is_left(short[sku])

    # --- what is shown --------------------------------------------------------------------------

    def form(self, wish: Wish, *, words: str = "", above: Sequence[str] = ()) -> HttpResponse:
        is_bad = bool(wish.errors or above)
        sorts = option_orders(product_ids=[line.product_id for line in self.lines.values()])
        context = {
            **self._shared(),
            "lines": [
                {
                    "id": str(line.id),
                    "name": line.name,
                    "image": line.image_url,
                    "options_text": options_text(line.options, sorts.get(line.product_id, ())),
                    "unit_price": line.unit_price,
                    "least": 0 if self.may_take_out else line.unsent,
                    "now": line.unsent,
                    "most": line.unsent + MOST_MORE,
                    "quantity": wish.units[line.id],
                    "error": wish.errors.get(f"units-{line.id}", ""),
                }
                for line in self.lines.values()
            ],
            "may_take_out": self.may_take_out,
            "added": list(self._added_rows(wish)),
            "words": words,
            "found": self._found(words, wish) if words else [],
            "ways": self._ways(wish.option),
            "option": wish.option,
            "is_sent": self.is_sent,
            "form": wish.parcel,
            "bill": [
                {
                    "name": BILL + name,
                    "id": f"bill-{name.replace('_', '-')}",
                    "label": label,
                    "autocomplete": autocomplete,
                    "value": wish.bill[name],
                    "optional": name in ("line2", "state"),
                    "error": wish.errors.get(BILL + name, ""),
                }
                for name, (label, autocomplete) in BILL_LABELS.items()
            ],
            "bill_country": wish.bill["country"],
            "bill_is_open": any(name.startswith(BILL) for name in wish.errors),
            "errors": wish.errors,
            "above": above,
            "countries": countries_of(
                company_id=self.order.company_id, first=settings.DEFAULT_COUNTRY
            ),
        }
        return render(self.request, "orders/change.html", context, status=422 if is_bad else 200)

    def _review(self, wish: Wish, proposal: Proposal, note: str) -> HttpResponse:
        quote = proposal.addition.quote if proposal.addition else None
        priced = quote.lines_by_id if quote else {}
        context = {
            **self._shared(),
            "note": note,
            "proposal": proposal,
            "out": [
                {
                    "name": proposal.lines[part.line_id].name,
                    "options_text": options_text(proposal.lines[part.line_id].options),
                    "before": proposal.lines[part.line_id].unsent,
                    "after": proposal.lines[part.line_id].unsent - part.quantity,
                    "brings": proposal.brings[part.line_id],
                }
                for part in proposal.taken
            ],
            "more": [
                {
                    "name": line.name,
                    "options_text": options_text(line.options),
                    "quantity": priced[line.quote_line_id].quantity,
                    "unit_price": priced[line.quote_line_id].unit_price,
                    "subtotal": priced[line.quote_line_id].subtotal,
                }
                for line in (proposal.addition.lines if proposal.addition else ())
            ],
            "totals": totals_of(quote, is_estimate=False, has_destination=True) if quote else None,
            "discounts": discounts_of(quote) if quote else [],
            "way": proposal.shipping_name
            if proposal.shipping_option != self.order.shipping_option
            else "",
            "way_before": self.order.shipping_name,
            "goes_to": address_lines(proposal.addresses.get("shipping_address")),
            "bill_to": address_lines(proposal.addresses.get("billing_address")),
            "hours": round(settings.ORDER_AUTO_CANCEL_DRAFT.total_seconds() / 3600),
            "carried": list(self._carried(wish)),
        }
        return render(self.request, "orders/change.html", context)

    def _shared(self) -> dict[str, Any]:
        return {
            "number": self.order.number,
            "currency": self.order.currency,
            "form_key": form_key(),
        }

    def _carried(self, wish: Wish) -> Iterator[tuple[str, Any]]:
        """Yield everything that was typed as the fields of a form, so that the next step has it too."""
        yield from ((f"units-{line_id}", units) for line_id, units in wish.units.items())
        yield from ((f"add-{sku}", units) for sku, units in wish.added.items())
        yield "shipping_option", wish.option
        yield from wish.parcel.items()
        yield from ((BILL + name, text) for name, text in wish.bill.items())

    def _added_rows(self, wish: Wish) -> Iterator[dict[str, Any]]:
        """Yield what was chosen to come on top, as it is sold now; what is no longer sold says so."""
        found = self._offers([(VariantRef(sku=sku), units) for sku, units in wish.added.items()])
        for (sku, units), offer in zip(wish.added.items(), found, strict=True):
            name = f"add-{sku}"
            error = wish.errors.get(name, "")
            if not offer.variant or offer.price is None:
                error = error or _("This is not sold any more.")
            yield {
                "field": name,
                "name": offer.variant.product.name if offer.variant else sku,
                "options_text": options_text(offer.variant.options) if offer.variant else "",
                "image": offer.variant.image if offer.variant else "",
                "price": offer.price,
                "quantity": units,
                "most": MOST_MORE,
                "error": error,
            }

    def _found(self, words: str, wish: Wish) -> list[dict[str, Any]]:
        """Return what is for sale under these words and was not chosen yet, the best first."""
        count(self.request)
        found = search_catalogue(
            actor=self.actor,
            currency=self.order.currency,
            search=Search(q=words, in_stock=True),
            now=timezone.now(),
            size=MOST_FOUND,
        )
        return [
            {
                "field": f"add-{variant.sku}",
                "name": product.name,
                "options_text": options_text(variant.options, product.option_names),
                "image": variant.image or (product.image.url if product.image else ""),
                "price": variant.price,
                "quantity": 0,
                "most": MOST_MORE,
                "error": "",
            }
            for product in found.products
            for variant in product.variants
            if variant.in_stock and variant.price is not None and variant.sku not in wish.added
        ][:MOST_FOUND]

    def _ways(self, chosen: str) -> list[dict[str, Any]]:
        """Return the ways to ship, each with what it costs more or less than was paid."""
        paid = self.order.shipping_total - self.order.shipping_claimed
        rows = [
            {"id": way.id, "name": way.name, "price": way.price, "difference": way.price - paid}
            for way in self.ways
        ]
        if self.is_sent and not any(row["id"] == self.order.shipping_option for row in rows):
            rows.insert(0, {"id": self.order.shipping_option, "name": self.order.shipping_name, "price": paid, "difference": 0})  # fmt: skip
        for row in rows:
            row["is_now"] = row["id"] == self.order.shipping_option
            row["is_chosen"] = row["id"] == chosen
        return rows


def _text(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\x00", "").strip()[:200]


def _number(text: str) -> int | None:
    text = text.strip() or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _additions(post: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields that name a SKU to add, and the SKU."""
    for name in post:
        sku = name.removeprefix("add-")
        if sku != name and sku and "\x00" not in sku and len(sku) <= 255:
            yield name, sku


def _is_begun(address: Mapping[str, str]) -> bool:
    """Return whether anything was typed into an address; a country is always chosen."""
    return any(text for name, text in address.items() if name != "country")


def _fields_of(address: Mapping[str, Any] | None) -> dict[str, str]:
    known = address or {}
    return {
        each: str(known.get("postalCode" if each == "postal_code" else each, ""))
        for each in ADDRESS
    }
