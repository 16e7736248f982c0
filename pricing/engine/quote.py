"""The answer of the engine: a quote, down to every line, and how it came about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from pricing.engine.terms import (
    EXEMPT,
    KEEP_GROSS,
    LOYALTY,
    PER_LINE,
    PER_ORDER,
    REASONS,
    REVERSE_CHARGE,
)
from pricing.money import format_amount, split_minor, to_minor

ROUNDING_WORDS: Mapping[str, str] = {
    PER_ORDER: "Each tax is rounded once, on the whole order",
    KEEP_GROSS: "Prices stay as shown; what they are without tax is rounded once, on the whole order",
}
RELIEF_WORDS: Mapping[str, str] = {EXEMPT: "exempt,", REVERSE_CHARGE: "reverse charge,"}
# Article 226 (11) and (11a) of Directive 2006/112/EC ask for the ground on the invoice.
RELIEF_MESSAGES: Mapping[str, str] = {
    EXEMPT: "Exempt from tax by certificate.",
    REVERSE_CHARGE: (
        "Intra-Community supply, exempt from VAT under Article 138 of Directive 2006/112/EC. Reverse charge: the "
        "recipient accounts for the VAT."
    ),
}
POINTS_WORDS = "{} points"
RELIEF_NAMES: Mapping[str, str] = {
    EXEMPT: "Tax taken out: exempt",
    REVERSE_CHARGE: "VAT taken out: reverse charge",
}


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """
    One tax: on a line, on shipping, or summed over the quote. `included` means prices contain it.

    `relief` says why it is not charged; its amount is then zero and its base is what it would be charged on.
    """

    name: str
    type: str
    rate: Decimal
    included: bool
    base: Decimal
    amount: Decimal
    relief: str = ""


@dataclass(frozen=True, slots=True)
class TaxRelief:
    """Why this customer is not charged a tax, and the number that proves it."""

    reason: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """
    What of a quote was converted from the company's own currency, `base`, of which one unit was worth `rate`.

    `lines` by their ids, `discounts` by their places in the quote.
    """

    base: str
    rate: Decimal
    lines: frozenset[UUID] = frozenset()
    discounts: frozenset[int] = frozenset()
    shipping: bool = False


@dataclass(frozen=True, slots=True)
class Discount:
    """
    What lowered the price, and by how much in all: a promotion, a bundle's price, points, or a tax taken out of the
    prices.

    `promotion_id` is null for all but promotions.
    """

    promotion_id: UUID | None
    code: str | None
    name: str
    kind: str
    lane: str  # "bundle", "line", "order", "shipping", "loyalty" or "tax"
    amount: Decimal


@dataclass(frozen=True, slots=True)
class NotApplied:
    """A code that did not apply, and why."""

    code: str
    promotion_id: UUID | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """
    A priced line. `total` = subtotal − discount + the tax that prices do not include.

    `shares` says which of the quote's discounts took how much: `(index, amount)`.
    """

    id: UUID
    variant_id: UUID
    sku: str
    quantity: int
    list_price: Decimal
    unit_price: Decimal
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    included_tax: Decimal
    total: Decimal
    taxes: Sequence[TaxAmount]
    shares: Sequence[tuple[int, Decimal]]
    price_kind: str = ""


@dataclass(frozen=True, slots=True)
class ShippingOption:
    """A way to ship that is open to this basket; `id` is what `Basket.shipping_option` names."""

    id: str
    name: str
    price: Decimal
    currency: str
    min_days: int
    max_days: int


@dataclass(frozen=True, slots=True)
class ShippingCharge:
    """The chosen way to ship: `price` is before the discount, `total` after it with tax not included."""

    option: str
    name: str
    price: Decimal
    discount: Decimal
    tax: Decimal
    included_tax: Decimal
    total: Decimal
    min_days: int
    max_days: int
    taxes: Sequence[TaxAmount]
    shares: Sequence[tuple[int, Decimal]]


@dataclass(frozen=True, slots=True)
class Totals:
    """
    `grand_total` = subtotal − discount_total + shipping_total + (tax_total − included_tax_total).

    `discount_total` contains `shipping_discount`; `shipping_total` is before it; `tax_total` contains `shipping_tax`.
    """

    subtotal: Decimal
    discount_total: Decimal
    shipping_total: Decimal
    shipping_discount: Decimal
    shipping_tax: Decimal
    tax_total: Decimal
    included_tax_total: Decimal
    grand_total: Decimal


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way from list prices to the grand total."""

    kind: str
    label: str
    item_id: UUID | None
    amount: Decimal
    running_total: Decimal


