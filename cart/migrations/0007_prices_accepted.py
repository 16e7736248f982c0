from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cart", "0006_suggestions_sent_away")]

    operations = [
        migrations.AddField(
            model_name="cartline",
            name="accepted_price",
            field=models.DecimalField(
                decimal_places=3, max_digits=15, null=True, verbose_name=""
            ),
        ),
    ]
