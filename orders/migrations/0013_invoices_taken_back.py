from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """A credit note may take back an invoice of which nothing was paid: then there is no refund that it is of."""

    dependencies = [("orders", "0012_counter_of_a_day")]

    operations = [
        migrations.RemoveConstraint("invoice", "invoice_credit_note_of_refund"),
        migrations.AddConstraint(
            "invoice",
            models.CheckConstraint(
                condition=Q(kind="credit_note") | Q(refund_request__isnull=True),
                name="invoice_is_of_no_refund",
            ),
        ),
        migrations.AddConstraint(
            "invoice",
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(kind="credit_note", refund_request__isnull=True),
                name="invoice_taken_back_once",
            ),
        ),
    ]
