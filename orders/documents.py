"""An invoice, a credit note, a packing slip as PDF. Made from frozen contents, never from tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from pricing.display import country_name

if TYPE_CHECKING:
    from orders.paper import Paper


def _paper(*, foot: str, created: datetime) -> Paper:
    # The PDF library takes a second and 20 MB: only a process that is asked for a paper loads it.
    from orders.paper import Paper

    return Paper(foot=foot, created=created)


def invoice_pdf(content: dict[str, Any], *, issued_at: datetime) -> bytes:
    """Return an invoice or a credit note from what it was frozen with."""
    title = _("Invoice") if content["kind"] == "invoice" else _("Credit note")
    currency = content["currency"]

    def money(amount: str) -> str:
        return f"{amount} {currency}"

    paper = _paper(foot=f"{content['seller']['name']} · {content['number']}", created=issued_at)
    paper.set_title(f"{title} {content['number']}")
    paper.say(content["seller"]["name"], size=15, bold=True)
    paper.say(country_name(content["seller"]["country"]), soft=True)
    paper.ln(8)
    paper.say(f"{title} {content['number']}", size=13, bold=True)
    facts = [
        f"{_('Date')}: {date_format(issued_at, 'DATE_FORMAT')}",
        f"{_('Order')}: {content['orderNumber']}",
        f"{_('Placed')}: {date_format(datetime.fromisoformat(content['placedAt']), 'DATE_FORMAT')}",
    ]
    if "invoiceNumber" in content:
        facts.append(f"{_('To invoice')}: {content['invoiceNumber']}")
    paper.ln(2)
    paper.columns("\n".join(facts), _lines(content["billTo"], content["email"]))
    paper.ln(7)
    if content["kind"] == "invoice":
        paper.rows(
            [_("Item"), _("Units"), _("Price"), _("Discount"), _("Tax"), _("Amount")],
            [
                [
                    _named(line),
                    str(line["quantity"]),
                    line["unitPrice"],
                    line["discount"],
                    line["tax"],
                    line["amount"],
                ]
                for line in content["lines"]
            ],
            (36, 9, 19, 16, 18, 20),  # an amount of eleven figures stays on one line
        )
    elif content["lines"]:
        paper.rows(
            [_("Item"), _("Units"), _("Amount")],
            [[_named(line), str(line["quantity"]), line["amount"]] for line in content["lines"]],
            (80, 15, 25),
        )
    paper.ln(4)
    paper.sums(_sums(content, money))
    if content.get("taxes"):
        paper.ln(6)
        paper.rows(
            [_("Tax"), _("Rate"), _("On"), _("Amount")],
            [
                [
                    tax["name"] or _("On shipping"),
                    f"{_percent(tax['rate'])}" if tax["rate"] else "",
                    tax["base"],
                    tax["amount"],
                ]
                for tax in content["taxes"]
            ],
            (60, 20, 20, 20),
        )
    relief = content.get("relief")
    if relief:
        paper.ln(5)
        paper.say(f"{relief['message']} ({relief['reference']})")
    if content.get("reason"):
        paper.ln(5)
        paper.say(f"{_('Reason')}: {content['reason']}", soft=True)
    return bytes(paper.output())


def packing_slip_pdf(
    *,
    seller: str,
    number: str,
    placed_at: datetime,
    address: dict[str, Any],
    shipping_name: str,
    notes: str,
    lines: Sequence[tuple[str, str, str, int]],
) -> bytes:
    """Return the slip that lies in the parcel: (place, SKU, name, units) a line, and no prices."""
    paper = _paper(foot=f"{seller} · {number}", created=placed_at)
    paper.set_title(f"{_('Packing slip')} {number}")
    paper.say(seller, size=15, bold=True)
    paper.ln(5)
    paper.say(f"{_('Packing slip')} {number}", size=13, bold=True)
    paper.ln(2)
    facts = [f"{_('Placed')}: {date_format(placed_at, 'DATE_FORMAT')}", shipping_name]
    paper.columns("\n".join(text for text in facts if text), _lines(address, ""))
    paper.ln(7)
    paper.rows(
        [_("Item"), _("SKU"), _("Shelf"), _("Units")],
        [[name, sku, place, str(units)] for place, sku, name, units in lines],
        (60, 28, 18, 12),
    )
    if notes:
        paper.ln(5)
        paper.say(notes)
    return bytes(paper.output())


def _sums(content: dict[str, Any], money: Any) -> list[tuple[str, str, bool]]:
    rows = []
    if content["kind"] == "invoice":
        rows.append((_("Goods"), money(content["subtotal"]), False))
        if content["discount"].strip("0."):
            rows.append((_("Discount"), f"−{money(content['discount'])}", False))
        name = content["shippingName"]
        rows.append((f"{_('Shipping')}, {name}" if name else _("Shipping"), money(content["shipping"]), False))  # fmt: skip
    elif content["shipping"].strip("0."):
        rows.append((_("Of which shipping, before tax"), money(content["shipping"]), False))
    is_note = content["kind"] != "invoice"
    label = _("Tax in it") if content["pricesIncludeTax"] or is_note else _("Tax")
    tax = (label, money(content["tax"]), False)
    total = (_("Total") if not is_note else _("Credited"), money(content["total"]), True)
    rows += [total, tax] if content["pricesIncludeTax"] or is_note else [tax, total]
    return [*rows, *((label, money(amount), False) for label, amount in payments_of(content))]


def payments_of(content: dict[str, Any]) -> list[tuple[str, str]]:
    """
    Return how what a paper is about was paid, or went back: empty where it is all money of one kind.

    What is listed adds up to the total. Papers of before this was written down have none of it.
    """
    words = {
        "exchange": _("Paid by what was sent back of %(order)s"),
        "money": _("Paid by you"),
        "moved": _("Went into order %(order)s"),
        "refund": _("Paid back"),
    }
    return [
        (words[row["kind"]] % {"order": row["orderNumber"]}, row["amount"])
        for row in content.get("payments", ())
    ]


def _named(line: dict[str, Any]) -> str:
    options = ", ".join(str(value) for value in line["options"].values())
    return "\n".join(part for part in (line["name"], options, line["sku"]) if part)


def _percent(rate: str) -> str:
    return f"{(Decimal(rate) * 100).normalize():f} %"


def _lines(address: dict[str, Any] | None, email: str) -> str:
    given = {key: str(value) for key, value in (address or {}).items() if value}
    town = " ".join(given[key] for key in ("postalCode", "city", "state") if key in given)
    country = country_name(given["country"]) if "country" in given else ""
    parts = [given.get("name"), given.get("line1"), given.get("line2"), town, country, email]
    return "\n".join(part for part in parts if part)
