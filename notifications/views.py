"""Pages: the mailbox of the embedded default, and the way out of reminder mail."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from notifications import services
from notifications.errors import UnsubscribeTokenInvalid
from notifications.models import StoredMail

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
