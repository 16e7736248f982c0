"""Gates: what is locked while a customer's or an address' held units are counted."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0002_default_company'),
    ]

    operations = [
        migrations.CreateModel(
            name='HoldGate',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ('passed_at', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'hold gate',
                'verbose_name_plural': 'hold gates',
                'db_table': 'hold_gates',
            },
        ),
    ]
