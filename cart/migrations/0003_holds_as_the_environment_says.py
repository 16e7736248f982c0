"""What a company has not set itself is as the environment says: defaults only, no column changes."""

import cart.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('cart', '0002_lists_of_customers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='cartpolicy',
            name='hold_max_minutes',
            field=models.PositiveIntegerField(default=cart.models.most_minutes_of_holds, verbose_name='minutes a hold lasts at most, renewals included'),
        ),
        migrations.AlterField(
            model_name='cartpolicy',
            name='hold_minutes',
            field=models.PositiveIntegerField(default=cart.models.minutes_of_holds, verbose_name='minutes a hold lasts'),
        ),
        migrations.AlterField(
            model_name='cartpolicy',
            name='hold_start',
            field=models.CharField(choices=[('add', 'when added to the cart'), ('checkout', 'at checkout')], default=cart.models.start_of_holds, max_length=8, verbose_name='holds begin'),
        ),
        migrations.AlterField(
            model_name='cartpolicy',
            name='max_held_units_per_address',
            field=models.PositiveIntegerField(default=cart.models.units_of_an_address, verbose_name='units one address may hold'),
        ),
        migrations.AlterField(
            model_name='cartpolicy',
            name='max_held_units_per_customer',
            field=models.PositiveIntegerField(default=cart.models.units_of_a_customer, verbose_name='units one customer may hold'),
        ),
    ]
