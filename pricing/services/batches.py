"""Codes made in batches: at random, each good for one use, never told apart by guessing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import FieldError, ValidationFailed
from config.platform.models import new_id
from config.platform.sheets import guard, write_line
from pricing import selectors
from pricing.errors import CouponBatchNotFound, DiscountInvalid, PromotionNotFound
from pricing.models import CouponBatch, Promotion
from pricing.services.codes import normalise_code
from pricing.services.revision import bump

# Without what is taken for something else when it is read or spoken: 0 and O, 1, I and L, U and V.
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
SHORTEST, LONGEST, USUAL = 8, 30, 12
MOST_CODES = 100_000
MOST_PREFIX = 19
_AT_ONCE = 10_000
_COLUMNS = ("code", "status", "used", "uses", "valid until")
# Bytes that are as likely as each other for every letter; the others are thrown away.
_FAIR = 256 - 256 % len(ALPHABET)
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))


@transaction.atomic
def create_batch(
    *,
    actor: Actor,
    promotion_id: UUID,
    name: str,
    number: int,
    prefix: str = "",
    length: int = USUAL,
    expires_at: datetime | None = None,
    now: datetime,
) -> CouponBatch:
    """
    Make `number` codes that bring a promotion in, each once: `prefix-` and `length` random letters and digits.

    Locks the promotion. The letters come from the system's source of randomness, about 4.9 bits each, so that 100,000
    codes of the shortest length are one in 6.5 million that could be typed.

    :raises PromotionNotFound: if there is none, or it was deleted
    :raises ValidationFailed: if the promotion applies without a code, or a number, prefix or date makes no sense
    """
    promotion: Promotion | None = (
        Promotion.objects.filter(company_id=actor.company_id, id=promotion_id, deleted_at=None)
        .for_update()
        .first()
    )
    if promotion is None:
        raise PromotionNotFound()
    name = " ".join(name.replace("\x00", "").split())
    prefix, errors = _checked_prefix(prefix)
    if not 1 <= len(name) <= 100:
        errors.append(FieldError("name", "invalid", "1 to 100 characters."))
    if not 1 <= number <= MOST_CODES:
        errors.append(FieldError("number", "invalid", f"1 to {MOST_CODES} codes."))
    if not SHORTEST <= length <= LONGEST:
        errors.append(
            FieldError("length", "invalid", f"{SHORTEST} to {LONGEST} random characters.")
        )
    if expires_at is not None and expires_at <= now:
        errors.append(FieldError("expiresAt", "invalid", "It is over already."))
    if promotion.is_automatic:
        errors.append(
            FieldError("promotionId", "invalid", "It applies by itself and needs no codes.")
        )
    if errors:
        raise ValidationFailed(errors=errors)
    batch = CouponBatch.objects.create(
        company_id=actor.company_id,
        promotion=promotion,
        name=name,
        prefix=prefix,
        length=length,
        number=number,
        expires_at=expires_at,
        created_by=actor.label[:80],
    )
    missing = number
    while missing:
        missing -= _insert(batch, min(missing, _AT_ONCE), now)
    _tell(actor, "coupon_batch.created", batch, now, after={"name": name, "number": number})
    return batch


@transaction.atomic
def revoke_batch(*, actor: Actor, batch_id: UUID, reason: str = "", now: datetime) -> int:
    """
    Switch off every code of a batch for good, and return how many were unused. Orders keep what they have.

    Locks the batch. A second call changes nothing.

    :raises CouponBatchNotFound: if the company has none
    """
    batch = _locked(actor, batch_id)
    if batch.revoked_at is not None:
        return 0
    batch.revoked_at = now
    batch.save(update_fields=["revoked_at"])
    unused = batch.coupons.filter(is_active=True, used_count=0).count()
    batch.coupons.update(is_active=False)
    _tell(actor, "coupon_batch.revoked", batch, now, after={"unused": unused}, reason=reason)
    return unused


@transaction.atomic
def set_batch_expiry(
    *, actor: Actor, batch_id: UUID, expires_at: datetime | None, now: datetime
) -> CouponBatch:
    """
    Let the codes of a batch end at another time, or never. Locks the batch.

    :raises CouponBatchNotFound: if the company has none
    """
    batch = _locked(actor, batch_id)
    before = batch.expires_at
    if before != expires_at:
        batch.expires_at = expires_at
        batch.save(update_fields=["expires_at"])
        batch.coupons.update(expires_at=expires_at)
        _tell(
            actor,
            "coupon_batch.changed",
            batch,
            now,
            before={"expires_at": before},
            after={"expires_at": expires_at},
        )
    return batch


def batch_lines(*, actor: Actor, batch_id: UUID, now: datetime) -> Iterator[str]:
    """
    Return the codes of a batch as lines of CSV (RFC 4180), the first names the columns; read as it is sent.

    :raises CouponBatchNotFound: if the company has none
    """
    batch = selectors.find_batch(actor=actor, batch_id=batch_id)
    return _lines(batch, now)


def _lines(batch: CouponBatch, now: datetime) -> Iterator[str]:
    yield write_line(_COLUMNS, end="\r\n")
    # A prefix may begin with a hyphen, which a spreadsheet would take for a formula.
    for coupon in batch.coupons.order_by("code").iterator(chunk_size=5_000):
        yield write_line(
            [
                guard(coupon.code),
                selectors.coupon_status(coupon, now),
                str(coupon.used_count),
                str(coupon.usage_limit or ""),
                coupon.expires_at.isoformat() if coupon.expires_at else "",
            ],
            end="\r\n",
        )


def random_code(length: int) -> str:
    """Return so many letters and digits at random, each as likely as any other."""
    letters = b""
    while len(letters) < length:
        letters += secrets.token_bytes(2 * length).translate(_LETTERS, _UNFAIR)
    return letters[:length].decode()


def _insert(batch: CouponBatch, number: int, now: datetime) -> int:
    """Write so many new codes in one statement, and return how many were not taken."""
    start = f"{batch.prefix}-" if batch.prefix else ""
    letters = random_code(number * batch.length)
    codes = {start + letters[at : at + batch.length] for at in range(0, len(letters), batch.length)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO coupons (id, company_id, promotion_id, batch_id, code, customer_key, usage_limit, used_count,
                                 expires_at, is_active, created_at)
            SELECT new.id, %s, %s, %s, new.code, '', 1, 0, %s, true, %s
              FROM unnest(%s::uuid[], %s::text[]) AS new (id, code)
            ON CONFLICT (company_id, code) DO NOTHING
            """,
            [
                batch.company_id,
                batch.promotion_id,
                batch.id,
                batch.expires_at,
                now,
                [new_id() for _ in codes],
                list(codes),
            ],
        )
        written: int = cursor.rowcount
    return written


def _checked_prefix(prefix: str) -> tuple[str, list[FieldError]]:
    if not prefix:
        return "", []
    try:
        normal = normalise_code(prefix)
    except DiscountInvalid:
        normal = ""
    if not normal or len(normal) > MOST_PREFIX:
        return "", [
            FieldError("prefix", "invalid", f"Up to {MOST_PREFIX} of A to Z, 0 to 9 and hyphens.")
        ]
    return normal, []


def _locked(actor: Actor, batch_id: UUID) -> CouponBatch:
    batch: CouponBatch | None = (
        CouponBatch.objects.filter(company_id=actor.company_id, id=batch_id).for_update().first()
    )
    if batch is None:
        raise CouponBatchNotFound()
    return batch


def _tell(
    actor: Actor,
    action: str,
    batch: CouponBatch,
    now: datetime,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object],
    reason: str = "",
) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type="coupon_batch",
        object_id=batch.id,
        before=before or {},
        after=after,
        reason=reason,
        now=now,
    )
    bump(actor=actor, what="promotions", now=now)
