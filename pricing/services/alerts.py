"""Price alerts: asking to be told at a target, ending that, and telling once each time a price falls to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.db.models import F

from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, ValidationFailed
from config.platform.models import new_id
from config.platform.outbox import publish
from inventory import selectors as inventory
from inventory.models import Product, Variant
from pricing.errors import (
    CurrencyUnknown,
    PriceAlertLinkInvalid,
    PriceAlertNotFound,
    TooManyPriceAlerts,
)
from pricing.events import PriceAlertAsked, PriceAlertReached
from pricing.models import PriceAlert
from pricing.money import EXPONENTS, format_amount, quantize
from pricing.selectors.catalogue import current_prices, home_currency
from pricing.selectors.inforce import public_price
from pricing.services.prices import HIGHEST

MOST_ALERTS = 50  # open ones of one person
CONFIRM_WITHIN = timedelta(days=3)
_AT_ONCE = 500  # alerts told together
_CONFIRM, _LINK = "pricing.price_alert.confirm", "pricing.price_alert.link"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTerms:
    """Which variant, and at which price of one unit somebody wants to be told."""

    ref: inventory.VariantRef
    target: Decimal


@transaction.atomic
def subscribe_to_prices(
    *, actor: Actor, wanted: Sequence[AlertTerms], currency: str, now: datetime
) -> list[PriceAlert]:
    """
    Give a signed-in customer an alert for each of these; one they have already takes the new target.

    A price that is at the target already is no news: they are told when it falls to it anew. All or nothing.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if a line names nothing that has a price, or its target is no price; by its index
    :raises TooManyPriceAlerts: if they would have more than fifty
    """
    assert actor.user_id is not None
    lines = _checked(actor, wanted, currency)
    return _write(actor, lines, currency, user_id=actor.user_id, email="", now=now)


@transaction.atomic
def ask_for_price_alerts(
    *, actor: Actor, wanted: Sequence[AlertTerms], currency: str, email: str, now: datetime
) -> None:
    """
    Let a guest ask for alerts: nothing is stored but the mails that ask the address whether it is true.

    Answers the same whether or not the address is known or has such alerts already.

    :raises CurrencyUnknown: if we know no such currency
    :raises ValidationFailed: if the address is none, or a line names nothing that has a price, or no target
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        email = ""
    if not email or len(email) > 254:
        raise ValidationFailed(
            errors=[FieldError("email", "invalid", "An e-mail address is needed.")]
        )
    lines = _checked(actor, wanted, currency)
    publish(
        *(
            PriceAlertAsked(
                aggregate_id=variant.id,
                sku=variant.sku,
                email=email,
                currency=currency,
                target=format_amount(target, currency),
            )
            for variant, target, _ in lines
        ),
        actor=actor,
        now=now,
    )


def alert_confirmation(
    *, company_id: UUID, variant_id: UUID, email: str, currency: str, target: str
) -> str:
    """Return what the link in the confirmation mail ends with."""
    return signing.dumps(
        [str(company_id), str(variant_id), email, currency, target], salt=_CONFIRM, compress=True
    )


def read_alert_confirmation(token: str) -> tuple[UUID, UUID, str, str, Decimal]:
    """
    Return company, variant, address, currency and target of a confirmation link.

    :raises PriceAlertLinkInvalid: if it is not one of ours, or older than three days
    """
    try:
        company_id, variant_id, email, currency, target = signing.loads(
            token, salt=_CONFIRM, max_age=CONFIRM_WITHIN
        )
        return UUID(company_id), UUID(variant_id), str(email), str(currency), Decimal(target)
    except (signing.BadSignature, ValueError, TypeError, ArithmeticError) as wrong:
        raise PriceAlertLinkInvalid from wrong


@transaction.atomic
def confirm_price_alert(*, actor: Actor, token: str, now: datetime) -> PriceAlert:
    """
    Give the address that followed its link the alert it asked for; following it again changes nothing.

    :raises PriceAlertLinkInvalid: if the link is not one of ours, too old, or of another shop
    :raises ValidationFailed: if what it is about is not sold any more
    :raises TooManyPriceAlerts: if the address has fifty
    """
    company_id, variant_id, email, currency, target = read_alert_confirmation(token)
    if company_id != actor.company_id:
        raise PriceAlertLinkInvalid
    terms = AlertTerms(ref=inventory.VariantRef(variant_id=variant_id), target=target)
    lines = _checked(actor, [terms], currency)
    [alert] = _write(actor, lines, currency, user_id=None, email=email, now=now)
    return alert


def alert_link(*, alert_id: UUID) -> str:
    """Return what the link that ends an alert ends with: whoever has it may end it."""
    return signing.dumps(str(alert_id), salt=_LINK)


def read_alert_link(token: str) -> UUID:
    """:raises PriceAlertLinkInvalid: if it is not one of ours"""
    try:
        return UUID(signing.loads(token, salt=_LINK))
    except (signing.BadSignature, ValueError, TypeError) as wrong:
        raise PriceAlertLinkInvalid from wrong


def end_price_alert(*, actor: Actor, alert_id: UUID, now: datetime) -> None:
    """
    End an alert of the caller's own; one that has ended stays so.

    :raises PriceAlertNotFound: if they have no such alert
    """
    mine = PriceAlert.objects.filter(
        id=alert_id, company_id=actor.company_id, user_id=actor.user_id
    )
    if actor.user_id is None or not mine.exists():
        raise PriceAlertNotFound
    mine.filter(closed_at=None).update(closed_at=now)


