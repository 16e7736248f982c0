from django.db import migrations, models


class Migration(migrations.Migration):
    """A day's order numbers come from the counter that its first order was drawn from."""

    dependencies = [("orders", "0011_additions")]

    operations = [
        migrations.AddField(
            "orderday",
            "counter",
            models.CharField(
                default="order_number", db_default="order_number", max_length=63
            ),
        ),
    ]
