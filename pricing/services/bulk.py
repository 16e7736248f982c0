"""Many prices at once: what would change is planned and shown, and written only if it is still what was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory import selectors as inventory
from inventory.models import Variant
from pricing.errors import CurrencyUnknown
from pricing.history import lowest_lately
from pricing.models import Price, SpecialPrice
from pricing.money import EXPONENTS, format_amount, quantize
from pricing.repricing import ENDINGS, KINDS, LISTED, PERCENT, SET, Repricing
from pricing.selectors.inforce import price_movements, public
from pricing.services.prices import HIGHEST, NewPrice, set_prices
from pricing.services.revision import bump
from pricing.services.special import SpecialTerms, described, set_public_prices

MOST_PRICES = 5_000  # of one change: what a transaction may hold, and somebody may still look at
LARGE_PERCENT = 50
KEEP, OLD, CLEAR = "keep", "old", "clear"
FORMER = (KEEP, OLD, CLEAR)

# What a row is warned of, in the order in which it is said.
BELOW_LOWEST, LARGE, SCHEDULED, FORMER_DROPPED = (
    "below_lowest",
    "large_change",
    "scheduled_price",
    "former_price_dropped",
)


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """What a list says of a SKU; without `compare_at` there is no former price."""

    amount: Decimal
    compare_at: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSelection:
    """
    Which variants are meant: of a category (a slug, with all below it), with words in SKU or name, named by SKU.

    What is given holds together: a category and words mean both.
    """

    category: str = ""
    search: str = ""
    skus: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkTerms:
    """
    How these prices shall change in one currency.

    `listed` are the prices of the rule `listed`, by SKU. `former` says what becomes of the former price that is shown: it
    is kept where it is still higher, it is the price until now, or there is none. With `starts_at` or `ends_at` it is a scheduled
    price, else the base price changes at once.
    """

    currency: str
    rule: Repricing
    listed: Mapping[str, ListedPrice] | None = None
    former: str = KEEP
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def is_scheduled(self) -> bool:
        return self.starts_at is not None or self.ends_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPrice:
    """One price: as it is (None: there is none), as it would be, what to look at, and what forbids it."""

    variant_id: UUID
    sku: str
    name: str
    old: Decimal | None
    old_compare_at: Decimal | None
    new: Decimal
    compare_at: Decimal | None
    lowest: Decimal | None
    warnings: Sequence[str] = ()
    problem: str = ""

    @property
    def changes(self) -> bool:
        return (self.old, self.old_compare_at) != (self.new, self.compare_at)

    @property
    def difference(self) -> Decimal | None:
        return None if self.old is None else self.new - self.old

    @property
    def percent(self) -> Decimal | None:
        """By how many percent it moves, to a tenth; None where there was no price, or it was nothing."""
        if not self.old:
            return None
        return ((self.new - self.old) / self.old * 100).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePlan:
    """
    What a change would write, by SKU. `id` names exactly that: prices as they are and as they would be, and when.

    `missing` are SKUs that have no price in the currency to change; `unknown` are named SKUs the company does not have.
    """

    id: str
    currency: str
    terms: BulkTerms
    rows: Sequence[PlannedPrice]
    missing: Sequence[str]
    unknown: Sequence[str]

    @property
    def writes(self) -> list[PlannedPrice]:
        """The rows that would be written: a scheduled price is one even where it is equal to the present one."""
        return [row for row in self.rows if row.changes or self.terms.is_scheduled]

    @property
    def problems(self) -> list[PlannedPrice]:
        return [row for row in self.rows if row.problem]

    @property
    def is_sound(self) -> bool:
        return bool(self.writes) and not self.problems and not self.unknown

    def totals(self) -> dict[str, Any]:
        """Return how many prices rise, fall, stay or are warned of, and what one unit of each comes to, before and after."""
        differences = [row.difference for row in self.rows]
        known = [row for row in self.rows if row.old is not None]
        return {
            "prices": len(self.rows),
            "raised": sum(difference is not None and difference > 0 for difference in differences),
            "lowered": sum(difference is not None and difference < 0 for difference in differences),
            "new": len(self.rows) - len(known),
            "unchanged": len(self.rows) - len(self.writes),
            "warnings": sum(bool(row.warnings) for row in self.rows),
            "problems": len(self.problems) + len(self.unknown),
            "old": sum((row.old for row in known if row.old is not None), Decimal(0)),
            "after": sum((row.new for row in known), Decimal(0)),
        }


def plan_prices(
    *, actor: Actor, selection: PriceSelection, terms: BulkTerms, now: datetime
) -> PricePlan:
    """
    Return what a change of prices would write; writes nothing. At most eight statements, however many prices.

    :raises CurrencyUnknown: if we know no such currency
    :raises CategoryNotFound: if there is no such category
    :raises ValidationFailed: if nothing or more than `MOST_PRICES` are chosen, or rule, value or period are not acceptable
    """
    _check(terms, now)
    variants, unknown = _chosen(actor, selection, terms)
    ids = [variant.id for variant in variants]
    prices = {
        price.variant_id: price
        for price in Price.objects.filter(variant__in=ids, currency=terms.currency)
    }
    schedule: dict[UUID, list[SpecialPrice]] = {}
    for special in SpecialPrice.objects.filter(
        public(),
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        variant__in=ids,
        currency=terms.currency,
    ).order_by("starts_at"):
        schedule.setdefault(special.variant_id, []).append(special)
    movements = price_movements(variant_ids=ids, currency=terms.currency, now=now)
    rows, missing = [], []
    for variant in variants:
        changes, scheduled = movements.get(variant.id, ([], []))
        row = _planned(
            variant,
            prices.get(variant.id),
            schedule.get(variant.id, []),
            lowest_lately(changes, scheduled, now=now),
            terms,
            now,
        )
        if row is None:
            missing.append(variant.sku)
        else:
            rows.append(row)
    return PricePlan(
        id=_content_id(terms, rows),
        currency=terms.currency,
        terms=terms,
        rows=rows,
        missing=missing,
        unknown=unknown,
    )


@transaction.atomic
def apply_prices(
    *,
    actor: Actor,
    selection: PriceSelection,
    terms: BulkTerms,
    plan_id: str,
    reason: str,
    now: datetime,
) -> PricePlan:
    """
    Write what a plan showed, all of it or nothing, and return it.

    Locks the current prices in id order, plans anew and compares. The number of statements grows with thousands of prices,
    not with each: one history row for every price, with actor and reason, and one event where what everybody pays changes at once.

    :raises ValidationFailed: without a reason, if something forbids a row, or (`planId`) if anything moved since the plan
    """
    if not reason.strip():
        raise ValidationFailed(errors=[FieldError("reason", "required", _("Say why."))])
    variants, _unknown = _chosen(actor, selection, terms)
    # Whoever changes one of these prices at this moment is waited for, and then seen.
    list(
        Price.objects.filter(variant__in=[row.id for row in variants], currency=terms.currency)
        .for_update()
        .values_list("pk", flat=True)
    )
    plan = plan_prices(actor=actor, selection=selection, terms=terms, now=now)
    if plan.id != plan_id:
        said = _("Something has changed since you looked. Here is what would happen now.")
        raise ValidationFailed(errors=[FieldError("planId", "moved", said)])
    if not plan.is_sound:
        raise ValidationFailed(errors=_refusals(plan))
    if terms.is_scheduled:
        set_public_prices(
            actor=actor,
            terms=[
                SpecialTerms(
                    variant_id=row.variant_id,
                    currency=terms.currency,
                    amount=row.new,
                    compare_at=row.compare_at,
                    starts_at=terms.starts_at,
                    ends_at=terms.ends_at,
                    reason=reason,
                )
                for row in plan.writes
            ],
            now=now,
        )
    else:
        set_prices(
            actor=actor,
            prices=[
                NewPrice(
                    variant_id=row.variant_id,
                    currency=terms.currency,
                    amount=row.new,
                    compare_at=row.compare_at,
                )
                for row in plan.writes
            ],
            reason=reason,
            now=now,
        )
        bump(actor=actor, what="prices", now=now)
    audit.record(
        actor=actor,
        action="prices.changed_together",
        object_type="prices",
        object_id=plan.id,
        after={
            "currency": terms.currency,
            "rule": terms.rule.kind,
            "value": None if terms.rule.kind == LISTED else str(terms.rule.value),
            "ending": terms.rule.ending,
            "startsAt": terms.starts_at,
            "endsAt": terms.ends_at,
            "category": selection.category,
            "search": selection.search,
            "prices": len(plan.writes),
        },
        reason=reason,
        now=now,
    )
    return plan


def rights_needed(plan: PricePlan) -> list[str]:
    """Return the permissions a plan needs beside that of changing prices: for scheduled prices, and for first ones."""
    if plan.terms.is_scheduled:
        return ["pricing.add_specialprice"]
    return ["pricing.add_price"] if any(row.old is None for row in plan.writes) else []


# --- parts ----------------------------------------------------------------------------------------


def _check(terms: BulkTerms, now: datetime) -> None:
    if terms.currency not in EXPONENTS:
        raise CurrencyUnknown()
    rule = terms.rule
    errors = []
    if rule.kind not in KINDS:
        errors.append(FieldError("rule.kind", "invalid", _("There is no such rule.")))
    if rule.ending not in ENDINGS:
        errors.append(FieldError("rule.ending", "invalid", _("There is no such ending.")))
    if not rule.value.is_finite() or abs(rule.value) > HIGHEST:
        errors.append(
            FieldError("rule.value", "invalid", _("This is not a number to reckon with."))
        )
    elif rule.kind == PERCENT and not -100 <= rule.value <= 1000:
        errors.append(FieldError("rule.value", "invalid", _("From −100 to 1,000 percent.")))
    elif rule.kind == SET and rule.value < 0:
        errors.append(FieldError("rule.value", "invalid", _("A price is not below zero.")))
    if rule.kind == LISTED and not terms.listed:
        errors.append(FieldError("items", "required", _("The list has no prices.")))
    if terms.former not in FORMER:
        errors.append(FieldError("formerPrice", "invalid", _("There is no such choice.")))
    if terms.starts_at is not None and terms.starts_at < now:
        errors.append(FieldError("startsAt", "past", _("It cannot begin in the past.")))
    if terms.ends_at is not None and terms.ends_at <= (terms.starts_at or now):
        errors.append(FieldError("endsAt", "invalid", _("It ends before it begins.")))
    if errors:
        raise ValidationFailed(errors=errors)


def _chosen(
    actor: Actor, selection: PriceSelection, terms: BulkTerms
) -> tuple[list[Variant], list[str]]:
    """Return the variants that are meant, by SKU, and what was named in vain."""
    named = list(terms.listed) if terms.listed else list(dict.fromkeys(selection.skus))
    if not (named or selection.category or selection.search.strip()):
        said = _("Choose a category, words to search for, or SKUs.")
        raise ValidationFailed(errors=[FieldError("skus", "required", said)])
    found = Variant.objects.filter(company_id=actor.company_id)
    if named:
        found = found.filter(sku__in=named)
    if selection.category:
        category = inventory.find_category(actor=actor, slug=selection.category)
        branch = inventory.category_branch(company_id=actor.company_id, category_id=category.id)
        found = found.filter(product__category__in=branch)
    for word in selection.search.replace("\x00", "").split()[:10]:
        found = found.filter(Q(sku__icontains=word) | Q(product__name__icontains=word))
    variants = list(found.select_related("product").order_by("sku", "id")[: MOST_PRICES + 1])
    if len(variants) > MOST_PRICES:
        said = _("These are more than %(most)d SKUs. Choose fewer at once.") % {"most": MOST_PRICES}
        raise ValidationFailed(errors=[FieldError("skus", "too_many", said)])
    known = {variant.sku for variant in variants}
    # A SKU that a category leaves out is not unknown, it is not meant.
    narrowed = selection.category or selection.search.strip()
    return variants, [] if narrowed else [sku for sku in named if sku not in known]


def _planned(
    variant: Variant,
    price: Price | None,
    schedule: Sequence[SpecialPrice],
    lowest: Decimal | None,
    terms: BulkTerms,
    now: datetime,
) -> PlannedPrice | None:
    old = None if price is None else price.amount
    listed = None if terms.listed is None else terms.listed[variant.sku]
    amount = terms.rule.applied(old, terms.currency) if listed is None else listed.amount
    if amount is None:
        return None
    new = quantize(amount, terms.currency)
    warnings, compare_at = [], _former(terms, price, listed, new)
    if lowest is not None and new < lowest:
        warnings.append(BELOW_LOWEST)
    if old and abs(new - old) * 100 > old * LARGE_PERCENT:
        warnings.append(LARGE)
    in_force = [special for special in schedule if special.starts_at <= now]
    if in_force and not terms.is_scheduled:
        warnings.append(SCHEDULED)
    had_former = price is not None and price.compare_at is not None
    if (
        terms.former == KEEP
        and listed is None
        and had_former
        and compare_at is None
        and not terms.is_scheduled
    ):
        warnings.append(FORMER_DROPPED)
    return PlannedPrice(
        variant_id=variant.id,
        sku=variant.sku,
        name=variant.product.name,
        old=old,
        old_compare_at=None if price is None else price.compare_at,
        new=new,
        compare_at=compare_at,
        lowest=lowest,
        warnings=warnings,
        problem=_problem(new, compare_at, price, schedule, terms, now),
    )  # fmt: skip


def _former(
    terms: BulkTerms, price: Price | None, listed: ListedPrice | None, new: Decimal
) -> Decimal | None:
    """Return the former price to show with a new one, which is always higher than it."""
    if listed is not None:
        return None if listed.compare_at is None else quantize(listed.compare_at, terms.currency)
    if price is None or terms.former == CLEAR:
        return None
    if terms.former == OLD:
        former: Decimal | None = price.amount
    else:
        # beside a scheduled price the base price is the former one, unless something else was said
        former = None if terms.is_scheduled else price.compare_at
    return former if former is not None and former > new else None


def _problem(
    new: Decimal,
    compare_at: Decimal | None,
    price: Price | None,
    schedule: Sequence[SpecialPrice],
    terms: BulkTerms,
    now: datetime,
) -> str:
    if new < 0:
        return _("A price is not below zero.")
    if new > HIGHEST:
        return _("This is not a price.")
    if compare_at is not None and compare_at <= new:
        return _("A former price is higher than the price.")
    if not terms.is_scheduled:
        return ""
    if price is None:
        return _("Set a base price first.")
    starts_at = terms.starts_at or now
    for special in schedule:
        ends_before = special.ends_at is not None and special.ends_at <= starts_at
        begins_after = terms.ends_at is not None and special.starts_at >= terms.ends_at
        if not (ends_before or begins_after):
            return _("Overlaps another price: %(other)s") % {"other": described(special)}
    return ""


def _refusals(plan: PricePlan) -> list[FieldError]:
    errors = [FieldError(f"prices.{row.sku}", "invalid", row.problem) for row in plan.problems]
    errors += [FieldError(f"prices.{sku}", "unknown", _("There is no such SKU.")) for sku in plan.unknown]  # fmt: skip
    return errors or [FieldError("prices", "nothing", _("No price would change."))]


def _content_id(terms: BulkTerms, rows: Sequence[PlannedPrice]) -> str:
    """Return a name for exactly what would be written, and over what."""

    def text(amount: Decimal | None) -> str:
        return "" if amount is None else format_amount(amount, terms.currency)

    said = [f"{terms.currency} {terms.starts_at} {terms.ends_at}"]
    said += [
        f"{row.variant_id} {text(row.old)} {text(row.old_compare_at)} {text(row.new)} {text(row.compare_at)} {row.problem}"
        for row in sorted(rows, key=lambda row: row.variant_id)
    ]
    return sha256("\n".join(said).encode()).hexdigest()[:32]
