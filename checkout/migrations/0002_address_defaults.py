from django.db import migrations, models
from django.utils import timezone


class Migration(migrations.Migration):
    """An address may be the default for parcels, for bills, or both."""

    dependencies = [("checkout", "0001_initial")]

    operations = [
        migrations.RemoveConstraint("address", "one_default_address"),
        migrations.RenameField("address", "is_default", "is_default_shipping"),
        migrations.AddField(
            "address", "is_default_billing", models.BooleanField(default=False)
        ),
        migrations.AlterField("address", "created_at", models.DateTimeField()),
        migrations.AddField(
            "address",
            "updated_at",
            models.DateTimeField(default=timezone.now),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            "address",
            models.UniqueConstraint(
                condition=models.Q(("is_default_shipping", True)),
                fields=("company", "user_id"),
                name="one_default_address",
            ),
        ),
        migrations.AddConstraint(
            "address",
            models.UniqueConstraint(
                condition=models.Q(("is_default_billing", True)),
                fields=("company", "user_id"),
                name="one_default_billing_address",
            ),
        ),
        migrations.AddIndex(
            "address", models.Index(fields=["user_id", "company"], name="address_user")
        ),
    ]
