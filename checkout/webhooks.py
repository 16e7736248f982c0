"""
The door for providers' webhooks: thin, so that nothing strange can get far or fail late.

What Stripe sends is checked by dj-stripe as well, and becomes one row for the inbox. dj-stripe's tables are a mirror,
filled later (`checkout.mirror`); ours are the truth.
"""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from djstripe.models import WebhookEndpoint, WebhookEventTrigger

from checkout import services
from checkout.gateway import ProviderEvent
from checkout.gateway.paypal import SIGNATURE_HEADERS
from config.platform import limits
from config.platform.errors import (
    ApplicationError,
    BodyTooLarge,
    MalformedRequest,
    NotFound,
    UnsupportedMediaType,
    WebhookSignatureInvalid,
)
from config.platform.http import actor_of
from config.platform.http.problems import problem

# Several headers are handed on as one text, divided by bars.
SIGNATURES = {
    "stripe": ("Stripe-Signature",),
    "test": ("Test-Signature",),
    "paypal": SIGNATURE_HEADERS,
}
# Whose signature only they can check: a forgery then costs us a question, so it is counted before it is asked.
ASKED = {"paypal"}
# The one endpoint that dj-stripe knows here. Its secret stays in the environment.
ENDPOINT_ID = "we_holdfast"
ENDPOINT_UUID = UUID("01900000-0000-7000-8000-0000000057e1")


@csrf_exempt
@require_POST
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """
    Take one webhook: 413 before it is read if it is too large, 400 if its signature is wrong, else stored and 200.

    What is stored is worked off later, so a repeat, a stranger event or a failure of ours never costs the answer.
    Only what is not signed is counted, and leaves a trace: a provider may send as fast as it likes.
    """
    try:
        body = _body(request)
        if body and request.content_type != "application/json":
            raise UnsupportedMediaType
        headers = SIGNATURES.get(provider, ())
        signature = "|".join(request.headers.get(header, "") for header in headers)
        now = timezone.now()
        hit = limits.Hit()
        if provider in ASKED:
            hit = limits.count(actor=actor_of(request), scopes=("forged_webhook",))
        try:
            event = services.check_webhook(
                provider=provider, body=body, signature=signature, now=now
            )
        except WebhookSignatureInvalid:
            actor = actor_of(request)
            if provider not in ASKED:
                limits.count(actor=actor, scopes=("forged_webhook",))
            services.note_forgery(actor=actor, provider=provider, size=len(body), now=now)
            raise
        hit.give_back()
        if provider == "stripe":
            address = actor_of(request).address
            _keep(event, body=body, signature=signature, address=address, now=now)
        else:
            services.store_webhook(provider=provider, event=event, now=now)
    except ApplicationError as refusal:
        return problem(request, refusal)
    return JsonResponse({"received": event.id})


@csrf_exempt
def receive_at(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take a webhook at dj-stripe's own address, by the same way."""
    if uuid != ENDPOINT_UUID:
        return problem(request, NotFound())
    return receive(request, "stripe")


def _keep(
    event: ProviderEvent, *, body: bytes, signature: str, address: str, now: datetime
) -> None:
    """
    Have dj-stripe check a webhook, and store it for its mirror and for the inbox: both, or neither.

    Its own view would ask Stripe about the event before it answers, and keeps all that came with it, cookies too. Bodies
    carry names and addresses, so of what it keeps only the references remain.

    :raises MalformedRequest: if dj-stripe does not take it for an event
    """
    endpoint, _ = WebhookEndpoint.objects.get_or_create(
        id=ENDPOINT_ID,
        defaults={
            "djstripe_uuid": ENDPOINT_UUID,
            "url": f"{settings.STOREFRONT_URL}/api/v1/webhooks/stripe",
            "enabled_events": ["*"],
            "status": "enabled",
            "livemode": event.is_live,
        },
    )
    trigger = WebhookEventTrigger(
        remote_ip=address or "0.0.0.0",  # noqa: S104 - what dj-stripe writes where it knows none
        headers={"Stripe-Signature": signature},
        body=body.decode(errors="replace"),
        webhook_endpoint=endpoint,
    )
    trigger.valid = trigger.validate(
        secret=settings.STRIPE_WEBHOOK_SECRET, api_key=settings.STRIPE_SECRET_KEY
    )
    if not trigger.valid:
        raise MalformedRequest("This is no event.")
    trigger.headers = {}
    trigger.body = json.dumps({"id": event.id, "type": event.type, "livemode": event.is_live})
    with transaction.atomic():
        trigger.save()
        services.store_webhook(provider="stripe", event=event, now=now)


def _body(request: HttpRequest) -> bytes:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise MalformedRequest
    if int(length[:12]) > services.LIMIT_BYTES:
        raise BodyTooLarge
    body = request.read(services.LIMIT_BYTES + 1)
    if len(body) > services.LIMIT_BYTES:
        raise BodyTooLarge
    return body
