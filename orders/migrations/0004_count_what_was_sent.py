from django.db import migrations
from django.db.models import F


def count(apps, schema_editor):
    """Until now an order was sent whole: what was not cancelled by then is on its way or there."""
    lines = apps.get_model("orders", "OrderLine").objects
    lines.filter(order__status__in=["shipped", "delivered", "refunded"]).update(
        shipped_quantity=F("quantity") - F("cancelled_quantity")
    )


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_shipped_quantity")]

    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
