"""What files of rules share: columns that are fields, cells that are read and written alike, and what a file would do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.platform import sheets
from config.platform.sheets import Source
from pricing.services.pricelists import Problem

LARGEST_FILE = 1_000_000  # bytes
MOST_ROWS = 5_000
MOST_PROBLEMS = 100
MOVED = gettext_lazy("Something has changed since you looked. Here is what would happen now.")
_YES, _NO = frozenset({"yes", "true", "1", "y"}), frozenset({"no", "false", "0", "n"})
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file, the field of the terms it is, and how a cell is read and written."""

    name: str
    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """
    A row of the file: its line, the rule that it changes (None: a new one), and the terms before and after.

    `title`, `where` and `sum` tell a reader which rule it is, where it applies and what it comes to.
    """

    line: int
    columns: Sequence[Column]
    rule_id: UUID | None
    before: Any
    after: Any
    title: str
    where: str
    sum: str

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """The columns that differ, with their cells before and after."""
        return [
            (column.name, column.write(was), column.write(will))
            for column in self.columns
            if self.before is not None
            and (was := getattr(self.before, column.field))
            != (will := getattr(self.after, column.field))
        ]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What a file would do. `id` names exactly that: the rules it meets as they are, and as they would be."""

    rows: Sequence[PlannedRow]
    problems: Sequence[Problem]

    @property
    def id(self) -> str:
        said = "\n".join(
            f"{row.rule_id} {row.title} {row.where} {row.before and dataclasses.astuple(row.before)}"
            f" {dataclasses.astuple(row.after)}"
            for row in self.rows
        )
        return sha256(said.encode()).hexdigest()[:32]

    @property
    def created(self) -> list[PlannedRow]:
        return [row for row in self.rows if row.before is None]

    @property
    def changed(self) -> list[PlannedRow]:
        return [row for row in self.rows if row.changes]

    @property
    def is_sound(self) -> bool:
        return not self.problems and bool(self.created or self.changed)


@dataclass(frozen=True, slots=True)
class Cells:
    """A row as it stands in the file: cells by the name of their column without case, and the names as they are there."""

    line: int
    values: Mapping[str, str]
    named: Mapping[str, str]

    def column(self, name: str) -> str:
        """Return a column as the file names it."""
        return self.named.get(name.casefold(), name)

    def read(
        self, columns: Sequence[Column], defaults: Mapping[str, Any], problems: list[Problem]
    ) -> dict[str, Any] | None:
        """Return the fields this row gives, empty cells as what a new rule has; None where one cannot be read."""
        given: dict[str, Any] = {}
        is_sound = True
        for column in columns:
            name = column.name.casefold()
            if name not in self.values:
                continue
            said = self.values[name].strip()
            if not said and column.field in defaults:
                given[column.field] = defaults[column.field]
                continue
            try:
                if not said:
                    raise ValueError(_("This cell is empty."))
                given[column.field] = column.read(said)
            except ValueError as wrong:
                problems.append(Problem(self.line, self.named[name], str(wrong)))
                is_sound = False
        return given if is_sound else None


def cells_of(
    source: Source, *, columns: Sequence[Column], required: Sequence[str], problems: list[Problem]
) -> Iterator[Cells]:
    """
    Yield the rows of a file; what is wrong with the file itself is added to the problems, and too many of them end it.

    :raises ImportUnreadable: if it is no text, too large, or lacks a column that must be there
    """
    sheet = sheets.inspect(source, required=required, most_bytes=LARGEST_FILE)
    named = {column.casefold(): column for column in sheet.columns}
    known = {column.name.casefold() for column in columns}
    problems += [
        Problem(1, column, _("There is no such column."))
        for name, column in named.items()
        if column and name not in known
    ]
    for number, row in enumerate(sheets.read(sheet), start=1):
        if len(problems) >= MOST_PROBLEMS:
            return
        if number > MOST_ROWS:
            said = _("More than %(most)d rows. Split the file.") % {"most": MOST_ROWS}
            problems.append(Problem(row.line, "", said))
            return
        if row.problem:
            problems.append(Problem(row.line, "", row.problem))
            continue
        values = {name.casefold(): sheets.unguard(value) for name, value in row.cells.items()}
        yield Cells(row.line, values, named)


def lines_of(columns: Sequence[Column], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a file, its head first. No cell is a formula to a spreadsheet."""
    yield sheets.write_line([column.name for column in columns], end="\r\n")
    for row in rows:
        yield sheets.write_line([sheets.guard(cell) for cell in row], end="\r\n")


def defaults_of(terms: type[Any]) -> dict[str, Any]:
    """Return what the fields of some terms are where nobody says anything."""
    return {
        field.name: field.default
        for field in dataclasses.fields(terms)
        if field.default is not dataclasses.MISSING
    }


# --- cells ----------------------------------------------------------------------------------------


def text(most: int) -> Callable[[str], str]:
    def read(said: str) -> str:
        if len(said) > most:
            raise ValueError(_("At most %(most)d characters.") % {"most": most})
        return said

    return read


def flag(said: str) -> bool:
    word = said.casefold()
    if word not in _YES | _NO:
        raise ValueError(_("yes or no, please."))
    return word in _YES


def day(said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise ValueError(_("A day such as 2026-07-01, please.")) from None


def number(least: int = -32_000, most: int = 32_000) -> Callable[[str], int]:
    def read(said: str) -> int:
        try:
            found = int(said) if said.isascii() else most + 1
        except ValueError:
            found = most + 1
        if not least <= found <= most:
            raise ValueError(_("A whole number, please."))
        return found

    return read


def amount(said: str) -> Decimal:
    if not _AMOUNT.fullmatch(said):
        raise ValueError(_("An amount such as 4.90, please."))
    return Decimal(said)


def listed(most: int) -> Callable[[str], tuple[str, ...]]:
    """Return how a cell with several values is read; a bar stands between them."""

    def read(said: str) -> tuple[str, ...]:
        values = tuple(dict.fromkeys(part.strip() for part in said.split("|") if part.strip()))
        if any(len(value) > most for value in values):
            raise ValueError(_("At most %(most)d characters.") % {"most": most})
        return values

    return read


def yes(value: bool) -> str:
    return "yes" if value else "no"


def iso(value: date | None) -> str:
    return value.isoformat() if value else ""


def plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


def amount_text(value: Decimal | None) -> str:
    """Return an amount as people write it: a whole one without places, any other with two at least."""
    text = plain(value)
    return f"{text}0" if len(text.partition(".")[2]) == 1 else text


def bars(values: Sequence[str]) -> str:
    return "|".join(values)