@dataclass(frozen=True, kw_only=True)
class Quote:
    """
    A basket priced at one moment. `id` names exactly this content: same lines, prices, promotions, tax and shipping.

    `valid_until` is when a rule next begins or ends; null when none will. `is_estimated` is true while the
    destination, or the shipping of goods that need it, is open. `points` are those the customer spends.
    """

    currency: str
    lines: Sequence[QuoteLine]
    discounts: Sequence[Discount]
    not_applied: Sequence[NotApplied]
    shipping: ShippingCharge | None
    shipping_options: Sequence[ShippingOption]
    shipping_code: str | None
    requires_shipping: bool
    taxes: Sequence[TaxAmount]
    totals: Totals
    prices_include_tax: bool
    is_estimated: bool
    revision: int = 0
    valid_until: datetime | None = None
    relief: TaxRelief | None = None
    tax_rounding: str = PER_LINE
    points: int = 0
    conversion: Conversion | None = None

    @cached_property
    def id(self) -> str:
        content = self.to_json()
        # A rate that moves without moving an amount leaves what is charged as it was.
        for passing in ("id", "not_applied", "options", "revision", "valid_until", "conversion"):
            content.pop(passing, None)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @cached_property
    def lines_by_id(self) -> Mapping[UUID, QuoteLine]:
        return {line.id: line for line in self.lines}

    @cached_property
    def points_by_line(self) -> Mapping[UUID, int]:
        """How many of the points each line took: in proportion to what they took off it, adding up exactly."""
        index = next((i for i, item in enumerate(self.discounts) if item.kind == LOYALTY), None)
        taken = [
            sum(to_minor(part, self.currency) for number, part in line.shares if number == index)
            for line in self.lines
        ]
        parts = split_minor(self.points, taken)
        return {line.id: part for line, part in zip(self.lines, parts, strict=True)}

    def relief_json(self) -> dict[str, str] | None:
        """Return why a tax is not charged as the API shows it, with what an invoice has to say."""
        if self.relief is None:
            return None
        return {
            "reason": self.relief.reason,
            "reference": self.relief.reference,
            "message": RELIEF_MESSAGES[self.relief.reason],
        }

    def format(self, amount: Decimal) -> str:
        return format_amount(amount, self.currency)

    @cached_property
    def steps(self) -> Sequence[Step]:
        """From list prices to the grand total; the last running total is the grand total."""
        return _steps(self)

    def explain(self) -> dict[str, Any]:
        """Return the explanation as the API shows it."""
        return {
            "quoteId": self.id,
            "currency": self.currency,
            "steps": [
                {
                    "kind": step.kind,
                    "label": step.label,
                    "itemId": str(step.item_id) if step.item_id else None,
                    "amount": self.format(step.amount),
                    "runningTotal": self.format(step.running_total),
                }
                for step in self.steps
            ],
            "notApplied": [
                {"code": item.code, "reason": item.reason, "message": item.message}
                for item in self.not_applied
            ],
        }

    def to_json(self) -> dict[str, Any]:
        """Return a compact form for a JSON column; `from_json` gives an equal quote back."""
        keys: dict[tuple[str, str, Decimal, bool, str], int] = {}
        for index, tax in enumerate(self.taxes):
            keys[(tax.name, tax.type, tax.rate, tax.included, tax.relief)] = index

        def taxes(amounts: Sequence[TaxAmount]) -> list[list[Any]]:
            return [
                [
                    keys[(tax.name, tax.type, tax.rate, tax.included, tax.relief)],
                    str(tax.base),
                    str(tax.amount),
                ]
                for tax in amounts
            ]

        def shares(amounts: Sequence[tuple[int, Decimal]]) -> list[list[Any]]:
            return [[index, str(amount)] for index, amount in amounts]

        totals = self.totals
        content: dict[str, Any] = {
            "v": 1,
            "currency": self.currency,
            "lines": [
                [
                    str(line.id),
                    str(line.variant_id),
                    line.sku,
                    line.quantity,
                    str(line.list_price),
                    str(line.unit_price),
                    str(line.subtotal),
                    str(line.discount),
                    str(line.tax),
                    str(line.included_tax),
                    str(line.total),
                    taxes(line.taxes),
                    shares(line.shares),
                    *([line.price_kind] if line.price_kind else []),
                ]
                for line in self.lines
            ],
            "discounts": [
                [
                    str(item.promotion_id) if item.promotion_id else None,
                    item.code,
                    item.name,
                    item.kind,
                    item.lane,
                    str(item.amount),
                ]
                for item in self.discounts
            ],
            "not_applied": [
                [item.code, str(item.promotion_id) if item.promotion_id else None, item.reason]
                for item in self.not_applied
            ],
            "shipping": None,
            "options": [
                [option.id, option.name, str(option.price), option.min_days, option.max_days]
                for option in self.shipping_options
            ],
            "shipping_code": self.shipping_code,
            "requires_shipping": self.requires_shipping,
            "taxes": [
                [
                    *(tax.name, tax.type, str(tax.rate), tax.included),
                    *(str(tax.base), str(tax.amount)),
                    *([tax.relief] if tax.relief else []),
                ]
                for tax in self.taxes
            ],
            "totals": [
                str(totals.subtotal),
                str(totals.discount_total),
                str(totals.shipping_total),
                str(totals.shipping_discount),
                str(totals.shipping_tax),
                str(totals.tax_total),
                str(totals.included_tax_total),
                str(totals.grand_total),
            ],
            "included": self.prices_include_tax,
            "estimated": self.is_estimated,
            "revision": self.revision,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
        }
        if self.relief is not None:
            content["relief"] = [self.relief.reason, self.relief.reference]
        if self.tax_rounding != PER_LINE:
            content["tax_rounding"] = self.tax_rounding
        if self.points:
            content["points"] = self.points
        if (made := self.conversion) is not None:
            content["conversion"] = [
                made.base,
                str(made.rate),
                sorted(str(line_id) for line_id in made.lines),
                sorted(made.discounts),
                made.shipping,
            ]
        if (charge := self.shipping) is not None:
            content["shipping"] = [
                charge.option,
                charge.name,
                str(charge.price),
                str(charge.discount),
                str(charge.tax),
                str(charge.included_tax),
                str(charge.total),
                charge.min_days,
                charge.max_days,
                taxes(charge.taxes),
                shares(charge.shares),
            ]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Quote:
        """
        Return the quote that `to_json` stored.

        Whoever stored the quote's `id` beside it for a short while, as a cart does, spares working it out again.
        """
        summed = [
            TaxAmount(name, kind, Decimal(rate), included, Decimal(base), Decimal(amount), *relief)
            for name, kind, rate, included, base, amount, *relief in content["taxes"]
        ]

        def taxes(rows: Sequence[Sequence[Any]]) -> tuple[TaxAmount, ...]:
            return tuple(
                TaxAmount(
                    summed[index].name,
                    summed[index].type,
                    summed[index].rate,
                    summed[index].included,
                    Decimal(base),
                    Decimal(amount),
                    summed[index].relief,
                )
                for index, base, amount in rows
            )

        def shares(rows: Sequence[Sequence[Any]]) -> tuple[tuple[int, Decimal], ...]:
            return tuple((index, Decimal(amount)) for index, amount in rows)

        charge = content["shipping"]
        currency = content["currency"]
        quote = cls(
            currency=currency,
            lines=tuple(
                QuoteLine(
                    id=UUID(row[0]),
                    variant_id=UUID(row[1]),
                    sku=row[2],
                    quantity=row[3],
                    taxes=taxes(row[11]),
                    shares=shares(row[12]),
                    price_kind=row[13] if len(row) > 13 else "",
                    **_amounts(_LINE_AMOUNTS, row[4:11]),
                )
                for row in content["lines"]
            ),
            discounts=tuple(
                Discount(
                    UUID(row[0]) if row[0] else None,
                    row[1],
                    row[2],
                    row[3],
                    row[4],
                    Decimal(row[5]),
                )
                for row in content["discounts"]
            ),
            not_applied=tuple(
                NotApplied(
                    code,
                    UUID(promotion) if promotion else None,
                    reason,
                    REASONS.get(reason, reason),
                )
                for code, promotion, reason in content["not_applied"]
            ),
            shipping=charge
            and ShippingCharge(
                option=charge[0],
                name=charge[1],
                min_days=charge[7],
                max_days=charge[8],
                taxes=taxes(charge[9]),
                shares=shares(charge[10]),
                **_amounts(_CHARGE_AMOUNTS, charge[2:7]),
            ),
            shipping_options=tuple(
                ShippingOption(row[0], row[1], Decimal(row[2]), currency, row[3], row[4])
                for row in content["options"]
            ),
            shipping_code=content["shipping_code"],
            requires_shipping=content["requires_shipping"],
            taxes=tuple(summed),
            totals=Totals(*map(Decimal, content["totals"])),
            prices_include_tax=content["included"],
            is_estimated=content["estimated"],
            revision=content["revision"],
            valid_until=datetime.fromisoformat(content["valid_until"])
            if content["valid_until"]
            else None,
            relief=TaxRelief(*content["relief"]) if content.get("relief") else None,
            tax_rounding=content.get("tax_rounding", PER_LINE),
            points=content.get("points", 0),
            conversion=_conversion(content.get("conversion")),
        )
        if "id" in content:
            quote.__dict__["id"] = content["id"]
        return quote


