"""Batches of codes for staff: make them, take them away as a file, switch them off."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from config.platform.backoffice import NOTHING, ServedAdmin, figure, status
from config.platform.http import actor_of
from pricing import selectors, services
from pricing.models import CouponBatch
from pricing.services.batches import MOST_CODES, MOST_PREFIX, SHORTEST, USUAL


class CouponBatchForm(forms.ModelForm):
    class Meta:
        model = CouponBatch
        fields = ["promotion", "name", "number", "prefix", "length", "expires_at"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, text in (
            ("promotion", _("What the codes bring in; one that applies by itself needs none.")),
            ("number", _("Up to %(most)d.") % {"most": MOST_CODES}),
            ("prefix", _("Up to %(most)d letters and digits.") % {"most": MOST_PREFIX}),
            (
                "length",
                _("At least %(least)d, so that nobody guesses one.") % {"least": SHORTEST},
            ),
        ):
            if name in self.fields:
                self.fields[name].help_text = str(text)
        if "length" in self.fields:
            self.fields["length"].initial = USUAL


@admin.register(CouponBatch)
class CouponBatchAdmin(ServedAdmin):
    """Once made, only the end of a batch can be changed; its codes are a file, not rows on a page."""

    form = CouponBatchForm
    list_display = [
        "name",
        "promotion",
        "number_count",
        "used_count",
        "unused_count",
        "revoked_count",
        "expires_at",
        "state",
    ]
    list_filter = ["expires_at"]
    search_fields = ["name", "prefix", "promotion__name"]
    search_help_text = _("name, beginning or promotion")
    autocomplete_fields = ["promotion"]
    ordering = ["-created_at"]
    actions = ["revoke"]
    actions_detail = ["codes_file"]
    actions_row = ["codes_file"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.coupon_batches(actor=actor_of(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [
            "promotion",
            "name",
            "number",
            "prefix",
            "length",
            "used_count",
            "unused_count",
            "revoked_count",
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = ["promotion", "name", "number", "prefix", "length", "expires_at"]
        return fields if obj is None else [*fields, "used_count", "unused_count", "revoked_count"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("codes"), ordering="number")
    def number_count(self, batch: Any) -> str:
        return figure(batch.number)

    @display(description=_("used"), ordering="used")
    def used_count(self, batch: Any) -> str:
        return figure(getattr(batch, "used", NOTHING))

    @display(description=_("unused"), ordering="unused")
    def unused_count(self, batch: Any) -> str:
        return figure(getattr(batch, "unused", NOTHING))

    @display(description=_("revoked"), ordering="revoked")
    def revoked_count(self, batch: Any) -> str:
        return figure(getattr(batch, "revoked", NOTHING))

    @display(description=_("now"))
    def state(self, batch: CouponBatch) -> str:
        if batch.revoked_at:
            return status(_("revoked"), "danger")
        if batch.expires_at and batch.expires_at <= timezone.now():
            return status(_("over"), "danger")
        return status(_("works"), "success")

    def serve(
        self, request: HttpRequest, obj: CouponBatch, given: dict[str, Any], change: bool
    ) -> Model:
        actor, now = actor_of(request), timezone.now()
        if change:
            return services.set_batch_expiry(
                actor=actor, batch_id=obj.pk, expires_at=given["expires_at"], now=now
            )
        return services.create_batch(
            actor=actor, promotion_id=given.pop("promotion").pk, now=now, **given
        )

    @action(
        description=_("Codes as a file"), url_path="codes", permissions=["change"], icon="download"
    )
    def codes_file(self, request: HttpRequest, object_id: str) -> HttpResponse:
        # Codes are worth money: who may only look sees how many there are.
        batch = self.get_object(request, object_id)
        if batch is None:
            return HttpResponseRedirect(reverse("admin:pricing_couponbatch_changelist"))
        lines = services.batch_lines(actor=actor_of(request), batch_id=batch.pk, now=timezone.now())
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name = slugify(batch.name) or "codes"
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer  # type: ignore[return-value]  # any response will do

    @action(description=_("Switch off all codes of the chosen batches"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[CouponBatch]) -> None:
        unused = sum(
            services.revoke_batch(actor=actor_of(request), batch_id=batch.pk, now=timezone.now())
            for batch in queryset
        )
        messages.success(
            request, _("None of these codes works any more; %(n)d were unused.") % {"n": unused}
        )
