"""Companies, and what every page of a company's rows shares."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from config.platform import audit
from config.platform.backoffice import OfficeAdmin
from config.platform.http import actor_of
from inventory import selectors
from inventory.models import Company


class CompanyMixin:
    """Rows of the company the request is for; new ones become its own. What is written is audited."""

    company_path = "company_id"
    exclude: Any = ["company"]

    def save_model(
        self: Any, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool
    ) -> None:
        if not change:
            obj.company_id = actor_of(request).company_id
        super().save_model(request, obj, form, change)
        audit.record(
            actor=actor_of(request),
            action=f"{obj._meta.model_name}.{'edited' if change else 'created'}",
            object_type=obj._meta.model_name,
            object_id=obj.pk,
            before={name: str(form.initial.get(name)) for name in form.changed_data if change},
            after={name: str(form.cleaned_data.get(name)) for name in form.changed_data},
            now=timezone.now(),
        )

    def formfield_for_foreignkey(self: Any, db_field: Any, request: Any, **kwargs: Any) -> Any:
        related = db_field.related_model
        if any(field.name == "company" for field in related._meta.fields):
            kwargs["queryset"] = related._default_manager.filter(
                company_id=actor_of(request).company_id
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Company)
class CompanyAdmin(OfficeAdmin):
    list_display = ["name", "slug", "host", "currency", "country", "is_default"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        selectors.forget_companies()
        audit.record(
            actor=actor_of(request),
            action="company.edited" if change else "company.founded",
            object_type="company",
            object_id=obj.pk,
            after={name: str(form.cleaned_data[name]) for name in form.changed_data},
            now=timezone.now(),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
