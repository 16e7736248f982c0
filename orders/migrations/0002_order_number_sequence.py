from django.db import migrations


class Migration(migrations.Migration):
    """The counter behind order numbers: a sequence, so that no order waits for another's transaction."""

    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="CREATE SEQUENCE order_number",
            reverse_sql="DROP SEQUENCE order_number",
        )
    ]
