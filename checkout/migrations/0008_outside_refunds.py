import config.platform.models
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):
    """Money of failed refunds that staff gave back by other means than the provider."""

    dependencies = [
        ('checkout', '0007_payment_goes_back'),
        ('orders', '0011_additions'),
    ]

    operations = [
        migrations.CreateModel(
            name='OutsideRefund',
            fields=[
                ('id', models.UUIDField(default=config.platform.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('request_id', models.UUIDField(unique=True)),
                ('amount', models.DecimalField(decimal_places=3, max_digits=15, verbose_name='amount')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('means', models.CharField(choices=[('bank_transfer', 'bank transfer'), ('cash', 'cash'), ('cheque', 'cheque'), ('other', 'another way')], max_length=13, verbose_name='by')),
                ('reference', models.CharField(max_length=100, verbose_name='reference')),
                ('reason', models.CharField(max_length=200, verbose_name='reason')),
                ('paid_on_date', models.DateField(verbose_name='paid on')),
                ('actor', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(verbose_name='noted')),
            ],
            options={
                'verbose_name': 'refund by other means',
                'verbose_name_plural': 'refunds by other means',
                'db_table': 'outside_refunds',
            },
        ),
        migrations.AddField(
            model_name='payment',
            name='outside_amount',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=3, default=Decimal('0'), max_digits=15, verbose_name='paid back by other means'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('outside_amount__gte', 0), ('outside_amount__lte', django.db.models.expressions.CombinedExpression(models.F('captured_amount'), '-', models.F('refunded_amount')))), name='payment_outside_ceiling'),
        ),
        migrations.AddField(
            model_name='outsiderefund',
            name='payment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outside_refunds', to='checkout.payment'),
        ),
        migrations.AddIndex(
            model_name='outsiderefund',
            index=models.Index(fields=['-created_at'], name='outside_refund_newest'),
        ),
        migrations.AddConstraint(
            model_name='outsiderefund',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='outside_refund_positive'),
        ),
        migrations.AddConstraint(
            model_name='outsiderefund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reference', ''), _negated=True), models.Q(('reason', ''), _negated=True)), name='outside_refund_told'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='outsiderefund',
            trigger=pgtrigger.compiler.Trigger(name='outside_refunds_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='f98920c39c3947dbec20528c1ecb6faacc3469eb', operation='UPDATE OR DELETE', pgid='pgtrigger_outside_refunds_append_only_0170b', table='outside_refunds', when='BEFORE')),
        ),
    ]
