"""What must be true of stock, whatever happens."""

from __future__ import annotations

from config.platform.invariants import Check

CHECKS = [
    Check(
        "I01",
        "S",
        "stock is never negative and never promised beyond what is there",
        """
        select id, available, reserved, total, backordered from inventory
        where least(available, reserved, total, backordered) < 0 or total <> available + reserved
        """,
    ),
    Check(
        "I02",
        "S",
        "held and owed units are the sums of their reservations, both ways",
        """
        select coalesce(s.id, r.stock_level_id) as id, s.reserved, r.held, s.backordered, r.owed
        from inventory s
        full join (
            select stock_level_id, sum(quantity) filter (where status = 'ACTIVE') as held,
                   sum(backordered) filter (where status in ('ACTIVE', 'COMPLETED')) as owed
            from stock_reservations
            where status = 'ACTIVE' or (status = 'COMPLETED' and backordered > 0) group by 1
        ) r on r.stock_level_id = s.id
        where coalesce(s.reserved, 0) <> coalesce(r.held, 0) or coalesce(s.backordered, 0) <> coalesce(r.owed, 0)
        """,
    ),
    Check(
        "I03",
        "S",
        "what lies on a shelf is the sum of its movements, and each movement says what lay there after it",
        """
        select coalesce(s.id, m.stock_level_id) as id, s.total, m.units, m.last_balance
        from inventory s
        full join (
            select stock_level_id, sum(quantity) as units,
                   (array_agg(balance order by id desc))[1] as last_balance
            from stock_transactions group by 1
        ) m on m.stock_level_id = s.id
        where coalesce(s.total, 0) <> coalesce(m.units, 0) or coalesce(s.total, 0) <> coalesce(m.last_balance, 0)
        """,
    ),
    Check(
        "I04",
        "S",
        "at most one live hold per line and shelf",
        """
        select stock_level_id, coalesce(order_line_id, line_id) as line, count(*) from stock_reservations
        where status = 'ACTIVE' group by 1, 2, order_line_id is null having count(*) > 1
        """,
    ),
    Check(
        "I08",
        "L",
        "no hold outlives its time by more than the grace",
        """
        select id, stock_level_id, expires_at from stock_reservations
        where status = 'ACTIVE' and expires_at < now() - %(grace)s
        """,
    ),
    Check(
        "I10",
        "S",
        "what is offered to one who waited is kept by holds of their own, and nothing is kept for a request without one",
        """
        select coalesce(q.id, r.line_id) as id, q.status, q.offered_quantity, r.held
        from (select * from back_in_stock_requests where status = 'OFFERED') q
        full join (
            select line_id, sum(quantity) as held from stock_reservations
            where status = 'ACTIVE' and cart_id is null and order_id is null
              and line_id in (select id from back_in_stock_requests) group by 1
        ) r on r.line_id = q.id
        where coalesce(q.offered_quantity, 0) <> coalesce(r.held, 0)
        """,
    ),
    Check(
        "I11",
        "S",
        "the shelves of a variant know that somebody waits for it",
        """
        select q.id, q.variant_id from back_in_stock_requests q
        where q.status in ('WAITING', 'OFFERED')
          and not exists (select 1 from inventory s where s.variant_id = q.variant_id and s.is_awaited)
        """,
    ),
    Check(
        "I12",
        "L",
        "no unit lies free on a shelf while somebody waits for it",
        """
        select s.id, s.variant_id, s.available from inventory s
        join warehouses w on w.id = s.warehouse_id and w.is_active and w.is_default
        join variants v on v.id = s.variant_id and v.is_active
        join products p on p.id = v.product_id and p.status = 'active'
        where s.available > 0 and s.is_awaited and s.updated_at < now() - %(grace)s
          and exists (select 1 from back_in_stock_requests q where q.variant_id = s.variant_id
                      and q.status = 'WAITING' and q.queued_at < now() - %(grace)s)
          and not exists (select 1 from feature_flags f where f.name = 'INVENTORY_HOLD_ENABLED' and not f.enabled)
        """,
    ),
]
