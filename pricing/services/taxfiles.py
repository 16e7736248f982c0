"""
Tax rates as a file: `name,type,country,rate` and more columns, planned as a whole before anything is written.

A row means the rate of its natural key: type, name, country, state, postal codes, tax class and first day. What a file does
not name is left alone, so a file never removes a rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.sheets import Source
from pricing.models import TaxRate
from pricing.services import rulefiles
from pricing.services.pricelists import Problem
from pricing.services.revision import bump
from pricing.services.rulefiles import MOST_PROBLEMS, MOVED, Column, FilePlan, PlannedRow
from pricing.services.taxes import contradictions, placed
from pricing.terms import TaxRateTerms


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


COLUMNS = (
    Column("name", "name", rulefiles.text(100), str),
    Column("type", "type", str.upper, str),
    Column("country", "country", str.upper, str),
    Column("state", "state", rulefiles.text(40), str),
    Column("postalCodes", "postal_pattern", rulefiles.text(40), str),
    Column("taxClass", "tax_class", rulefiles.text(40), str),
    Column("rate", "rate", _fraction, rulefiles.plain),
    Column("included", "is_included", rulefiles.flag, rulefiles.yes),
    Column("compound", "is_compound", rulefiles.flag, rulefiles.yes),
    Column("onShipping", "on_shipping", rulefiles.flag, rulefiles.yes),
    Column("priority", "priority", rulefiles.number(), str),
    Column("validFrom", "valid_from", rulefiles.day, rulefiles.iso),
    Column("validTo", "valid_to", rulefiles.day, rulefiles.iso),
    Column("active", "is_active", rulefiles.flag, rulefiles.yes),
)
REQUIRED = ("name", "type", "country", "rate")
_DEFAULTS = rulefiles.defaults_of(TaxRateTerms)
_NAMES = {column.field: column.name for column in COLUMNS}


def plan_tax_file(*, actor: Actor, source: Source) -> FilePlan:
    """
    Return what a file of tax rates would change, or what is wrong with it by line and column; writes nothing.

    :raises ImportUnreadable: if it is no text, too large, or lacks a column that must be there
    """
    problems: list[Problem] = []
    rates = list(TaxRate.objects.filter(company_id=actor.company_id).order_by("id"))
    left: dict[tuple[Any, ...], list[TaxRate]] = {}
    for there in rates:
        left.setdefault(_key(_terms(there)), []).append(there)
    seen: dict[tuple[Any, ...], int] = {}
    rows: list[PlannedRow] = []
    for cells in rulefiles.cells_of(source, columns=COLUMNS, required=REQUIRED, problems=problems):
        given = cells.read(COLUMNS, _DEFAULTS, problems)
        if given is None:
            continue
        key = _key(placed(TaxRateTerms(**{**_DEFAULTS, **given})))
        rate = _meant(left.get(key, []), given)
        if rate is None and key in seen:
            said = _("The same rate stands on line %(line)d already.") % {"line": seen[key]}
            problems.append(Problem(cells.line, cells.column("name"), said))
            continue
        seen.setdefault(key, cells.line)
        before = None if rate is None else _terms(rate)
        base = _DEFAULTS if before is None else dataclasses.asdict(before)
        after = placed(TaxRateTerms(**{**base, **given}))
        for error in contradictions(after):
            column = next((_NAMES[name] for name in _NAMES if _camel(name) == error.field), "")
            problems.append(Problem(cells.line, cells.column(column), str(error.message)))
        rows.append(_planned(cells.line, rate, before, after))
    if not rows and not problems:
        problems.append(Problem(2, "", _("The file has no rows.")))
    if not problems:
        problems += _overlaps(rates, rows)
    return FilePlan(rows, problems)


@transaction.atomic
def apply_tax_file(*, actor: Actor, source: Source, plan_id: str, now: datetime) -> FilePlan:
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
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(MOVED))])
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
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(MOVED))]) from None
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
    """Return the lines of the file of these rates; bringing it back changes nothing. No cell is a formula to a spreadsheet."""
    return rulefiles.lines_of(
        COLUMNS,
        ([column.write(getattr(rate, column.field)) for column in COLUMNS] for rate in rates),
    )


# --- parts ----------------------------------------------------------------------------------------


def _planned(
    line: int, rate: TaxRate | None, before: TaxRateTerms | None, after: TaxRateTerms
) -> PlannedRow:
    state = f"-{after.state}" if after.state else ""
    where = f"{after.country}{state} {after.postal_pattern}".strip()
    return PlannedRow(
        line=line,
        columns=COLUMNS,
        rule_id=None if rate is None else rate.id,
        before=before,
        after=after,
        title=after.name,
        where=f"{where}, {after.tax_class}" if after.tax_class else where,
        sum=rulefiles.plain(after.rate),
    )


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


def _rate(actor: Actor, row: PlannedRow) -> TaxRate:
    more = {} if row.rule_id is None else {"id": row.rule_id}
    fields = {name: getattr(row.after, name) for name in _NAMES}
    return TaxRate(company_id=actor.company_id, **more, **fields)


def _overlaps(rates: Sequence[TaxRate], rows: Sequence[PlannedRow]) -> list[Problem]:
    """Return where two rates of one tax at one place would be in force on the same day, by line."""
    touched = {row.rule_id for row in rows}
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
