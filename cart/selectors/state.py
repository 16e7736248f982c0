"""A cart as the services and the view see it: one row of facts, and its lines with what is known about each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, TextField, Value

from cart.errors import CartExpired, CartMerged, CartNotFound
from cart.models import Cart, CartLine, CartPolicy
from cart.selectors.compiled import Compiled
from config.platform import flags
from config.platform.actor import Actor
from config.platform.prepared import prepared_cursor
from inventory import selectors as inventory
from inventory.models import ProductImage, Variant
from inventory.selectors import Hold
from pricing import outside
from pricing import selectors as pricing
from pricing.ladder import Ladder

ACTIVE, NEXT, SAVED = (
    CartLine.List.ACTIVE.value,
    CartLine.List.NEXT.value,
    CartLine.List.SAVED.value,
)


@dataclass(slots=True, kw_only=True)
class Head:
    """The cart's own row, its company's policy and the number of the pricing rules it was read beside."""

    id: UUID
    company_id: UUID
    user_id: UUID | None
    session_id: UUID | None
    session_hash: bytes | None
    status: str
    currency: str
    version: int
    codes: list[str]
    points: int
    destination: dict[str, str]
    email: str
    metadata: dict[str, Any]
    quote: dict[str, Any] | None
    quote_key: str
    item_count: int
    grand_total: Decimal
    checkout_id: UUID | None
    last_activity_at: datetime
    abandoned_at: datetime | None
    recovered_at: datetime | None
    abandonment_cycle: int
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    revision: int
    policy: CartPolicy

    @property
    def is_open(self) -> bool:
        return self.status in Cart.OPEN

    @property
    def owner(self) -> str:
        return "guest" if self.user_id is None else "user"

    @property
    def customer_keys(self) -> tuple[str, ...]:
        """Under which names promotions count this customer: the account, else the address left, and the session."""
        return pricing.customer_keys(
            user_id=self.user_id, email=self.email, session_hash=self.session_hash
        )

    def has_expired(self, now: datetime) -> bool:
        """Expiry is a predicate, not an event: the sweep only writes down what is so already."""
        return self.status == Cart.Status.EXPIRED or (
            self.status == Cart.Status.ACTIVE and self.expires_at <= now
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What is known about a variant at the moment of reading. `price` is None where the currency has none.

    `price` is what one unit costs this customer when one is bought; `ladder` what it costs when more are.
    """

    variant_id: UUID
    product_id: UUID
    sku: str
    name: str
    slug: str
    options: dict[str, str]
    image: str
    category_id: UUID | None
    tax_class: str
    is_taxable: bool
    weight_grams: int
    requires_shipping: bool
    is_active: bool
    status: str
    was_public: bool
    backorder: bool
    price: Decimal | None
    free: int
    ladder: Ladder | None = None

    @property
    def is_sold(self) -> bool:
        return self.is_active and self.status == "active"


@dataclass(slots=True, kw_only=True)
class Line:
    """One line of a cart. Services change it in memory and write it at the end."""

    id: UUID
    list: str
    facts: Facts
    quantity: int
    price_when_added: Decimal
    promised_price: Decimal | None
    accepted_price: Decimal | None = None
    note: str = ""
    customization: dict[str, Any] = field(default_factory=dict)
    customization_hash: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    bundle_id: UUID | None = None
    group_id: UUID | None = None
    copy: int = 0
    changed_version: int = 1
    expires_at: datetime | None = None
    added_at: datetime
    hold: Hold | None = None

    @property
    def variant_id(self) -> UUID:
        return self.facts.variant_id

    @property
    def key(self) -> tuple[str, UUID, str, UUID | None, int]:
        """What makes the line one of a kind within its cart."""
        return (self.list, self.facts.variant_id, self.customization_hash, self.group_id, self.copy)

    def held(self, now: datetime) -> int:
        return self.hold.quantity if self.hold is not None and self.hold.is_live(now) else 0

    def unit_price(self, now: datetime, together: int = 1) -> Decimal | None:
        """
        Return what one unit costs: the promised price while the hold lives and it is lower, else the current one.

        The current one is that of `together` units of the variant. What is promised is the price of one unit.
        """
        current = self.facts.ladder.at(together) if self.facts.ladder else None
        if current is None or self.promised_price is None or not self.held(now):
            return current
        return min(self.promised_price, current)


