"""Lines: added, changed, moved between the lists, duplicated and removed, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from cart.errors import CartLimitExceeded
from cart.events import (
    CartCleared,
    ItemAdded,
    ItemMoved,
    ItemRemoved,
    ItemUpdated,
    NextPurchaseActivated,
)
from cart.selectors.state import ACTIVE, NEXT, SAVED, Facts, Line
from cart.selectors.views import ITEM_NOT_MOVED, PRICE_IGNORED, CartView
from cart.services import texts
from cart.services.carts import ensure_for_write
from cart.services.change import Change, changing, new_line, open_cart
from config.platform import audit
from config.platform.actor import Actor
from config.platform.errors import ApplicationError, FieldError, Forbidden, ValidationFailed
from inventory.errors import ProductDiscontinued, ProductNotFound, VariantInvalid
from inventory.services import Shortage
from pricing.errors import PriceMissing

LISTS = (ACTIVE, NEXT, SAVED)
MOVED = {
    ACTIVE: "cart.item_activated",
    NEXT: "cart.moved_to_next_purchase",
    SAVED: "cart.item_saved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """What a customer asks for: a variant, named by SKU, id or its product, and what goes with it."""

    sku: str | None = None
    variant_id: UUID | None = None
    product_id: UUID | None = None
    quantity: int = 1
    list: str = ACTIVE
    note: str = ""
    customization: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


# --- verbs ----------------------------------------------------------------------------------------


@changing
def add_line(
    *,
    actor: Actor,
    now: datetime,
    sku: str | None = None,
    variant_id: UUID | None = None,
    product_id: UUID | None = None,
    quantity: int = 1,
    list: str = ACTIVE,
    note: str = "",
    customization: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    ignored: Sequence[str] = (),
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put units of a variant into the caller's cart and hold them; what is there already grows.

    With an empty active list, what waits for the next purchase comes along, if the policy says so. A signed-in
    caller without a cart gets one. `ignored` names price-like fields that were sent and not believed.

    :raises ValidationFailed: if a quantity, note, customisation or metadata is not acceptable
    :raises CartLimitExceeded: if the cart is full, or the line would be too large
    :raises ProductNotFound: if there is no such product, or it is not on sale
    :raises ProductDiscontinued: if it is no longer sold
    :raises VariantInvalid: if it is not clear which variant is meant
    :raises InsufficientStock: if there are not that many
    :raises HoldFailed: if somebody else was faster
    :raises PriceMissing: if it has no price in the cart's currency
    """
    item = clean(
        NewItem(
            sku=sku,
            variant_id=variant_id,
            product_id=product_id,
            quantity=quantity,
            list=list,
            note=note,
            customization=customization,
            metadata=metadata,
        )
    )
    change = ensure_for_write(
        actor=actor,
        now=now,
        cart_id=cart_id,
        expected=expected,
        skus=[item.sku] if item.sku is not None else [],
        variant_ids=[item.variant_id] if item.variant_id is not None else [],
        product_ids=[item.product_id]
        if item.product_id is not None and item.sku is None and item.variant_id is None
        else [],
    )
    was_empty = not change.in_list(ACTIVE)
    line = put(change, item)
    if was_empty and line.list == ACTIVE:
        settle_with(change, *activate_next_purchase(change))
    else:
        change.settle()
    require_price(line.facts)
    if ignored:
        warn_of_prices(change, ignored, line)
    change.announce(ItemAdded, line_id=str(line.id), sku=line.facts.sku, quantity=line.quantity)
    return change.commit("cart.item_added", summary=f"{quantity} × {line.facts.sku}")


