"""The base of the admin: what may only be looked at, how cells look, and how a staff action tells of a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextInputWidget

from config.platform import audit
from config.platform.errors import ApplicationError
from config.platform.http import actor_of
from config.platform.models import User

NOTHING = "–"


# --- cells ----------------------------------------------------------------------------------------


def status(words: Any, tone: str = "") -> str:
    """Return a status as words with a dot; tones are success, info, warning and danger."""
    return format_html(
        '<span class="office-status office-status--{}">{}</span>', tone or "quiet", words
    )


def figure(text: Any) -> str:
    """Return a number or an amount, aligned with those above and below it."""
    return format_html('<span class="office-figure">{}</span>', text)


def two_lines(first: Any, second: Any) -> str:
    """Return a cell of two lines, the second one quieter; one line where there is no second."""
    if not second:
        return format_html("{}", first)
    return format_html('<span class="office-two">{}<small>{}</small></span>', first, second)


def link(name: str, pk: Any, text: Any) -> str:
    """Return a link to the page of another row: `link("orders_order", order.pk, order.number)`."""
    return format_html(
        '<a class="office-link" href="{}">{}</a>', reverse(f"admin:{name}_change", args=[pk]), text
    )


def as_json(value: Any) -> str:
    """Return JSON for reading, in an admin field."""
    if not value:
        return NOTHING
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return format_html('<pre class="office-json">{}</pre>', text)


# --- who did it -----------------------------------------------------------------------------------


def people(labels: Iterable[str]) -> dict[str, str]:
    """Return how to call those whom histories name: `staff:<id>`, `guest`, `email:<address>`. One statement at most."""
    wanted = {str(label) for label in labels}
    ids = {label: _user_id(label) for label in wanted}
    found: dict[UUID | None, str] = {
        user_id: name or email
        for user_id, name, email in User.objects.filter(
            pk__in=[user_id for user_id in ids.values() if user_id]
        ).values_list("pk", "name", "email")
    } if any(ids.values()) else {}  # fmt: skip
    return {label: found.get(ids[label]) or _kind(label) for label in wanted}


def _user_id(label: str) -> UUID | None:
    try:
        return UUID(label.partition(":")[2])
    except ValueError:
        return None


def _kind(label: str) -> str:
    words = {
        "": NOTHING,
        "system": _("the shop"),
        "provider": _("the payment provider"),
        "guest": _("a guest"),
        "session": _("a guest"),
        "anonymous": _("a guest"),
        "address": _("a guest"),
        "user": _("a customer"),
        "staff": _("staff"),
    }
    kind, _colon, rest = label.partition(":")
    return rest if kind == "email" else words.get(kind, label)


def name_people(rows: Iterable[Any], attributes: Sequence[str]) -> None:
    """Give every row the names of the actors in these attributes, for `person` columns: one statement for all."""
    shown = list(rows)
    if attributes:
        names = people(getattr(row, attribute) for row in shown for attribute in attributes)
        for row in shown:
            row.people_named = names


def person(attribute: str, title: Any) -> Any:
    """Return a column that tells who an actor of a history was."""

    @display(description=title, ordering=attribute)
    def shown(self: Any, row: Any) -> str:
        label = str(getattr(row, attribute))
        known: dict[str, str] = getattr(row, "people_named", None) or {}
        return known[label] if label in known else people([label])[label]

    return shown


class NamingChangeList(ChangeList):
    """A list that looks up the names in its `person` columns at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        name_people(self.result_list, self.model_admin.people)


# --- pages ----------------------------------------------------------------------------------------


class OfficeAdmin(ModelAdmin):
    """The base of every page: rows of the request's company, named people, and a trail of what a form wrote."""

    company_path = ""  # such as `order__company_id`; empty where rows belong to no company
    shows_companyless = False  # also rows that were written for no company, by the shop itself
    people: Sequence[str] = ()  # attributes that name an actor
    list_per_page = 50
    formfield_overrides: ClassVar[dict[Any, dict[str, Any]]] = {
        ArrayField: {
            "widget": UnfoldAdminTextInputWidget,
            "help_text": gettext_lazy("Separated by commas."),
        },
    }
    is_audited_here = False  # where no service records what was written

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().get_queryset(request)
        if not self.company_path:
            return rows
        own = models.Q(**{self.company_path: actor_of(request).company_id})
        if self.shows_companyless:
            own |= models.Q(**{self.company_path: None})
        return rows.filter(own)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NamingChangeList

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "created")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if message:
            self._record(request, obj, "changed", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self._record(request, obj, "deleted")
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, obj: Any, verb: str, message: Any = None) -> None:
        if not self.is_audited_here:
            return
        name = obj._meta.model_name
        audit.record(
            actor=actor_of(request),
            action=f"{name}.{verb}",
            object_type=name,
            object_id=obj.pk,
            after={"name": str(obj), **({"what": message} if message else {})},
            now=timezone.now(),
        )


