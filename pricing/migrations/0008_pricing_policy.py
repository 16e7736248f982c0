
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0012_search_anew'),
        ('pricing', '0007_special_prices'),
    ]

    operations = [
        migrations.CreateModel(
            name='PricingPolicy',
            fields=[
                ('company', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='pricing_policy', serialize=False, to='inventory.company')),
                ('tax_rounding', models.CharField(choices=[('line', 'each tax on each line'), ('order', 'each tax once on the whole order'), ('keep_gross', 'prices as shown, the net amount once on the whole order')], default='line', max_length=10, verbose_name='taxes are rounded')),
            ],
            options={
                'verbose_name': 'pricing policy',
                'verbose_name_plural': 'pricing policies',
                'db_table': 'pricing_policies',
                'constraints': [models.CheckConstraint(condition=models.Q(('tax_rounding__in', ['line', 'order', 'keep_gross'])), name='pricing_policy_tax_rounding')],
            },
        ),
    ]