@changing
def change_line(
    *,
    actor: Actor,
    line_id: UUID,
    now: datetime,
    quantity: int | None = None,
    note: str | None = None,
    customization: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    list: str | None = None,
    ignored: Sequence[str] = (),
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Change what is given of a line; `metadata` and `customization` are replaced as a whole.

    A line that becomes the same as another one is joined with it.

    :raises ItemNotFound: if the cart has no such line
    :raises ValidationFailed: if a value is not acceptable
    :raises CartLimitExceeded: if joining two lines makes one that is too large
    :raises InsufficientStock: if there are not that many
    """
    if quantity is not None:
        check_quantity(quantity)
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    line = change.line(line_id)
    rehold = quantity is not None or list is not None
    change.edit(line, hold=rehold)
    if quantity is not None:
        line.quantity = quantity
    if note is not None:
        line.note = texts.plain_note(note)
    if metadata is not None:
        line.metadata = texts.plain_metadata(metadata)
    if customization is not None:
        line.customization = texts.plain_customization(customization)
        line.customization_hash = texts.hash_of(line.customization)
        line = join(change, line, line.list)
    if list is not None and list != line.list:
        require_sold(line.facts, actor) if list == ACTIVE else None
        line = move(change, line, list)
    change.settle()
    if ignored:
        warn_of_prices(change, ignored, line)
    change.announce(ItemUpdated, line_id=str(line.id), sku=line.facts.sku, quantity=line.quantity)
    return change.commit("cart.item_updated", summary=f"{line.quantity} × {line.facts.sku}")


@changing
def remove_line(
    *,
    actor: Actor,
    line_id: UUID,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Take a line out and release what it holds. A part of a bundle may go; the bundle's price goes with it.

    :raises ItemNotFound: if the cart has no such line
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    line = change.line(line_id)
    change.remove(line)
    change.settle()
    change.announce(ItemRemoved, line_id=str(line.id), sku=line.facts.sku)
    return change.commit("cart.item_removed", summary=line.facts.sku)


@changing
def clear(
    *, actor: Actor, now: datetime, cart_id: UUID | None = None, expected: int | None = None
) -> CartView:
    """Empty the active list and release its holds; next-purchase and saved lines stay, codes go."""
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    for line in change.in_list(ACTIVE):
        change.remove(line)
    change.head.codes = []
    change.head.points = 0
    change.settle()
    change.announce(CartCleared)
    return change.commit("cart.cleared")


@changing
def move_line(
    *,
    actor: Actor,
    line_id: UUID,
    to: str,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Move a line to the active, next-purchase or saved list; its hold is released or taken anew.

    What comes back to the active list is looked at as if it were added: sold, in stock, priced.

    :raises ItemNotFound: if the cart has no such line
    :raises ProductDiscontinued: if it comes back and is no longer sold
    :raises InsufficientStock: if it comes back and there are not that many
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    line = change.line(line_id)
    if to == ACTIVE and line.list != ACTIVE:
        require_sold(line.facts, actor)
    line = move(change, line, to)
    change.settle()
    if to == ACTIVE:
        require_price(line.facts)
    change.announce(ItemMoved, line_id=str(line.id), sku=line.facts.sku, to_list=to)
    return change.commit(MOVED[to], summary=f"{line.facts.sku} → {to}")


@changing
def duplicate_line(
    *,
    actor: Actor,
    line_id: UUID,
    now: datetime,
    cart_id: UUID | None = None,
    expected: int | None = None,
) -> CartView:
    """
    Put a second line like this one beside it, for instance to customise it differently.

    :raises ItemNotFound: if the cart has no such line
    :raises CartLimitExceeded: if the cart is full
    :raises InsufficientStock: if there are not that many
    """
    change = open_cart(actor=actor, now=now, cart_id=cart_id, expected=expected)
    line = change.line(line_id)
    change.check_room()
    require_sold(line.facts, actor)
    twin = new_line(
        facts=line.facts,
        list_=line.list,
        quantity=line.quantity,
        now=now,
        note=line.note,
        customization=line.customization,
        customization_hash=line.customization_hash,
        metadata=line.metadata,
    )
    twin.copy = change.free_copy(like=twin, list_=twin.list)
    change.insert(twin)
    change.settle()
    require_price(twin.facts)
    change.announce(ItemAdded, line_id=str(twin.id), sku=twin.facts.sku, quantity=twin.quantity)
    return change.commit("cart.item_duplicated", summary=twin.facts.sku)


@changing
def edit_for_customer(
    *, actor: Actor, cart_id: UUID, line_id: UUID, quantity: int | None, now: datetime
) -> CartView:
    """
    Change or remove (`quantity` None) a line of a customer's cart, as a member of staff, with an audit entry.

    :raises Forbidden: if the caller is not staff
    :raises ItemNotFound: if the cart has no such line
    :raises InsufficientStock: if there are not that many
    """
    if not actor.sees_everything:
        raise Forbidden
    if quantity is None:
        view = remove_line(actor=actor, cart_id=cart_id, line_id=line_id, now=now)
    else:
        view = change_line(
            actor=actor, cart_id=cart_id, line_id=line_id, quantity=quantity, now=now
        )
    audit.record(
        actor=actor,
        action="cart.line_removed" if quantity is None else "cart.line_changed",
        object_type="cart",
        object_id=cart_id,
        after={"lineId": str(line_id), "quantity": quantity, "version": view.version},
        now=now,
    )
    return view


# --- parts of verbs, within an open change ----------------------------------------------------------


def check_quantity(quantity: int, field: str = "quantity") -> None:
    """:raises ValidationFailed: if a line cannot have so many units"""
    most = settings.CART_MAX_QUANTITY_PER_LINE
    if quantity < 1:
        raise ValidationFailed(errors=[FieldError(field, "min_value", "At least 1 is needed.")])
    if quantity > most:
        raise ValidationFailed(
            errors=[
                FieldError(field, "max_value", f"At most {most} units of one line are possible.")
            ]
        )


def clean(item: NewItem) -> NewItem:
    """
    Return the wish with its texts made plain.

    :raises ValidationFailed: if something about it can never be accepted
    """
    check_quantity(item.quantity)
    if item.sku is None and item.variant_id is None and item.product_id is None:
        raise ValidationFailed(
            errors=[FieldError("sku", "required", "Say what to add: sku, variantId or productId.")]
        )
    if item.list not in LISTS:
        raise ValidationFailed(errors=[FieldError("list", "invalid", "There is no such list.")])
    return NewItem(
        sku=item.sku,
        variant_id=item.variant_id,
        product_id=item.product_id,
        quantity=item.quantity,
        list=item.list,
        note=texts.plain_note(item.note),
        customization=texts.plain_customization(item.customization or {}),
        metadata=texts.plain_metadata(item.metadata or {}),
    )


def put(change: Change, item: NewItem) -> Line:
    """
    Add units to the line that is already there, or a new line. The item must be clean.

    :raises CartLimitExceeded: if the cart is full, or the line would be too large
    """
    facts = find_facts(change, item)
    hash_ = texts.hash_of(item.customization or {})
    if not isinstance(facts, ApplicationError):
        there = [
            line
            for line in change.in_list(item.list)
            if line.key[1:4] == (facts.variant_id, hash_, None)
        ]
        if there:
            line = min(there, key=lambda line: line.copy)
            check_sum(line.quantity + item.quantity)
            change.edit(line)
            line.quantity += item.quantity
            line.note = item.note or line.note
            line.metadata = {**line.metadata, **(item.metadata or {})}
            return line
    change.check_room()
    if isinstance(facts, ApplicationError):
        raise facts
    return change.insert(
        new_line(
            facts=facts,
            list_=item.list,
            quantity=item.quantity,
            now=change.now,
            note=item.note,
            customization=item.customization,
            customization_hash=hash_,
            metadata=item.metadata,
        )
    )


def check_sum(quantity: int) -> None:
    """:raises CartLimitExceeded: if a line would have too many units"""
    most = settings.CART_MAX_QUANTITY_PER_LINE
    if quantity > most:
        text = _("At most %(most)d units of one item are possible.") % {"most": most}
        raise CartLimitExceeded(
            text,
            errors=[FieldError("quantity", "CART_LIMIT_EXCEEDED", text)],
            extra={"limit": most, "requested": quantity},
        )


def find_facts(change: Change, item: NewItem) -> Facts | ApplicationError:
    """Return the facts of the variant an item names, or why it cannot be bought."""
    known = change.candidates
    if item.variant_id is not None:
        found = [facts for facts in known if facts.variant_id == item.variant_id]
        if found and item.sku is not None and found[0].sku != item.sku:
            return VariantInvalid("The SKU is not that of this variant.")
    elif item.sku is not None:
        found = [facts for facts in known if facts.sku == item.sku]
    else:
        offered = [facts for facts in known if facts.product_id == item.product_id]
        found = [facts for facts in offered if facts.is_active] or offered
        if len(found) > 1 and refusal_of(found[0], change.actor) is None:
            return VariantInvalid(extra={"productId": str(item.product_id)})
    if not found:
        return ProductNotFound()
    facts = found[0]
    if item.product_id is not None and facts.product_id != item.product_id:
        return VariantInvalid("This variant does not belong to that product.")
    return refusal_of(facts, change.actor) or facts


def refusal_of(facts: Facts, actor: Actor) -> ApplicationError | None:
    """Return why this may not be bought, stock and price aside."""
    if (facts.status == "draft" or not facts.was_public) and not actor.sees_everything:
        return ProductNotFound()
    if facts.status == "discontinued" or not facts.is_active:
        return ProductDiscontinued(f"{facts.name} is no longer sold.", extra={"sku": facts.sku})
    return None


def require_sold(facts: Facts, actor: Actor) -> None:
    """:raises ProductDiscontinued: if it is no longer sold"""
    if (refusal := refusal_of(facts, actor)) is not None:
        raise refusal


def require_price(facts: Facts) -> None:
    """:raises PriceMissing: if there is no price in the cart's currency"""
    if facts.price is None:
        raise PriceMissing(f"{facts.sku} has no price in this currency.", extra={"sku": facts.sku})


def join(change: Change, line: Line, list_: str) -> Line:
    """Make one of a line and its twin in `list_`, if it has one; deliberate copies stay apart."""
    twin = change.twin(line, list_)
    if twin is None:
        line.copy = 0
        return line
    if line.copy or twin.copy:
        line.copy = change.free_copy(like=line, list_=list_)
        return line
    check_sum(line.quantity + twin.quantity)
    change.edit(twin)
    twin.quantity += line.quantity
    twin.note = twin.note or line.note
    twin.metadata = {**line.metadata, **twin.metadata}
    change.remove(line)
    return twin


def move(change: Change, line: Line, to: str) -> Line:
    """Put a line into another list, joined with the same thing there."""
    if line.list == to:
        return line
    change.edit(line)
    line = join(change, line, to)
    if line.list != to:
        line.list = to
        if to != ACTIVE:
            line.promised_price = None
    return line


def activate_next_purchase(change: Change) -> tuple[list[Line], list[str]]:
    """
    Bring what waits for the next purchase into the active list, as far as it is still sold.

    Returns the lines that came along, whose stock is not looked at yet (see `settle_with`), and the ids of those
    that were joined with what is being added.
    """
    if not change.head.policy.auto_activate_next_purchase_enabled:
        return [], []
    waiting: list[Line] = []
    activated: list[str] = []
    for line in change.in_list(NEXT):
        refused = refusal_of(line.facts, change.actor)
        if refused is not None or line.facts.price is None:
            stay_behind(change, line)
            continue
        twin = change.twin(line, ACTIVE)
        if twin is not None:
            # The same thing as what was just added: one line, if there is enough for both.
            together = twin.quantity + line.quantity
            enough = line.facts.backorder or together <= twin.held(change.now) + twin.facts.free
            if together > settings.CART_MAX_QUANTITY_PER_LINE or not enough:
                stay_behind(change, line)
                continue
            line = move(change, line, ACTIVE)
            activated.append(str(line.id))
            continue
        line = move(change, line, ACTIVE)
        waiting.append(line)
    return waiting, activated


def settle_with(change: Change, waiting: Sequence[Line], activated: Sequence[str] = ()) -> None:
    """Settle the holds; of the lines that came along, those that are short go back with a notice."""
    short: list[Shortage] = change.settle(optional={line.id for line in waiting})
    back = {shortage.line_id for shortage in short}
    arrived = list(activated)
    for line in waiting:
        if line.id in back:
            line.list, line.promised_price, line.hold = NEXT, None, None
            stay_behind(change, line)
        else:
            arrived.append(str(line.id))
    if arrived:
        change.next_purchase_activated = True
        change.message = _("The items you had kept for your next purchase are in your cart now.")
        change.announce(NextPurchaseActivated, line_ids=arrived)


def stay_behind(change: Change, line: Line) -> None:
    change.say(
        ITEM_NOT_MOVED,
        _("%(name)s is not available and stays on your list for the next purchase.")
        % {"name": line.facts.name},
        line,
        sku=line.facts.sku,
    )


def warn_of_prices(change: Change, fields: Sequence[str], line: Line | None = None) -> None:
    change.say(
        PRICE_IGNORED,
        _("Prices are ours to say; what was sent was ignored."),
        line,
        fields=sorted(fields),
    )
