"""
Tax rates as a file: `name,type,country,rate` and more columns, planned as a whole before anything is written.

A row means the rate of its natural key: type, name, country, state, postal codes, tax class and first day. What a file does
not name is left alone, so a file never removes a rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.platform import audit, sheets
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.sheets import Source
from pricing.models import TaxRate
from pricing.services.pricelists import Problem
from pricing.services.revision import bump
from pricing.services.taxes import contradictions, placed
from pricing.terms import TaxRateTerms

LARGEST_FILE = 1_000_000  # bytes
MOST_RATES = 5_000
MOST_PROBLEMS = 100
_MOVED = gettext_lazy("Something has changed since you looked. Here is what would happen now.")
_YES, _NO = frozenset({"yes", "true", "1", "y"}), frozenset({"no", "false", "0", "n"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file, the field of the terms it is, and how a cell is read and written."""

    name: str
    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _text(most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > most:
            raise ValueError(_("At most %(most)d characters.") % {"most": most})
        return text

    return read


def _fraction(text: str) -> Decimal:
    figures, percent, rest = text.replace(" ", "").partition("%")
    try:
        rate = Decimal(figures)
        if rest or not rate.is_finite() or not figures.isascii():
            raise InvalidOperation
        rate = rate / 100 if percent else rate
        if not 0 <= rate <= 1 or rate != round(rate, 6):
            raise InvalidOperation
    except InvalidOperation:
        raise ValueError(
            _("“%(text)s” is no rate: 0.19 or 19 %%, at most six decimals.") % {"text": text[:40]}
        ) from None
    return round(rate, 6)


def _flag(text: str) -> bool:
    word = text.casefold()
    if word not in _YES | _NO:
        raise ValueError(_("yes or no, please."))
    return word in _YES


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(_("A day such as 2026-07-01, please.")) from None


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 10**6
    if not text.isascii() or abs(number) > 32_000:
        raise ValueError(_("A whole number, please."))
    return number


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _iso(value: date | None) -> str:
    return value.isoformat() if value else ""


COLUMNS = (
    Column("name", "name", _text(100), str),
    Column("type", "type", str.upper, str),
    Column("country", "country", str.upper, str),
    Column("state", "state", _text(40), str),
    Column("postalCodes", "postal_pattern", _text(40), str),
    Column("taxClass", "tax_class", _text(40), str),
    Column("rate", "rate", _fraction, lambda rate: f"{rate.normalize():f}"),
    Column("included", "is_included", _flag, _yes),
    Column("compound", "is_compound", _flag, _yes),
    Column("onShipping", "on_shipping", _flag, _yes),
    Column("priority", "priority", _number, str),
    Column("validFrom", "valid_from", _day, _iso),
    Column("validTo", "valid_to", _day, _iso),
    Column("active", "is_active", _flag, _yes),
)
REQUIRED = ("name", "type", "country", "rate")
_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(TaxRateTerms)
    if field.default is not dataclasses.MISSING
}
_NAMES = {column.field: column.name for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class PlannedRate:
    """A row of the file: its line, the rate that it changes (None: a new one), and the terms before and after."""

    line: int
    rate_id: UUID | None
    before: TaxRateTerms | None
    after: TaxRateTerms

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """The columns that differ, with their cells before and after."""
        return [
            (column.name, column.write(was), column.write(will))
            for column in COLUMNS
            if self.before is not None
            and (was := getattr(self.before, column.field))
            != (will := getattr(self.after, column.field))
        ]


@dataclass(frozen=True, slots=True)
class TaxFilePlan:
    """What a file would do. `id` names exactly that: the rates it meets as they are, and as they would be."""

    id: str
    rows: Sequence[PlannedRate]
    problems: Sequence[Problem]

    @property
    def created(self) -> list[PlannedRate]:
        return [row for row in self.rows if row.before is None]

    @property
    def changed(self) -> list[PlannedRate]:
        return [row for row in self.rows if row.changes]

    @property
    def is_sound(self) -> bool:
        return not self.problems and bool(self.created or self.changed)


def plan_tax_file(*, actor: Actor, source: Source) -> TaxFilePlan:
    """
    Return what a file of tax rates would change, or what is wrong with it by line and column; writes nothing.

    :raises ImportUnreadable: if it is no text, too large, or lacks a column that must be there
    """
    sheet = sheets.inspect(source, required=REQUIRED, most_bytes=LARGEST_FILE)
    named = {column.casefold(): column for column in sheet.columns}
    problems: list[Problem] = []
    known = {column.name.casefold() for column in COLUMNS}
    problems += [
        Problem(1, column, _("There is no such column."))
        for name, column in named.items()
        if column and name not in known
    ]
    rates = list(TaxRate.objects.filter(company_id=actor.company_id).order_by("id"))
    left: dict[tuple[Any, ...], list[TaxRate]] = {}
    for there in rates:
        left.setdefault(_key(_terms(there)), []).append(there)
    seen: dict[tuple[Any, ...], int] = {}
    rows: list[PlannedRate] = []
    for row in sheets.read(sheet):
        if len(problems) >= MOST_PROBLEMS:
            break
        if row.problem:
            problems.append(Problem(row.line, "", row.problem))
            continue
        cells = {name.casefold(): sheets.unguard(value) for name, value in row.cells.items()}
        given = _read(cells, row.line, named, problems)
        if given is None:
            continue
        key = _key(placed(TaxRateTerms(**{**_DEFAULTS, **given})))
        rate = _meant(left.get(key, []), given)
        if rate is None and key in seen:
            said = _("The same rate stands on line %(line)d already.") % {"line": seen[key]}
            problems.append(Problem(row.line, named["name"], said))
            continue
        seen.setdefault(key, row.line)
        before = None if rate is None else _terms(rate)
        base = _DEFAULTS if before is None else dataclasses.asdict(before)
        after = placed(TaxRateTerms(**{**base, **given}))
        for error in contradictions(after):
            column = next((_NAMES[name] for name in _NAMES if _camel(name) == error.field), "")
            problems.append(
                Problem(row.line, named.get(column.casefold(), column), str(error.message))
            )
        rows.append(PlannedRate(row.line, None if rate is None else rate.id, before, after))
        if len(rows) > MOST_RATES:
            said = _("More than %(most)d rows. Split the file.") % {"most": MOST_RATES}
            problems.append(Problem(row.line, "", said))
            break
    if not rows and not problems:
        problems.append(Problem(2, "", _("The file has no rows.")))
    if not problems:
        problems += _overlaps(rates, rows)
    return TaxFilePlan(_content_id(rows), rows, problems)


@transaction.atomic
def apply_tax_file(*, actor: Actor, source: Source, plan_id: str, now: datetime) -> TaxFilePlan:
    """
    Write what a plan of this file showed, all or nothing, and return it; placed orders keep what they were charged.

    Locks the company's rates in id order, plans anew and compares. One audit entry for each rate that is new or differs.

    :raises ImportUnreadable: as `plan_tax_file`
    :raises ValidationFailed: if anything moved since the plan, or it has problems
    """
    list(
        TaxRate.objects.filter(company_id=actor.company_id)
        .order_by("id")
        .select_for_update(no_key=True)
        .values_list("id", flat=True)
    )
    plan = plan_tax_file(actor=actor, source=source)
    if plan.id != plan_id:
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(_MOVED))])
    if not plan.is_sound:
        said = _("No rate would change.")
        raise ValidationFailed(
            errors=[FieldError(f"line {each.line}", "invalid", each.message) for each in plan.problems]
            or [FieldError("file", "nothing", said)]
        )  # fmt: skip
    changed = [_rate(actor, row) for row in plan.changed]
    try:
        with transaction.atomic():
            # Periods that change places would meet on the way: none is in force until all stand where they shall.
            TaxRate.objects.filter(id__in=[rate.id for rate in changed]).update(is_active=False)
            TaxRate.objects.bulk_update(changed, [column.field for column in COLUMNS])
            made = TaxRate.objects.bulk_create([_rate(actor, row) for row in plan.created])
    except IntegrityError:  # somebody entered a rate for these days at this moment
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(_MOVED))]) from None
    audit.record_each(
        actor=actor,
        action="tax_rate.changed",
        object_type="tax_rate",
        changes=[
            (rate.id, dataclasses.asdict(row.before), dataclasses.asdict(row.after))
            for rate, row in zip(changed, plan.changed, strict=True)
            if row.before is not None
        ],
        reason=source.name,
        now=now,
    )
    audit.record_each(
        actor=actor,
        action="tax_rate.created",
        object_type="tax_rate",
        changes=[
            (rate.id, {}, dataclasses.asdict(row.after))
            for rate, row in zip(made, plan.created, strict=True)
        ],
        reason=source.name,
        now=now,
    )
    bump(actor=actor, what="tax_rates", now=now)
    return plan