class ServedAdmin(OfficeAdmin):
    """
    Forms whose saving is a service call.

    A refusal undoes the request and stands beside what was typed. Deleting asks no questions about related rows: the
    service decides.
    """

    company_path = "company_id"

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except ApplicationError as refused:
            setattr(request, "refused", refused)  # noqa: B010 - the form says so, see get_form
            answer = super().changeform_view(request, *args, **kwargs)
        return answer

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        refused = getattr(request, "refused", None)
        return form if refused is None else _refusing(form, refused)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ApplicationError as refused:
            messages.error(request, refused.detail)
            return HttpResponseRedirect("../change/")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = self.serve(request, obj, form.cleaned_data, change)
        obj.pk = saved.pk
        obj._state.adding = False

    def serve(
        self, request: HttpRequest, obj: Any, given: dict[str, Any], change: bool
    ) -> models.Model:
        raise NotImplementedError

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write nothing: the service has; rows beside the form are only shown."""
        for formset in formsets:
            formset.new_objects = formset.changed_objects = formset.deleted_objects = []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        return [str(obj) for obj in objs], {}, set(), []

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


def _field_of(form: forms.ModelForm, named: str) -> str | None:
    """Return the field of a form that a service means by `usageLimit`, `code` or `productIds`."""
    words = re.sub(r"([A-Z])", r"_\1", named.partition(".")[0]).lower()
    stem = words.removesuffix("_id").removesuffix("_ids")
    choices = (words, stem, f"{stem}s", f"{stem.removesuffix('y')}ies")
    return next((name for name in choices if name in form.fields), None)


def _refusing(form: type[forms.ModelForm], refused: ApplicationError) -> type[forms.ModelForm]:
    """Return a form that says what a service refused, beside the fields that it named."""

    class Refusing(form):  # type: ignore[valid-type,misc]
        def clean(self) -> Any:
            values = super().clean()
            for error in refused.errors:
                self.add_error(_field_of(self, error.field), str(error.message))
            if not refused.errors:
                self.add_error(None, str(refused.detail))
            return values

    return Refusing


class ReadOnlyAdmin(OfficeAdmin):
    """
    Rows that staff see and nobody edits by hand: money, movements, histories, events.

    A page shows the declared `fields` or `fieldsets`, else every field that is not excluded. Actions still run, and
    call services; who may run one is asked by a permission of its own.
    """

    actions_detail_hide_default = True  # a history of forms is empty where services write

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if self.fieldsets:
            return list(flatten_fieldsets(self.fieldsets))
        if self.fields:
            return list(self.fields)
        hidden = set(self.exclude or ())
        names = [field.name for field in self.model._meta.fields if field.name not in hidden]
        return [*names, *super().get_readonly_fields(request, obj)]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_step_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may run the actions of this page, although nobody may edit a row."""
        options = self.model._meta
        return request.user.has_perm(f"{options.app_label}.change_{options.model_name}")


class ReadOnlyInline(TabularInline):
    """Rows under a page, for reading by whoever may see that page."""

    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# --- steps ----------------------------------------------------------------------------------------


def one(admin: ModelAdmin, request: HttpRequest, object_id: Any) -> Any:
    """
    Return the row a page of an action is about, among those the user may see.

    :raises PermissionDenied: if the user may see none of them
    :raises Http404: if there is no such row
    """
    if not admin.has_view_permission(request):
        raise PermissionDenied
    found = admin.get_object(request, str(object_id))
    if found is None:
        raise Http404
    return found


def attempt(request: HttpRequest, run: Callable[[], Any], *, done: str = "") -> bool:
    """Run a service for a staff action; show the refusal, or `done`, and return whether it worked."""
    try:
        run()
    except ApplicationError as refusal:
        said = [str(refusal.detail), *(str(error.message) for error in refusal.errors)]
        messages.error(request, "; ".join(dict.fromkeys(said)))
        return False
    if done:
        messages.success(request, done)
    return True


def attempt_each(
    request: HttpRequest, rows: Iterable[Any], run: Callable[[Any], Any], *, done: Any
) -> int:
    """
    Run a service for every selected row on its own, so that one refusal stops no other; return how many worked.

    `done` is an `ngettext_lazy` with `%(count)d` and the key `count`.
    """
    worked = 0
    for row in rows:
        try:
            run(row)
        except ApplicationError as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
        else:
            worked += 1
    if worked:
        messages.success(request, done % {"count": worked})
    return worked