def end_price_alert_by_link(*, actor: Actor, token: str, now: datetime) -> None:
    """
    End an alert by the link of its mail; one that has ended stays so.

    :raises PriceAlertLinkInvalid, PriceAlertNotFound: if the link leads nowhere
    """
    found = PriceAlert.objects.filter(id=read_alert_link(token), company_id=actor.company_id)
    if not found.exists():
        raise PriceAlertNotFound
    found.filter(closed_at=None).update(closed_at=now)


@transaction.atomic
def tell_price_alerts(
    *, actor: Actor, currency: str, variant_id: UUID | None = None, now: datetime
) -> int:
    """
    Announce the alerts that the price of now has fallen to, arm those it has risen above; return how many were told.

    For one variant, or for a currency whose exchange rate has changed. A price in the company's own currency may be
    what others are converted from, so alerts on that variant in any currency are looked at.

    It looks at prices as they are now, so the order in which changes are heard of does not matter, and hearing of one
    twice tells nobody twice: whom it concerns is found and marked under the lock of the alert.
    """
    alerts = PriceAlert.objects.filter(company_id=actor.company_id, closed_at=None)
    if variant_id is not None:
        alerts = alerts.filter(variant_id=variant_id)
    if variant_id is None or currency != home_currency(company_id=actor.company_id):
        alerts = alerts.filter(currency=currency)
    alerts = alerts.annotate(price=public_price("variant", F("currency")))
    risen = alerts.filter(is_armed=False, target__lt=F("price"))
    PriceAlert.objects.filter(id__in=risen.values("id"), is_armed=False).update(is_armed=True)
    reached = (
        alerts.filter(
            is_armed=True,
            target__gte=F("price"),
            variant__is_active=True,
            variant__product__status=Product.Status.ACTIVE,
        )
        .select_related("variant")
        .order_by("pk")
        .select_for_update(of=("self",), no_key=True)
    )
    told = 0
    while due := list(reached[:_AT_ONCE]):
        ids = [alert.pk for alert in due]
        PriceAlert.objects.filter(pk__in=ids).update(is_armed=False, told_at=now)
        publish(
            *(
                PriceAlertReached(
                    aggregate_id=alert.id,
                    sku=alert.variant.sku,
                    currency=alert.currency,
                    target=format_amount(alert.target, alert.currency),
                    amount=format_amount(alert.price, alert.currency),  # type: ignore[attr-defined]  # annotated
                )
                for alert in due
            ),
            actor=actor,
            now=now,
        )
        told += len(due)
    return told


# --- parts ----------------------------------------------------------------------------------


def _checked(
    actor: Actor, wanted: Sequence[AlertTerms], currency: str
) -> list[tuple[Variant, Decimal, Decimal]]:
    """Return each variant with its target and its price now; two statements."""
    if currency not in EXPONENTS:
        raise CurrencyUnknown
    found = inventory.find_variants(actor=actor, refs=[line.ref for line in wanted])
    prices = current_prices(
        variant_ids=[variant.id for variant in found if isinstance(variant, Variant)],
        currency=currency,
    )
    errors: list[FieldError] = []
    lines: dict[UUID, tuple[Variant, Decimal, Decimal]] = {}
    for index, (line, variant) in enumerate(zip(wanted, found, strict=True)):
        field = f"items.{index}"
        target = line.target
        if isinstance(variant, ApplicationError):
            errors.append(FieldError(field, variant.code, variant.detail))
        elif variant.id not in prices:
            errors.append(FieldError(field, "PRICE_MISSING", "There is no price in this currency."))
        elif not (target.is_finite() and 0 < target <= HIGHEST) or not quantize(target, currency):
            errors.append(FieldError(f"{field}.targetPrice", "invalid", "This is not a price."))
        else:
            # Named twice, the last one counts.
            lines[variant.id] = (variant, quantize(target, currency), prices[variant.id])
    if errors:
        raise ValidationFailed(errors=errors)
    return list(lines.values())


def _write(
    actor: Actor,
    lines: Sequence[tuple[Variant, Decimal, Decimal]],
    currency: str,
    *,
    user_id: UUID | None,
    email: str,
    now: datetime,
) -> list[PriceAlert]:
    mine = PriceAlert.objects.filter(
        company_id=actor.company_id, user_id=user_id, email=email, closed_at=None
    )
    ids = {variant.id for variant, _, _ in lines}
    others = mine.exclude(variant_id__in=ids, currency=currency).count()
    if others + len(ids) > MOST_ALERTS:
        raise TooManyPriceAlerts(extra={"limit": MOST_ALERTS})
    owner = "(variant_id, currency, user_id) WHERE closed_at IS NULL AND user_id IS NOT NULL"
    if user_id is None:
        owner = "(variant_id, currency, email) WHERE closed_at IS NULL AND user_id IS NULL"
    # Two at once meet at the unique key, and the later one has its target.
    ordered = sorted(lines, key=lambda line: line[0].id)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO price_alerts AS alert
                (id, company_id, variant_id, user_id, email, currency, target, is_armed, created_at)
            SELECT new.id, %s, new.variant_id, %s, %s, %s, new.target, new.is_armed, %s
              FROM unnest(%s::uuid[], %s::uuid[], %s::numeric[], %s::boolean[])
                   AS new (id, variant_id, target, is_armed)
            ON CONFLICT {owner} DO UPDATE
               SET target = excluded.target, is_armed = excluded.is_armed
             WHERE alert.target <> excluded.target
            """,  # noqa: S608 - one of two texts of our own
            [
                actor.company_id,
                user_id,
                email,
                currency,
                now,
                [new_id() for _ in ordered],
                [variant.id for variant, _, _ in ordered],
                [target for _, target, _ in ordered],
                [price > target for _, target, price in ordered],
            ],
        )
    written = {
        alert.variant_id: alert for alert in mine.filter(variant_id__in=ids, currency=currency)
    }
    return [written[variant.id] for variant, _, _ in lines]
