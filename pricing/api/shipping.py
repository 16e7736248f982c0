"""Zones and rules of shipping."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.actor import Actor
from config.platform.http import actor_of, page
from pricing import selectors, services
from pricing.api import serializers
from pricing.api.base import LIST, StaffView, id_of, rights_of, terms_of
from pricing.terms import ShippingRuleTerms, ZoneTerms


@extend_schema(tags=["shipping"])
class ShippingZonesView(StaffView):
    rights = rights_of("shippingzone")

    @extend_schema(
        operation_id="shipping_zones_list", parameters=LIST, responses=serializers.ZoneListOutput
    )
    def get(self, request: Request) -> Response:
        """List the shipping zones, by name. Staff only."""
        rows = selectors.shipping_zones(actor=actor_of(request))
        return Response(page(rows, request, order=("name", "id"), render=serializers.zone_json))

    @extend_schema(request=serializers.ZoneInput, responses={201: serializers.ZoneOutput})
    def post(self, request: Request) -> Response:
        """Enter a zone. Staff only."""
        changes = serializers.rule_changes(serializers.ZoneInput.read(request))
        zone = services.create_zone(
            actor=actor_of(request), terms=ZoneTerms(**changes), now=timezone.now()
        )
        return Response(serializers.zone_json(zone), status=201)


@extend_schema(tags=["shipping"])
class ShippingZoneView(StaffView):
    rights = rights_of("shippingzone")

    @extend_schema(responses=serializers.ZoneOutput)
    def get(self, request: Request, zone_id: str) -> Response:
        """Return a zone. Staff only."""
        zone = selectors.find_shipping_zone(actor=actor_of(request), zone_id=id_of(zone_id))
        return Response(serializers.zone_json(zone))

    @extend_schema(request=serializers.ZoneChangeInput, responses=serializers.ZoneOutput)
    def patch(self, request: Request, zone_id: str) -> Response:
        """Change what is sent. Staff only."""
        actor = actor_of(request)
        zone = selectors.find_shipping_zone(actor=actor, zone_id=id_of(zone_id))
        terms = terms_of(request, zone, ZoneTerms, serializers.ZoneChangeInput)
        changed = services.change_zone(
            actor=actor, zone_id=zone.id, terms=terms, now=timezone.now()
        )
        return Response(serializers.zone_json(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, zone_id: str) -> Response:
        """Remove a zone with the ways to ship there. Staff only."""
        services.delete_zone(actor=actor_of(request), zone_id=id_of(zone_id), now=timezone.now())
        return Response(status=204)


@extend_schema(tags=["shipping"])
class ShippingRulesView(StaffView):
    rights = rights_of("shippingrule")

    @extend_schema(
        operation_id="shipping_rules_list",
        parameters=LIST,
        responses=serializers.ShippingRuleListOutput,
    )
    def get(self, request: Request) -> Response:
        """List the ways to ship. Staff only."""
        rows = selectors.shipping_rules(actor=actor_of(request))
        return Response(
            page(
                rows,
                request,
                order=("code", "currency", "id"),
                render=serializers.shipping_rule_json,
            )
        )

    @extend_schema(
        request=serializers.ShippingRuleInput, responses={201: serializers.ShippingRuleOutput}
    )
    def post(self, request: Request) -> Response:
        """Enter a way to ship to a zone. Staff only."""
        actor = actor_of(request)
        changes = serializers.rule_changes(serializers.ShippingRuleInput.read(request))
        made = services.create_shipping_rule(
            actor=actor, terms=ShippingRuleTerms(**changes), now=timezone.now()
        )
        return Response(_shipping_rule(actor, made.id), status=201)


def _shipping_rule(actor: Actor, shipping_rule_id: UUID) -> dict[str, Any]:
    return serializers.shipping_rule_json(
        selectors.find_shipping_rule(actor=actor, shipping_rule_id=shipping_rule_id)
    )


@extend_schema(tags=["shipping"])
class ShippingRuleView(StaffView):
    rights = rights_of("shippingrule")

    @extend_schema(responses=serializers.ShippingRuleOutput)
    def get(self, request: Request, shipping_rule_id: str) -> Response:
        """Return a way to ship. Staff only."""
        return Response(_shipping_rule(actor_of(request), id_of(shipping_rule_id)))

    @extend_schema(
        request=serializers.ShippingRuleChangeInput, responses=serializers.ShippingRuleOutput
    )
    def patch(self, request: Request, shipping_rule_id: str) -> Response:
        """Change what is sent; placed orders keep what they were charged. Staff only."""
        actor = actor_of(request)
        rule = selectors.find_shipping_rule(actor=actor, shipping_rule_id=id_of(shipping_rule_id))
        terms = terms_of(request, rule, ShippingRuleTerms, serializers.ShippingRuleChangeInput)
        services.change_shipping_rule(
            actor=actor, shipping_rule_id=rule.id, terms=terms, now=timezone.now()
        )
        return Response(_shipping_rule(actor, rule.id))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, shipping_rule_id: str) -> Response:
        """Remove a way to ship. Staff only."""
        services.delete_shipping_rule(
            actor=actor_of(request), shipping_rule_id=id_of(shipping_rule_id), now=timezone.now()
        )
        return Response(status=204)
