from django.db import migrations, models


class Migration(migrations.Migration):
    """What its customer has approved at a wallet, before there is an order to pay."""

    dependencies = [("checkout", "0005_payment_attempts")]

    operations = [
        migrations.AddField(
            "checkout", "approved", models.CharField(blank=True, default="", max_length=64)
        ),
    ]
