"""The lists a customer keeps: what they would like to have, and what they compare. Neither holds stock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from cart.errors import (
    CartMerged,
    CartNotFound,
    ComparisonFull,
    NotCompared,
    WishlistFull,
    WishNotFound,
)
from cart.events import WishBack, WishCheaper
from cart.models import (
    MOST_COMPARED,
    MOST_DISMISSED,
    CartSession,
    Comparison,
    DismissedUpsell,
    Kept,
    KeptQuerySet,
    Wish,
    Wishlist,
)
from cart.selectors import CartView
from cart.services.change import changing
from cart.services.lines import add_line
from config.platform import flags, outbox
from config.platform.actor import Actor
from config.platform.errors import AuthRequired
from inventory import selectors as inventory
from inventory.errors import ProductNotFound
from pricing import selectors as pricing

MOST_WISHES = 200

K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, slots=True)
class Wished:
    """A wish as it was written; `is_new` is False where it had been made before."""

    id: UUID
    is_new: bool


# --- wishes ---------------------------------------------------------------------------------------


@transaction.atomic
def add_wish(
    *,
    actor: Actor,
    currency: str,
    now: datetime,
    sku: str | None = None,
    variant_id: UUID | None = None,
    product_id: UUID | None = None,
) -> Wished:
    """
    Put a variant on the caller's wishlist, with its price of today in `currency`; what is there already stays as it is.

    Locks the wishlist.

    :raises FeatureDisabled: if wishlists are switched off
    :raises ProductNotFound: if the company sells no such thing
    :raises ProductDiscontinued: if it is no longer sold
    :raises VariantInvalid: if it is not clear which variant is meant
    :raises WishlistFull: if there are as many wishes as one list may have
    :raises CartNotFound: if the guest's token is not known
    """
    flags.require("WISHLIST_ENABLED")
    variant = inventory.find_variant(
        actor=actor, sku=sku, variant_id=variant_id, product_id=product_id
    )
    wishlist = own_list_locked(Wishlist, actor)
    found = Wish.objects.filter(wishlist=wishlist, variant=variant).values_list("id", flat=True)
    if made := found.first():
        return Wished(made, False)
    if Wish.objects.filter(wishlist=wishlist).count() >= MOST_WISHES:
        raise WishlistFull(extra={"most": MOST_WISHES})
    prices = pricing.current_prices(variant_ids=[variant.id], currency=currency)
    wish = Wish.objects.create(
        wishlist=wishlist,
        variant=variant,
        price_when_added=prices.get(variant.id),
        currency=currency,
        is_gone=not inventory.availability(variant_ids=[variant.id], now=now)[variant.id].in_stock,
        added_at=now,
    )
    return Wished(wish.id, True)


@transaction.atomic
def remove_wish(*, actor: Actor, wish_id: UUID) -> None:
    """
    Take a wish off the caller's list.

    :raises FeatureDisabled: if wishlists are switched off
    :raises WishNotFound: if it is not on it
    """
    flags.require("WISHLIST_ENABLED")
    deleted, _ = Wish.objects.filter(id=wish_id, wishlist__in=_own(Wishlist, actor)).delete()
    if not deleted:
        raise WishNotFound


@transaction.atomic
def clear_wishes(*, actor: Actor) -> None:
    """
    Take everything off the caller's wishlist.

    :raises FeatureDisabled: if wishlists are switched off
    """
    flags.require("WISHLIST_ENABLED")
    Wish.objects.filter(wishlist__in=_own(Wishlist, actor)).delete()


@changing
def move_wish_to_cart(*, actor: Actor, wish_id: UUID, now: datetime, quantity: int = 1) -> CartView:
    """
    Put what was wished for into the caller's cart, held like anything added there, and take it off the list: both or none.

    Locks the wishlist, then what `add_line` locks; two clicks add it once.

    :raises FeatureDisabled: if wishlists are switched off
    :raises WishNotFound: if it is not on the caller's list
    :raises InsufficientStock: if there are not that many, and whatever else `add_line` refuses
    """
    flags.require("WISHLIST_ENABLED")
    wishlist = _own(Wishlist, actor).for_update().first()
    wish = Wish.objects.filter(id=wish_id, wishlist=wishlist).first() if wishlist else None
    if wish is None:
        raise WishNotFound
    view = add_line(actor=actor, variant_id=wish.variant_id, quantity=quantity, now=now)
    wish.delete()
    return view


@transaction.atomic
def note_stock(*, actor: Actor, variant_id: UUID, is_there: bool, now: datetime) -> int:
    """
    Remember that a variant is gone, or announce to those who wish for it that it is back; return to how many.

    Each return is told once, however often stock is counted in between. Guests are not told: we know no address.
    """
    wishes = Wish.objects.filter(
        variant_id=variant_id, wishlist__company_id=actor.company_id, is_gone=is_there
    )
    if not is_there:
        wishes.update(is_gone=True)
        return 0
    return _tell(wishes, actor=actor, now=now, changes={"is_gone": False})


@transaction.atomic
def note_price(
    *, actor: Actor, variant_id: UUID, currency: str, amount: Decimal, now: datetime
) -> int:
    """
    Announce to those who wish for a variant that it costs less than then, and than they were ever told; return to how many.
    """
    wishes = Wish.objects.filter(
        Q(told_price=None) | Q(told_price__gt=amount),
        variant_id=variant_id,
        wishlist__company_id=actor.company_id,
        currency=currency,
        price_when_added__gt=amount,
    )
    return _tell(wishes, actor=actor, now=now, changes={"told_price": amount})


@transaction.atomic
def note_converted_prices(
    *, actor: Actor, variant_id: UUID | None = None, currency: str | None = None, now: datetime
) -> int:
    """
    Announce to those who wish for something priced by an exchange rate that it costs less; return to how many.

    For one variant in every currency but the company's own, or for all that is wished for in one currency.
    """
    wishes = Wish.objects.filter(wishlist__company_id=actor.company_id).exclude(
        currency=pricing.home_currency(company_id=actor.company_id)
    )
    if variant_id is not None:
        wishes = wishes.filter(variant_id=variant_id)
    if currency is not None:
        wishes = wishes.filter(currency=currency)
    cheaper = (
        wishes.annotate(price=pricing.public_price("variant", F("currency")))
        .filter(price__lt=F("price_when_added"))
        .filter(Q(told_price=None) | Q(told_price__gt=F("price")))
    )
    told = 0
    by_price: dict[Decimal, list[UUID]] = {}
    for wish_id, price in cheaper.values_list("id", "price"):
        by_price.setdefault(price, []).append(wish_id)
    for price, ids in sorted(by_price.items()):
        # Asked again under the lock: another change may have told them meanwhile.
        same = Wish.objects.filter(
            Q(told_price=None) | Q(told_price__gt=price), id__in=ids, price_when_added__gt=price
        )
        told += _tell(same, actor=actor, now=now, changes={"told_price": price})
    return told


def _tell(wishes: QuerySet[Wish], *, actor: Actor, now: datetime, changes: dict[str, Any]) -> int:
    found = list(
        wishes.select_related("wishlist", "variant__product")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    )
    Wish.objects.filter(id__in=[wish.id for wish in found]).update(**changes)
    events: list[WishBack] = []
    for wish in found:
        if wish.wishlist.user_id is None:
            continue
        about: dict[str, Any] = {
            "aggregate_id": wish.id,
            "user_id": str(wish.wishlist.user_id),
            "sku": wish.variant.sku,
            "product": wish.variant.product.name,
            "slug": wish.variant.product.slug,
        }
        if "told_price" in changes:
            events.append(
                WishCheaper(
                    **about,
                    currency=wish.currency,
                    old_amount=str(wish.price_when_added),
                    new_amount=str(changes["told_price"]),
                )
            )
        else:
            events.append(WishBack(**about))
    if events:
        outbox.publish(*events, actor=actor, now=now)
    return len(events)


# --- comparison -----------------------------------------------------------------------------------


@transaction.atomic
def compare(*, actor: Actor, product_ref: str) -> int:
    """
    Put a product, by id or slug, beside the others the caller compares; return how many there are now.

    One that is there already stays where it is. Those that were deleted or withdrawn meanwhile make room.
    Locks the comparison.

    :raises FeatureDisabled: if comparing is switched off
    :raises ProductNotFound: if the company has no such product
    :raises ComparisonFull: if there are four already
    :raises CartNotFound: if the guest's token is not known
    """
    flags.require("COMPARISON_ENABLED")
    product = inventory.find_product(actor=actor, ref=product_ref)
    comparison = own_list_locked(Comparison, actor)
    if product.id in comparison.product_ids:
        return len(comparison.product_ids)
    visible = inventory.visible_products(actor=actor, product_ids=comparison.product_ids)
    kept = [id for id in comparison.product_ids if id in visible]
    if len(kept) >= MOST_COMPARED:
        raise ComparisonFull(extra={"most": MOST_COMPARED})
    comparison.product_ids = [*kept, product.id]
    comparison.save(update_fields=["product_ids", "updated_at"])
    return len(comparison.product_ids)


@transaction.atomic
def stop_comparing(*, actor: Actor, product_ref: str) -> None:
    """
    Take a product, by id or slug, out of the caller's comparison.

    :raises FeatureDisabled: if comparing is switched off
    :raises NotCompared: if it is not in it
    """
    flags.require("COMPARISON_ENABLED")
    comparison = _own(Comparison, actor).for_update().first()
    try:
        gone = inventory.find_product(actor=actor, ref=product_ref).id
    except ProductNotFound:
        raise NotCompared from None
    if comparison is None or gone not in comparison.product_ids:
        raise NotCompared
    comparison.product_ids = [id for id in comparison.product_ids if id != gone]
    comparison.save(update_fields=["product_ids", "updated_at"])


@transaction.atomic
def clear_comparison(*, actor: Actor) -> None:
    """
    Take everything out of the caller's comparison.

    :raises FeatureDisabled: if comparing is switched off
    """
    flags.require("COMPARISON_ENABLED")
    _own(Comparison, actor).delete()


# --- signing in -----------------------------------------------------------------------------------


@transaction.atomic
def merge_lists_at_sign_in(*, actor: Actor) -> None:
    """
    Bring a guest's lists along into the account, each thing once; a repeat changes nothing.

    The account's wishes keep the price of when they were made. Of the products compared, and of suggestions sent away, the
    latest ones stay, those of the guest last. Locks the account's list, then the guest's.
    """
    if actor.user_id is None or actor.session_hash is None:
        return
    # The cart came along before, and has closed the session: what counts here is whose token it was.
    guests = CartSession.objects.filter(
        company_id=actor.company_id, token_hash=actor.session_hash
    ).exclude(status="ended")
    if Wishlist.objects.filter(session__in=guests).exists():
        _merge_wishes(own_list_locked(Wishlist, actor), guests)
    if Comparison.objects.filter(session__in=guests).exists():
        _merge_ids(own_list_locked(Comparison, actor), guests, MOST_COMPARED)
    if DismissedUpsell.objects.filter(session__in=guests).exists():
        _merge_ids(own_list_locked(DismissedUpsell, actor), guests, MOST_DISMISSED)


def _merge_wishes(own: Wishlist, guests: QuerySet[CartSession]) -> None:
    guest = Wishlist.objects.filter(session__in=guests).for_update().first()
    if guest is None:  # the same sign-in, twice at once
        return
    wanted = set(Wish.objects.filter(wishlist=own).values_list("variant_id", flat=True))
    room = max(MOST_WISHES - len(wanted), 0)
    brought = Wish.objects.filter(wishlist=guest).exclude(variant__in=wanted)
    newest = list(brought.order_by("-added_at", "-id").values_list("id", flat=True)[:room])
    Wish.objects.filter(id__in=newest).update(wishlist=own)
    guest.delete()


def _merge_ids(own: Comparison | DismissedUpsell, guests: QuerySet[CartSession], most: int) -> None:
    guest = type(own).objects.filter(session__in=guests).for_update().first()
    if guest is None:
        return
    others = [id for id in own.product_ids if id not in guest.product_ids]
    own.product_ids = [*others, *guest.product_ids][-most:]
    own.save(update_fields=["product_ids", "updated_at"])
    guest.delete()


# --- the parts ------------------------------------------------------------------------------------


def _own(model: type[K], actor: Actor) -> KeptQuerySet:
    return model.objects.for_owner(
        company_id=actor.company_id, user_id=actor.user_id, session_hash=actor.session_hash
    )


def own_list_locked(model: type[K], actor: Actor) -> K:
    """Return the caller's list, locked; it is made where there is none yet."""
    found: K | None = _own(model, actor).for_update().first()
    if found is None:
        # Two first clicks meet at the unique key; the second one finds what the first one made.
        model.objects.bulk_create([_new(model, actor)], ignore_conflicts=True)
        found = _own(model, actor).for_update().get()
    return found


def _new(model: type[K], actor: Actor) -> K:
    if actor.user_id is not None:
        return model(company_id=actor.company_id, user_id=actor.user_id)
    if actor.session_hash is None:
        raise AuthRequired
    session = CartSession.objects.filter(
        company_id=actor.company_id, token_hash=actor.session_hash
    ).first()
    if session is None or session.status == "ended":
        raise CartNotFound
    if session.status == "merged":
        raise CartMerged
    return model(company_id=actor.company_id, session=session)
