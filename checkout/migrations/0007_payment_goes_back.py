from django.db import migrations, models


class Migration(migrations.Migration):
    """Why a payment is not kept: decided when its money comes, and told to its customer in one message."""

    dependencies = [("checkout", "0006_express")]

    operations = [
        migrations.AddField(
            "payment",
            "goes_back",
            models.CharField(
                blank=True,
                choices=[
                    ("sold_out", "the goods were gone"),
                    ("paid_twice", "one payment too many"),
                    ("order_over", "the order had ended"),
                ],
                db_default="",
                default="",
                max_length=10,
                verbose_name="goes back",
            ),
        ),
    ]
