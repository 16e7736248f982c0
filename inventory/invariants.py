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
]
