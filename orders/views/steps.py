"""What forms of several steps share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from config.platform.http.forms import once
from orders.services import Units


def once_at_the_end(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """
    Let the last step of a form be done once, however often it is pressed.

    The whole view is guarded, as what was chosen is no longer there to choose when the second press comes.
    """
    guarded = once(view)

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = guarded if request.POST.get("step") == "do" else view
        return run(request, *args, **kwargs)

    return wrapped


def read_units(request: HttpRequest, most: Mapping[UUID, int]) -> tuple[list[Units], str]:
    """Return the units of each line that a form names, and what is wrong with it."""
    units = []
    for line_id, limit in most.items():
        text = request.POST.get(f"quantity-{line_id}", "0").strip() or "0"
        if not (text.isascii() and text.isdigit() and int(text[:9]) <= limit):
            return [], _("There are not that many. Look at the numbers again, please.")
        if int(text):
            units.append(Units(line_id, int(text)))
    if not units and request.POST.get("step") != "back":
        return [], _("Say of at least one thing how many it shall be.")
    return units, ""
