from django.db import migrations


class Migration(migrations.Migration):
    """An exclusion constraint over periods takes the place of this one, which did not see that they overlap."""

    dependencies = [
        ("inventory", "0012_search_anew"),
        ("pricing", "0003_tax_exemptions"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="taxrate", name="tax_rate_once"),
    ]
