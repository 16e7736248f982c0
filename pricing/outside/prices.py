"""What goods cost, as an outside engine says it: unit prices by SKU, never sums."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from pricing.engine import Basket
from pricing.ladder import OUTSIDE, Ladder, Step
from pricing.money import exponent
from pricing.outside.asking import answers_to, engine_for, is_asking
from pricing.outside.question import Question, Unusable, key_of
from pricing.outside.reading import amount, rows_of, text, whole

PRICES = "prices"
MOST_SKUS = 1_000  # in one question
MOST_STEPS = 20
MOST_QUANTITY = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom prices are asked: a company, a currency, and the groups of the customer, by name."""

    company_id: UUID
    currency: str
    groups: Sequence[str] = ()

    def key(self, sku: str) -> str:
        return key_of(PRICES, {**self.content, "sku": sku})

    @property
    def content(self) -> dict[str, Any]:
        return {
            "company": str(self.company_id),
            "currency": self.currency,
            "groups": sorted(self.groups),
        }


def are_prices_asked() -> bool:
    """Return whether an outside engine says what goods cost, here."""
    return is_asking() and engine_for(PRICES) is not None


def priced(ladders: Mapping[str, Ladder], *, asked: Callable[[], Asked]) -> dict[str, Ladder]:
    """
    Return what goods cost by SKU, with the steps of the engine in place of the shop's own where it serves.

    All are asked for at once. The public price stays the shop's own. `asked` is called only where an engine is set up.
    """
    if not ladders or not are_prices_asked():
        return dict(ladders)
    whom = asked()
    keys = {whom.key(sku): sku for sku in ladders}
    known = answers_to(keys, lambda missing: _question(whom, [keys[key] for key in missing]))
    found = dict(ladders)
    for key, sku in keys.items():
        if steps := known[key]:
            found[sku] = Ladder(
                ladders[sku].public,
                tuple(Step(quantity, Decimal(price)) for quantity, price in steps),
                is_outside=True,
            )
    return found


def who_priced(basket: Basket) -> dict[str, str]:
    """Return whose prices the goods of a basket have; nothing where no engine is set up."""
    if not are_prices_asked():
        return {}
    theirs = [line.price_kind == OUTSIDE for line in basket.lines]
    if not any(theirs):
        return {PRICES: "own tables"}
    return {PRICES: "outside" if all(theirs) else "outside and own tables"}


def _question(asked: Asked, skus: Collection[str]) -> Question:
    wanted = sorted(skus)[:MOST_SKUS]  # the others are missing still when the service runs again
    return Question(
        PRICES,
        {"kind": PRICES, **asked.content, "skus": wanted},
        read=lambda question, answer: _read(asked, question, answer),
        keep=settings.OUTSIDE_PRICES_KEEP,
        parts=tuple(asked.key(sku) for sku in wanted),
    )


def _read(asked: Asked, question: Question, answer: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the steps of each SKU by its key, amounts as text.

    :raises Unusable: if one that was asked about has no price from one unit on, or anything else than an amount above
        nothing in the currency's own places; if another one has a price, or one quantity two
    """
    wanted: Sequence[str] = question.content["skus"]
    found: dict[str, dict[int, str]] = {sku: {} for sku in wanted}
    for row in rows_of(answer, PRICES, most=len(wanted) * MOST_STEPS):
        sku = text(row, "sku", 100)
        if sku not in found:
            raise Unusable("there is a price of a SKU that was not asked about")
        if row.get("currency") != asked.currency:
            raise Unusable("a price is in another currency")
        price = amount(row, "unitPrice", places=exponent(asked.currency))
        if not price:
            raise Unusable("a price is nothing")  # what engines say of goods they do not know
        quantity = whole({"from": 1, **row}, "from", least=1, most=MOST_QUANTITY)
        if quantity in found[sku] or len(found[sku]) == MOST_STEPS:
            raise Unusable("a SKU has two prices from one quantity on, or too many")
        found[sku][quantity] = f"{price:f}"
    if any(1 not in steps for steps in found.values()):
        raise Unusable("a SKU has no price from one unit on")
    return {asked.key(sku): sorted(steps.items()) for sku, steps in found.items()}
