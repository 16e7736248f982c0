from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pricing", "0017_all_amounts_convert")]

    operations = [
        migrations.AddField(
            model_name="exchangerate",
            name="begun_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="exchangerate",
            name="over_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="exchangerate",
            index=models.Index(
                condition=models.Q(("begun_at__isnull", True)),
                fields=["valid_from"],
                name="exchange_rate_to_begin",
            ),
        ),
        migrations.AddIndex(
            model_name="exchangerate",
            index=models.Index(
                condition=models.Q(
                    ("over_at__isnull", True), ("valid_until__isnull", False)
                ),
                fields=["valid_until"],
                name="exchange_rate_to_end",
            ),
        ),
    ]
