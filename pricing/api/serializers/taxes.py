"""Tax rates and VAT numbers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from config.platform.http import Input
from pricing.api.serializers.fields import ListOutput, plain
from pricing.models import TaxExemption, TaxRate


class TaxRateChangeInput(Input):
    name = serializers.CharField(max_length=100, required=False)
    type = serializers.ChoiceField(choices=TaxRate.Type.choices, required=False)
    country = serializers.CharField(max_length=2, required=False)
    rate = serializers.DecimalField(
        max_digits=7, decimal_places=6, min_value=Decimal(0), max_value=Decimal(1), required=False,
        help_text="A fraction: 0.19 is 19 percent.",
    )  # fmt: skip
    state = serializers.CharField(max_length=40, required=False, allow_blank=True)
    postal_pattern = serializers.CharField(max_length=40, required=False, allow_blank=True)
    tax_class = serializers.CharField(max_length=40, required=False, allow_blank=True)
    included = serializers.BooleanField(required=False)
    compound = serializers.BooleanField(required=False)
    on_shipping = serializers.BooleanField(required=False)
    priority = serializers.IntegerField(required=False, min_value=-32_768, max_value=32_767)
    valid_from = serializers.DateField(required=False, allow_null=True)
    valid_to = serializers.DateField(required=False, allow_null=True)
    active = serializers.BooleanField(required=False)


class TaxRateInput(TaxRateChangeInput):
    name = serializers.CharField(max_length=100)
    type = serializers.ChoiceField(choices=TaxRate.Type.choices)
    country = serializers.CharField(max_length=2)
    rate = serializers.DecimalField(
        max_digits=7, decimal_places=6, min_value=Decimal(0), max_value=Decimal(1)
    )


class VatNumberInput(Input):
    vat_number = serializers.CharField(max_length=40)


class VatNumberOutput(serializers.Serializer):
    vatNumber = serializers.CharField(allow_null=True)
    country = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["PENDING", "APPROVED"], allow_null=True)


def vat_number_json(row: TaxExemption | None) -> dict[str, Any]:
    return {
        "vatNumber": row.number if row else None,
        "country": row.country if row else None,
        "status": row.status if row else None,
    }


class TaxRateOutput(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=TaxRate.Type.choices)
    country = serializers.CharField()
    state = serializers.CharField()
    postalPattern = serializers.CharField()
    taxClass = serializers.CharField()
    rate = serializers.CharField()
    included = serializers.BooleanField()
    compound = serializers.BooleanField()
    onShipping = serializers.BooleanField()
    priority = serializers.IntegerField()
    validFrom = serializers.DateField(allow_null=True)
    validTo = serializers.DateField(allow_null=True)
    active = serializers.BooleanField()


class TaxRateListOutput(ListOutput):
    results = TaxRateOutput(many=True)


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def tax_rate_json(rate: TaxRate) -> dict[str, Any]:
    return {
        "id": rate.id,
        "name": rate.name,
        "type": rate.type,
        "country": rate.country,
        "state": rate.state,
        "postalPattern": rate.postal_pattern,
        "taxClass": rate.tax_class,
        "rate": plain(rate.rate),
        "included": rate.is_included,
        "compound": rate.is_compound,
        "onShipping": rate.on_shipping,
        "priority": rate.priority,
        "validFrom": _day(rate.valid_from),
        "validTo": _day(rate.valid_to),
        "active": rate.is_active,
    }
