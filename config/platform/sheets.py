"""
Files of rows as people and their programs write them: judged as a whole before the first row is believed, and
written so that no cell of ours is taken for a formula.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from config.platform.errors import ImportUnreadable

LARGEST_FIELD = 2_000_000
_LONGEST_LINE = 4_000_000
_CHUNK = 1 << 20
_DELIMITERS = (",", ";", "\t")
# What is no text at all, by its first bytes, and what to say of it.
_OTHER_KINDS = {
    b"PK\x03\x04": "a workbook or an archive",
    b"\xd0\xcf\x11\xe0": "an old workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
# ASVS 1.2.10; the wide forms are what some input methods type, and spreadsheets take them too.
_FORMULA = re.compile("'*[=+\\-@\t\r\x00＝＋－＠]")
_QUOTED = re.compile('[",;\r\n\t]|^ | $')


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read, wherever it lies; it may be opened more than once."""

    name: str
    open: Callable[[], BinaryIO]

    @classmethod
    def at(cls, path: Path) -> Source:
        return cls(path.name, lambda: path.open("rb"))

    @classmethod
    def of(cls, name: str, content: bytes) -> Source:
        return cls(name, lambda: io.BytesIO(content))


@dataclass(frozen=True, slots=True)
class Sheet:
    """How a file has to be read; `columns` are the names in its first row."""

    source: Source
    size: int
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    skipped_lines: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line on which it begins, its cells by column, and what is wrong with it as a record."""

    line: int
    cells: dict[str, str]
    problem: str = ""
    reached: int = 0  # bytes of the file read so far


def inspect(source: Source, *, required: Iterable[str] = (), most_bytes: int = 0) -> Sheet:
    """
    Return how a file has to be read, after reading it once from end to end in constant memory.

    UTF-8, UTF-16 with its mark and, failing these, Windows-1252; separated by commas, semicolons or tabs, as its
    first row shows. `required` columns are compared without regard to case.

    :raises ImportUnreadable: if it is missing, empty, too large, no text, of mixed encodings, or lacks columns
    """
    try:
        with source.open() as stream:
            size, encoding = _encoding(source.name, stream, most_bytes)
    except FileNotFoundError:
        raise ImportUnreadable(f"There is no file {source.name}.") from None
    except OSError as error:
        raise ImportUnreadable(f"{source.name} cannot be read: {error.strerror}.") from None
    delimiter, columns, skipped = _header(source, encoding)
    wanted = list(required)
    known = {column.casefold() for column in columns}
    missing = [name for name in wanted if name.casefold() not in known]
    if missing:
        hint = "" if any(columns) else " Its first row must name the columns."
        raise ImportUnreadable(f"{source.name} lacks {', '.join(missing)}.{hint}")
    named = [column.casefold() for column in columns if column]
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise ImportUnreadable(f"{source.name} has the column {twice[0][:80]!r} twice.")
    return Sheet(source, size, encoding, delimiter, tuple(columns), skipped)


def read(sheet: Sheet) -> Iterator[Row]:
    """Yield the records below the first row; blank ones are passed over. One record is in memory at a time."""
    csv.field_size_limit(LARGEST_FIELD)
    columns = sheet.columns
    with (
        sheet.source.open() as raw,
        # Not a codecs reader: it also ends lines at form feeds and U+2028, which may stand in a text.
        io.TextIOWrapper(raw, sheet.encoding, newline="") as text,
    ):
        for _ in range(sheet.skipped_lines):
            text.readline()
        reader = csv.reader(text, delimiter=sheet.delimiter, strict=True)
        next(reader, None)
        before = reader.line_num
        while True:
            line = before + 1 + sheet.skipped_lines
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                before = reader.line_num
                yield Row(line, {}, _explain(error), raw.tell())
                continue
            before = reader.line_num
            if not any(values):
                continue
            cells = {name: value.strip() for name, value in zip(columns, values, strict=False)}
            if len(values) > len(columns) and any(values[len(columns) :]):
                problem = f"This row has {len(values)} values for {len(columns)} columns."
                yield Row(line, cells, problem, raw.tell())
                continue
            for name in columns[len(values) :]:
                cells[name] = ""
            yield Row(line, cells, "", raw.tell())


def guard(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it, if it looks like one."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(text: str) -> str:
    """Return what `guard` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_line(cells: Sequence[str], *, end: str = "\n") -> str:
    """
    Return one record (RFC 4180). Texts must have been guarded.

    The `csv` module is not used here because it leaves a lone carriage return unquoted, which readers take for the
    end of the record.
    """
    return (
        ",".join(
            '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell for cell in cells
        )
        + end
    )


