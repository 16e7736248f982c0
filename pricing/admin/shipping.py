"""Zones and rules of shipping for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from config.platform.backoffice import ReadOnlyInline
from config.platform.http import actor_of
from pricing import services
from pricing.admin.money import MoneyAdmin, names_of
from pricing.admin.rulefile import SHIPPING, bring_page, file_of, may_bring
from pricing.admin.trial import address_page
from pricing.backoffice import amount
from pricing.models import (
    ShippingRule,
    ShippingZone,
)
from pricing.terms import ShippingRuleTerms, ZoneTerms


class ShippingRuleInline(ReadOnlyInline):
    model = ShippingRule
    show_change_link = True
    fields = ["name", "code", "type", "base_money", "free_money", "is_active"]
    base_money = amount("base_price", _("price"))
    free_money = amount("free_over", _("free from"))


@admin.register(ShippingZone)
class ShippingZoneAdmin(MoneyAdmin):
    fields = names_of(ZoneTerms)
    inlines = [ShippingRuleInline]
    list_display = ["name", "places", "priority", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    ordering = ["name"]
    actions_list = ["bring_file", "take_file"]

    @action(
        description=_("Import zones and ways"),
        url_path="import",
        permissions=["bring"],
        icon="upload",
    )
    def bring_file(self, request: HttpRequest) -> HttpResponseBase:
        return bring_page(SHIPPING, self, request)

    @action(description=_("All as CSV"), url_path="file", permissions=["take"], icon="download")
    def take_file(self, request: HttpRequest) -> HttpResponseBase:
        return file_of(SHIPPING, request)

    def has_bring_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_bring(SHIPPING, request)

    def has_take_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm(
            "pricing.view_shippingrule"
        )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(lambda request: address_page(self, request))
        address = path("try/", view, name="pricing_shippingzone_try")
        return [address, *super().get_urls()]

    @display(description=_("countries"))
    def places(self, zone: ShippingZone) -> str:
        shown = ", ".join(zone.countries[:8])
        return f"{shown} …" if len(zone.countries) > 8 else shown

    def serve(
        self, request: HttpRequest, obj: ShippingZone, given: dict[str, Any], change: bool
    ) -> Model:
        terms, actor, now = ZoneTerms(**given), actor_of(request), timezone.now()
        if change:
            return services.change_zone(actor=actor, zone_id=obj.pk, terms=terms, now=now)
        return services.create_zone(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: ShippingZone) -> None:
        services.delete_zone(actor=actor_of(request), zone_id=obj.pk, now=timezone.now())


@admin.register(ShippingRule)
class ShippingRuleAdmin(MoneyAdmin):
    company_path = "zone__company_id"
    fields = [name.removesuffix("_id") for name in names_of(ShippingRuleTerms)]
    list_display = ["name", "zone_name", "code", "type", "currency", "base_money", "free_money", "is_active"]  # fmt: skip
    base_money = amount("base_price", _("price"))
    free_money = amount("free_over", _("free from"))
    list_filter = ["zone", "type", "currency", "is_active"]
    list_select_related = ["zone"]
    search_fields = ["name", "code"]
    ordering = ["zone__name", "code", "currency"]

    @display(description=_("zone"), ordering="zone__name")
    def zone_name(self, rule: ShippingRule) -> str:
        return rule.zone.name

    def serve(
        self, request: HttpRequest, obj: ShippingRule, given: dict[str, Any], change: bool
    ) -> Model:
        terms = ShippingRuleTerms(zone_id=given.pop("zone").pk, **given)
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.change_shipping_rule(
                actor=actor, shipping_rule_id=obj.pk, terms=terms, now=now
            )
        return services.create_shipping_rule(actor=actor, terms=terms, now=now)

    def delete_model(self, request: HttpRequest, obj: ShippingRule) -> None:
        services.delete_shipping_rule(
            actor=actor_of(request), shipping_rule_id=obj.pk, now=timezone.now()
        )
