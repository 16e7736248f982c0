from django.conf import settings
from django.db import migrations


def as_configured(apps, schema_editor):
    """A shop that sells nothing yet begins with the currency and country of its environment (CFG-30, CFG-31)."""
    Company = apps.get_model("inventory", "Company")
    Product = apps.get_model("inventory", "Product")
    empty = Company.objects.filter(is_default=True).exclude(
        id__in=Product.objects.values("company_id")
    )
    empty.update(currency=settings.DEFAULT_CURRENCY, country=settings.DEFAULT_COUNTRY)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0013_orders_holds_only")]

    operations = [migrations.RunPython(as_configured, migrations.RunPython.noop)]
