from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0013_orders_holds_only'),
        ('pricing', '0014_exchange_rates'),
    ]

    operations = [
        migrations.AddField(
            model_name='promotion',
            name='reminder_stage',
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='sent with reminder number'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('reminder_stage__isnull', True), models.Q(('is_automatic', False), ('reminder_stage__gte', 1), ('reminder_stage__lte', 10)), _connector='OR'), name='promotion_reminder'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.UniqueConstraint(condition=models.Q(('deleted_at__isnull', True)), fields=('company', 'reminder_stage'), name='one_promotion_per_reminder'),
        ),
    ]