# --- the cart's row -------------------------------------------------------------------------------

_POLICY_FIELDS = [
    field.attname for field in CartPolicy._meta.concrete_fields if field.attname != "company_id"
]
_HEAD = f"""
    SELECT cart.id, cart.company_id, cart.user_id, cart.session_id, session.token_hash, cart.status, cart.currency,
           cart.version, cart.codes, cart.points, cart.destination, cart.email, cart.metadata, cart.quote, cart.quote_key,
           cart.item_count, cart.grand_total, cart.checkout_id, cart.last_activity_at, cart.abandoned_at,
           cart.recovered_at, cart.abandonment_cycle, cart.expires_at, cart.created_at, cart.updated_at,
           COALESCE(revision.number, 0), policy.company_id, {", ".join(f"policy.{name}" for name in _POLICY_FIELDS)}
      FROM carts cart
      LEFT JOIN cart_sessions session ON session.id = cart.session_id
      LEFT JOIN cart_policies policy ON policy.company_id = cart.company_id
      LEFT JOIN pricing_revisions revision ON revision.company_id = cart.company_id
     WHERE cart.company_id = %s AND {{where}}
"""  # noqa: S608 - column names of our own
_LOCK = " FOR NO KEY UPDATE OF cart"
_BY_USER = "cart.user_id = %s"
_BY_SESSION = "session.token_hash = %s AND session.status <> 'ended' AND cart.user_id IS NULL"
_LATEST = " ORDER BY cart.created_at DESC, cart.id DESC LIMIT 1"
_IS_OPEN = " AND cart.status IN ('ACTIVE', 'ABANDONED')"


def _head(row: tuple[Any, ...]) -> Head:
    (
        id, company_id, user_id, session_id, token_hash, status, currency, version, codes, points, destination,
        email, metadata, quote, quote_key, item_count, grand_total, checkout_id, last_activity_at, abandoned_at,
        recovered_at, abandonment_cycle, expires_at, created_at, updated_at, revision, has_policy, *policy,
    ) = row  # fmt: skip
    settings = dict(zip(_POLICY_FIELDS, policy, strict=True)) if has_policy else {}
    return Head(
        id=id,
        company_id=company_id,
        user_id=user_id,
        session_id=session_id,
        session_hash=None if token_hash is None else bytes(token_hash),
        status=status,
        currency=currency,
        version=version,
        codes=json.loads(codes),
        points=points,
        destination=json.loads(destination),
        email=email,
        metadata=json.loads(metadata),
        quote=None if quote is None else json.loads(quote),
        quote_key=quote_key,
        item_count=item_count,
        grand_total=grand_total,
        checkout_id=checkout_id,
        last_activity_at=last_activity_at,
        abandoned_at=abandoned_at,
        recovered_at=recovered_at,
        abandonment_cycle=abandonment_cycle,
        expires_at=expires_at,
        created_at=created_at,
        updated_at=updated_at,
        revision=revision,
        policy=CartPolicy(company_id=company_id, **settings),
    )


def _owner(actor: Actor) -> tuple[str, Any] | None:
    if actor.user_id is not None:
        return _BY_USER, actor.user_id
    if actor.session_hash is not None:
        return _BY_SESSION, actor.session_hash
    return None


def _one(where: str, params: Sequence[Any], suffix: str = "") -> Head | None:
    with prepared_cursor() as cursor:
        cursor.execute(_HEAD.format(where=where) + suffix, params)
        row = cursor.fetchone()
    return None if row is None else _head(row)


def find_head(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, lock: bool = False
) -> Head:
    """
    Return the caller's open cart, or the cart of that id if it is theirs (staff: any of the company), perhaps locked.

    One statement; a second one only to say why there is none.

    :raises CartNotFound: if there is none for this caller
    :raises CartExpired: if its life is over
    :raises CartMerged: if it was merged into an account's cart
    """
    owner = _owner(actor)
    suffix = _LOCK if lock else ""
    if cart_id is not None:
        if actor.sees_everything:
            head = _one("cart.id = %s", [actor.company_id, cart_id], suffix)
        elif owner is None:
            head = None
        else:
            head = _one(
                f"cart.id = %s AND {owner[0]}", [actor.company_id, cart_id, owner[1]], suffix
            )
    elif owner is None:
        head = None
    else:
        params = [actor.company_id, owner[1]]
        head = _one(owner[0] + _IS_OPEN, params, suffix)
        if head is None:
            head = _one(owner[0] + _LATEST, params)
            if head is not None and head.is_open:
                # The cart we waited for was closed meanwhile, and this one has taken its place.
                return find_head(actor=actor, now=now, cart_id=head.id, lock=lock)
    if head is None:
        raise CartNotFound
    if cart_id is not None and actor.sees_everything and not lock:
        return head  # staff look at closed carts too
    if head.has_expired(now):
        raise CartExpired
    if head.status == Cart.Status.MERGED:
        raise CartMerged
    if not head.is_open:
        raise CartNotFound
    return head


