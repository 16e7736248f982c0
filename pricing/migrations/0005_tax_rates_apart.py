"""Of several rates of one tax at one place, leave each day to the one that was in force; nothing is charged otherwise."""

import uuid
from collections import defaultdict
from datetime import date

from django.db import migrations
from django.db.models import F


def take_apart(apps, schema_editor):
    TaxRate = apps.get_model("pricing", "TaxRate")
    # a period that ends before it begins was never in force
    TaxRate.objects.filter(valid_to__lte=F("valid_from")).update(is_active=False, valid_to=None)
    taxes = defaultdict(list)
    for rate in TaxRate.objects.filter(is_active=True).order_by("id"):
        taxes[
            rate.company_id,
            rate.type,
            rate.name,
            rate.country,
            rate.state.upper(),
            rate.postal_pattern.upper(),
            rate.tax_class,
        ].append(rate)
    for rates in taxes.values():
        if len(rates) > 1:
            _take_apart(rates)


def _take_apart(rates):
    bounds = sorted(
        {rate.valid_from or date.min for rate in rates}
        | {rate.valid_to or date.max for rate in rates}
    )
    pieces = []  # [rate, from, until], in order
    for start, end in zip(bounds, bounds[1:], strict=False):
        there = [
            rate
            for rate in rates
            if (rate.valid_from or date.min) <= start and end <= (rate.valid_to or date.max)
        ]
        if not there:
            continue
        # as the engine chooses among them
        best = max(there, key=lambda rate: (rate.priority, rate.valid_from or date.min, rate.id))
        if pieces and pieces[-1][0] is best and pieces[-1][2] == start:
            pieces[-1][2] = end
        else:
            pieces.append([best, start, end])
    kept = set()
    for rate, start, end in pieces:
        is_copy = rate.pk in kept
        kept.add(rate.pk)
        row = type(rate)(
            **{
                **{field.attname: getattr(rate, field.attname) for field in rate._meta.fields},
                "id": uuid.uuid4() if is_copy else rate.pk,
                "valid_from": None if start == date.min else start,
                "valid_to": None if end == date.max else end,
            }
        )
        row.save(force_insert=is_copy, force_update=not is_copy)
    for rate in rates:
        if rate.pk not in kept:
            type(rate).objects.filter(pk=rate.pk).update(is_active=False)


class Migration(migrations.Migration):
    dependencies = [("pricing", "0004_tax_rates_may_repeat")]

    operations = [migrations.RunPython(take_apart, migrations.RunPython.noop)]
