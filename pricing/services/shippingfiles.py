"""
Shipping zones and the ways to ship there as a file, planned as a whole before anything is written.

A row is a way to ship with its zone; a row without a code is a zone by itself. A zone is known again by its name, a way by
zone, code and currency. What a file does not name is left alone, so a file never removes anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.sheets import Source
from pricing.models import ShippingRule, ShippingZone
from pricing.services import rulefiles
from pricing.services.pricelists import Problem
from pricing.services.revision import bump
from pricing.services.rulefiles import MOVED, Cells, Column, FilePlan, PlannedRow
from pricing.services.shipping import placed_zone, rule_contradictions, zone_contradictions
from pricing.terms import ShippingRuleTerms, ZoneTerms

ZONE_COLUMNS = (
    Column("zone", "name", rulefiles.text(100), str),
    Column("countries", "countries", rulefiles.listed(40), rulefiles.bars),
    Column("states", "states", rulefiles.listed(40), rulefiles.bars),
    Column("postalCodes", "postal_patterns", rulefiles.listed(40), rulefiles.bars),
    Column("zonePriority", "priority", rulefiles.number(), str),
    Column("zoneActive", "is_active", rulefiles.flag, rulefiles.yes),
)
RULE_COLUMNS = (
    Column("code", "code", rulefiles.text(40), str),
    Column("name", "name", rulefiles.text(100), str),
    Column("type", "type", str.upper, str),
    Column("currency", "currency", str.upper, str),
    Column("basePrice", "base_price", rulefiles.amount, rulefiles.amount_text),
    Column("perItem", "per_unit", rulefiles.amount, rulefiles.amount_text),
    Column("perKilogram", "per_kilogram", rulefiles.amount, rulefiles.amount_text),
    Column("freeOver", "free_over", rulefiles.amount, rulefiles.amount_text),
    Column("minimumOrder", "minimum_order", rulefiles.amount, rulefiles.amount_text),
    Column("maximumOrder", "maximum_order", rulefiles.amount, rulefiles.amount_text),
    Column("minDays", "min_days", rulefiles.number(0, 365), str),
    Column("maxDays", "max_days", rulefiles.number(0, 365), str),
    Column("priority", "priority", rulefiles.number(), str),
    Column("active", "is_active", rulefiles.flag, rulefiles.yes),
)
COLUMNS = (*ZONE_COLUMNS, *RULE_COLUMNS)
REQUIRED = ("zone",)
_ZONE_DEFAULTS = rulefiles.defaults_of(ZoneTerms)
_RULE_DEFAULTS = rulefiles.defaults_of(ShippingRuleTerms)
_NOWHERE = UUID(int=0)  # terms in a plan name their zone beside them: it may not be there yet
_Key = tuple[str, str, str]  # zone, code, currency


def plan_shipping_file(*, actor: Actor, source: Source) -> FilePlan:
    """
    Return what a file of zones and ways to ship would change, or what is wrong with it by line and column; writes nothing.

    :raises ImportUnreadable: if it is no text, too large, or lacks the column `zone`
    """
    problems: list[Problem] = []
    zones = {zone.name: zone for zone in ShippingZone.objects.filter(company_id=actor.company_id)}
    rules: dict[_Key, ShippingRule] = {
        (rule.zone.name, rule.code, rule.currency): rule
        for rule in ShippingRule.objects.filter(zone__company_id=actor.company_id).select_related(
            "zone"
        )
    }
    zone_rows: dict[str, PlannedRow] = {}
    rule_rows: dict[_Key, PlannedRow] = {}
    for cells in rulefiles.cells_of(source, columns=COLUMNS, required=REQUIRED, problems=problems):
        given = cells.read(ZONE_COLUMNS, _ZONE_DEFAULTS, problems)
        if given is None:
            continue
        planned = _zone_row(cells, given, zones.get(given["name"]), problems)
        first = zone_rows.setdefault(planned.title, planned)
        if first.after != planned.after:
            said = _("Line %(line)d says something else of this zone.") % {"line": first.line}
            problems.append(Problem(cells.line, cells.column("zone"), said))
        if not any(cells.values.get(column.name.casefold(), "").strip() for column in RULE_COLUMNS):
            continue
        named = cells.read(RULE_COLUMNS, _RULE_DEFAULTS, problems)
        if named is None:
            continue
        key = (planned.title, named.get("code", ""), named.get("currency", ""))
        if key in rule_rows:
            words = {"line": rule_rows[key].line}
            said = _("The same way to ship stands on line %(line)d already.") % words
            problems.append(Problem(cells.line, cells.column("code"), said))
            continue
        if row := _rule_row(cells, named, planned.title, rules.get(key), problems):
            rule_rows[key] = row
    if not zone_rows and not problems:
        problems.append(Problem(2, "", _("The file has no rows.")))
    return FilePlan([*zone_rows.values(), *rule_rows.values()], problems)


@transaction.atomic
def apply_shipping_file(*, actor: Actor, source: Source, plan_id: str, now: datetime) -> FilePlan:
    """
    Write what a plan of this file showed, all or nothing, and return it; placed orders keep what they were charged.

    Locks the company's zones, then its ways to ship, in id order, plans anew and compares. One audit entry for each zone
    and each way that is new or differs.

    :raises ImportUnreadable: as `plan_shipping_file`
    :raises ValidationFailed: if anything moved since the plan, or it has problems
    """
    for rows in (
        ShippingZone.objects.filter(company_id=actor.company_id).select_for_update(),
        ShippingRule.objects.filter(zone__company_id=actor.company_id).select_for_update(
            of=("self",)
        ),
    ):
        list(rows.order_by("id").values_list("id", flat=True))
    plan = plan_shipping_file(actor=actor, source=source)
    if plan.id != plan_id:
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(MOVED))])
    if not plan.is_sound:
        said = _("Nothing would change.")
        raise ValidationFailed(
            errors=[FieldError(f"line {each.line}", "invalid", each.message) for each in plan.problems]
            or [FieldError("file", "nothing", said)]
        )  # fmt: skip
    try:
        with transaction.atomic():
            _write(plan, actor=actor, reason=source.name, now=now)
    except IntegrityError:  # somebody entered a zone or a code of the same name at this moment
        raise ValidationFailed(errors=[FieldError("planId", "moved", str(MOVED))]) from None
    bump(actor=actor, what="shipping", now=now)
    return plan


def shipping_file_lines(
    *, zones: Iterable[ShippingZone], rules: Iterable[ShippingRule]
) -> Iterator[str]:
    """
    Return the lines of the file of these zones and ways to ship; bringing it back changes nothing.

    A zone has one row for each of its ways, or one without any. No cell is a formula to a spreadsheet.
    """
    ways: dict[UUID, list[ShippingRule]] = {}
    for rule in rules:
        ways.setdefault(rule.zone_id, []).append(rule)
    blank = [""] * len(RULE_COLUMNS)

    def rows() -> Iterator[list[str]]:
        for zone in zones:
            there = [column.write(getattr(zone, column.field)) for column in ZONE_COLUMNS]
            for rule in ways.get(zone.id, ()):
                yield there + [column.write(getattr(rule, column.field)) for column in RULE_COLUMNS]
            if zone.id not in ways:
                yield there + blank

    return rulefiles.lines_of(COLUMNS, rows())


# --- parts ----------------------------------------------------------------------------------------


def _zone_row(
    cells: Cells, given: Mapping[str, Any], zone: ShippingZone | None, problems: list[Problem]
) -> PlannedRow:
    before = None if zone is None else _zone_terms(zone)
    base = {"countries": (), **_ZONE_DEFAULTS} if before is None else dataclasses.asdict(before)
    after = placed_zone(ZoneTerms(**{**base, **given}))
    _note(cells, zone_contradictions(after), ZONE_COLUMNS, problems)
    return PlannedRow(
        line=cells.line,
        columns=ZONE_COLUMNS,
        rule_id=None if zone is None else zone.id,
        before=before,
        after=after,
        title=after.name,
        where=", ".join(after.countries),
        sum=_("zone"),
    )


def _rule_row(
    cells: Cells,
    given: Mapping[str, Any],
    zone: str,
    rule: ShippingRule | None,
    problems: list[Problem],
) -> PlannedRow | None:
    before = None if rule is None else _rule_terms(rule)
    base = _RULE_DEFAULTS if before is None else dataclasses.asdict(before)
    fields = {**base, **given, "zone_id": _NOWHERE}
    missing = [column for column in RULE_COLUMNS if column.field not in fields]
    problems += [
        Problem(cells.line, cells.column(column.name), _("This cell is empty."))
        for column in missing
    ]
    if missing:
        return None
    after = ShippingRuleTerms(**fields)
    _note(cells, rule_contradictions(after), RULE_COLUMNS, problems)
    return PlannedRow(
        line=cells.line,
        columns=RULE_COLUMNS,
        rule_id=None if rule is None else rule.id,
        before=before,
        after=after,
        title=after.name,
        where=zone,
        sum=f"{rulefiles.amount_text(after.base_price)} {after.currency}",
    )


def _note(
    cells: Cells,
    errors: Iterable[FieldError],
    columns: Iterable[Column],
    problems: list[Problem],
) -> None:
    names = {_plain(column.field): column.name for column in columns}
    problems += [
        Problem(cells.line, cells.column(names[_plain(error.field)]), str(error.message))
        for error in errors
    ]


def _plain(field: str) -> str:
    """Return the name of a field without regard to how its words are joined."""
    return field.replace("_", "").lower()


def _zone_terms(zone: ShippingZone) -> ZoneTerms:
    return ZoneTerms(
        name=zone.name,
        countries=tuple(zone.countries),
        states=tuple(zone.states),
        postal_patterns=tuple(zone.postal_patterns),
        priority=zone.priority,
        is_active=zone.is_active,
    )


def _rule_terms(rule: ShippingRule) -> ShippingRuleTerms:
    fields = {column.field: getattr(rule, column.field) for column in RULE_COLUMNS}
    return ShippingRuleTerms(zone_id=_NOWHERE, **fields)


def _write(plan: FilePlan, *, actor: Actor, reason: str, now: datetime) -> None:
    """Write the zones, then the ways to ship there, each with its audit entry."""
    ids: dict[str, UUID] = {}

    def zone_of(row: PlannedRow) -> ShippingZone:
        there = {} if row.rule_id is None else {"id": row.rule_id}
        zone = ShippingZone(company_id=actor.company_id, **there, **_fields(row))
        ids[zone.name] = zone.id
        return zone

    def rule_of(row: PlannedRow) -> ShippingRule:
        there = {} if row.rule_id is None else {"id": row.rule_id}
        return ShippingRule(zone_id=ids[row.where], **there, **_fields(row))

    for columns, made_of, kind in (
        (ZONE_COLUMNS, zone_of, "shipping_zone"),
        (RULE_COLUMNS, rule_of, "shipping_rule"),
    ):
        stored = [(made_of(row), row) for row in plan.rows if row.columns is columns]
        new = [(each, row) for each, row in stored if row.before is None]
        changed = [(each, row) for each, row in stored if row.changes]
        table: Any = ShippingZone if columns is ZONE_COLUMNS else ShippingRule
        table.objects.bulk_create([each for each, _row in new])
        table.objects.bulk_update(
            [each for each, _row in changed], [column.field for column in columns]
        )
        for action, rows in (("created", new), ("changed", changed)):
            audit.record_each(
                actor=actor,
                action=f"{kind}.{action}",
                object_type=kind,
                changes=[(each.id, _said(row.before), _said(row.after)) for each, row in rows],
                reason=reason,
                now=now,
            )


def _fields(row: PlannedRow) -> dict[str, Any]:
    values = {column.field: getattr(row.after, column.field) for column in row.columns}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _said(terms: ZoneTerms | ShippingRuleTerms | None) -> dict[str, Any]:
    """Return terms for the audit trail; of a way to ship, the zone is told by the rule itself."""
    if terms is None:
        return {}
    return {name: value for name, value in dataclasses.asdict(terms).items() if name != "zone_id"}
