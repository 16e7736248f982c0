"""Promotions and their uses for staff. Every change goes through a service: checked, audited, at once in effect."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as say
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from unfold.decorators import action, display

from config.platform import charts
from config.platform.backoffice import (
    NOTHING,
    NamingChangeList,
    ReadOnlyAdmin,
    ReadOnlyInline,
    attempt,
    figure,
    link,
    name_people,
    one,
    people,
    person,
    status,
    two_lines,
)
from config.platform.http import actor_of
from pricing import selectors, services
from pricing.admin.money import MoneyAdmin
from pricing.admin.previews import preview_view
from pricing.admin.promotionforms import (
    CARDS,
    SCOPES,
    TARGETS,
    PromotionForm,
    fieldsets_of,
    form_of,
)
from pricing.backoffice import amount
from pricing.models import (
    Coupon,
    Promotion,
    PromotionUse,
    ShippingRule,
)
from pricing.selectors import EXCLUSIVE, Meeting, Uses
from pricing.templatetags.money import money_text
from pricing.terms import PromotionTerms

SHOWN_USES = 50
MOST_MEETINGS = 8  # named one by one; more are counted


class CouponInline(ReadOnlyInline):
    model = Coupon
    verbose_name_plural = _("codes")
    tab = True
    fields = ["code", "is_active", "created_at"]


class NewestUses(forms.models.BaseInlineFormSet):
    """Only the newest rows: a good promotion has more uses than a page can show."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-used_at", "-id")[:SHOWN_USES]
            name_people(self._newest, ["customer_key"])
        return self._newest


class UseInline(ReadOnlyInline):
    model = PromotionUse
    formset = NewestUses
    verbose_name_plural = _("newest uses")
    tab = True
    fields = ["used_at", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))


