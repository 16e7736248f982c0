import config.platform.models
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

# Under which names limits know a customer, from what is known of one: `user:<id>`, `email:<address>`, `session:<hex>`.
# An account is known by its address too. One address: without case, without what follows a plus, and at Google's mail
# without dots. It is the only place where this is decided; docs/pricing.md says why.
CUSTOMER_KEYS = """
CREATE FUNCTION same_address(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN local = '' OR domain = '' THEN whole
        WHEN domain IN ('gmail.com', 'googlemail.com') THEN replace(local, '.', '') || '@gmail.com'
        ELSE local || '@' || domain END
    FROM (SELECT whole, split_part(regexp_replace(whole, '@[^@]*$', ''), '+', 1) AS local,
                 CASE WHEN strpos(whole, '@') > 0 THEN regexp_replace(whole, '^.*@', '') ELSE '' END AS domain
            FROM (SELECT lower(normalize(btrim(address), NFKC)) AS whole) AS trimmed) AS parts
$$;
CREATE FUNCTION customer_keys_of(given text[]) RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT key ORDER BY key), '{}') FROM (
        SELECT CASE WHEN key LIKE 'email:%' THEN 'email:' || same_address(substr(key, 7)) ELSE key END AS key
          FROM unnest(given) AS key
        UNION ALL
        SELECT 'email:' || same_address(users.email) FROM unnest(given) AS key
          JOIN users ON users.id = substr(key, 6)::uuid
         WHERE key LIKE 'user:%' AND users.email <> ''
    ) AS keys
$$;
"""
NO_CUSTOMER_KEYS = "DROP FUNCTION customer_keys_of(text[]); DROP FUNCTION same_address(text);"


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0013_orders_holds_only'),
        ('pricing', '0011_price_disputes'),
    ]

    operations = [
        migrations.CreateModel(
            name='CouponBatch',
            fields=[
                ('id', models.UUIDField(default=config.platform.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('prefix', models.CharField(blank=True, max_length=20, verbose_name='beginning')),
                ('length', models.PositiveSmallIntegerField(verbose_name='random characters')),
                ('number', models.PositiveIntegerField(verbose_name='codes')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='valid until')),
                ('revoked_at', models.DateTimeField(editable=False, null=True, verbose_name='revoked')),
                ('created_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name': 'batch of codes',
                'verbose_name_plural': 'batches of codes',
                'db_table': 'coupon_batches',
            },
        ),
        migrations.CreateModel(
            name='CustomerOrder',
            fields=[
                ('order_id', models.UUIDField(primary_key=True, serialize=False)),
                ('customer_keys', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ('placed_at', models.DateTimeField()),
                ('undone_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'customer_orders',
            },
        ),
        migrations.AddField(
            model_name='coupon',
            name='customer_key',
            field=models.CharField(blank=True, max_length=300),
        ),
        migrations.AddField(
            model_name='coupon',
            name='expires_at',
            field=models.DateTimeField(null=True, verbose_name='valid until'),
        ),
        migrations.AddField(
            model_name='coupon',
            name='usage_limit',
            field=models.PositiveIntegerField(null=True, verbose_name='uses'),
        ),
        migrations.AddField(
            model_name='coupon',
            name='used_count',
            field=models.PositiveIntegerField(default=0, verbose_name='used'),
        ),
        migrations.AddField(
            model_name='pricingpolicy',
            name='time_zone',
            field=models.CharField(default='UTC', max_length=64, verbose_name='time zone'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='closes_at',
            field=models.TimeField(blank=True, null=True, verbose_name='to the hour'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='excluded_categories',
            field=models.ManyToManyField(blank=True, related_name='+', to='inventory.category'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='excluded_products',
            field=models.ManyToManyField(blank=True, related_name='+', to='inventory.product'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='first_order_only',
            field=models.BooleanField(default=False, verbose_name='only with the first order'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='groups',
            field=models.ManyToManyField(blank=True, related_name='promotions', to='pricing.customergroup'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='minimum_quantity',
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name='minimum units'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='new_customer_days',
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name='only in the first days of an account'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='opens_at',
            field=models.TimeField(blank=True, null=True, verbose_name='from the hour'),
        ),
        migrations.AddField(
            model_name='promotion',
            name='weekdays',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name='promotionuse',
            name='customer_keys',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
        ),
        migrations.AddIndex(
            model_name='promotionuse',
            index=django.contrib.postgres.indexes.GinIndex(condition=models.Q(('returned_at__isnull', True)), fields=['customer_keys'], name='use_customers'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('weekdays__contained_by', [1, 2, 3, 4, 5, 6, 7])), name='promotion_weekdays'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closes_at__isnull', True), ('opens_at__isnull', True)), models.Q(('closes_at__isnull', False), ('opens_at__isnull', False)), _connector='OR'), name='promotion_hours'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('minimum_order__isnull', True), ('minimum_order__gte', 0), _connector='OR'), models.Q(('maximum_discount__isnull', True), ('maximum_discount__gte', 0), _connector='OR')), name='promotion_amounts_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('usage_limit__isnull', True), ('usage_limit__gte', 1), _connector='OR'), models.Q(('per_customer_limit__isnull', True), ('per_customer_limit__gte', 1), _connector='OR'), models.Q(('minimum_quantity__isnull', True), ('minimum_quantity__gte', 1), _connector='OR'), models.Q(('new_customer_days__isnull', True), ('new_customer_days__gte', 1), _connector='OR')), name='promotion_numbers_from_one'),
        ),
        migrations.AddField(
            model_name='couponbatch',
            name='company',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.company'),
        ),
        migrations.AddField(
            model_name='couponbatch',
            name='promotion',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='batches', to='pricing.promotion'),
        ),
        migrations.AddField(
            model_name='coupon',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='coupons', to='pricing.couponbatch'),
        ),
        migrations.AddConstraint(
            model_name='coupon',
            constraint=models.CheckConstraint(condition=models.Q(('usage_limit__isnull', True), ('used_count__lte', models.F('usage_limit')), _connector='OR'), name='coupon_within_limit'),
        ),
        migrations.AddField(
            model_name='customerorder',
            name='company',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.company'),
        ),
        migrations.AddConstraint(
            model_name='couponbatch',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='coupon_batch_number'),
        ),
        migrations.AddConstraint(
            model_name='couponbatch',
            constraint=models.CheckConstraint(condition=models.Q(('length__gte', 8), ('length__lte', 30)), name='coupon_batch_length'),
        ),
        migrations.AddIndex(
            model_name='customerorder',
            index=django.contrib.postgres.indexes.GinIndex(condition=models.Q(('undone_at__isnull', True)), fields=['customer_keys'], name='customer_order_keys'),
        ),
        migrations.RunSQL(CUSTOMER_KEYS, NO_CUSTOMER_KEYS),
    ]