def _conversion(row: Sequence[Any] | None) -> Conversion | None:
    if row is None:
        return None
    base, rate, lines, discounts, shipping = row
    return Conversion(
        base=base,
        rate=Decimal(rate),
        lines=frozenset(map(UUID, lines)),
        discounts=frozenset(discounts),
        shipping=shipping,
    )


_LINE_AMOUNTS = ("list_price", "unit_price", "subtotal", "discount", "tax", "included_tax", "total")
_CHARGE_AMOUNTS = ("price", "discount", "tax", "included_tax", "total")


def _amounts(names: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, map(Decimal, texts), strict=True))


_OWN_PRICES = {
    "quantity_break": ("quantity_break", "Price of {} for so many"),
    "customer_group": ("list_price", "Your price of {}"),
    "exchange": ("list_price", "Price of {} in exchange"),
    "outside": ("list_price", "Price of {} by the price engine"),
}


def _steps(quote: Quote) -> list[Step]:
    steps: list[Step] = []
    running = Decimal(0)

    def add(kind: str, label: str, amount: Decimal, item_id: UUID | None = None) -> None:
        nonlocal running
        running += amount
        steps.append(Step(kind, label, item_id, amount, running))

    made = quote.conversion
    at = "" if made is None else f" at 1 {made.base} = {made.rate.normalize():f} {quote.currency}"
    at_lines, at_discounts = (made.lines, made.discounts) if made else ((), ())
    names = [
        discount.name + (at if index in at_discounts else "")
        for index, discount in enumerate(quote.discounts)
    ]
    for line in quote.lines:
        label = f"{line.quantity} × {line.sku}" + (at if line.id in at_lines else "")
        add("list_price", label, line.list_price * line.quantity, line.id)
        if line.unit_price != line.list_price or line.price_kind == "outside":
            kind, label = _OWN_PRICES.get(line.price_kind, ("list_price", "Promised price of {}"))
            add(
                kind,
                label.format(line.sku),
                (line.unit_price - line.list_price) * line.quantity,
                line.id,
            )
    by_discount: dict[int, list[tuple[UUID, Decimal]]] = {}
    for line in quote.lines:
        for index, amount in line.shares:
            by_discount.setdefault(index, []).append((line.id, amount))
    for index, discount in enumerate(quote.discounts):
        if discount.lane in {"bundle", "line"}:
            for item_id, amount in by_discount.get(index, ()):
                add(_kind(discount), names[index], -amount, item_id)
        elif discount.lane in {"order", "loyalty"}:
            add(_kind(discount), names[index], -discount.amount)
    if quote.shipping is not None:
        label = quote.shipping.name + (at if made and made.shipping else "")
        add("shipping", label, quote.shipping.price)
        for discount, name in zip(quote.discounts, names, strict=True):
            if discount.lane == "shipping":
                add(_kind(discount), name, -discount.amount)
    for discount in quote.discounts:
        if discount.lane == "tax":
            add("tax", discount.name, -discount.amount)
    if quote.taxes and quote.tax_rounding in ROUNDING_WORDS:
        add("rounding", ROUNDING_WORDS[quote.tax_rounding], quote.totals.tax_total * 0)
    for tax in quote.taxes:
        percent = f"{(tax.rate * 100).normalize():f}"
        if tax.relief:
            reference = quote.relief.reference if quote.relief else ""
            add(
                "tax",
                f"{tax.name} {percent} % not charged: {RELIEF_WORDS[tax.relief]} {reference}",
                tax.amount,
            )
        elif tax.included:
            add(
                "tax",
                f"{tax.name} {percent} %, included: {quote.format(tax.amount)}",
                tax.amount * 0,
            )
        else:
            add("tax", f"{tax.name} {percent} %", tax.amount)
    return steps


def _kind(discount: Discount) -> str:
    if discount.kind == LOYALTY:
        return "loyalty"
    return "coupon" if discount.code else "promotion"
