"""Counts and products as files: brought, looked at, applied as shown; and the lists to take away."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from config.platform.backoffice import ReadOnlyAdmin, attempt, one, person, status
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from inventory import services
from inventory.models import Company, ImportRun, StockLevel, Warehouse

TONES = {
    "CHECKING": "info",
    "READY": "warning",
    "APPLYING": "info",
    "DONE": "success",
    "FAILED": "danger",
    "DROPPED": "",
}
NEEDED = {
    ImportRun.Kind.STOCK: ("inventory.operate_stock",),
    ImportRun.Kind.PRODUCTS: (
        "inventory.add_product",
        "inventory.change_product",
        "pricing.change_price",
    ),
}
WORKING = (ImportRun.State.CHECKING, ImportRun.State.APPLYING)
# In this order they are told.
WORDS = {
    "new": _("new"),
    "changed": _("changed"),
    "unchanged": _("unchanged"),
    "blank": _("not counted"),
    "refused": _("refused"),
    "units": _("units more or fewer"),
    "prices": _("prices"),
    "shelves": _("shelves counted"),
    "left_out": _("left out"),
}


def _file_field() -> forms.FileField:
    return forms.FileField(
        label=_("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,text/csv"}),
        help_text=_("CSV, up to 8 MB."),
    )


class _FileForm(forms.Form):
    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > services.LARGEST_UPLOAD:
            raise forms.ValidationError(
                _("This file is larger than 8 MB. Split it, or use the command line.")
            )
        return file


class CountFileForm(_FileForm):
    file = _file_field()
    counted_at = forms.DateTimeField(
        label=_("Counted at"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text=_(
            "When the shelves were counted, for rows that do not say. What was sold after that is kept. Without a "
            "time, a shelf that moved since the list was made is refused."
        ),
    )
    reference = forms.CharField(
        label=_("Reference"),
        required=False,
        max_length=150,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Stands with every movement. The file's name if left empty."),
    )
    notes = forms.CharField(
        label=_("Notes"), required=False, max_length=500, widget=UnfoldAdminTextInputWidget()
    )

    def clean_counted_at(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["counted_at"]
        if moment and moment > timezone.now():
            raise forms.ValidationError(_("This time has not come yet."))
        return moment

    def wishes(self, company: Company) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "counted_at": given["counted_at"].isoformat() if given["counted_at"] else "",
            "reference": given["reference"],
            "notes": given["notes"],
        }


class ProductFileForm(_FileForm):
    file = _file_field()
    stock = forms.ChoiceField(
        label=_("Stock in the file"),
        choices=[
            ("new", _("for new goods only: what is sold meanwhile stays sold")),
            ("set", _("is what lies in the default warehouse now")),
        ],
        initial="new",
        widget=UnfoldAdminRadioSelectWidget(),
    )
    currency = forms.CharField(
        label=_("Currency of the prices"),
        required=False,
        min_length=3,
        max_length=3,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The shop's own if left empty."),
    )

    def wishes(self, company: Company) -> dict[str, Any]:
        return {
            "stock": self.cleaned_data["stock"],
            "currency": (self.cleaned_data["currency"] or company.currency).upper(),
        }


class ListForm(forms.Form):
    warehouse = forms.ChoiceField(
        label=_("Warehouse"), required=False, widget=UnfoldAdminSelectWidget()
    )
    with_figures = forms.BooleanField(label=_("fill in what should lie there"), required=False)

    def __init__(self, *args: Any, company_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places = Warehouse.objects.filter(company_id=company_id).order_by("priority", "code")
        self.fields["warehouse"].choices = [  # type: ignore[attr-defined]
            ("", _("all")),
            *((place.code, f"{place.code} · {place.name}") for place in places),
        ]


def stream(lines: Any, name: str) -> StreamingHttpResponse:
    """Return lines as a file to keep; nobody between us and the browser may store it."""
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def counting_list(request: HttpRequest, levels: Any, *, with_figures: bool = False) -> Any:
    """Return the counting list of these shelves."""
    rows = services.shelves_to_count(actor=actor_of(request)).filter(pk__in=levels.values("pk"))
    name = f"counting-list-{timezone.localdate():%Y-%m-%d}.csv"
    return stream(services.write_counting_list(levels=rows, with_figures=with_figures), name)


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    """Files that staff brought, and what became of them."""

    company_path = "company_id"
    people = ["actor"]
    list_display = ["created_at", "name", "kind", "told_state", "told_counts", "by"]
    list_display_links = ["name"]
    list_filter = ["kind", "state"]
    search_fields = ["name", "=sha256"]
    ordering = ["-id"]
    actions_list = ["bring_counts", "bring_products", "take_list", "take_products"]
    by = person("actor", _("by"))

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")

    @display(description=_("state"), ordering="state")
    def told_state(self, run: ImportRun) -> str:
        return status(run.get_state_display(), TONES[run.state])

    @display(description=_("outcome"))
    def told_counts(self, run: ImportRun) -> str:
        counts = run.shown.get("counts") or {}
        return ", ".join(
            f"{counts[name]} {word}" for name, word in WORDS.items() if counts.get(name)
        )

    # --- who may ---

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or any(
            may(request, kind) for kind in NEEDED
        )

    def has_stock_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, ImportRun.Kind.STOCK)

    def has_products_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, ImportRun.Kind.PRODUCTS)

    def has_list_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("inventory.view_stocklevel")

    def has_goods_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perms(["inventory.view_product", "pricing.view_price"])

    # --- bringing ---

    @action(
        description=_("Import counts"),
        url_path="counts",
        permissions=["stock"],
        icon="upload",
        variant=ActionVariant.PRIMARY,
    )
    def bring_counts(self, request: HttpRequest) -> HttpResponse:
        return self._bring(
            request,
            ImportRun.Kind.STOCK,
            CountFileForm(request.POST or None, request.FILES or None),
            _("Import counts"),
            _(
                "What was counted, by SKU and warehouse. You see what would change before anything does."
            ),
        )

    @action(
        description=_("Import products"),
        url_path="products",
        permissions=["products"],
        icon="upload",
    )
    def bring_products(self, request: HttpRequest) -> HttpResponse:
        return self._bring(
            request,
            ImportRun.Kind.PRODUCTS,
            ProductFileForm(request.POST or None, request.FILES or None),
            _("Import products"),
            _("A file in Shopify's export format. You see what would change before anything does."),
        )

    def _bring(
        self, request: HttpRequest, kind: str, form: Any, title: Any, lead: Any
    ) -> HttpResponse:
        actor = actor_of(request)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            company = Company.objects.get(pk=actor.company_id)
            try:
                run = services.keep_file(
                    actor=actor,
                    kind=kind,
                    name=file.name,
                    content=file.read(),
                    wishes=form.wishes(company),
                    now=timezone.now(),
                )
            except ApplicationError as refused:
                form.add_error("file", refused.detail)
            else:
                return HttpResponseRedirect(_page(run))
        return self._form_page(request, form, title, lead, _("Preview"), encoded=True)

    @action(
        description=_("Export counting list"),
        url_path="list",
        permissions=["list"],
        icon="download",
    )
    def take_list(self, request: HttpRequest) -> Any:
        actor = actor_of(request)
        form = ListForm(request.POST or None, company_id=actor.company_id)
        if request.method == "POST" and form.is_valid():
            levels = StockLevel.objects.filter(company_id=actor.company_id)
            if form.cleaned_data["warehouse"]:
                levels = levels.filter(warehouse__code=form.cleaned_data["warehouse"])
            return counting_list(request, levels, with_figures=form.cleaned_data["with_figures"])
        return self._form_page(
            request,
            form,
            _("Counting list"),
            _(
                "Every shelf by warehouse and product, with what should lie there and room for what does."
            ),
            _("Get the list"),
        )

    @action(
        description=_("Export products"),
        url_path="all-products",
        permissions=["goods"],
        icon="download",
    )
    def take_products(self, request: HttpRequest) -> HttpResponse:
        # A product file has prices, so it is written there.
        return HttpResponseRedirect(reverse("admin:pricing_price_product_file"))

    def _form_page(
        self,
        request: HttpRequest,
        form: Any,
        title: Any,
        lead: Any,
        verb: Any,
        *,
        encoded: bool = False,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "lead": lead,
            "verb": verb,
            "opts": self.model._meta,
            "form": form,
            "is_encoded": encoded,
            "back": reverse("admin:inventory_importrun_changelist"),
        }
        return TemplateResponse(request, "inventory/admin/bring.html", context)

    # --- looking and applying ---

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<uuid:object_id>/progress/",
                self.admin_site.admin_view(self.progress_view),
                name="inventory_importrun_progress",
            ),
            *super().get_urls(),
        ]

    def progress_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        run = one(self, request, object_id)
        context = {"run": run, "percent": services.progress(run.pk)}
        response = TemplateResponse(request, "inventory/admin/progress.html", context)
        if run.state not in WORKING:
            response["HX-Refresh"] = "true"
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        run = one(self, request, object_id)
        if request.method == "POST":
            return self._answer(request, run)
        shown = run.shown
        counts = shown.get("counts") or {}
        context = {
            **self.admin_site.each_context(request),
            "title": run.name,
            "opts": self.model._meta,
            "original": run,
            "run": run,
            "state": self.told_state(run),
            "by": self.by(run),
            "is_working": run.state in WORKING,
            "is_ready": run.state == ImportRun.State.READY and may(request, run.kind),
            "is_done": run.state == ImportRun.State.DONE,
            "changes_anything": bool(shown.get("changes")),
            "percent": services.progress(run.pk),
            "figures": [
                {"label": word, "count": f"{counts[name]:+}" if name == "units" else counts[name]}
                for name, word in WORDS.items()
                if counts.get(name) or (name in counts and name in {"changed", "unchanged"})
            ],
            "shown": shown,
            "back": reverse("admin:inventory_importrun_changelist"),
        }
        return TemplateResponse(request, "inventory/admin/run.html", context)

    def _answer(self, request: HttpRequest, run: ImportRun) -> HttpResponse:
        if not may(request, run.kind):
            raise PermissionDenied
        actor, now = actor_of(request), timezone.now()
        if "drop" in request.POST:
            attempt(
                request,
                lambda: services.drop_file(actor=actor, run_id=run.pk, now=now),
                done=str(_("The file was dropped. Nothing was changed.")),
            )
        elif "apply" in request.POST:
            attempt(
                request,
                lambda: services.apply_file(
                    actor=actor,
                    run_id=run.pk,
                    fingerprint=request.POST.get("fingerprint", ""),
                    skip_refused="skip_refused" in request.POST,
                    now=now,
                ),
            )
        else:
            messages.error(request, str(_("Nothing was chosen.")))
        return HttpResponseRedirect(_page(run))


def may(request: HttpRequest, kind: str) -> bool:
    """Tell whether the user may bring and apply files of a kind."""
    return request.user.has_perms(NEEDED[ImportRun.Kind(kind)])


def _page(run: ImportRun) -> str:
    return reverse("admin:inventory_importrun_change", args=[run.pk])
