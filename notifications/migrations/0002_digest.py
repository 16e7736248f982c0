from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Digest',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('company_id', models.UUIDField()),
                ('kind', models.CharField(choices=[('low-stock', 'low stock')], max_length=20)),
                ('object_id', models.UUIDField()),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'digests',
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['kind', 'id'], name='digest_due'), models.Index(fields=['sent_at'], name='digest_sent')],
            },
        ),
    ]