def find_latest(*, actor: Actor) -> Head:
    """
    Return the caller's latest cart, whatever its status.

    :raises CartNotFound: if they never had one
    """
    owner = _owner(actor)
    head = None
    if owner is not None:
        head = _one(owner[0] + _LATEST, [actor.company_id, owner[1]])
    if head is None:
        raise CartNotFound
    return head


# --- its lines ------------------------------------------------------------------------------------

_CART = UUID(int=0xCA127)
_COMPANY = UUID(int=0xC0)
_CURRENCY = "XX0"
_USER = UUID(int=0x05E6)
_NOW = datetime.fromisoformat("1901-01-01T00:00:00.000001+00:00")
_SKUS, _VARIANTS, _PRODUCTS = "\x01skus", "\x01variants", "\x01products"


def _facts(prefix: str) -> list[Any]:
    """Return the columns of `Facts`, for query sets in which the variant stands under `prefix`."""
    pictures = ProductImage.objects.filter(product=OuterRef(f"{prefix}product_id")).order_by(
        "position", "id"
    )
    variant = f"{prefix}pk" if prefix else "pk"
    return [
        *(
            f"{prefix}{name}"
            for name in (
                "id", "product_id", "sku", "options", "image", "weight_grams", "requires_shipping", "is_taxable",
                "is_active", "inventory_policy", "product__name", "product__slug", "product__status", "product__was_public",
                "product__tax_class", "product__category_id",
            )
        ),
        Subquery(pictures.values("url")[:1]),
        pricing.public_price(variant, _CURRENCY, _NOW),
        pricing.steps_expression(variant, _CURRENCY, user_id=_USER, now=_NOW),
        inventory.available_expression(variant, now=_NOW),
    ]  # fmt: skip


_LINE_COLUMNS = (
    "id", "list", "quantity", "price_when_added", "promised_price", "accepted_price", "note", "customization", "customization_hash",
    "metadata", "bundle_id", "group_id", "copy", "changed_version", "expires_at", "added_at",
)  # fmt: skip


def _build(variant: tuple[bool, str]) -> list[QuerySet[Any, Any]]:
    _, wanted = variant
    lines = (
        CartLine.objects.filter(cart=_CART)
        .order_by()
        .values_list(*_LINE_COLUMNS, inventory.hold_expression("pk"), *_facts("variant__"))
    )
    querysets: list[QuerySet[Any, Any]] = [lines]
    if wanted:
        where = {
            "s": ("variants.sku = ANY(%s)", _SKUS),
            "v": ("variants.id = ANY(%s::uuid[])", _VARIANTS),
            "p": ("variants.product_id = ANY(%s::uuid[])", _PRODUCTS),
        }
        chosen = [where[letter] for letter in wanted]
        querysets.append(
            Variant.objects.filter(company=_COMPANY)
            .extra(  # noqa: S610 - SQL of our own, values as parameters
                where=["(" + " OR ".join(sql for sql, _ in chosen) + ")"],
                params=[mark for _, mark in chosen],
            )
            .order_by()
            .values_list(
                *[Value(None, output_field=TextField())] * (len(_LINE_COLUMNS) + 1), *_facts("")
            )
        )
    return querysets


_LINES = Compiled(
    _build,
    marks={
        "cart": _CART,
        "company": _COMPANY,
        "currency": _CURRENCY,
        "now": _NOW,
        "user": _USER,
        "skus": _SKUS,
        "variants": _VARIANTS,
        "products": _PRODUCTS,
    },
)


def _json(value: Any) -> Any:
    if isinstance(value, str | bytes):
        return {} if value == "{}" else json.loads(value)
    return value


