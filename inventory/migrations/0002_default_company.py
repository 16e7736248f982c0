from uuid import UUID

from django.db import migrations

DEFAULT_ID = UUID("01900000-0000-7000-8000-000000000001")


def found(apps, schema_editor):
    """Every install has one shop, under a key that processes may know by heart."""
    Company = apps.get_model("inventory", "Company")
    if Company.objects.filter(is_default=True).exists():
        return
    Company.objects.create(id=DEFAULT_ID, name="Holdfast", slug="holdfast", is_default=True)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [migrations.RunPython(found, migrations.RunPython.noop)]
