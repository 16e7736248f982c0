"""Tax rates and VAT numbers."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, SignedIn, actor_of, page
from pricing import selectors, services
from pricing.api import serializers
from pricing.api.base import LIST, StaffView, id_of, rights_of, terms_of
from pricing.terms import TaxRateTerms


@extend_schema(tags=["taxes"])
class TaxRatesView(StaffView):
    rights = rights_of("taxrate")

    @extend_schema(
        operation_id="tax_rates_list", parameters=LIST, responses=serializers.TaxRateListOutput
    )
    def get(self, request: Request) -> Response:
        """List the tax rates, by place. Staff only."""
        rows = selectors.tax_rates(actor=actor_of(request))
        order = ("country", "state", "postal_pattern", "name", "id")
        return Response(page(rows, request, order=order, render=serializers.tax_rate_json))

    @extend_schema(request=serializers.TaxRateInput, responses={201: serializers.TaxRateOutput})
    def post(self, request: Request) -> Response:
        """Enter a tax rate. Staff only."""
        changes = serializers.rule_changes(serializers.TaxRateInput.read(request))
        rate = services.create_tax_rate(
            actor=actor_of(request), terms=TaxRateTerms(**changes), now=timezone.now()
        )
        return Response(serializers.tax_rate_json(rate), status=201)


@extend_schema(tags=["taxes"])
class TaxRateView(StaffView):
    rights = rights_of("taxrate")

    @extend_schema(responses=serializers.TaxRateOutput)
    def get(self, request: Request, tax_rate_id: str) -> Response:
        """Return a tax rate. Staff only."""
        rate = selectors.find_tax_rate(actor=actor_of(request), tax_rate_id=id_of(tax_rate_id))
        return Response(serializers.tax_rate_json(rate))

    @extend_schema(request=serializers.TaxRateChangeInput, responses=serializers.TaxRateOutput)
    def patch(self, request: Request, tax_rate_id: str) -> Response:
        """Change what is sent; placed orders keep what they were charged. Staff only."""
        actor = actor_of(request)
        rate = selectors.find_tax_rate(actor=actor, tax_rate_id=id_of(tax_rate_id))
        terms = terms_of(request, rate, TaxRateTerms, serializers.TaxRateChangeInput)
        changed = services.change_tax_rate(
            actor=actor, tax_rate_id=rate.id, terms=terms, now=timezone.now()
        )
        return Response(serializers.tax_rate_json(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, tax_rate_id: str) -> Response:
        """Remove a tax rate. Staff only."""
        services.delete_tax_rate(
            actor=actor_of(request), tax_rate_id=id_of(tax_rate_id), now=timezone.now()
        )
        return Response(status=204)


@extend_schema(tags=["taxes"])
class VatNumberView(ApiView):
    permission_classes = [SignedIn]
    limits = {"put": "checkout"}

    @extend_schema(responses=serializers.VatNumberOutput)
    def get(self, request: Request) -> Response:
        """Return the caller's VAT number, and whether it counts already."""
        found = selectors.find_vat_number(actor=actor_of(request))
        return Response(serializers.vat_number_json(found))

    @extend_schema(request=serializers.VatNumberInput, responses=serializers.VatNumberOutput)
    def put(self, request: Request) -> Response:
        """Enter the caller's VAT number: deliveries to other countries of the EU then bear no VAT."""
        given = serializers.VatNumberInput.read(request)
        row = services.enter_vat_number(
            actor=actor_of(request), number=given["vat_number"], now=timezone.now()
        )
        return Response(serializers.vat_number_json(row))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Forget the caller's VAT number."""
        services.remove_vat_number(actor=actor_of(request), now=timezone.now())
        return Response(status=204)