def _steps(value: Any) -> Any:
    return json.loads(value, parse_float=Decimal) if isinstance(value, str | bytes) else value


def _hold(line_id: UUID, value: Any) -> Hold | None:
    return inventory.read_hold(line_id, _json(value)) if value else None


@outside.asking
def load_lines(
    *,
    head: Head,
    now: datetime,
    skus: Iterable[str] = (),
    variant_ids: Iterable[UUID] = (),
    product_ids: Iterable[UUID] = (),
) -> tuple[list[Line], list[Facts]]:
    """
    Return the cart's lines, oldest first, and the facts of the variants asked for beside them: one statement.

    Where an outside engine says what goods cost it is asked, and one more statement reads the customer's groups.
    """
    asked = {"s": list(skus), "v": list(variant_ids), "p": list(product_ids)}
    wanted = "".join(letter for letter, values in asked.items() if values)
    rows = _LINES.rows(
        (flags.is_enabled("ORDER_ENABLE_MULTIPLE_WAREHOUSES"), wanted),
        cart=head.id,
        company=head.company_id,
        currency=head.currency,
        now=now,
        user=head.user_id,
        skus=asked["s"],
        variants=asked["v"],
        products=asked["p"],
    )
    lines: list[Line] = []
    facts: list[Facts] = []
    for row in rows:
        (
            id, list_, quantity, price_when_added, promised_price, accepted_price, note, customization,
            customization_hash, metadata, bundle_id, group_id, copy, changed_version, expires_at, added_at, hold,
            variant_id, product_id, sku, options, image, weight_grams, requires_shipping, is_taxable, is_active, policy,
            name, slug, status, was_public, tax_class, category_id, picture, price, steps, free,
        ) = row  # fmt: skip
        ladder = pricing.read_ladder(price, _steps(steps))
        known = Facts(
            variant_id=variant_id,
            product_id=product_id,
            sku=sku,
            name=name,
            slug=slug,
            options=_json(options),
            image=image or picture or "",
            category_id=category_id,
            tax_class=tax_class,
            is_taxable=is_taxable,
            weight_grams=weight_grams,
            requires_shipping=requires_shipping,
            is_active=is_active,
            status=status,
            was_public=was_public,
            backorder=policy == "continue",
            price=None if ladder is None else ladder.single,
            ladder=ladder,
            free=int(free),  # a sum, so a decimal as far as the driver knows
        )
        if id is None:
            facts.append(known)
            continue
        lines.append(
            Line(
                id=id,
                list=list_,
                facts=known,
                quantity=quantity,
                price_when_added=price_when_added,
                promised_price=promised_price,
                accepted_price=accepted_price,
                note=note,
                customization=_json(customization),
                customization_hash=customization_hash,
                metadata=_json(metadata),
                bundle_id=bundle_id,
                group_id=group_id,
                copy=copy,
                changed_version=changed_version,
                expires_at=expires_at,
                added_at=added_at,
                hold=_hold(id, hold),
            )
        )
    lines.sort(key=lambda line: (line.added_at, line.id))
    return _priced_outside(head, lines, facts)


def _priced_outside(
    head: Head, lines: list[Line], facts: list[Facts]
) -> tuple[list[Line], list[Facts]]:
    """Return lines and facts at the prices of the outside engine, where one says what goods cost."""
    if not outside.are_prices_asked():
        return lines, facts
    known = pricing.priced_outside(
        {
            each.sku: each.ladder
            for each in (*facts, *(line.facts for line in lines))
            if each.ladder is not None
        },
        company_id=head.company_id,
        currency=head.currency,
        user_id=head.user_id,
    )

    def at_its_price(each: Facts) -> Facts:
        ladder = known.get(each.sku)
        return (
            each
            if ladder is None
            else dataclasses.replace(each, ladder=ladder, price=ladder.single)
        )

    for line in lines:
        line.facts = at_its_price(line.facts)
    return lines, [at_its_price(each) for each in facts]


def show_remembered_stock(lines: Iterable[Line], *, now: datetime) -> None:
    """Let lines see stock as it was at most a minute ago; for a page, never for what is decided."""
    lines = list(lines)
    units = inventory.remembered_units(
        variant_ids={line.facts.variant_id for line in lines}, now=now
    )
    for line in lines:
        line.facts = dataclasses.replace(line.facts, free=units[line.facts.variant_id])
