import config.platform.models
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0006_picture_files"),
    ]

    operations = [
        migrations.CreateModel(
            name="BackInStockRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=config.platform.models.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("user_id", models.UUIDField(null=True)),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="e-mail")),
                ("quantity", models.PositiveSmallIntegerField(verbose_name="wanted")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("WAITING", "waiting"),
                            ("OFFERED", "kept for them"),
                            ("TAKEN", "taken"),
                            ("LAPSED", "not taken in time"),
                            ("CANCELLED", "cancelled"),
                        ],
                        default="WAITING",
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                ("queued_at", models.DateTimeField(verbose_name="in line since")),
                (
                    "offered_quantity",
                    models.PositiveSmallIntegerField(default=0, verbose_name="kept"),
                ),
                ("offered_at", models.DateTimeField(null=True)),
                ("offer_expires_at", models.DateTimeField(null=True, verbose_name="kept until")),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "back-in-stock request",
                "verbose_name_plural": "back-in-stock requests",
                "db_table": "back_in_stock_requests",
            },
        ),
        migrations.AddField(
            model_name="stocklevel",
            name="is_awaited",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddIndex(
            model_name="stocklevel",
            index=models.Index(
                condition=models.Q(("is_awaited", True), ("backordered__gt", 0), _connector="OR"),
                fields=["variant"],
                name="stock_promised",
            ),
        ),
        migrations.AddField(
            model_name="backinstockrequest",
            name="company",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="inventory.company",
            ),
        ),
        migrations.AddField(
            model_name="backinstockrequest",
            name="variant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="back_in_stock_requests",
                to="inventory.variant",
            ),
        ),
        migrations.AddIndex(
            model_name="backinstockrequest",
            index=models.Index(
                condition=models.Q(("status", "WAITING")),
                fields=["variant", "queued_at", "id"],
                name="request_line",
            ),
        ),
        migrations.AddIndex(
            model_name="backinstockrequest",
            index=models.Index(fields=["user_id", "-queued_at"], name="request_user"),
        ),
        migrations.AddConstraint(
            model_name="backinstockrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("status__in", ["WAITING", "OFFERED"]), ("user_id__isnull", False)
                ),
                fields=("variant", "user_id"),
                name="one_open_request_per_user",
            ),
        ),
        migrations.AddConstraint(
            model_name="backinstockrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("status__in", ["WAITING", "OFFERED"]), ("user_id__isnull", True)
                ),
                fields=("variant", "email"),
                name="one_open_request_per_email",
            ),
        ),
        migrations.AddConstraint(
            model_name="backinstockrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gte", 1)), name="request_wants_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="backinstockrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("email", ""), ("user_id__isnull", False)),
                    models.Q(("user_id__isnull", True), models.Q(("email", ""), _negated=True)),
                    _connector="OR",
                ),
                name="request_has_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="backinstockrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "OFFERED"), _negated=True),
                    models.Q(("offer_expires_at__isnull", False), ("offered_quantity__gte", 1)),
                    _connector="OR",
                ),
                name="request_offer_has_units",
            ),
        ),
    ]
