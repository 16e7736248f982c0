"""Outside systems: who they are, what they said, their feeds, and what reconciling found."""

import config.platform.models
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0004_operate_stock'),
    ]

    operations = [
        migrations.CreateModel(
            name='Source',
            fields=[
                ('id', models.UUIDField(default=config.platform.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('slug', models.SlugField(max_length=40, unique=True, verbose_name='short name')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('feed_url', models.URLField(blank=True, max_length=1000, verbose_name='feed address')),
                ('feed_format', models.CharField(choices=[('json', 'JSON'), ('csv', 'CSV')], default='json', max_length=4, verbose_name='feed format')),
                ('feed_minutes', models.PositiveIntegerField(default=15, validators=[django.core.validators.MinValueValidator(1)], verbose_name='minutes between fetches')),
                ('feed_due_at', models.DateTimeField(editable=False, null=True, verbose_name='next fetch')),
                ('feed_tried_at', models.DateTimeField(editable=False, null=True, verbose_name='last fetch')),
                ('feed_good_at', models.DateTimeField(editable=False, null=True, verbose_name='last good fetch')),
                ('feed_state', models.CharField(blank=True, choices=[('', 'not fetched yet'), ('applied', 'applied'), ('unchanged', 'unchanged'), ('refused', 'refused'), ('unreachable', 'not reachable')], default='', editable=False, max_length=11, verbose_name='feed')),
                ('feed_note', models.CharField(blank=True, default='', editable=False, max_length=1000, verbose_name='what happened')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
            ],
            options={
                'verbose_name': 'outside system',
                'verbose_name_plural': 'outside systems',
                'db_table': 'stock_sources',
            },
        ),
        migrations.CreateModel(
            name='SourceMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('object_id', models.UUIDField()),
                ('set_at', models.DateTimeField(null=True)),
                ('adjusted_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'stock_source_marks',
            },
        ),
        migrations.CreateModel(
            name='SourceMessage',
            fields=[
                ('id', models.UUIDField(default=config.platform.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('event_id', models.CharField(max_length=200, verbose_name='message')),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('payload', models.JSONField(default=dict, verbose_name='content')),
                ('results', models.JSONField(default=dict, verbose_name='results')),
                ('occurred_at', models.DateTimeField(verbose_name='said at')),
                ('received_at', models.DateTimeField(verbose_name='received')),
                ('processed_at', models.DateTimeField(null=True, verbose_name='worked off')),
                ('next_attempt_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('applied', models.PositiveIntegerField(default=0, verbose_name='applied')),
                ('refused', models.PositiveIntegerField(default=0, verbose_name='refused')),
                ('dead_at', models.DateTimeField(null=True, verbose_name='given up')),
                ('error', models.CharField(blank=True, max_length=300, verbose_name='error')),
            ],
            options={
                'verbose_name': 'message from outside',
                'verbose_name_plural': 'messages from outside',
                'db_table': 'stock_source_messages',
            },
        ),
        migrations.CreateModel(
            name='StockDrift',
            fields=[
                ('id', models.UUIDField(default=config.platform.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('total', 'units on the shelf'), ('reserved', 'units held'), ('backordered', 'units owed'), ('balance', 'balance of the last movement')], max_length=11, verbose_name='what')),
                ('expected', models.BigIntegerField(verbose_name='by the books')),
                ('actual', models.BigIntegerField(verbose_name='by the counter')),
                ('found_at', models.DateTimeField(verbose_name='found')),
                ('closed_at', models.DateTimeField(null=True, verbose_name='closed')),
                ('outcome', models.CharField(blank=True, max_length=300, verbose_name='outcome')),
            ],
            options={
                'verbose_name': 'stock drift',
                'verbose_name_plural': 'stock drifts',
                'db_table': 'stock_drifts',
            },
        ),
        migrations.AddIndex(
            model_name='stocklevel',
            index=models.Index(condition=models.Q(('is_low', True)), fields=['company'], name='stock_low'),
        ),
        migrations.CreateModel(
            name='FeedCopy',
            fields=[
                ('source', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='feed_copy', serialize=False, to='inventory.source')),
                ('rows', models.BinaryField()),
                ('digest', models.BinaryField(max_length=32)),
                ('row_count', models.PositiveIntegerField()),
                ('zero_count', models.PositiveIntegerField()),
                ('etag', models.CharField(blank=True, max_length=300)),
                ('last_modified', models.CharField(blank=True, max_length=100)),
                ('fetched_at', models.DateTimeField()),
                ('applied_at', models.DateTimeField(null=True)),
                ('waiting', models.JSONField(default=list)),
                ('refused', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'stock_feed_copies',
            },
        ),
        migrations.AddField(
            model_name='source',
            name='company',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.company'),
        ),
        migrations.AddField(
            model_name='source',
            name='warehouse',
            field=models.ForeignKey(blank=True, help_text='Where its stock lies when it names no warehouse; else the default one.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.warehouse'),
        ),
        migrations.AddField(
            model_name='sourcemark',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.source'),
        ),
        migrations.AddField(
            model_name='sourcemessage',
            name='company',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.company'),
        ),
        migrations.AddField(
            model_name='sourcemessage',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='inventory.source'),
        ),
        migrations.AddField(
            model_name='stockdrift',
            name='company',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.company'),
        ),
        migrations.AddField(
            model_name='stockdrift',
            name='stock_level',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.stocklevel'),
        ),
        migrations.AddConstraint(
            model_name='sourcemark',
            constraint=models.UniqueConstraint(fields=('source', 'object_id'), name='source_mark_once'),
        ),
        migrations.AddIndex(
            model_name='sourcemessage',
            index=models.Index(condition=models.Q(('dead_at__isnull', True), ('processed_at__isnull', True)), fields=['next_attempt_at'], name='source_message_due'),
        ),
        migrations.AddIndex(
            model_name='sourcemessage',
            index=models.Index(fields=['company', '-received_at'], name='source_message_newest'),
        ),
        migrations.AddIndex(
            model_name='sourcemessage',
            index=models.Index(condition=models.Q(('processed_at__isnull', False)), fields=['processed_at'], name='source_message_old'),
        ),
        migrations.AddConstraint(
            model_name='sourcemessage',
            constraint=models.UniqueConstraint(fields=('source', 'event_id'), name='source_message_once'),
        ),
        migrations.AddIndex(
            model_name='stockdrift',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['company'], name='stock_drift_open'),
        ),
        migrations.AddConstraint(
            model_name='stockdrift',
            constraint=models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('stock_level', 'kind'), name='stock_drift_open_once'),
        ),
    ]
