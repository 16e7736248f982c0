"""The way back from a reminder."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cart import services as carts
from cart.errors import RecoveryTokenExpired, RecoveryTokenInvalid
from config.platform.http import actor_of, set_guest_cookie
from config.platform.http.forms import count
from pricing.display import options_text


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recover(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a reminder's link would bring back; a POST brings it back."""
    actor, now = actor_of(request), timezone.now()
    try:
        count(request, "recovery")
        if request.method == "POST":
            guest = carts.restore(actor=actor, token=token, now=now).token
            messages.success(request, _("Everything is back in your cart, and held for you."))
            response = redirect("/cart/")
            if guest:
                set_guest_cookie(response, guest)
            return response
        preview = carts.preview_recovery(actor=actor, token=token, now=now)
    except RecoveryTokenExpired:
        title = _("This link has gone out with the tide")
        text = _("It was used before, or it is too old. Your cart may still be there.")
    except RecoveryTokenInvalid:
        title, text = (
            _("This link does not fit"),
            _("It may have been cut short. Try the one in the mail again."),
        )
    else:
        return render(
            request,
            "cart/recover.html",
            {
                "currency": preview.currency,
                "lines": [_recovered(line) for line in preview.lines],
            },
        )
    return render(request, "cart/recover.html", {"title": title, "text": text}, status=410)


_PREVIEW_PROBLEMS = {
    "ITEM_OUT_OF_STOCK": gettext_lazy("Sold out at the moment"),
    "PRODUCT_DISCONTINUED": gettext_lazy("No longer sold"),
    "PRODUCT_NOT_FOUND": gettext_lazy("No longer sold"),
}


def _recovered(line: Any) -> dict[str, Any]:
    return {
        "name": line.name,
        "image": line.image_url,
        "options_text": options_text(line.options),
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "notice": " ".join(str(_PREVIEW_PROBLEMS.get(code, "")) for code in line.problems),
    }
