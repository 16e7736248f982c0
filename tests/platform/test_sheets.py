"""Files of rows: what is read as what, what is refused, and what no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.platform import sheets
from config.platform.errors import ImportUnreadable
from config.platform.sheets import Source

REQUIRED = ("SKU", "Counted")


def opened(content: bytes, **limits: int) -> sheets.Sheet:
    return sheets.inspect(Source.of("a.csv", content), required=REQUIRED, **limits)


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter"),
    [
        (b"SKU,Counted\nA,1\n", "utf-8-sig", ","),
        (b"\xef\xbb\xbfSKU,Counted\r\nA,1\r\n", "utf-8-sig", ","),
        (b"sku;COUNTED\nA;1\n", "utf-8-sig", ";"),
        (b"sep=;\r\nSKU;Counted\r\nA;1\r\n", "utf-8-sig", ";"),
        (b"SKU\tCounted\nA\t1\n", "utf-8-sig", "\t"),
        ("SKU\tCounted\nÄ\t1\n".encode("utf-16"), "utf-16", "\t"),
        ("SKU;Counted\nÄ €;1\n".encode("cp1252"), "cp1252", ";"),
    ],
)
def test_encodings_and_delimiters_are_seen(content: bytes, encoding: str, delimiter: str) -> None:
    sheet = opened(content)

    assert (sheet.encoding, sheet.delimiter) == (encoding, delimiter)
    [row] = sheets.read(sheet)
    assert list(row.cells.values())[-1] == "1"
    assert row.problem == ""


def test_letters_of_other_encodings_arrive() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        [row] = sheets.read(opened("SKU,Counted\nGröße €,1\n".encode(encoding)))
        assert row.cells["SKU"] == "Größe €"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\r\n  ", "is empty"),
        (b"\n\nSKU,Counted\n", "lacks SKU, Counted"),
        (b"A,1\nB,2\n", "lacks SKU, Counted"),
        (b"SKU,Qty\nA,1\n", "lacks Counted"),
        (b"SKU,Counted,sku\nA,1,B\n", "'sku' twice"),
        (b"PK\x03\x04\x14\x00\x06\x00", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "picture"),
        (b"SKU,Counted\nA\x00,1\n", "line 2 has a NUL"),
        (b"SKU,Counted\nA\x00\xff,1\n", "not a text file"),
        (b"SKU,Counted\nA\x81,1\n", "not UTF-8 \\(line 2\\)"),
        (
            "SKU,Counted\nGröße,1\n".encode() + "Größe,2\n".encode("cp1252"),
            "line 2 is UTF-8, line 3 is not",
        ),
        ("SKU,Counted\nÄ,1\n".encode("utf-16")[:-1], "not a text file|is not"),
        (b'SKU,Counted,"never closed\nA,1\n' + b"x" * 2_100_000, "never closed"),
        (b"SKU,Counted\n" + b"A,1\n" * 300_000, "larger than 1 MB"),
    ],
)
def test_what_cannot_be_read_is_refused_as_a_whole(content: bytes, message: str) -> None:
    with pytest.raises(ImportUnreadable, match=message):
        opened(content, most_bytes=1_000_000 if b"A,1\nA,1" in content else 0)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ImportUnreadable, match=r"no file nowhere.csv"):
        sheets.inspect(Source.at(Path("/nowhere/nowhere.csv")))


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b'SKU,Counted\nA,1\n"B,2\nC,3\n', [(2, ""), (3, "never closed")]),
        (b'SKU,Counted\n"A"x,1\nB,2\n', [(2, "middle of a cell"), (3, "")]),
        (b"SKU,Counted\nA,1,2\nB,2\n", [(2, "3 values for 2 columns"), (3, "")]),
        (b"SKU,Counted\nA,1,,\n\n,\nB\n", [(2, ""), (5, "")]),
        (b'SKU,Counted\n"A\n\nA",1\nB,2\n', [(2, ""), (5, "")]),
    ],
)
def test_rows_are_named_by_the_line_they_begin_on(
    content: bytes, problems: list[tuple[int, str]]
) -> None:
    rows = list(sheets.read(opened(content)))

    assert [row.line for row in rows] == [line for line, _ in problems]
    for row, (_, message) in zip(rows, problems, strict=True):
        assert message in row.problem if message else not row.problem


def test_letters_that_some_take_for_line_ends_are_text() -> None:
    [row] = sheets.read(opened("SKU,Counted\na\x0bb\x0cc\x85d\u2028e,1\n".encode()))

    assert row.cells == {"SKU": "a\x0bb\x0cc\x85d\u2028e", "Counted": "1"}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "'=1", "''=1", "＝1", "=cmd|' /C calc'!A0"]
)
def test_what_looks_like_a_formula_gets_an_apostrophe_that_comes_off_again(text: str) -> None:
    assert sheets.guard(text) == f"'{text}"
    assert sheets.unguard(sheets.guard(text)) == text


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_guarding_loses_nothing_and_leaves_no_formula(text: str) -> None:
    guarded = sheets.guard(text)

    assert sheets.unguard(guarded) == text
    assert not guarded.startswith(("=", "+", "-", "@", "\t", "\r", "\x00"))


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
            min_size=2,
            max_size=2,
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_as_it_was(rows: list[list[str]]) -> None:
    text = "".join(sheets.write_line(row) for row in rows)

    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == rows
