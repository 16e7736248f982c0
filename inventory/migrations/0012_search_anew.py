from django.db import migrations


class Migration(migrations.Migration):
    """Let the trigger that keeps `products.search` write it anew for what is there."""

    dependencies = [
        ("inventory", "0011_catalogue_search"),
    ]

    operations = [
        migrations.RunSQL("UPDATE products SET name = name", migrations.RunSQL.noop),
    ]
