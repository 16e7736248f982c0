"""The page on which staff take one step: a form, what it will do, and the refusal where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from config.platform.backoffice import attempt
from config.platform.http.forms import form_key, once
from orders.models import Order


def act(
    admin: ModelAdmin,
    request: HttpRequest,
    row: Any,
    *,
    order: Order,
    make_form: Callable[[Any], forms.Form],
    run: Callable[[dict[str, Any]], Any],
    state: Any,
    title: str,
    verb: Any,
    explanation: Any,
    done: str,
) -> HttpResponse:
    """
    Show the form, or run the step with what was filled in and go back to the row's page; pressing twice runs it once.

    `run` gets the cleaned data and may raise any refusal of the domain, which is then shown above the form. Whether
    somebody may take the step is the action's to say.
    """
    meta = admin.model._meta
    here = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])

    @once
    def answer(request: HttpRequest) -> HttpResponse:
        form = make_form(request.POST if request.method == "POST" else None)
        if (
            request.method == "POST"
            and form.is_valid()
            and attempt(request, lambda: run(form.cleaned_data), done=done)
        ):
            return HttpResponseRedirect(here)
        context = {
            **admin.admin_site.each_context(request),
            "title": f"{verb} · {title}",
            "opts": meta,
            "original": row,
            "order": order,
            "state": state,
            "form": form,
            "form_key": form_key(),
            "verb": verb,
            "explanation": explanation,
            "back": here,
        }
        return render(request, "orders/admin/act.html", context)

    response = answer(request)
    assert isinstance(response, HttpResponse)
    return response
