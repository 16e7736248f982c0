"""Base prices that somebody looked at and changes, with a reason: never over what a colleague wrote meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from inventory.errors import ProductNotFound
from inventory.models import Variant
from pricing.models import Price
from pricing.money import format_amount
from pricing.services.prices import NewPrice, checked, set_prices
from pricing.services.revision import bump


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEdit:
    """What a variant shall cost in a currency, and what stood there when it was looked at; None: there was no price."""

    currency: str
    amount: Decimal
    compare_at: Decimal | None = None
    seen_amount: Decimal | None = None
    seen_compare_at: Decimal | None = None


@transaction.atomic
def edit_prices(
    *, actor: Actor, variant_id: UUID, edits: Sequence[PriceEdit], reason: str, now: datetime
) -> int:
    """
    Change the base prices of one variant, all of them or none, and return how many differ now.

    Locks its current prices in id order. A price that is not what was seen is refused: somebody else has changed it. The
    reason is kept with each change and in the audit trail; what is equal is left alone.

    :raises ProductNotFound: if the company has no such variant
    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: without a reason, for what is no price, a former price that is not higher, or a price that
        moved since it was seen; every failing currency is named, nothing is written
    """
    if not Variant.objects.filter(id=variant_id, company_id=actor.company_id).exists():
        raise ProductNotFound()
    current = {
        price.currency: (price.amount, price.compare_at)
        for price in Price.objects.filter(variant=variant_id).for_update()
    }
    errors = [] if reason.strip() else [FieldError("reason", "required", _("Say why."))]
    changed = []
    for edit in edits:
        new = checked(
            NewPrice(
                variant_id=variant_id,
                currency=edit.currency,
                amount=edit.amount,
                compare_at=edit.compare_at,
            )
        )
        there = current.get(edit.currency, (None, None))
        if (new.amount, new.compare_at) == there:
            continue
        if there != (edit.seen_amount, edit.seen_compare_at):
            said = _("Somebody changed this price meanwhile: it is %(price)s now.")
            price = _("none") if there[0] is None else format_amount(there[0], edit.currency)
            errors.append(FieldError(edit.currency, "moved", said % {"price": price}))
        elif new.compare_at is not None and new.compare_at <= new.amount:
            said = _("A former price is higher than the price.")
            errors.append(FieldError(edit.currency, "compare_at", said))
        changed.append(new)
    if errors:
        raise ValidationFailed(errors=errors)
    if not changed:
        return 0
    set_prices(actor=actor, prices=changed, reason=reason, now=now)
    audit.record(
        actor=actor,
        action="price.changed",
        object_type="variant",
        object_id=variant_id,
        before={new.currency: _facts(new.currency, *current.get(new.currency, (None, None))) for new in changed},
        after={new.currency: _facts(new.currency, new.amount, new.compare_at) for new in changed},
        reason=reason,
        now=now,
    )  # fmt: skip
    # A former price alone is no change of the price, so nothing was announced; pages show it all the same.
    bump(actor=actor, what="prices", now=now)
    return len(changed)


def _facts(currency: str, amount: Decimal | None, compare_at: Decimal | None) -> dict[str, Any]:
    return {
        "amount": None if amount is None else format_amount(amount, currency),
        "compareAt": None if compare_at is None else format_amount(compare_at, currency),
    }
