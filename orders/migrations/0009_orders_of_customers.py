from django.db import migrations

FILL = """
INSERT INTO customer_orders (order_id, company_id, customer_keys, placed_at)
SELECT id, company_id, customer_keys_of(array_remove(ARRAY[
           'user:' || user_id, 'email:' || nullif(email, ''), 'session:' || encode(session_hash, 'hex')], NULL)),
       placed_at
  FROM orders WHERE status NOT IN ('cancelled', 'failed')
    ON CONFLICT (order_id) DO NOTHING
"""


class Migration(migrations.Migration):
    """Pricing asks whether an order is a customer's first: it hears of new ones, and of these once."""

    dependencies = [
        ("orders", "0008_review"),
        ("pricing", "0012_promotions_for_whom_and_when"),
    ]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
