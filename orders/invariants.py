"""What must be true of orders, whatever happens."""

from __future__ import annotations

from config.platform.invariants import Check
from orders.models import Order

_STEPS = ", ".join(
    f"('{start}', '{target}')"
    for start in Order.Status
    for target in sorted(Order.TRANSITIONS[start])
)

CHECKS = [
    Check(
        "I05",
        "S",
        "every unit of a live order left the shelf once, or is owed; every other unit is back",
        """
        with moved as (
            select order_line_id, -sum(quantity) as units from stock_transactions
            where order_line_id is not null and type in ('SALE', 'RETURN') group by 1
        ), owed as (
            select order_line_id, sum(backordered) as units from stock_reservations
            where status = 'COMPLETED' and backordered > 0 group by 1
        )
        select l.id, o.number, o.status, l.quantity, coalesce(m.units, 0) as sold, coalesce(w.units, 0) as owed
        from order_items l join orders o on o.id = l.order_id
        left join moved m on m.order_line_id = l.id
        left join owed w on w.order_line_id = l.id
        where coalesce(m.units, 0) + coalesce(w.units, 0) <> case
            when o.status in ('draft', 'failed') then 0
            else l.quantity - l.cancelled_quantity - l.returned_quantity end
        """,
    ),
    Check(
        "I06",
        "S",
        "only a draft holds stock: an order that is confirmed or over has none under hold",
        """
        select r.id, o.number, o.status from stock_reservations r join orders o on o.id = r.order_id
        where r.status = 'ACTIVE' and o.status <> 'draft'
        """,
    ),
    Check(
        "I07",
        "S",
        "what was sold from a hold stands in an order, and what an order sold came from holds",
        """
        select r.order_line_id as id, min(o.number) as number from stock_reservations r
        left join order_items l on l.id = r.order_line_id and l.variant_id = r.variant_id
        left join orders o on o.id = l.order_id and o.id = r.order_id
        where r.status = 'COMPLETED'
        group by r.order_line_id
        having count(o.id) < count(*) or sum(r.quantity + r.backordered) > max(l.quantity)
        union all
        select l.id, o.number from order_items l join orders o on o.id = l.order_id
        where o.status in ('confirmed', 'processing', 'shipped', 'delivered', 'refunded')
        and l.quantity > l.cancelled_quantity + l.returned_quantity and not exists (
            select 1 from stock_reservations r
            where r.order_line_id = l.id and r.order_id = o.id and r.status = 'COMPLETED')
        """,
    ),
    Check(
        "O01",
        "S",
        "at most one order per checkout",
        """
        select checkout_id, count(*) from orders where checkout_id is not null group by 1 having count(*) > 1
        """,
    ),
    Check(
        "O03",
        "S",
        "an order's total is what its parts come to, and no part is negative",
        """
        select id, number from orders
        where grand_total <> subtotal - discount_total + shipping_total + tax_total - included_tax
        or least(subtotal, discount_total, shipping_total, shipping_discount, shipping_tax, tax_total,
                 included_tax, grand_total, refunded_total) < 0
        or shipping_discount > shipping_total or refunded_total > grand_total
        """,
    ),
    Check(
        "O04",
        "S",
        "an order's figures are the sums of its lines, each line adds up, no cent is lost",
        """
        select o.id, o.number from orders o left join order_items l on l.order_id = o.id group by o.id
        having count(l.id) = 0
        or sum(l.subtotal) <> o.subtotal
        or sum(l.discount) + o.shipping_discount <> o.discount_total
        or sum(l.tax) + o.shipping_tax <> o.tax_total
        or bool_or(l.quantity < 1 or l.unit_price < 0 or l.discount < 0 or l.discount > l.subtotal
            or l.subtotal <> l.quantity * l.unit_price
            or l.total <> l.subtotal - l.discount + l.tax - l.included_tax
            or l.refunded_amount > l.total or l.claimed_quantity > l.quantity
            or l.cancelled_quantity + l.returned_quantity > l.quantity)
        """,
    ),
    Check(
        "O06",
        "S",
        "an order's history is an unbroken chain of allowed steps that ends in its status",
        f"""
        with steps as (
            select *, lag(to_status) over history as before, lead(id) over history as after
            from order_status_history window history as (partition by order_id order by id)
        )
        select s.order_id as id, s.from_status, s.to_status from steps s join orders o on o.id = s.order_id
        where s.from_status <> coalesce(s.before, '')
        or (s.after is null and s.to_status <> o.status)
        or (s.from_status = '' and s.to_status <> 'draft')
        or (s.from_status <> '' and (s.from_status, s.to_status) not in ({_STEPS}))
        union all
        select o.id, '', o.status from orders o
        where not exists (select 1 from order_status_history s where s.order_id = o.id)
        """,  # noqa: S608 - the steps are those of our own table
    ),
    Check(
        "O07",
        "S",
        "refunds that were carried out add up to what the order says was refunded",
        """
        select o.id, o.number, o.refunded_total from orders o
        left join refund_requests r on r.order_id = o.id and r.status = 'done' and r.payment_id is null
        group by o.id having o.refunded_total <> coalesce(sum(r.amount), 0)
        """,
    ),
    Check(
        "O08",
        "S",
        "what pays for an order by an exchange came from one refund of another order of the same company and currency",
        """
        with given as (
            select order_id, sum(moved_amount) as amount from refund_requests
            where status = 'done' group by 1
        )
        select o.id, o.number, o.credit_total, r.moved_amount from orders o
        left join refund_requests r on r.moved_to_id = o.id
        left join orders s on s.id = r.order_id
        where (o.confirmed_at is not null or o.status = 'draft') and o.credit_total <> coalesce(r.moved_amount, 0)
        or r.status = 'done' and o.confirmed_at is null
        or s.id = o.id or s.company_id <> o.company_id or s.currency <> o.currency
        or s.credit_total > 0
        union all
        select o.id, o.number, o.moved_total, g.amount from orders o left join given g on g.order_id = o.id
        where o.moved_total <> coalesce(g.amount, 0)
        """,
    ),
    Check(
        "R03",
        "S",
        "the promotions counted for an order are those that lowered it; one that is over gave them back",
        """
        with taken as (
            select o.id, o.number, o.status, coalesce((
                select sum((d ->> 5)::numeric) from jsonb_array_elements(o.quote -> 'discounts') d
                where d ->> 0 is not null), 0) as lowered
            from orders o
        ), used as (
            select order_id, sum(amount) as amount, count(*) filter (where returned_at is null) as live,
                   count(*) filter (where returned_at is not null) as returned
            from promotion_usages group by 1
        )
        select t.id, t.number, t.status, t.lowered, u.amount from taken t left join used u on u.order_id = t.id
        where coalesce(u.amount, 0) <> t.lowered
        or (t.status in ('cancelled', 'failed') and u.live > 0)
        or (t.status not in ('cancelled', 'failed') and u.returned > 0)
        """,
    ),
    Check(
        "E01",
        "S",
        "each order was announced once",
        """
        select o.id, o.number from orders o
        left join outbox_events e on e.aggregate_id = o.id and e.name = 'order.placed'
        group by o.id having count(e.id) <> 1
        """,
    ),
    Check(
        "E03",
        "S",
        "nothing was announced of an order that does not exist",
        """
        select e.id, e.name, e.aggregate_id from outbox_events e
        where e.aggregate_type = 'order' and not exists (select 1 from orders o where o.id = e.aggregate_id)
        """,
    ),
    Check(
        "R12",
        "S",
        "an order spent the points that its quote names, on its lines; those of units that came back are back",
        """
        with points as (
            select o.id, o.number, o.status, coalesce((o.quote ->> 'points')::int, 0) as quoted,
                   sum(l.points) as on_lines,
                   sum(l.points::bigint * l.claimed_quantity / l.quantity) as of_claimed
            from orders o join order_items l on l.order_id = o.id group by o.id
        ), booked as (
            select order_id, -coalesce(sum(points) filter (where kind = 'SPEND'), 0) as spent,
                   coalesce(sum(points) filter (where kind = 'RETURN'), 0) as returned
            from loyalty_entries where order_id is not null group by order_id
        )
        select p.id, p.number, p.status, p.quoted, b.spent, b.returned from points p
        left join booked b on b.order_id = p.id
        where p.quoted <> p.on_lines or p.quoted <> coalesce(b.spent, 0)
        or coalesce(b.returned, 0) <> case
            when p.status in ('cancelled', 'failed') then p.quoted else p.of_claimed end
        union all
        select b.order_id, '', '', 0, b.spent, b.returned from booked b
        where not exists (select 1 from orders o where o.id = b.order_id)
        """,
    ),
]
