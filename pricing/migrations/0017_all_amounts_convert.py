from django.db import migrations

# The latest rate that has begun and is not too old, for a company's own currency `c.currency` and `wanted`.
_RATE = """
      JOIN LATERAL (SELECT r.rate, r.places, r.valid_until FROM exchange_rates r
                     WHERE r.company_id = c.id AND r.base = c.currency AND r.quote = wanted AND r.valid_from <= moment
                     ORDER BY r.valid_from DESC LIMIT 1) e ON e.valid_until IS NULL OR e.valid_until > moment
"""

# The prices at home that lie beside the public one, converted; each is rounded once. Null where there is no rate.
CONVERTED_STEPS = f"""
CREATE FUNCTION converted_steps(priced uuid, wanted text, customer uuid, named uuid, moment timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('converted', coalesce((
               SELECT jsonb_agg(jsonb_build_object(
                          'quantity', s.from_quantity, 'amount', round(s.amount * e.rate, e.places), 'group', s.group_id))
                 FROM special_prices s
                WHERE s.variant_id = v.id AND s.currency = c.currency
                  AND NOT (s.group_id IS NULL AND s.from_quantity = 1)
                  AND s.starts_at <= moment AND (s.ends_at IS NULL OR s.ends_at > moment)
                  AND (s.group_id IS NULL OR s.group_id = named OR s.group_id IN (
                      SELECT m.group_id FROM customer_group_members m WHERE m.user_id = customer))), '[]'))
      FROM variants v
      JOIN companies c ON c.id = v.company_id
      {_RATE}
     WHERE v.id = priced
$$
"""

# What the public price at home is a reduction of, converted.
CONVERTED_WAS = f"""
CREATE FUNCTION converted_was(priced uuid, wanted text, moment timestamptz) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT round(CASE WHEN s.id IS NULL THEN p.compare_at ELSE coalesce(s.compare_at, p.compare_at, p.amount) END
                 * e.rate, e.places)
      FROM variants v
      JOIN companies c ON c.id = v.company_id
      JOIN prices p ON p.variant_id = v.id AND p.currency = c.currency
      LEFT JOIN special_prices s
        ON s.variant_id = v.id AND s.currency = c.currency AND s.group_id IS NULL AND s.from_quantity = 1
       AND s.starts_at <= moment AND (s.ends_at IS NULL OR s.ends_at > moment)
      {_RATE}
     WHERE v.id = priced
$$
"""


class Migration(migrations.Migration):
    dependencies = [("pricing", "0016_codes_of_deleted_promotions")]

    operations = [
        migrations.RunSQL(
            CONVERTED_STEPS, "DROP FUNCTION converted_steps(uuid, text, uuid, uuid, timestamptz)"
        ),
        migrations.RunSQL(CONVERTED_WAS, "DROP FUNCTION converted_was(uuid, text, timestamptz)"),
    ]
