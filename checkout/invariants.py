"""What must be true of checkouts, payments and refunds, whatever happens."""

from __future__ import annotations

from checkout import books
from config.platform.invariants import Check, ProviderCheck

# A payment that was one too many goes back by a request of its own and says nothing about its order.
_SURPLUS = "exists (select 1 from refund_requests q where q.payment_id = p.id)"

CHECKS = [
    Check(
        "O02",
        "S",
        "a checkout waits or is complete exactly with its order, each names the other",
        """
        select c.id, c.status, o.number, o.status as order_status from checkouts c
        left join orders o on o.id = c.order_id
        where (c.status in ('PAYMENT_PENDING', 'COMPLETED') and o.id is null)
        or (c.status = 'OPEN' and c.order_id is not null)
        or (o.id is not null and o.checkout_id is distinct from c.id)
        or (c.status = 'COMPLETED' and o.confirmed_at is null)
        union all
        select o.checkout_id, '', o.number, o.status from orders o
        left join checkouts c on c.id = o.checkout_id and c.order_id = o.id
        where o.checkout_id is not null and c.id is null
        """,
    ),
    Check(
        "O05",
        "S",
        "one currency through an order, its checkout, payments, refunds and promotions",
        """
        select o.id, 'checkout' as what from orders o join checkouts c on c.order_id = o.id
        where c.currency <> o.currency
        union all select o.id, 'payment' from orders o join payments p on p.order_id = o.id
        where p.currency <> o.currency
        union all select o.id, 'refund' from orders o join payments p on p.order_id = o.id
        join refunds r on r.payment_id = p.id where r.currency <> o.currency
        union all select o.id, 'refund request' from orders o join refund_requests r on r.order_id = o.id
        where r.currency <> o.currency
        union all select o.id, 'promotion' from orders o join promotion_usages u on u.order_id = o.id
        where u.currency <> o.currency
        """,
    ),
    Check(
        "P01",
        "S",
        "what a payment says was captured, refunded and paid back otherwise is the sum of its history and refunds",
        """
        with told as (
            select payment_id, sum(captured) as captured, sum(refunded) as refunded
            from payment_status_history group by 1
        ), returned as (
            select payment_id, sum(amount) as amount from refunds where status = 'SUCCEEDED' group by 1
        ), outside as (select payment_id, sum(amount) as amount from outside_refunds group by 1)
        select p.id, p.captured_amount, p.refunded_amount, p.outside_amount from payments p
        left join told t on t.payment_id = p.id left join returned r on r.payment_id = p.id
        left join outside x on x.payment_id = p.id
        where p.outside_amount <> coalesce(x.amount, 0) or p.captured_amount <> coalesce(t.captured, 0) or p.refunded_amount <> coalesce(t.refunded, 0)
        or p.refunded_amount <> coalesce(r.amount, 0)
        """,
    ),
    Check(
        "P02",
        "S",
        "nobody gets back more than was taken, nor is asked for more than was agreed",
        """
        select p.id from payments p
        where p.refunded_amount < 0 or p.refunded_amount > p.captured_amount or p.captured_amount > p.amount
        or p.outside_amount < 0 or p.captured_amount < p.refunded_amount + p.outside_amount + coalesce((
            select sum(r.amount) from refunds r where r.payment_id = p.id and r.status = 'PENDING'), 0)
        """,
    ),
    Check(
        "P03",
        "S",
        "no order is charged twice, and none has two open payments",
        f"""
        select p.order_id as id, count(*) from payments p
        where p.captured_amount > p.refunded_amount + p.outside_amount and not {_SURPLUS} group by 1 having count(*) > 1
        union all
        select order_id, count(*) from payments where status in ('PENDING', 'PROCESSING', 'AUTHORIZED')
        group by 1 having count(*) > 1
        """,  # noqa: S608
    ),
    Check(
        "P04",
        "S",
        "an order's payment status says what the money says",
        f"""
        with marked as (select p.*, {_SURPLUS} as surplus from payments p),
        counted as (
            select m.order_id, sum(m.captured_amount) as captured, sum(m.refunded_amount + m.outside_amount) as refunded
            from marked m
            where not m.surplus or not exists (
                select 1 from marked other where other.order_id = m.order_id and not other.surplus)
            group by 1
        )
        select o.id, o.number, o.payment_status, c.captured, c.refunded from orders o
        left join counted c on c.order_id = o.id
        where case
            when o.moved_total > 0 or (o.credit_total > 0 and o.confirmed_at is not null)
            then o.payment_status <> case
                when o.refunded_total = o.grand_total then 'refunded'
                when o.refunded_total > 0 then 'partially_refunded' else 'captured' end
            when coalesce(c.captured, 0) > 0 then o.payment_status <> case
                when c.refunded = c.captured then 'refunded'
                when c.refunded > 0 then 'partially_refunded' else 'captured' end
            when o.grand_total = 0 then o.payment_status not in ('pending', 'captured', 'cancelled')
            else o.payment_status in ('captured', 'partially_refunded', 'refunded') end
        """,  # noqa: S608
    ),
    Check(
        "P05",
        "S",
        "what was asked for and taken is the order's total, less what an exchange pays of it, in its currency",
        """
        select p.id, p.amount, o.grand_total, o.credit_total from payments p join orders o on o.id = p.order_id
        where p.amount <> o.grand_total - o.credit_total or p.currency <> o.currency
        or (p.captured_amount <> 0 and p.captured_amount <> p.amount)
        """,
    ),
    Check(
        "P06",
        "L",
        "no money is kept for an order that is over, and no refund that is due waits",
        """
        select p.id, o.number, p.captured_amount - p.refunded_amount - p.outside_amount as kept
        from payments p join orders o on o.id = p.order_id
        where o.status in ('cancelled', 'failed') and p.captured_amount > p.refunded_amount + p.outside_amount
        and greatest(p.updated_at, o.updated_at) < now() - %(grace)s
        union all
        select r.id, o.number, r.amount from refund_requests r join orders o on o.id = r.order_id
        where r.status = 'due' and r.created_at < now() - %(grace)s and not exists (
            select 1 from payments p where p.order_id = o.id and p.status = 'AUTHORIZED')
        and not exists (
            select 1 from orders t where t.id = r.moved_to_id and (
                t.status = 'draft' or greatest(t.updated_at, o.updated_at) >= now() - %(grace)s))
        """,
    ),
    Check(
        "P07",
        "L",
        "no order waits for a payment that is there, and no payment stays unknown",
        """
        select p.id, o.number, p.status from payments p join orders o on o.id = p.order_id
        where (p.status in ('AUTHORIZED', 'CAPTURED') and o.status = 'draft')
        or (p.status in ('PENDING', 'PROCESSING') and p.provider_id is null
            and p.created_at < now() - %(grace)s - interval '3 minutes')
        or (p.status in ('PENDING', 'PROCESSING', 'AUTHORIZED') and o.status in ('cancelled', 'failed')
            and greatest(o.updated_at, p.updated_at) < now() - %(grace)s - interval '3 minutes')
        """,
    ),
    Check(
        "P08",
        "S",
        "a payment's history is an unbroken chain that ends in its status",
        """
        with steps as (
            select *, lag(to_status) over history as before, lead(id) over history as after
            from payment_status_history window history as (partition by payment_id order by id)
        )
        select s.payment_id as id, s.from_status, s.to_status from steps s join payments p on p.id = s.payment_id
        where s.from_status <> coalesce(s.before, '') or (s.after is null and s.to_status <> p.status)
        union all
        select p.id, '', p.status from payments p
        where not exists (select 1 from payment_status_history s where s.payment_id = p.id)
        """,
    ),
    Check(
        "P09",
        "S",
        "what providers hold of orders that an exchange ties together is what these orders keep",
        f"""
        with moved as (
            select r.order_id as source, r.moved_to_id as target from refund_requests r
            where r.moved_amount > 0 and r.status = 'done'
        ), members as (
            select source, source as id from moved union select source, target from moved
        ), sums as (
            select m.source, sum(o.grand_total - o.refunded_total) as kept, sum((
                select coalesce(sum(p.captured_amount - p.refunded_amount - p.outside_amount), 0) from payments p
                where p.order_id = o.id and not {_SURPLUS})) as held
            from members m join orders o on o.id = m.id group by m.source
        )
        select source as id, kept, held from sums where kept <> held
        """,  # noqa: S608
    ),
    Check(
        "P10",
        "S",
        "what was paid back otherwise stands for one refund that is done, with its amount and at no provider",
        """
        select x.id, x.amount, r.amount - r.moved_amount as asked, r.status from outside_refunds x
        left join refund_requests r on r.id = x.request_id
        where r.id is null or r.status <> 'done' or x.amount <> r.amount - r.moved_amount
        or x.currency <> r.currency or exists (
            select 1 from refunds f where f.request_id = x.request_id and f.status <> 'FAILED')
        """,
    ),
    Check(
        "E06",
        "S",
        "each captured payment was announced once",
        """
        select p.id from payments p
        left join outbox_events e on e.name = 'payment.captured' and e.payload ->> 'payment_id' = p.id::text
            and e.aggregate_id = p.order_id
        where p.captured_amount > 0
        group by p.id having count(e.id) <> 1
        """,
    ),
    Check(
        "W01",
        "S",
        "each event of a provider is taken once",
        "select provider, event_id, count(*) from webhook_inbox group by 1, 2 having count(*) > 1",
    ),
    Check(
        "W02",
        "L",
        "every webhook that was accepted is worked off",
        """
        select id, provider, type, outcome from webhook_inbox
        where processed_at is null and received_at < now() - %(grace)s - interval '1 minute'
        """,
    ),
    Check(
        "W03",
        "S",
        "a payment that its provider told us had succeeded has its money here, or an alarm",
        """
        select w.id, p.id as payment_id, p.status from webhook_inbox w
        join payments p on p.provider = w.provider and p.provider_id = w.object_id
        where w.type = 'payment_intent.succeeded' and w.processed_at is not null and p.captured_amount = 0
        and w.outcome not like 'ignored%%' and not exists (
            select 1 from audit_entries a where a.action = 'payment.mismatch' and a.object_id = p.id::text)
        """,
    ),
    Check(
        "B01",
        "L",
        "the test provider's books and ours tell of the same money",
        """
        select c.id, c.captured_amount, c.refunded_amount, p.id as payment_id, p.captured_amount as ours
        from test_provider_charges c left join payments p on p.provider_id = c.id and p.provider = 'test'
        where c.created_at < now() - %(grace)s - interval '5 minutes'
        and (coalesce(p.captured_amount, 0) <> c.captured_amount
            or coalesce(p.refunded_amount, 0) <> c.refunded_amount) and c.captured_amount > 0
        union all
        select p.id::text, null, null, p.id, p.captured_amount from payments p
        where p.provider = 'test' and p.captured_amount > 0
        and not exists (select 1 from test_provider_charges c where c.id = p.provider_id)
        """,
    ),
    Check(
        "B05",
        "S",
        "of what Stripe told us, only references are kept",
        """
        select id from djstripe_webhookeventtrigger
        where valid and (headers::text <> '{}' or length(body) > 600 or body like '%%@%%')
        union all
        select djstripe_id from djstripe_webhookendpoint where secret <> ''
        """,
    ),
]

PROVIDER_CHECKS = [
    ProviderCheck(
        "B01/provider",
        "every charge of a provider is a payment of ours, and the reverse, to the cent",
        lambda since: [difference.to_json() for difference in books.compare(since=since)],
    ),
    ProviderCheck(
        "B04/provider",
        "what providers took less what they gave back is what our payments say, in each currency",
        books.unbalanced,
    ),
]
