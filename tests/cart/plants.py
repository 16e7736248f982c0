"""One violation for each invariant of carts."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from cart.models import Cart, CartLine, Comparison, RecoveryAttempt, Wish, Wishlist
from config.platform.models import new_id
from inventory.models import Reservation, StockLevel, Variant
from tests.factories import default_company, make_company, make_priced_variant, make_variant
from tests.plants import loosen, plant, sql

DAY = timedelta(days=1)


def make_cart(**fields: Any) -> Cart:
    now = timezone.now()
    return Cart.objects.create(
        **{
            "company": default_company(),
            "user_id": new_id(),
            "currency": "USD",
            "last_activity_at": now,
            "created_at": now,
            "expires_at": now + DAY,
            **fields,
        }
    )


def make_line(cart: Cart, variant: Variant | None = None, **fields: Any) -> CartLine:
    variant = variant or make_priced_variant()
    return CartLine.objects.create(
        **{
            "cart": cart,
            "product_id": variant.product_id,
            "variant": variant,
            "quantity": 1,
            "price_when_added": Decimal(10),
            "added_at": timezone.now(),
            **fields,
        }
    )


@plant("C01")
def two_open_carts_of_one_user() -> None:
    cart = make_cart()
    loosen("carts")
    make_cart(user_id=cart.user_id)


@plant("C02")
def a_line_of_nothing() -> None:
    line = make_line(make_cart())
    loosen("cart_items")
    sql("update cart_items set quantity = 0 where id = %s", line.id)


@plant("C03")
def a_merged_cart_that_leads_nowhere() -> None:
    loosen("carts")
    make_cart(status=Cart.Status.MERGED)


@plant("C04")
def an_open_cart_of_nobody() -> None:
    loosen("carts")
    make_cart(user_id=None)


@plant("C05")
def a_line_of_another_company() -> None:
    foreign = make_variant(product=None, company=make_company())
    make_line(make_cart(), foreign)


@plant("C06")
def a_wish_for_what_another_company_sells() -> None:
    wishlist = Wishlist.objects.create(company=default_company(), user_id=new_id())
    Wish.objects.create(
        wishlist=wishlist,
        variant=make_variant(product=None, company=make_company()),
        currency="USD",
        added_at=timezone.now(),
    )


@plant("C07")
def a_comparison_with_what_another_company_sells() -> None:
    foreign = make_variant(product=None, company=make_company())
    Comparison.objects.create(
        company=default_company(), user_id=new_id(), product_ids=[foreign.product_id]
    )


@plant("T01")
def a_recovery_link_used_after_its_end() -> None:
    now = timezone.now()
    cart = make_cart()
    loosen("cart_recovery_attempts")
    RecoveryAttempt.objects.create(
        cart=cart,
        cycle=1,
        stage=1,
        email="a@example.com",
        token_hash=hashlib.sha256(b"t").digest(),
        created_at=now - 2 * DAY,
        expires_at=now - DAY,
        used_at=now,
    )


@plant("I06C")
def a_cart_that_was_bought_and_still_holds() -> None:
    variant = make_priced_variant(available=5)
    cart = make_cart()
    level = StockLevel.objects.get(variant=variant)
    Reservation.objects.create(
        company=cart.company,
        stock_level=level,
        variant=variant,
        cart_id=cart.id,
        line_id=new_id(),
        holder="user:1",
        quantity=1,
        started_at=timezone.now(),
        expires_at=timezone.now() + DAY,
    )
    loosen("carts")
    sql("update carts set status = 'EXPIRED' where id = %s", cart.id)
