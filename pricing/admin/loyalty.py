"""Points of customers for staff: the books for reading, an adjustment with a reason, tiers and what points are worth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ServedAdmin,
    attempt,
    figure,
    one,
    person,
)
from config.platform.http import actor_of
from config.platform.http.forms import form_key, once
from config.platform.models import User
from pricing import services
from pricing.models import LoyaltyAccount, LoyaltyEntry, LoyaltyProgram, LoyaltyTier


class AdjustForm(forms.Form):
    points = forms.IntegerField(
        label=_("Points"),
        min_value=-1_000_000_000,
        max_value=1_000_000_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("With a minus to take some."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The customer reads it."),
    )


class EntryInline(ReadOnlyInline):
    model = LoyaltyEntry
    fields = ["at", "kind", "change", "balance", "reason", "by", "expires_at"]
    ordering = ["-id"]
    per_page = 50
    by = person("actor", _("by"))

    @display(description=_("points"))
    def change(self, entry: LoyaltyEntry) -> str:
        return figure(f"{entry.points:+,}")


@admin.register(LoyaltyAccount)
class LoyaltyAccountAdmin(ReadOnlyAdmin):
    """What each customer has; the entries are its history."""

    company_path = "company_id"
    list_display = ["customer", "points", "tier", "runs_out_at"]
    list_filter = ["tier"]
    list_select_related = ["tier"]
    search_fields = ["mail"]
    search_help_text = _("e-mail address")
    ordering = ["-balance", "pk"]
    fields = ["customer", "points", "tier", "runs_out_at"]
    inlines = [EntryInline]
    actions_detail = ["adjust"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mails = User.objects.filter(pk=OuterRef("user_id")).values("email")
        return super().get_queryset(request).annotate(mail=Subquery(mails))

    @display(description=_("customer"), ordering="mail")
    def customer(self, account: Any) -> str:
        return account.mail or NOTHING

    @display(description=_("points"), ordering="balance")
    def points(self, account: LoyaltyAccount) -> str:
        return figure(f"{account.balance:,}")

    @action(description=_("Adjust"), url_path="adjust", permissions=["step"], icon="exposure")
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return once(self._adjust)(request, one(self, request, object_id))

    def _adjust(self, request: HttpRequest, account: Any) -> HttpResponse:
        here = reverse("admin:pricing_loyaltyaccount_change", args=[account.pk])
        form = AdjustForm(request.POST if request.method == "POST" else None)
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(
                request,
                lambda: services.adjust_points(
                    actor=actor_of(request),
                    user_id=account.user_id,
                    now=timezone.now(),
                    **form.cleaned_data,
                ),
                done=str(
                    _("The points of %(customer)s are adjusted.") % {"customer": account.mail}
                ),
            )
        ):
            return HttpResponseRedirect(here)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{_('Adjust points')} · {account.mail}",
            "opts": self.model._meta,
            "original": account,
            "balance": account.balance,
            "form": form,
            "key": form_key(),
            "back": here,
        }
        return render(request, "pricing/admin/adjust_points.html", context)


@admin.register(LoyaltyTier)
class LoyaltyTierAdmin(ServedAdmin):
    fields = ["name", "from_points", "bonus_percent", "group"]
    list_display = ["name", "from_points", "bonus_percent", "group"]
    list_select_related = ["group"]
    ordering = ["from_points"]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "group":
            groups = db_field.related_model.objects.filter(company_id=actor_of(request).company_id)
            kwargs["queryset"] = groups.order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def serve(
        self, request: HttpRequest, obj: LoyaltyTier, given: dict[str, Any], change: bool
    ) -> Model:
        group = given.pop("group")
        return services.set_tier(
            actor=actor_of(request),
            tier_id=UUID(str(obj.pk)) if change else None,
            group_id=group.pk if group else None,
            now=timezone.now(),
            **given,
        )

    def delete_model(self, request: HttpRequest, obj: LoyaltyTier) -> None:
        services.delete_tier(actor=actor_of(request), tier_id=obj.pk, now=timezone.now())


@admin.register(LoyaltyProgram)
class LoyaltyProgramAdmin(ServedAdmin):
    """How points are earned and what they are worth: one row, made at the first decision that is not the default."""

    fields = ["points_per_unit", "point_value", "life_days"]
    list_display = ["company", "points_per_unit", "point_value", "life_days"]
    ordering = ["company"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not self.get_queryset(request).exists()

    def has_delete_permission(
        self, request: HttpRequest, obj: LoyaltyProgram | None = None
    ) -> bool:
        return False

    def serve(
        self, request: HttpRequest, obj: LoyaltyProgram, given: dict[str, Any], change: bool
    ) -> Model:
        return services.set_program(actor=actor_of(request), now=timezone.now(), **given)
