"""
An A4 page of an invoice or a slip, on which any name can be written.

Most letters are those of DejaVu Sans (`fonts/`): Europe, Greek, Cyrillic, Arabic, Hebrew, shaped and in their direction.
Chinese, Japanese and Korean ones come from Noto Sans CJK, which is opened only where a paper has some, as it takes a
second and 50 MB. What neither has is written in Latin letters: a parcel must find its way, so nothing is left blank.

The PDF library is heavy: `documents` imports this module with the first paper, not with the process.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from anyascii import anyascii
from django.conf import settings
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace, TTFFont

FONTS = Path(__file__).parent / "fonts"
CJK = Path(str(files("noto_cjk_sans_jp_regular"))) / "NotoSansCJKjp-Regular.otf"
INK, SOFT, LINE = (20, 38, 43), (90, 105, 110), (214, 220, 216)
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class Paper(FPDF):
    """An A4 page with the project's letters, and its number at the foot."""

    def __init__(self, *, foot: str, created: datetime) -> None:
        super().__init__(format="A4")
        self.set_creation_date(created)  # the same document is the same bytes
        self.add_font("Sans", "", FONTS / "DejaVuSans.ttf")
        self.add_font("Sans", "B", FONTS / "DejaVuSans-Bold.ttf")
        self.further: list[str] = []
        if settings.INVOICE_FALLBACK_FONT:
            self._open("More", settings.INVOICE_FALLBACK_FONT)
        # A name that runs from right to left turns no other line of its block round.
        self.set_text_shaping(True, direction="ltr")
        self.set_margins(20, 18, 20)
        self.set_auto_page_break(True, margin=22)
        self.alias_nb_pages()
        self.foot = self.legible(foot)
        self.add_page()

    def _open(self, name: str, file: Path | str) -> None:
        self.add_font(name, "", file)
        self.further.append(name)
        self.set_fallback_fonts(self.further, exact_match=False)

    def _has(self, character: str, name: str) -> bool:
        font = self.fonts[name.lower()]
        assert isinstance(font, TTFFont)
        return ord(character) in font.cmap

    def legible(self, text: str) -> str:
        """Return the text with what no font has a letter for in Latin ones; opens the fonts that it needs."""
        return "".join(
            character
            if character == "\n" or self._has(character, "sans")
            else self._further(character)
            for character in unicodedata.normalize("NFC", text)
        )

    def _further(self, character: str) -> str:
        if is_east_asian(character) and "CJK" not in self.further:
            self._open("CJK", CJK)
        if any(self._has(character, name) for name in self.further):
            return character
        if unicodedata.category(character) in {
            "Cc",
            "Cf",
            "Mn",
        }:  # joins or varies what stands before it
            return ""
        return anyascii(character) or UNKNOWN

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("Sans", size=7.5)
        self.set_text_color(*SOFT)
        self.cell(0, 5, f"{self.foot} · {self.page_no()}/{{nb}}", align="C")

    def say(self, text: str, *, size: float = 9, bold: bool = False, soft: bool = False) -> None:
        """Write a paragraph over the whole width."""
        text = self.legible(text)
        self.set_font("Sans", "B" if bold else "", size)
        self.set_text_color(*(SOFT if soft else INK))
        self.multi_cell(0, size * 0.52, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def columns(self, *texts: str) -> None:
        """Write blocks of lines beside each other."""
        texts = tuple(self.legible(text) for text in texts)
        self.set_font("Sans", size=9)
        self.set_text_color(*INK)
        width, top, bottom = self.epw / len(texts), self.get_y(), self.get_y()
        for index, text in enumerate(texts):
            self.set_xy(self.l_margin + index * width, top)
            self.multi_cell(width - 4, 4.8, text, align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)
            bottom = max(bottom, self.get_y())
        self.set_xy(self.l_margin, bottom)

    def rows(
        self, head: Sequence[str], body: Sequence[Sequence[str]], widths: Sequence[int]
    ) -> None:
        """Write a table; the first column is text, the others are figures. Its head is on every page."""
        written = [[self.legible(cell) for cell in cells] for cells in (head, *body)]
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
            for cells in written:
                row = table.row()
                for cell in cells:
                    row.cell(cell)

    def sums(self, rows: Sequence[tuple[str, str, bool]]) -> None:
        """Write sums at the right, one a line, all on one page; a long label takes more lines."""
        if self.will_page_break(5.6 * (len(rows) + 2)):
            self.add_page()
        for label, amount, strong in rows:
            self.set_font("Sans", "B" if strong else "", 9.5 if strong else 8.5)
            self.set_text_color(*INK)
            top = self.get_y()
            self.set_x(self.l_margin + self.epw * 0.4)
            self.multi_cell(self.epw * 0.36, 5.6, self.legible(label), align="L", new_y=YPos.NEXT)
            bottom = self.get_y()
            self.set_xy(self.l_margin + self.epw * 0.76, top)
            self.cell(self.epw * 0.24, 5.6, amount, align="R")
            self.set_xy(self.l_margin, bottom)


def is_east_asian(character: str) -> bool:
    """Return whether this is a letter of Chinese, Japanese or Korean; emoji are as wide, and are none."""
    return (
        unicodedata.east_asian_width(character) in {"W", "F", "H"}
        and unicodedata.category(character) != "So"
    )
