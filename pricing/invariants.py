"""What must be true of prices and promotions; reliability §2, R01 and R02, and what holds prices together."""

from __future__ import annotations

from config.platform.invariants import Check

CHECKS = [
    Check(
        "R01",
        "S",
        "the counter of a promotion with a limit equals its live uses",
        """
        select p.id, p.used_count, count(u.id) as uses
        from promotions p left join promotion_usages u on u.promotion_id = p.id and u.returned_at is null
        where p.usage_limit is not null or p.per_customer_limit is not null or p.first_order_only
        group by p.id having p.used_count <> count(u.id)
        """,
    ),
    Check(
        "R02",
        "S",
        "uses never pass the limit, in all or per customer",
        """
        select p.id, 'in all' as what, count(*) as uses
        from promotions p join promotion_usages u on u.promotion_id = p.id and u.returned_at is null
        where p.usage_limit is not null
        group by p.id having count(*) > p.usage_limit
        union all
        select p.id, customer, count(*)
        from promotions p join promotion_usages u on u.promotion_id = p.id and u.returned_at is null,
             unnest(u.customer_keys) as customer
        where p.per_customer_limit is not null
        group by p.id, customer having count(*) > p.per_customer_limit
        """,
    ),
    Check(
        "R04",
        "S",
        "a use names a coupon of its promotion, in the currency of a fixed amount or one it was converted into",
        """
        select u.id, u.code, u.currency from promotion_usages u join promotions p on p.id = u.promotion_id
        where (u.code <> '' and not exists (
                 select 1 from coupons c where c.promotion_id = p.id and c.code = u.code))
           or (p.kind = 'FIXED_AMOUNT' and u.currency <> p.currency and not exists (
                 select 1 from exchange_rates r
                 where r.company_id = p.company_id and r.base = p.currency and r.quote = u.currency
                   and r.valid_from <= u.used_at and (r.valid_until is null or r.valid_until > u.used_at)))
        """,
    ),
    Check(
        "R05",
        "S",
        "the newest entry of a price's history is its current price",
        """
        select p.id, p.variant_id, p.currency, p.amount, h.new_amount
        from prices p join lateral (
            select new_amount from price_changes c
            where c.variant_id = p.variant_id and c.currency = p.currency and c.special_id is null
            order by c.changed_at desc, c.id desc limit 1
        ) h on true
        where h.new_amount <> p.amount
        """,
    ),
    Check(
        "R06",
        "S",
        "a deleted promotion neither applies nor has a code that works",
        """
        select p.id from promotions p
        where p.deleted_at is not null
          and (p.is_active or exists (select 1 from coupons c where c.promotion_id = p.id and c.is_active))
        """,
    ),
    Check(
        "R07",
        "S",
        "the counter of a code that may be used so often equals its live uses",
        """
        select c.id, c.code, c.used_count, count(u.id) as uses
        from coupons c left join promotion_usages u
          on u.promotion_id = c.promotion_id and u.code = c.code and u.returned_at is null
        where c.usage_limit is not null
        group by c.id having c.used_count <> count(u.id) or count(u.id) > c.usage_limit
        """,
    ),
    Check(
        "R08",
        "S",
        "an order with a promotion counts as its customer's, and one whose uses came back does not",
        """
        select u.order_id as id, u.promotion_id from promotion_usages u
        left join customer_orders o on o.order_id = u.order_id
        where (o.order_id is not null and o.undone_at is null) <> (u.returned_at is null)
        """,
    ),
    Check(
        "R10",
        "S",
        "a customer's points are the sum of their entries, after each entry and in all, and never below zero",
        """
        with entries as (
            select account_id, id, balance, sum(points) over (partition by account_id order by id) as until
            from loyalty_entries
        )
        select e.account_id as id, e.balance, e.until as total from entries e where e.balance <> e.until or e.until < 0
        union all
        select a.id, a.balance, coalesce(sum(e.points), 0) from loyalty_accounts a
        left join loyalty_entries e on e.account_id = a.id
        group by a.id having a.balance <> coalesce(sum(e.points), 0)
        """,
    ),
    Check(
        "R11",
        "S",
        "an order earns and spends points once, of one customer; no more come back than it spent or earned",
        """
        select order_id as id, count(*) filter (where kind = 'EARN') as earned,
               count(*) filter (where kind = 'SPEND') as spent
        from loyalty_entries where order_id is not null group by order_id
        having count(*) filter (where kind = 'EARN') > 1 or count(*) filter (where kind = 'SPEND') > 1
            or count(distinct account_id) > 1
            or coalesce(sum(points) filter (where kind in ('SPEND', 'RETURN')), 0) > 0
            or coalesce(sum(points) filter (where kind in ('EARN', 'TAKE_BACK')), 0) < 0
        """,
    ),
]
