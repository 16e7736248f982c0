from django.db import migrations, models


class Migration(migrations.Migration):
    """An order may go out in several parcels: each line knows how many of its units were sent."""

    dependencies = [("orders", "0002_order_number_sequence")]

    operations = [
        migrations.AddField(
            "orderline",
            "shipped_quantity",
            models.PositiveIntegerField(default=0, verbose_name="sent"),
        ),
        migrations.AddConstraint(
            "orderline",
            models.CheckConstraint(
                condition=models.Q(
                    ("quantity__gte", models.F("cancelled_quantity") + models.F("shipped_quantity"))
                ),
                name="order_line_not_oversent",
            ),
        ),
    ]