def tax_file_lines(*, rates: Iterable[TaxRate]) -> Iterator[str]:
    """Yield the file of these rates; bringing it back changes nothing. No cell is a formula to a spreadsheet."""
    yield sheets.write_line([column.name for column in COLUMNS], end="\r\n")
    for rate in rates:
        cells = [sheets.guard(column.write(getattr(rate, column.field))) for column in COLUMNS]
        yield sheets.write_line(cells, end="\r\n")


# --- parts ----------------------------------------------------------------------------------------


def _read(
    cells: Mapping[str, str], line: int, named: Mapping[str, str], problems: list[Problem]
) -> dict[str, Any] | None:
    """Return the fields a row gives, empty cells as what a new rate has; None where one cannot be read."""
    given: dict[str, Any] = {}
    is_sound = True
    for column in COLUMNS:
        name = column.name.casefold()
        if name not in cells:
            continue
        text = cells[name].strip()
        if not text and column.field in _DEFAULTS:
            given[column.field] = _DEFAULTS[column.field]
            continue
        try:
            if not text:
                raise ValueError(_("This cell is empty."))
            given[column.field] = column.read(text)
        except ValueError as wrong:
            problems.append(Problem(line, named[name], str(wrong)))
            is_sound = False
    return given if is_sound else None


def _terms(rate: TaxRate) -> TaxRateTerms:
    return TaxRateTerms(
        **{field.name: getattr(rate, field.name) for field in dataclasses.fields(TaxRateTerms)}
    )