class StandingFilter(admin.SimpleListFilter):
    """How a promotion stands now. Deleted ones show only where they are asked for, see `get_search_results`."""

    title = _("now")
    parameter_name = "standing"
    DELETED = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("runs", _("runs")),
            ("later", _("not yet")),
            ("paused", _("paused")),
            ("over", _("over")),
            (self.DELETED, _("deleted")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        is_over, is_later = Q(ends_at__lte=now), Q(starts_at__gt=now)
        wanted = {
            "runs": Q(is_active=True) & ~is_over & ~is_later,
            "later": Q(is_active=True) & is_later,
            "paused": Q(is_active=False),
            "over": Q(is_active=True) & is_over,
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


class PromotionList(NamingChangeList):
    """A list that puts its rows into words, and says what they may meet, at once for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        actor = actor_of(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]  # set above
        words = selectors.words_of(actor=actor, promotions=rows)
        met = selectors.meetings(
            actor=actor, promotions=[row for row in rows if row.is_active], now=timezone.now()
        )
        for row in rows:
            row.words, row.met = words[row.id], met.get(row.id, [])
        self.result_list = rows


@admin.register(Promotion)
class PromotionAdmin(MoneyAdmin):
    form = PromotionForm
    list_display = ["told", "use_count", "state", "meets"]
    list_filter = [StandingFilter, "kind", "scope", "is_automatic"]
    search_fields = ["name", "coupons__code"]
    search_help_text = _("name or code")
    autocomplete_fields = list(TARGETS)
    inlines = [CouponInline, UseInline]
    ordering = ["-created_at"]
    actions_list = ["see_preview"]
    change_form_outer_before_template = "pricing/admin/promotion_top.html"

    # --- which rows, which form -----------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.promotions(actor=actor_of(request), deleted=None)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        # Lists and the choices of other forms ask here; a page of one promotion does not.
        deleted = request.GET.get(StandingFilter.parameter_name) == StandingFilter.DELETED
        return super().get_search_results(
            request, queryset.filter(deleted_at__isnull=not deleted), search_term
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PromotionList]:
        return PromotionList

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_there = obj is None or obj.deleted_at is None
        return is_there and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_there = obj is None or obj.deleted_at is None
        return is_there and super().has_delete_permission(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        groups = fieldsets_of(_kind(request, obj))
        if obj is None or self.has_change_permission(request, obj):
            return groups
        # Who may only look sees what is stored; the words above tell the rest.
        stored = {field.name for field in Promotion._meta.get_fields()}
        return [
            (title, {"fields": [name for name in options["fields"] if name in stored]})
            for title, options in groups
        ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            ways = ShippingRule.objects.filter(
                zone__company_id=actor_of(request).company_id, is_active=True
            )
            named = dict(ways.order_by("code", "-name").values_list("code", "name"))
            kwargs.setdefault("form", form_of(_kind(request, obj), list(named.items())))
        else:
            kwargs.setdefault("form", forms.ModelForm)
        return super().get_form(request, obj, change=change, **kwargs)

    # --- pages ----------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        preview = path(
            "preview/",
            self.admin_site.admin_view(partial(preview_view, self)),
            name="pricing_promotion_preview",
        )
        step = path(
            "<uuid:promotion_id>/step/",
            self.admin_site.admin_view(require_POST(self.step)),
            name="pricing_promotion_step",
        )
        return [preview, step, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Ask for the kind first, then for what that kind needs."""
        if request.method != "GET" or _kind(request, None):
            kind = _kind(request, None)
            title = capfirst(Promotion.Kind(kind).label) if kind else None
            return super().add_view(request, form_url, (extra_context or {}) | {"subtitle": title})
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("What kind of promotion?"),
            "opts": self.model._meta,
            "cards": [
                {"kind": kind, "name": capfirst(Promotion.Kind(kind).label), "words": words}
                for kind, words in CARDS.items()
            ],
            "back": reverse("admin:pricing_promotion_changelist"),
        }
        return TemplateResponse(request, "pricing/admin/promotion_kinds.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        promotion = kwargs.get("obj")
        if promotion is not None:
            context["desk"] = self._desk(request, promotion)
        return super().render_change_form(request, context, *args, **kwargs)

    def _desk(self, request: HttpRequest, promotion: Promotion) -> dict[str, Any]:
        actor, now = actor_of(request), timezone.now()
        uses = selectors.uses_of(actor=actor, promotion=promotion, now=now)
        met = selectors.meetings(actor=actor, promotions=[promotion], now=now).get(promotion.id, [])
        may_change = super().has_change_permission(request, promotion)
        return {
            "words": selectors.words_of(actor=actor, promotions=[promotion])[promotion.id],
            "state": self.state(promotion),
            "steps": _steps(promotion, may_change, self.has_add_permission(request)),
            "step_url": reverse("admin:pricing_promotion_step", args=[promotion.pk]),
            "meetings": [_met(each) for each in met[:MOST_MEETINGS]],
            "more": max(len(met) - MOST_MEETINGS, 0),
            "figures": _figures(promotion, uses),
            "chart": _chart(uses) if uses.uses or uses.returned else None,
            "customers": _customers(uses),
            "uses_url": reverse("admin:pricing_promotionuse_changelist")
            + f"?promotion__id__exact={promotion.pk}",
        }

    def response_add(self, request: HttpRequest, obj: Any, *args: Any, **kwargs: Any) -> Any:
        self._warn(request, obj)
        return super().response_add(request, obj, *args, **kwargs)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        self._warn(request, obj)
        return super().response_change(request, obj)

    def _warn(self, request: HttpRequest, saved: Any) -> None:
        """Say what was saved in words, and which others it may meet; it stands in nobody's way."""
        actor = actor_of(request)
        promotion = selectors.find_promotion(actor=actor, promotion_id=saved.pk)
        self.message_user(
            request, selectors.words_of(actor=actor, promotions=[promotion])[promotion.id]
        )
        met = selectors.meetings(actor=actor, promotions=[promotion], now=timezone.now())
        names = [each.name for each in met[promotion.id]]
        if names:
            said = ngettext(
                "It may meet %(n)d other promotion: %(names)s.",
                "It may meet %(n)d other promotions: %(names)s.",
                len(names),
            ) % {"n": len(names), "names": ", ".join(names[:MOST_MEETINGS])}
            self.message_user(request, said, "warning")

    def step(self, request: HttpRequest, promotion_id: Any) -> HttpResponse:
        """Pause, take up again, restore or copy a promotion."""
        promotion = one(self, request, promotion_id)
        act = request.POST.get("act", "")
        steps = _steps(
            promotion,
            super().has_change_permission(request, promotion),
            self.has_add_permission(request),
        )
        if act not in {step["act"] for step in steps}:
            raise PermissionDenied
        here = promotion.pk
        given: dict[str, Any] = {
            "actor": actor_of(request),
            "promotion_id": promotion.pk,
            "now": timezone.now(),
        }
        if act == "copy":
            made: list[Promotion] = []
            if attempt(
                request,
                lambda: made.append(services.copy_promotion(**given)),
                done=say("This is the copy: a draft that rests until you let it run."),
            ):
                here = made[0].pk
        else:
            run, done = {
                "pause": (services.pause_promotion, _("It rests now.")),
                "resume": (services.resume_promotion, _("It may apply again.")),
                "restore": (
                    services.restore_promotion,
                    _("It is back, with its codes, and rests."),
                ),
            }[act]
            attempt(request, lambda: run(**given), done=str(done))
        return HttpResponseRedirect(reverse("admin:pricing_promotion_change", args=[here]))

    @action(
        description=_("Which promotions would a cart get?"),
        url_path="to-preview",
        permissions=["view"],
        icon="help",
    )
    def see_preview(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:pricing_promotion_preview"))

    # --- columns --------------------------------------------------------------------------------

    @display(description=_("promotion"), ordering="name")
    def told(self, promotion: Any) -> str:
        words = format_html('<span class="office-words">{}</span>', promotion.words)
        return two_lines(promotion.name, words)

    @display(description=_("used"), ordering="live_uses")
    def use_count(self, promotion: Any) -> str:
        if not promotion.usage_limit:
            return figure(promotion.live_uses)
        return figure(
            _("%(used)d of %(limit)d")
            % {"used": promotion.live_uses, "limit": promotion.usage_limit}
        )

    @display(description=_("meets"))
    def meets(self, promotion: Any) -> str:
        if not promotion.met:
            return NOTHING
        number = len(promotion.met)
        said = ngettext("%(n)d other", "%(n)d others", number) % {"n": number}
        only = sum(each.rule == EXCLUSIVE for each in promotion.met)
        return two_lines(said, say("%(n)d of them never with it") % {"n": only} if only else "")

    @display(description=_("now"))
    def state(self, promotion: Promotion) -> str:
        return _state(promotion, timezone.now())

    # --- writing --------------------------------------------------------------------------------

    def serve(
        self, request: HttpRequest, obj: Promotion, given: dict[str, Any], change: bool
    ) -> Model:
        actor, now = actor_of(request), timezone.now()
        names = {field.name for field in dataclasses.fields(PromotionTerms)}
        kind = _kind(request, obj if change else None)
        before = (
            selectors.promotion_terms(Promotion.objects.get(pk=obj.pk))
            if change
            else PromotionTerms(name="", kind=kind, scope=SCOPES.get(kind, Promotion.Scope.CART))
        )
        terms = dataclasses.replace(
            before,
            **{name: value for name, value in given.items() if name in names}
            | {
                terms_name: tuple(chosen.pk for chosen in given[name])
                for name, terms_name in TARGETS.items()
            }
            | {"weekdays": tuple(given["weekdays"]), "user_ids": given["customers"]},
        )
        if change:
            return services.change_promotion(actor=actor, promotion_id=obj.pk, terms=terms, now=now)
        return services.create_promotion(actor=actor, terms=terms, now=now)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        rows = list(objs)
        words = selectors.words_of(actor=actor_of(request), promotions=rows)
        return [f"{row.name}: {words[row.id]}" for row in rows], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Promotion) -> None:
        services.delete_promotion(actor=actor_of(request), promotion_id=obj.pk, now=timezone.now())


def _kind(request: HttpRequest, promotion: Promotion | None) -> str:
    """Return the kind a page is about: that of the promotion, or the one that was chosen; empty before that."""
    if promotion is not None and promotion.kind:
        return promotion.kind
    chosen = request.GET.get("kind") or request.POST.get("kind", "")
    return chosen if chosen in CARDS else ""


def _state(promotion: Promotion, now: datetime) -> str:
    if promotion.deleted_at:
        return status(_("deleted"), "danger")
    if not promotion.is_active:
        return status(_("paused"))
    if promotion.ends_at and promotion.ends_at <= now:
        return status(_("over"), "danger")
    if promotion.starts_at and promotion.starts_at > now:
        return status(_("not yet"), "warning")
    return status(_("runs"), "success")


def _steps(promotion: Promotion, may_change: bool, may_add: bool) -> list[dict[str, Any]]:
    """Return what can be done with a promotion as a whole."""
    if promotion.deleted_at:
        return [{"act": "restore", "words": _("Restore")}] if may_change else []
    steps = []
    if may_change:
        steps.append(
            {"act": "pause", "words": _("Pause")}
            if promotion.is_active
            else {"act": "resume", "words": _("Let it run")}
        )
    if may_add:
        steps.append({"act": "copy", "words": _("Copy as a draft")})
    return steps


def _met(each: Meeting) -> dict[str, Any]:
    if each.rule == EXCLUSIVE:
        words = _("only one of the two applies: whichever costs the customer less")
    elif each.is_lane:
        words = (
            _("both apply; that one first, by what it is about")
            if each.is_first
            else _("both apply; this one first, by what it is about")
        )
    else:
        words = (
            _("both apply; that one first, by priority, then this one on what is left")
            if each.is_first
            else _("both apply; this one first, by priority, then that one on what is left")
        )
    return {"link": link("pricing_promotion", each.promotion_id, each.name), "words": words}


def _given(given: Any) -> str:
    return (
        ", ".join(money_text(value, currency) for currency, value in sorted(given.items()))
        or NOTHING
    )


def _figures(promotion: Promotion, uses: Uses) -> list[tuple[Any, Any, Any]]:
    """Return the numbers of a promotion: what, how many, and a note."""
    return [
        (_("Uses"), uses.uses, _("in as many orders")),
        (_("Given"), _given(uses.given), _("what these orders did not pay")),
        (_("Given back"), uses.returned, _("their orders were cancelled; these do not count")),
        (
            _("Left"),
            _("no limit") if uses.left is None else uses.left,
            "" if uses.left is None else _("of %(n)d") % {"n": promotion.usage_limit},
        ),
    ]


def _chart(uses: Uses) -> charts.Chart:
    numbers = [float(day.uses) for day in uses.days]
    most = max(numbers, default=0)
    labels = [date_format(day.day, "j M") for day in uses.days]
    words = [
        say("%(day)s: %(n)d, %(given)s") % {"day": label, "n": day.uses, "given": _given(day.given)}
        for label, day in zip(labels, uses.days, strict=True)
    ]
    return charts.Chart(
        title=_("Uses a day, last %(n)d days") % {"n": len(numbers)},
        summary=say("%(n)d uses in %(days)d days, at most %(most)d on one day.")
        % {"n": int(sum(numbers)), "days": len(numbers), "most": int(most)},
        top=int(most),
        first=labels[0],
        last=labels[-1],
        heads=(_("Day"), _("Uses"), _("Given"), _("Given back")),
        table=[
            (label, day.uses, _given(day.given), day.returned)
            for label, day in zip(labels, uses.days, strict=True)
            if day.uses or day.returned
        ],
        columns=charts.columns(numbers, most, words),
    )


def _customers(uses: Uses) -> list[dict[str, Any]]:
    names = people(row.key for row in uses.customers)
    return [
        {"name": names[row.key], "uses": row.uses, "last_at": row.last_at} for row in uses.customers
    ]


@admin.register(PromotionUse)
class PromotionUseAdmin(ReadOnlyAdmin):
    company_path = "promotion__company_id"
    people = ["customer_key"]
    list_display = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    list_filter = ["currency", ("returned_at", admin.EmptyFieldListFilter), "used_at"]
    list_select_related = ["promotion"]
    search_fields = ["code", "=order_id", "customer_key"]
    search_help_text = _("code, or the e-mail address of a guest")
    date_hierarchy = "used_at"
    ordering = ["-used_at"]
    show_full_result_count = False
    fields = ["used_at", "name", "code", "order_link", "by", "amount_money", "returned_at"]
    amount_money = amount("amount", _("amount"))
    by = person("customer_key", _("by"))

    @display(description=_("promotion"), ordering="promotion__name")
    def name(self, use: PromotionUse) -> str:
        return link("pricing_promotion", use.promotion_id, use.promotion.name)

    @display(description=_("order"))
    def order_link(self, use: PromotionUse) -> str:
        return link("orders_order", use.order_id, _("its order"))
