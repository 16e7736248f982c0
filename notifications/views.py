"""Pages: the customer's bell, the mailbox of the embedded default, and the way out of reminder mail."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from config.platform.http import actor_of
from notifications import selectors, services
from notifications.errors import NotificationNotFound, UnsubscribeTokenInvalid
from notifications.models import Notification, Preference, StoredMail

SHOWN_MAILS = 100


def _only_in_the_embedded_default() -> None:
    if not settings.DEV_MAILBOX:
        raise Http404


@require_GET
def mailbox(request: HttpRequest) -> HttpResponse:
    _only_in_the_embedded_default()
    return render(
        request, "notifications/mailbox.html", {"mails": StoredMail.objects.all()[:SHOWN_MAILS]}
    )


@require_GET
def mail(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    _only_in_the_embedded_default()
    return render(
        request, "notifications/mail.html", {"mail": get_object_or_404(StoredMail, pk=mail_id)}
    )


@require_GET
@xframe_options_sameorigin
def mail_html(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    """Return the mail's own HTML, to be framed: mails style inline, so this path has its own policy."""
    _only_in_the_embedded_default()
    return HttpResponse(get_object_or_404(StoredMail, pk=mail_id).body_html)


@csrf_exempt  # one-click unsubscribe (RFC 8058) posts from the mail program; the signed token is the proof
@require_http_methods(["GET", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask on GET (mail scanners open links), act on POST."""
    try:
        if request.method == "POST":
            services.unsubscribe(token=token, now=timezone.now())
        else:
            services.read_unsubscribe_token(token)
    except UnsubscribeTokenInvalid as refusal:
        raise Http404 from refusal
    return render(request, "notifications/unsubscribe.html", {"done": request.method == "POST"})


# --- the customer's bell -------------------------------------------------------------------------

NOTES_A_PAGE = 20


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """Show what the shop told this customer and what they want to hear; marking and choosing post here."""
    actor, now = actor_of(request), timezone.now()
    user: Any = request.user
    if request.method == "POST":
        _act(request, user=user, now=now)
        return redirect("page_notifications")
    notes = Paginator(selectors.in_app(actor=actor), NOTES_A_PAGE)
    page = notes.get_page(request.GET.get("page"))
    context = {
        "notes": [
            {
                "id": note.pk,
                "subject": note.subject,
                "url": _local(note.metadata.get("url", "")),
                "at": note.created_at,
                "is_read": note.read_at is not None,
            }
            for note in page
        ],
        "unread": selectors.unread_count(actor=actor),
        "next_page": page.next_page_number() if page.has_next() else None,
        "previous_page": page.previous_page_number() if page.has_previous() else None,
        "choices": _choices(company_id=actor.company_id, user=user),
    }
    return render(request, "notifications/mine.html", context)


def _act(request: HttpRequest, *, user: Any, now: datetime) -> None:
    actor, form = actor_of(request), request.POST
    if form.get("do") == "choose":
        chosen = {pair: f"{pair[0]}.{pair[1]}" in form for pair in CHOSEN}
        services.set_preferences(user_id=user.pk, choices=chosen)
        if chosen[REMINDERS_BY_MAIL] or chosen[STOCK_BY_MAIL]:
            services.resubscribe(company_id=actor.company_id, address=user.email)
        messages.success(request, _("Saved."))
    elif form.get("do") == "read_all":
        services.mark_all_read(actor=actor, now=now)
    else:
        try:
            note_id = UUID(form.get("note", ""))
        except ValueError:
            raise NotificationNotFound from None
        services.mark_read(actor=actor, notification_id=note_id, now=now)


# What can be chosen on the page: what the shop sends today. Mail about orders is not optional.
REMINDERS_BY_MAIL = (Preference.Category.REMINDERS.value, Notification.Type.EMAIL.value)
STOCK_IN_THE_SHOP = (Preference.Category.STOCK.value, Notification.Type.IN_APP.value)
STOCK_BY_MAIL = (Preference.Category.STOCK.value, Notification.Type.EMAIL.value)
CHOSEN = (REMINDERS_BY_MAIL, STOCK_BY_MAIL, STOCK_IN_THE_SHOP)


def _choices(*, company_id: UUID, user: Any) -> list[dict[str, Any]]:
    stored = selectors.preferences(user_id=user.pk)
    category, kind = STOCK_IN_THE_SHOP
    return [
        {
            "name": "",
            "title": _("Mail about your orders"),
            "text": _("Part of the purchase, so it cannot be switched off."),
            "is_on": True,
        },
        {
            "name": ".".join(REMINDERS_BY_MAIL),
            "title": _("Mail about carts you left behind"),
            "text": _("Each of them can also be stopped from the mail itself."),
            "is_on": selectors.wants(
                company_id=company_id,
                user_id=user.pk,
                address=user.email,
                category=REMINDERS_BY_MAIL[0],
            ),
        },
        {
            "name": ".".join(STOCK_BY_MAIL),
            "title": _("Mail when a wish is back"),
            "text": _("When something on your wishlist was sold out and can be had again."),
            "is_on": selectors.wants(
                company_id=company_id,
                user_id=user.pk,
                address=user.email,
                category=STOCK_BY_MAIL[0],
            ),
        },
        {
            "name": ".".join(STOCK_IN_THE_SHOP),
            "title": _("News here about what you keep"),
            "text": _("When something in your cart or on your wishlist sells out or is back."),
            "is_on": stored[category][kind],
        },
    ]


def _local(url: str) -> str:
    """Return an address of this shop, or nothing for any other."""
    return url if url.startswith("/") and not url.startswith(("//", "/\\")) else ""
