from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0002_digest'),
    ]

    operations = [
        migrations.AddField(
            model_name='digest',
            name='user_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name='digest',
            name='kind',
            field=models.CharField(choices=[('low-stock', 'low stock'), ('kept-back', 'back in stock')], max_length=20),
        ),
    ]
