"""Both books on one desk: comparisons that were made, what they found, and one click for what is safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from checkout import services
from checkout.books import Kind
from checkout.models import ReconciliationFinding, ReconciliationRun
from checkout.services import Step
from checkout.stuck import ADVICE
from config.platform.backoffice import (
    NOTHING,
    ReadOnlyAdmin,
    attempt,
    figure,
    link,
    one,
    person,
    status,
    two_lines,
)
from config.platform.charts import Chart, columns
from config.platform.http import actor_of
from pricing.backoffice import cash

RUN_TONES = {"WAITING": "info", "RUNNING": "info", "DONE": "success", "FAILED": "danger"}
FINDING_TONES = {"OPEN": "warning", "FIXED": "success", "EXPLAINED": ""}
SHOWN_DAYS = 30


class Class(NamedTuple):
    """How a class of differences is called, what it means, and what to do where no click helps."""

    name: str | Promise
    meaning: str | Promise


CLASSES: Mapping[str, Class] = {
    Kind.NOT_RECORDED: Class(
        _("not recorded"),
        _("The provider took this money; here the payment is open or failed."),
    ),
    Kind.AMOUNT_DIFFERS: Class(
        _("amount differs"),
        _("Both took money, but not the same. If settling does not help, ask the provider's support."),
    ),
    Kind.PAID_NO_ORDER: Class(
        _("paid, no order"),
        _("The provider took money that no payment here is about."),
    ),
    Kind.ORDER_NO_PAYMENT: Class(
        _("order, no payment"),
        _(
            "Here the money is written down; the provider never took it. Do not ship; find out who wrote it down, then"
            " explain it."
        ),
    ),
    Kind.REFUND_NOT_OURS: Class(
        _("refund not ours"),
        _("The provider gave back money that is not written down here."),
    ),
    Kind.REFUND_MISSING: Class(
        _("refund missing"),
        _(
            "A refund is written down that the provider did not make, or that came back from the bank. Settling writes down"
            " what came back, and puts it among the refunds that failed, to be tried again, or paid back"
            " by other means from the order's page. If that does not help, explain it."
        ),
    ),
    Kind.STUCK: Class(_("stuck"), _("What should have moved by now has not.")),
}  # fmt: skip


class Deed(NamedTuple):
    """A step in words: the button, and what will happen."""

    verb: str | Promise
    effect: str | Promise


DEEDS: Mapping[str, Deed] = {
    Step.LOOK: Deed(
        _("Compare again"),
        _("The provider is asked about this one. If both books agree now, it is closed; nothing else happens."),
    ),
    Step.SETTLE: Deed(
        _("Settle"),
        _(
            "The provider is asked where the payment stands, and what it says is written down as its message would have"
            " done: a paid order is confirmed, an order that is over gets its money back. Nobody is charged."
        ),
    ),
    Step.REFUND_DUE: Deed(
        _("Carry out the refund"),
        _(
            "The refund that is due is carried out by the key it has. If the provider made it already, it is found and"
            " written down, and no money moves."
        ),
    ),
    Step.ADOPT: Deed(
        _("Write the refund down"),
        _(
            "The provider is asked which refunds it made. Those that nobody here asked for are written down at the payment"
            " and its order, as money that went back for no goods in particular. No money moves."
        ),
    ),
    Step.LINK: Deed(
        _("Link to the order"),
        _(
            "The payment carries the ids of this order and its exact amount. It is taken for a payment of the order: one"
            " that waits is confirmed, or, if its goods are gone, cancelled and paid back; of one that is paid already"
            " this is a payment too many, and goes back by itself."
        ),
    ),
    Step.GIVE_BACK: Deed(
        _("Give the money back"),
        _("All that is left of it is refunded at the provider, once. No order is touched."),
    ),
    Step.WORK_OFF: Deed(
        _("Process the message again"),
        _("The message is worked off now. What it is about is asked at the provider, so twice does no harm."),
    ),
}  # fmt: skip


class CompareForm(forms.Form):
    since = forms.DateField(
        label=_("From"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("Until and with"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    mends = forms.BooleanField(
        label=_("Mend what is safe"),
        help_text=_(
            "As each night: what differs is settled, refunds that are due are carried out."
        ),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )


class ExplainForm(forms.Form):
    seen = forms.CharField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Why it is right as it is"),
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class KindFilter(admin.SimpleListFilter):
    title = _("class")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind.value, CLASSES[kind].name) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    """The comparisons that were made: by whom, how long, and what they found."""

    company_path = "company_id"
    people = ["actor"]
    list_display = ["created_at", "period", "told_state", "found", "mended", "left", "seconds", "by"]  # fmt: skip
    list_display_links = ["created_at"]
    list_filter = ["state", "mends", "created_at"]
    ordering = ["-created_at"]
    show_full_result_count = False
    actions_list = ["compare_now"]
    list_before_template = "checkout/admin/books.html"
    by = person("actor", _("by"))

    @display(description=_("payments of"), ordering="since")
    def period(self, run: ReconciliationRun) -> str:
        return f"{date_format(timezone.localtime(run.since), 'DATE_FORMAT')} – {date_format(timezone.localtime(run.until), 'DATE_FORMAT')}"

    @display(description=_("state"), ordering="state")
    def told_state(self, run: ReconciliationRun) -> str:
        return status(run.get_state_display(), RUN_TONES[run.state])

    @display(description=_("found"))
    def found(self, run: ReconciliationRun) -> str:
        return figure(sum(run.counts.values()))

    @display(description=_("took"))
    def seconds(self, run: ReconciliationRun) -> str:
        if run.started_at is None or run.ended_at is None:
            return NOTHING
        return figure(f"{(run.ended_at - run.started_at).total_seconds():.0f} s")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        findings = admin.site._registry[ReconciliationFinding].get_queryset(request)
        shown = {
            "chart": _days(findings),
            "open": findings.filter(state="OPEN").count(),
            "findings": reverse("admin:checkout_reconciliationfinding_changelist"),
        }
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    @action(
        description=_("Compare the books now"),
        url_path="compare",
        permissions=["step"],
        icon="balance",
        variant=ActionVariant.PRIMARY,
    )
    def compare_now(self, request: HttpRequest) -> HttpResponse:
        today = timezone.localdate()
        form = CompareForm(
            request.POST or None,
            initial={"since": today - timedelta(days=3), "until": today, "mends": False},
        )
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            asked: list[ReconciliationRun] = []
            if attempt(
                request,
                lambda: asked.append(
                    services.request_run(
                        actor=actor_of(request),
                        since=_midnight(given["since"]),
                        until=_midnight(given["until"] + timedelta(days=1)),
                        mends=given["mends"],
                        now=timezone.now(),
                    )
                ),
            ):
                return HttpResponseRedirect(
                    reverse("admin:checkout_reconciliationrun_change", args=[asked[0].pk])
                )
        return _form_page(
            self,
            request,
            title=_("Compare the books"),
            effect=_(
                "Every payment that the provider lists for these days is laid beside ours, and what is stuck is looked"
                " for. It happens in the background; you may leave the page."
            ),
            verb=_("Compare"),
            form=form,
            back=reverse("admin:checkout_reconciliationrun_changelist"),
        )

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<uuid:object_id>/progress/",
                self.admin_site.admin_view(self.progress_view),
                name="checkout_reconciliationrun_progress",
            ),
            *super().get_urls(),
        ]

    def progress_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        run = one(self, request, object_id)
        response = TemplateResponse(request, "checkout/admin/progress.html", {"run": run})
        if run.state not in ReconciliationRun.LIVE:
            response["HX-Refresh"] = "true"
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        run = one(self, request, object_id)
        if request.method == "POST":
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Comparison of books"),
            "opts": self.model._meta,
            "original": run,
            "run": run,
            "period": self.period(run),
            "state": self.told_state(run),
            "seconds": self.seconds(run),
            "by": self.by(run),
            "is_working": run.state in ReconciliationRun.LIVE,
            "classes": [
                {"name": CLASSES[kind].name, "kind": kind, "count": count}
                for kind, count in sorted(run.counts.items())
                if kind in CLASSES
            ],
            "findings": reverse("admin:checkout_reconciliationfinding_changelist"),
            "back": reverse("admin:checkout_reconciliationrun_changelist"),
        }
        return TemplateResponse(request, "checkout/admin/run.html", context)


@admin.register(ReconciliationFinding)
class ReconciliationFindingAdmin(ReadOnlyAdmin):
    """Differences between the books, from when they were first seen until they are gone or explained."""

    company_path = "company_id"
    shows_companyless = True  # money that nobody here knows; the provider's account is one for all
    people = ["closed_by"]
    list_display = ["first_seen_at", "told_kind", "told_order", "there", "here", "told_state", "outcome"]  # fmt: skip
    list_display_links = ["first_seen_at"]
    list_filter = ["state", KindFilter, "provider", "first_seen_at"]
    list_select_related = ["order", "payment"]
    search_fields = ["order__number", "=provider_id", "outcome"]
    search_help_text = _("order number, the provider's id, or a reason")
    ordering = ["-first_seen_at", "pk"]
    show_full_result_count = False
    by = person("closed_by", _("by"))

    @display(description=_("class"), ordering="kind")
    def told_kind(self, finding: ReconciliationFinding) -> str:
        known = CLASSES.get(finding.kind)
        return two_lines(known.name if known else finding.kind, finding.reason.replace("_", " "))

    @display(description=_("order"), ordering="order__number")
    def told_order(self, finding: ReconciliationFinding) -> str:
        if finding.order is None:
            return two_lines(_("no order"), finding.provider_id)
        return link("orders_order", finding.order_id, finding.order.number)

    @display(description=_("there"), ordering="theirs")
    def there(self, finding: ReconciliationFinding) -> str:
        if finding.kind == Kind.STUCK or not finding.currency:
            return NOTHING
        return figure(cash(finding.theirs, finding.currency))

    @display(description=_("here"), ordering="ours")
    def here(self, finding: ReconciliationFinding) -> str:
        return figure(cash(finding.ours, finding.currency)) if finding.currency else NOTHING

    @display(description=_("state"), ordering="state")
    def told_state(self, finding: ReconciliationFinding) -> str:
        return status(finding.get_state_display(), FINDING_TONES[finding.state])

    def get_urls(self) -> list[Any]:
        def at(address: str, view: Any, name: str) -> Any:
            return path(
                f"<uuid:object_id>/{address}",
                self.admin_site.admin_view(view),
                name=f"checkout_reconciliationfinding_{name}",
            )

        return [
            at("explain/", self.explain_view, "explain"),
            at("do/<slug:step>/", self.step_view, "do"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        finding = one(self, request, object_id)
        if request.method == "POST":
            raise PermissionDenied
        is_open = finding.state == ReconciliationFinding.State.OPEN
        may = self.has_step_permission(request, finding)
        known = CLASSES.get(finding.kind)
        context = {
            **self.admin_site.each_context(request),
            "title": known.name if known else finding.kind,
            "opts": self.model._meta,
            "original": finding,
            "finding": finding,
            "state": self.told_state(finding),
            "meaning": known.meaning if known else "",
            "advice": ADVICE.get(finding.reason, ""),
            "order": self.told_order(finding),
            "payment": link("checkout_payment", finding.payment_id, finding.payment)
            if finding.payment
            else "",
            "message": link("checkout_webhookinbox", finding.row_id, _("the message"))
            if finding.reason == "message"
            else "",
            "there": self.there(finding),
            "here": self.here(finding),
            "by": self.by(finding),
            "steps": [
                {"verb": DEEDS[step].verb, "url": self._at("do", finding, step)}
                for step in services.steps_for(finding)
            ]
            if is_open and may
            else [],
            "explain": self._at("explain", finding) if is_open and may else "",
            "back": reverse("admin:checkout_reconciliationfinding_changelist"),
        }
        return TemplateResponse(request, "checkout/admin/finding.html", context)

    def step_view(self, request: HttpRequest, object_id: UUID, step: str) -> HttpResponse:
        """Ask with what will happen, then do it; the books that were looked at come along."""
        finding = self._mine(request, object_id)
        if step not in DEEDS:
            raise Http404
        here = reverse("admin:checkout_reconciliationfinding_change", args=[finding.pk])
        if request.method == "POST":
            fixed: list[ReconciliationFinding] = []
            if attempt(
                request,
                lambda: fixed.append(
                    services.fix(
                        actor=actor_of(request),
                        finding_id=finding.pk,
                        step=Step(step),
                        seen=request.POST.get("seen", ""),
                        now=timezone.now(),
                    )
                ),
            ):
                if fixed[0].state == ReconciliationFinding.State.FIXED:
                    messages.success(request, str(_("The books agree about it.")))
                else:
                    messages.warning(request, str(_("The books still differ about it.")))
            return HttpResponseRedirect(here)
        return _form_page(
            self,
            request,
            title=DEEDS[step].verb,
            effect=DEEDS[step].effect,
            verb=DEEDS[step].verb,
            form=None,
            back=here,
            finding=finding,
            about=self._about(finding),
        )

    def explain_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        finding = self._mine(request, object_id)
        here = reverse("admin:checkout_reconciliationfinding_change", args=[finding.pk])
        form = ExplainForm(request.POST or None, initial={"seen": finding.fingerprint})
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(
                request,
                lambda: services.explain(
                    actor=actor_of(request),
                    finding_id=finding.pk,
                    now=timezone.now(),
                    **form.cleaned_data,
                ),
                done=str(_("It is explained. It comes back if its amounts change.")),
            )
        ):
            return HttpResponseRedirect(here)
        return _form_page(
            self,
            request,
            title=_("Explain the difference"),
            effect=_(
                "Nothing moves. It no longer counts as open, and comes back if its amounts change."
            ),
            verb=_("Explain"),
            form=form,
            back=here,
            about=self._about(finding),
        )

    def _mine(self, request: HttpRequest, object_id: UUID) -> ReconciliationFinding:
        finding: ReconciliationFinding = one(self, request, object_id)
        if not self.has_step_permission(request, finding):
            raise PermissionDenied
        return finding

    def _about(self, finding: ReconciliationFinding) -> list[Any]:
        return [
            (_("Class"), self.told_kind(finding)),
            (_("Order"), self.told_order(finding)),
            (_("There"), self.there(finding)),
            (_("Here"), self.here(finding)),
        ]

    def _at(self, name: str, finding: ReconciliationFinding, *args: str) -> str:
        return reverse(f"admin:checkout_reconciliationfinding_{name}", args=[finding.pk, *args])


def _form_page(page: ReadOnlyAdmin, request: HttpRequest, **shown: Any) -> HttpResponse:
    context = {**page.admin_site.each_context(request), "opts": page.model._meta, **shown}
    return TemplateResponse(request, "checkout/admin/act.html", context)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _days(findings: QuerySet[ReconciliationFinding]) -> Chart:
    """Return how many differences were first seen on each of the last days."""
    today = timezone.localdate()
    days = [today - timedelta(days=back) for back in reversed(range(SHOWN_DAYS))]
    seen = Counter(
        timezone.localdate(moment)
        for moment in findings.filter(first_seen_at__gte=_midnight(days[0])).values_list(
            "first_seen_at", flat=True
        )
    )
    numbers = [seen[day] for day in days]
    words = [f"{date_format(day, 'SHORT_DATE_FORMAT')}: {seen[day]}" for day in days]
    most = max([*numbers, 1])
    return Chart(
        title=_("Differences found, by day"),
        summary=_("%(count)d in %(days)d days") % {"count": sum(numbers), "days": SHOWN_DAYS},
        top=most,
        first=date_format(days[0], "SHORT_DATE_FORMAT"),
        last=date_format(days[-1], "SHORT_DATE_FORMAT"),
        table=[
            (date_format(day, "SHORT_DATE_FORMAT"), seen[day])
            for day in reversed(days)
            if seen[day]
        ],
        heads=[_("day"), _("found")],
        columns=columns(numbers, most, words),
    )
