from django.db import migrations

FILL = """
UPDATE promotion_usages SET customer_keys = customer_keys_of(ARRAY[customer_key])
 WHERE customer_key ~ '^(email:.|user:[0-9a-f-]{36}$)' AND customer_keys = '{}'
"""


class Migration(migrations.Migration):
    """Uses that were counted by one name are counted by every name of that customer."""

    dependencies = [("pricing", "0012_promotions_for_whom_and_when")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
