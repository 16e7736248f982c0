from django.db import migrations, models


class Migration(migrations.Migration):
    """Where a payment was opened from and which card it was, both as references, to notice who tries out cards."""

    dependencies = [("checkout", "0004_collecting_and_disputes")]

    operations = [
        migrations.AddField(
            "payment", "client", models.CharField(blank=True, default="", max_length=64)
        ),
        migrations.AddField(
            "payment", "card", models.CharField(blank=True, default="", max_length=64)
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                fields=["created_at"],
                name="payment_unpaid",
                condition=models.Q(status__in=["PENDING", "PROCESSING", "FAILED", "CANCELLED"]),
            ),
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                fields=["card", "created_at"],
                name="payment_card",
                condition=~models.Q(card=""),
            ),
        ),
    ]
