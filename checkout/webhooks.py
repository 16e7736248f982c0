"""The door for providers' webhooks: thin, so that nothing strange can get far or fail late."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from checkout import services
from config.platform.errors import (
    ApplicationError,
    BodyTooLarge,
    MalformedRequest,
    MethodNotAllowed,
)
from config.platform.http.problems import problem

SIGNATURES = {"stripe": "Stripe-Signature", "test": "Test-Signature"}


@csrf_exempt
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """
    Take one webhook: 413 before it is read if it is too large, 400 if its signature is wrong, else stored and 200.

    What is stored is worked off later, so a repeat, a stranger event or a failure of ours never costs the answer.
    """
    try:
        if request.method != "POST":
            raise MethodNotAllowed
        event = services.receive_webhook(
            provider=provider,
            body=_body(request),
            signature=request.headers.get(SIGNATURES.get(provider, "Stripe-Signature"), ""),
            now=timezone.now(),
        )
    except ApplicationError as refusal:
        return problem(request, refusal)
    return JsonResponse({"received": event.event_id})


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