def _place(terms: TaxRateTerms) -> tuple[Any, ...]:
    """Return of which tax at which place, as the constraint of the database knows it."""
    return (
        terms.type, terms.name, terms.country, terms.state.upper(), terms.postal_pattern.upper(), terms.tax_class,
    )  # fmt: skip


def _key(terms: TaxRateTerms) -> tuple[Any, ...]:
    return (*_place(terms), terms.valid_from)


def _meant(rates: list[TaxRate], given: Mapping[str, Any]) -> TaxRate | None:
    """Take from the rates of one key the one a row means: the one that is as it says, else one that is active."""
    if not rates:
        return None
    rates.sort(
        key=lambda rate: (
            any(getattr(rate, name) != value for name, value in given.items()),
            not rate.is_active,
            rate.id,
        )
    )
    return rates.pop(0)


def _rate(actor: Actor, row: PlannedRate) -> TaxRate:
    more = {} if row.rate_id is None else {"id": row.rate_id}
    fields = {name: getattr(row.after, name) for name in _NAMES}
    return TaxRate(company_id=actor.company_id, **more, **fields)


def _overlaps(rates: Sequence[TaxRate], rows: Sequence[PlannedRate]) -> list[Problem]:
    """Return where two rates of one tax at one place would be in force on the same day, by line."""
    touched = {row.rate_id for row in rows}
    standing = [(0, _terms(rate)) for rate in rates if rate.id not in touched]
    places: dict[tuple[Any, ...], list[tuple[int, TaxRateTerms]]] = {}
    for line, terms in [*standing, *((row.line, row.after) for row in rows)]:
        if terms.is_active:
            places.setdefault(_place(terms), []).append((line, terms))
    problems = []
    for each in places.values():
        each.sort(key=lambda entry: entry[1].valid_from or date.min)
        for (line, terms), (later_line, later) in pairwise(each):
            if terms.valid_to is not None and terms.valid_to <= (later.valid_from or date.min):
                continue
            mine, other = max((line, later_line), (later_line, line))
            where = (
                _("the rate on line %(line)d") % {"line": other} if other else _("a rate that is there")
            )  # fmt: skip
            said = _("Days of this period have %(other)s already.") % {"other": where}
            problems.append(Problem(mine, _NAMES["valid_from"], said))
    return sorted(problems, key=lambda problem: problem.line)[:MOST_PROBLEMS]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _content_id(rows: Sequence[PlannedRate]) -> str:
    said = "\n".join(
        f"{row.rate_id} {row.before and dataclasses.astuple(row.before)} {dataclasses.astuple(row.after)}"
        for row in rows
    )
    return sha256(said.encode()).hexdigest()[:32]
