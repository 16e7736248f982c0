"""What must be true of carts in every snapshot."""

from __future__ import annotations

from django.conf import settings

from config.platform.invariants import Check

CHECKS = [
    Check(
        "C01",
        "S",
        "one open cart per user and company, and per guest session",
        """
        select company_id::text, user_id::text as owner, count(*) from carts
        where status in ('ACTIVE', 'ABANDONED') and user_id is not null
        group by company_id, user_id having count(*) > 1
        union all
        select company_id::text, session_id::text, count(*) from carts
        where status in ('ACTIVE', 'ABANDONED') and user_id is null and session_id is not null
        group by company_id, session_id having count(*) > 1
        """,
    ),
    Check(
        "C02",
        "S",
        "one line per thing in a list, of 1 to as many units as a line may have",
        f"""
        select cart_id, list, variant_id, customization_hash, group_id, copy, count(*), min(quantity), max(quantity)
        from cart_items
        group by cart_id, list, variant_id, customization_hash, group_id, copy
        having count(*) > 1 or min(quantity) < 1 or max(quantity) > {settings.CART_MAX_QUANTITY_PER_LINE:d}
        """,  # noqa: S608 - a number of our own
    ),
    Check(
        "C03",
        "S",
        "a merged cart is empty and points at another cart that is not merged itself",
        """
        select cart.id from carts cart left join carts target on target.id = cart.merged_into_id
        where cart.status = 'MERGED'
          and (target.id is null or target.id = cart.id or target.status = 'MERGED'
               or exists (select 1 from cart_items line where line.cart_id = cart.id))
        """,
    ),
    Check(
        "C04",
        "S",
        "an open cart has exactly one kind of owner, and a guest's secret is stored as a 32-byte digest",
        """
        select cart.id from carts cart left join cart_sessions session on session.id = cart.session_id
        where cart.status in ('ACTIVE', 'ABANDONED')
          and ((cart.user_id is null) = (cart.session_id is null) or octet_length(session.token_hash) <> 32)
        """,
    ),
    Check(
        "C05",
        "S",
        "a line and its cart are of one company",
        """
        select line.id from cart_items line
        join carts cart on cart.id = line.cart_id
        join variants variant on variant.id = line.variant_id
        where variant.company_id <> cart.company_id or variant.product_id <> line.product_id
        """,
    ),
    Check(
        "C06",
        "S",
        "a wishlist has one owner and one company: its wishes, and a guest's session, are of the same",
        """
        select list.id from wishlists list
        left join cart_sessions session on session.id = list.session_id
        left join wishlist_items wish on wish.wishlist_id = list.id
        left join variants variant on variant.id = wish.variant_id
        where (list.user_id is null) = (list.session_id is null)
           or session.company_id <> list.company_id or variant.company_id <> list.company_id
        """,
    ),
    Check(
        "C07",
        "S",
        "a comparison has one owner, at most four products, and none of another company",
        """
        select list.id from comparisons list
        left join cart_sessions session on session.id = list.session_id
        left join products product on product.id = any (list.product_ids)
        where (list.user_id is null) = (list.session_id is null) or cardinality(list.product_ids) > 4
           or session.company_id <> list.company_id or product.company_id <> list.company_id
        """,
    ),
    Check(
        "T01",
        "S",
        "a recovery link is a digest, used at most once and in time, and no reminder was sent twice",
        """
        select id from cart_recovery_attempts
        where octet_length(token_hash) <> 32 or used_at > expires_at or used_at < created_at
        union all
        select min(id::text)::uuid from cart_recovery_attempts group by cart_id, cycle, stage having count(*) > 1
        """,
    ),
    Check(
        "I06C",
        "S",
        "a closed cart holds no stock of its own",
        """
        select hold.id, cart.status from stock_reservations hold join carts cart on cart.id = hold.cart_id
        where hold.status = 'ACTIVE' and hold.order_id is null
          and cart.status in ('CONVERTED', 'EXPIRED', 'MERGED')
        """,
    ),
]
