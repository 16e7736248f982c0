"""The cart as its owner sees it: what each line costs and whether it can be bought, and what it all comes to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from cart.selectors.state import ACTIVE, NEXT, SAVED, Head, Line
from config.platform import flags
from inventory.selectors import SHOWN_AT_MOST
from pricing.engine import Basket, Place, Quote, QuoteLine
from pricing.engine import Line as BasketLine
from pricing.selectors.promotions import PROMOTIONS_FLAG

LOW_STOCK = 3
ZERO = Decimal(0)

# Problems: the line cannot be bought as it is.
DISCONTINUED, NOT_SOLD = "PRODUCT_DISCONTINUED", "PRODUCT_NOT_FOUND"
OUT_OF_STOCK, NO_PRICE = "ITEM_OUT_OF_STOCK", "PRICE_MISSING"
# Warnings: something to know.
PRICE_CHANGED, HOLD_EXPIRED, LOW = "PRICE_CHANGED", "HOLD_EXPIRED", "LOW_STOCK"
DISCOUNT_NOT_APPLIED, PRICE_IGNORED = "DISCOUNT_NOT_APPLIED", "PRICE_IGNORED"
ITEM_EXPIRED, ITEM_NOT_MOVED = "ITEM_EXPIRED", "ITEM_NOT_MOVED"


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warning:
    code: str
    item_id: UUID | None
    message: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HoldView:
    """`state` is "held", "expired" or "none"."""

    state: str
    quantity: int
    expires_at: datetime | None
    seconds_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """
    A line as it is shown. Amounts are those of the quote; a line with problems counts for nothing.

    `seen_price` is what the customer knows that a unit costs: when it was added, or what they have accepted since.
    """

    id: UUID
    list: str
    product_id: UUID
    variant_id: UUID
    sku: str
    name: str
    slug: str
    options: dict[str, str]
    image_url: str
    url: str
    quantity: int
    price_when_added: Decimal
    unit_price: Decimal | None
    price_changed: bool
    seen_price: Decimal
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal
    note: str
    customization: dict[str, Any]
    metadata: dict[str, Any]
    bundle_id: UUID | None
    group_id: UUID | None
    expires_at: datetime | None
    added_at: datetime
    hold: HoldView
    available: int
    requires_shipping: bool
    may_wait: bool  # sold beyond what lies there, so nobody knows yet when it can leave
    problems: tuple[Problem, ...]

    @property
    def can_be_bought(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    item_count: int
    line_count: int
    problem_count: int
    subtotal: Decimal
    discount_total: Decimal
    shipping_total: Decimal
    shipping_discount: Decimal
    shipping_tax: Decimal
    tax_total: Decimal
    grand_total: Decimal
    prices_include_tax: bool
    estimated: bool


@dataclass(frozen=True, kw_only=True)
class CartView:
    """A cart at one moment. `quote` is the price of exactly its lines that can be bought."""

    id: UUID
    status: str
    version: int
    currency: str
    owner: str
    user_id: UUID | None
    email: str
    codes: tuple[str, ...]
    points: int
    destination: dict[str, str]
    items: tuple[LineView, ...]
    next_purchase_items: tuple[LineView, ...]
    saved_items: tuple[LineView, ...]
    totals: Totals
    quote: Quote
    warnings: tuple[Warning, ...]
    next_purchase_activated: bool = False
    message: str | None = None
    metadata: dict[str, Any]
    hold_expires_at: datetime | None
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    now: datetime

    @property
    def lines(self) -> tuple[LineView, ...]:
        return (*self.items, *self.next_purchase_items, *self.saved_items)

    @property
    def quote_id(self) -> str:
        return self.quote.id

    @property
    def prices_to_accept(self) -> list[Warning]:
        """The changes of prices of what is being bought that the customer has not accepted."""
        bought = {line.id for line in self.items if line.can_be_bought}
        return [w for w in self.warnings if w.code == PRICE_CHANGED and w.item_id in bought]

    @property
    def problems(self) -> list[tuple[LineView, Problem]]:
        return [(line, problem) for line in self.items for problem in line.problems]

    @cached_property
    def etag(self) -> str:
        """
        Return a tag that differs whenever anything shown differs, the ticking of a countdown aside.

        It begins with the version, which is what `If-Match` compares.
        """
        told = [str(self.id), self.version, self.status, self.quote_id, self.updated_at.isoformat()]
        for line in self.lines:
            told += [
                line.id.hex,
                line.unit_price,
                line.hold.state,
                line.hold.quantity,
                line.hold.expires_at,
                line.available,
                line.name,
                line.image_url,
                *(problem.code for problem in line.problems),
            ]
        told += [(warning.code, warning.item_id, str(warning.extra)) for warning in self.warnings]
        digest = hashlib.sha256(repr(told).encode()).hexdigest()[:20]
        return f"{self.version}-{digest}"


@dataclass(slots=True)
class Judged:
    """
    A line with the verdict on it: what a unit costs now, and what keeps it from being bought.

    `single_price` is what a unit would cost if it were the only one: that is what may have changed since it was added.
    """

    line: Line
    unit_price: Decimal | None
    single_price: Decimal | None
    hold: HoldView
    available: int
    problems: list[Problem]
    price_kind: str = ""


NO_HOLD = HoldView("none", 0, None, 0)


def _hold_view(line: Line, now: datetime) -> HoldView:
    hold = line.hold
    if hold is None or line.list != ACTIVE or hold.expires_at is None:
        return NO_HOLD
    if hold.is_live(now):
        # Rounded up: a hold that shows 0 seconds is over.
        left = -(-(hold.expires_at - now) // _SECOND)
        return HoldView("held", hold.quantity, hold.expires_at, left)
    return HoldView("expired", 0, hold.expires_at, 0)


_SECOND = datetime.resolution * 1_000_000


def judge(*, head: Head, lines: Iterable[Line], now: datetime) -> list[Judged]:
    """
    Return each line with its price and its problems.

    Free units are handed out in the order of the lines, so that two lines of one variant are not both promised the
    last unit; what a line holds is its own.
    """
    pools: dict[UUID, int] = {}
    judged = []
    for line in lines:
        facts = line.facts
        problems: list[Problem] = []
        price = line.unit_price(now)  # of one unit; that of all together follows
        held = line.held(now)
        pool = pools.setdefault(facts.variant_id, facts.free)
        available = held + pool
        if line.list == ACTIVE:
            needed = max(line.quantity - held, 0)
            if facts.status == "draft":
                problems.append(
                    Problem(
                        NOT_SOLD, _("%(name)s is not sold at the moment.") % {"name": facts.name}
                    )
                )
            elif not facts.is_sold:
                problems.append(
                    Problem(DISCONTINUED, _("%(name)s is no longer sold.") % {"name": facts.name})
                )
            elif price is None:
                problems.append(
                    Problem(
                        NO_PRICE,
                        _("%(name)s has no price in this currency.") % {"name": facts.name},
                    )
                )
            elif needed > pool and not facts.backorder:
                shown = min(available, SHOWN_AT_MOST)
                problems.append(
                    Problem(
                        OUT_OF_STOCK,
                        _short(facts.name, line.quantity, available),
                        {"sku": facts.sku, "requested": line.quantity, "available": shown},
                    )
                )
            pools[facts.variant_id] = max(pool - needed, 0)
        shown = max(available, line.quantity) if facts.backorder else available
        judged.append(
            Judged(
                line,
                price,
                price,
                _hold_view(line, now),
                min(shown, SHOWN_AT_MOST),
                problems,
            )
        )
    _price_together(judged, now)
    return judged


def _short(name: str, wanted: int, left: int) -> str:
    """Say how much is left, or beyond what customers may know only that it is less than they want."""
    if left <= 0:
        return _("%(name)s is out of stock.") % {"name": name}
    if left > SHOWN_AT_MOST:
        return _("There are fewer than %(wanted)d of %(name)s.") % {"wanted": wanted, "name": name}
    return _("Only %(left)d left of %(name)s.") % {"left": left, "name": name}


def _price_together(judged: Iterable[Judged], now: datetime) -> None:
    """
    Price lines by how many units of their variant are bought in all.

    Lines that cannot be bought count for nothing, and parts of bundles neither count nor gain: the bundle has its price.
    """
    together: dict[UUID, int] = {}
    counted = []
    for each in judged:
        line = each.line
        if line.group_id is not None:
            if line.facts.ladder is not None and each.unit_price == line.facts.price:
                each.price_kind = line.facts.ladder.reason(1)
            continue
        if line.list != ACTIVE or each.problems:
            each.unit_price = line.unit_price(now, line.quantity)
            continue
        together[line.variant_id] = together.get(line.variant_id, 0) + line.quantity
        counted.append(each)
    for each in counted:
        line, units = each.line, together[each.line.variant_id]
        each.unit_price = line.unit_price(now, units)
        if line.facts.ladder is not None and each.unit_price == line.facts.ladder.at(units):
            each.price_kind = line.facts.ladder.reason(units)


def place_of(destination: dict[str, str]) -> Place | None:
    country = destination.get("country", "")
    if not country:
        return None
    return Place(country, destination.get("state", ""), destination.get("postalCode", ""))


def basket_of(
    *,
    head: Head,
    judged: Sequence[Judged],
    destination: Place | None = None,
    codes: Sequence[str] | None = None,
    shipping_option: str | None = None,
    customer_keys: Sequence[str] | None = None,
) -> Basket:
    """Return what the pricing engine is asked: the active lines that can be bought."""
    return Basket(
        lines=tuple(
            BasketLine(
                id=each.line.id,
                variant_id=each.line.variant_id,
                product_id=each.line.facts.product_id,
                sku=each.line.facts.sku,
                quantity=each.line.quantity,
                unit_price=each.unit_price,
                list_price=each.line.facts.ladder.public if each.line.facts.ladder else None,
                price_kind=each.price_kind,
                is_converted=each.line.facts.ladder is not None
                and each.line.facts.ladder.is_converted,
                category_ids=(each.line.facts.category_id,) if each.line.facts.category_id else (),
                tax_class=each.line.facts.tax_class,
                is_taxable=each.line.facts.is_taxable,
                weight_grams=each.line.facts.weight_grams,
                requires_shipping=each.line.facts.requires_shipping,
                bundle_id=each.line.bundle_id,
                bundle_group=each.line.group_id,
            )
            for each in judged
            if each.line.list == ACTIVE and not each.problems and each.unit_price is not None
        ),
        currency=head.currency,
        destination=destination if destination is not None else place_of(head.destination),
        codes=tuple(head.codes if codes is None else codes),
        points=head.points,
        shipping_option=shipping_option,
        user_id=head.user_id,
        customer_keys=head.customer_keys if customer_keys is None else customer_keys,
    )


def key_of(*, head: Head, basket: Basket) -> str:
    """Return what a stored quote depends on, short of time: equal key, equal quote, until its `valid_until`."""
    # The switch raises no revision: what was priced under it must not be shown without it.
    content = repr((head.revision, flags.is_enabled(PROMOTIONS_FLAG), basket))
    return hashlib.sha256(content.encode()).hexdigest()[:40]


def stored_quote(*, head: Head, key: str, now: datetime) -> Quote | None:
    """
    Return the quote that was written with the cart, if it still is what the cart costs.

    With points on the cart it is not asked: they may be spent or run out without the cart's knowing.
    """
    if head.quote is None or head.quote_key != key or head.points:
        return None
    quote = Quote.from_json(head.quote)
    return quote if quote.valid_until is None or now < quote.valid_until else None


def _line_view(each: Judged, priced: QuoteLine | None) -> LineView:
    line, facts = each.line, each.line.facts
    subtotal = discount = tax = total = ZERO
    if priced is not None:
        subtotal, discount, tax, total = priced.subtotal, priced.discount, priced.tax, priced.total
    elif line.list != ACTIVE and each.unit_price is not None:
        subtotal = total = each.unit_price * line.quantity
    return LineView(
        id=line.id,
        list=line.list,
        product_id=facts.product_id,
        variant_id=facts.variant_id,
        sku=facts.sku,
        name=facts.name,
        slug=facts.slug,
        options=facts.options,
        image_url=facts.image,
        url=f"/products/{facts.slug}/",
        quantity=line.quantity,
        price_when_added=line.price_when_added,
        unit_price=each.unit_price,
        price_changed=each.single_price is not None and each.single_price != line.price_when_added,
        seen_price=line.price_when_added if line.accepted_price is None else line.accepted_price,
        subtotal=subtotal,
        discount=discount,
        tax=tax,
        total=total,
        note=line.note,
        customization=line.customization,
        metadata=line.metadata,
        bundle_id=line.bundle_id,
        group_id=line.group_id,
        expires_at=line.expires_at,
        added_at=line.added_at,
        hold=each.hold,
        available=each.available,
        requires_shipping=facts.requires_shipping,
        may_wait=facts.backorder and facts.free <= 0,
        problems=tuple(each.problems),
    )


def _warnings(
    head: Head, views: Sequence[LineView], judged: Sequence[Judged], quote: Quote
) -> list[Warning]:
    found = []
    for view, each in zip(views, judged, strict=True):
        if (
            view.price_changed
            and each.single_price is not None
            and each.single_price != view.seen_price
            and head.policy.real_time_price_validation_enabled
        ):
            found.append(
                Warning(
                    PRICE_CHANGED,
                    view.id,
                    _("The price of %(name)s has changed since you added it.")
                    % {"name": view.name},
                    {
                        "from": quote.format(view.seen_price),
                        "to": quote.format(each.single_price),
                    },
                )
            )
        if view.list != ACTIVE:
            continue
        if view.hold.state == "expired":
            found.append(
                Warning(
                    HOLD_EXPIRED,
                    view.id,
                    _("%(name)s is no longer held for you.") % {"name": view.name},
                )
            )
        left = each.available - view.quantity
        if (
            not view.problems
            and not each.line.facts.backorder
            and 0 <= left < LOW_STOCK
            and view.available <= LOW_STOCK
        ):
            found.append(
                Warning(
                    LOW,
                    view.id,
                    _("Only a few of %(name)s are left.") % {"name": view.name},
                    {"available": view.available},
                )
            )
    for refused in quote.not_applied:
        found.append(
            Warning(
                DISCOUNT_NOT_APPLIED,
                None,
                refused.message,
                {"code": refused.code, "reason": refused.reason},
            )
        )
    return found


def present(
    *,
    head: Head,
    judged: Sequence[Judged],
    quote: Quote,
    now: datetime,
    warnings: Sequence[Warning] = (),
    next_purchase_activated: bool = False,
    message: str | None = None,
) -> CartView:
    """Return the view of a cart whose lines were judged and priced."""
    by_id = quote.lines_by_id
    views = [_line_view(each, by_id.get(each.line.id)) for each in judged]
    lists: dict[str, list[LineView]] = {ACTIVE: [], NEXT: [], SAVED: []}
    for view in views:
        lists[view.list].append(view)
    bought = [view for view in lists[ACTIVE] if not view.problems]
    sums = quote.totals
    held = [view.hold.expires_at for view in lists[ACTIVE] if view.hold.state == "held"]
    return CartView(
        id=head.id,
        status=head.status,
        version=head.version,
        currency=head.currency,
        owner=head.owner,
        user_id=head.user_id,
        email=head.email,
        codes=tuple(head.codes),
        points=head.points,
        destination=head.destination,
        items=tuple(lists[ACTIVE]),
        next_purchase_items=tuple(lists[NEXT]),
        saved_items=tuple(lists[SAVED]),
        totals=Totals(
            item_count=sum(view.quantity for view in bought),
            line_count=len(bought),
            problem_count=len(lists[ACTIVE]) - len(bought),
            subtotal=sums.subtotal,
            discount_total=sums.discount_total,
            shipping_total=sums.shipping_total,
            shipping_discount=sums.shipping_discount,
            shipping_tax=sums.shipping_tax,
            tax_total=sums.tax_total,
            grand_total=sums.grand_total,
            prices_include_tax=quote.prices_include_tax,
            estimated=True,
        ),
        quote=quote,
        warnings=(*_warnings(head, views, judged, quote), *warnings),
        next_purchase_activated=next_purchase_activated,
        message=message,
        metadata=head.metadata,
        hold_expires_at=min((moment for moment in held if moment is not None), default=None),
        expires_at=head.expires_at,
        created_at=head.created_at,
        updated_at=head.updated_at,
        now=now,
    )
