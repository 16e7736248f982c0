"""
Paper: an invoice, a credit note, a packing slip as PDF. Made from frozen contents, never from tables.

The letters are those of DejaVu Sans (`fonts/`), which has the scripts of Europe, Cyrillic, Greek, Arabic and Hebrew;
`INVOICE_FALLBACK_FONT` names a font file for what it lacks, such as Chinese or Thai.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from pricing.display import country_name

FONTS = Path(__file__).parent / "fonts"
INK, SOFT, LINE = (20, 38, 43), (90, 105, 110), (214, 220, 216)


class Paper(FPDF):
    """An A4 page with the project's letters, and its number at the foot."""

    def __init__(self, *, foot: str, created: datetime) -> None:
        super().__init__(format="A4")
        self.foot = foot
        self.set_creation_date(created)  # the same document is the same bytes
        self.add_font("Sans", "", FONTS / "DejaVuSans.ttf")
        self.add_font("Sans", "B", FONTS / "DejaVuSans-Bold.ttf")
        if settings.INVOICE_FALLBACK_FONT:
            self.add_font("More", "", settings.INVOICE_FALLBACK_FONT)
            self.set_fallback_fonts(["More"], exact_match=False)
        self.set_text_shaping(False)
        self.set_margins(20, 18, 20)
        self.set_auto_page_break(True, margin=22)
        self.alias_nb_pages()
        self.add_page()

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("Sans", size=7.5)
        self.set_text_color(*SOFT)
        self.cell(0, 5, f"{self.foot} · {self.page_no()}/{{nb}}", align="C")

    def say(self, text: str, *, size: float = 9, bold: bool = False, soft: bool = False) -> None:
        """Write a paragraph over the whole width."""
        self.set_font("Sans", "B" if bold else "", size)
        self.set_text_color(*(SOFT if soft else INK))
        self.multi_cell(0, size * 0.52, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def columns(self, *texts: str) -> None:
        """Write blocks of lines beside each other."""
        self.set_font("Sans", size=9)
        self.set_text_color(*INK)
        width, top, bottom = self.epw / len(texts), self.get_y(), self.get_y()
        for index, text in enumerate(texts):
            self.set_xy(self.l_margin + index * width, top)
            self.multi_cell(width - 4, 4.8, text, new_x=XPos.LEFT, new_y=YPos.NEXT)
            bottom = max(bottom, self.get_y())
        self.set_xy(self.l_margin, bottom)

    def rows(
        self, head: Sequence[str], body: Sequence[Sequence[str]], widths: Sequence[int]
    ) -> None:
        """Write a table; the first column is text, the others are figures."""
        self.set_font("Sans", size=8.5)
        self.set_text_color(*INK)
        self.set_draw_color(*LINE)
        with self.table(
            col_widths=tuple(widths),
            text_align=("LEFT", *["RIGHT"] * (len(head) - 1)),
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD", color=SOFT, size_pt=7.5),
            line_height=5,
            padding=(1.2, 1),
        ) as table:
            for cells in (head, *body):
                row = table.row()
                for cell in cells:
                    row.cell(cell)

    def sums(self, rows: Sequence[tuple[str, str, bool]]) -> None:
        """Write sums at the right, one a line."""
        for label, amount, strong in rows:
            self.set_font("Sans", "B" if strong else "", 9.5 if strong else 8.5)
            self.set_text_color(*INK)
            self.set_x(self.l_margin + self.epw * 0.4)
            self.cell(self.epw * 0.38, 5.6, label)
            self.cell(self.epw * 0.22, 5.6, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def invoice_pdf(content: dict[str, Any], *, issued_at: datetime) -> bytes:
    """Return an invoice or a credit note from what it was frozen with."""
    title = _("Invoice") if content["kind"] == "invoice" else _("Credit note")
    currency = content["currency"]

    def money(amount: str) -> str:
        return f"{amount} {currency}"

    paper = Paper(foot=f"{content['seller']['name']} · {content['number']}", created=issued_at)
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
            (46, 10, 15, 15, 14, 18),
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
    paper = Paper(foot=f"{seller} · {number}", created=placed_at)
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
    return [*rows, total, tax] if content["pricesIncludeTax"] or is_note else [*rows, tax, total]


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