# --- parts ----------------------------------------------------------------------------------


def _encoding(name: str, stream: BinaryIO, most_bytes: int) -> tuple[int, str]:
    head = stream.read(4)
    for start, kind in _OTHER_KINDS.items():
        if head.startswith(start):
            raise ImportUnreadable(f"{name} is {kind}, not a CSV file. Save it as “CSV UTF-8”.")
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    decode = codecs.getincrementaldecoder(encoding)().decode
    stream.seek(0)
    size = lines = 0
    is_blank = True
    fits = True
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if most_bytes and size > most_bytes:
            raise ImportUnreadable(
                f"{name} is larger than {most_bytes // 1_000_000} MB. Split it and import the parts."
            )
        if not fits:
            continue
        try:
            text = decode(chunk)
        except UnicodeDecodeError:
            if encoding == "utf-16":
                raise ImportUnreadable(f"{name} is not a text file.") from None
            fits = False
            continue
        if "\x00" in text:
            line = lines + text[: text.index("\x00")].count("\n") + 1
            raise ImportUnreadable(f"{name} is not a text file: line {line} has a NUL byte.")
        lines += text.count("\n")
        is_blank = is_blank and not text.strip()
    if fits:
        try:
            decode(b"", final=True)
        except UnicodeDecodeError:
            fits = False
    if not size or (fits and is_blank):
        raise ImportUnreadable(f"{name} is empty.")
    if fits:
        return size, encoding
    stream.seek(0)
    _check_windows(name, stream)
    return size, "cp1252"


def _check_windows(name: str, stream: BinaryIO) -> None:
    """Refuse what is neither UTF-8 nor Windows-1252, and above all what is a bit of both."""
    foreign = proper = 0
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if b"\x00" in line or len(line) >= _LONGEST_LINE:
            raise ImportUnreadable(f"{name} is not a text file (line {number}).")
        text = line.decode("utf-8", errors="surrogateescape")
        if any("\udc80" <= letter <= "\udcff" for letter in text):
            foreign = foreign or number
            try:
                line.decode("cp1252")
            except UnicodeDecodeError:
                raise ImportUnreadable(
                    f"{name} is not UTF-8 (line {number}). Save it as “CSV UTF-8” and try again."
                ) from None
        if any(letter > "\x7f" and not "\udc80" <= letter <= "\udcff" for letter in text):
            proper = proper or number
    if proper:
        raise ImportUnreadable(
            f"{name} mixes encodings: line {proper} is UTF-8, line {foreign} is not. Save it as “CSV UTF-8”."
        )


def _header(source: Source, encoding: str) -> tuple[str, list[str], int]:
    csv.field_size_limit(LARGEST_FIELD)
    with source.open() as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        first = text.readline(_LONGEST_LINE)
        # Spreadsheets in some countries begin a file with the separator they use.
        told = re.fullmatch(r"sep=(.)", first.strip())
        skipped = 1 if told else 0
        body = first if not told else text.readline(_LONGEST_LINE)
        rest = text.read(_CHUNK)
    readings = []
    for delimiter in [told[1]] if told else _DELIMITERS:
        try:
            text_again = io.StringIO(body + rest, newline="")
            columns = next(csv.reader(text_again, delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise ImportUnreadable(f"{source.name} is not a CSV file: {_explain(error)}") from None
        readings.append((len(columns), delimiter, [column.strip() for column in columns]))
    _count, delimiter, columns = max(readings, key=lambda reading: reading[0])
    return delimiter, columns, skipped


def _explain(error: csv.Error) -> str:
    words = str(error)
    if "unexpected end" in words:
        return "A quotation mark is opened here and never closed."
    if "field larger" in words:
        return "A cell is too long; a quotation mark before it was perhaps never closed."
    if "expected after" in words:
        return "A quotation mark ends in the middle of a cell."
    return f"This row cannot be read: {words}."
