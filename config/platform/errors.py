"""
Refusals as classes: a machine code, a status, a human sentence and what to do next.

Services raise them; one handler in `config.platform.http` turns them into problem details.
Use a subclass per refusal in the app that refuses; never raise this base class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused; `field` is a dotted camelCase path such as `items.0.quantity`."""

    field: str
    code: str
    message: str


class ApplicationError(Exception):
    """An anticipated refusal. Nothing was written when it is raised."""

    code: ClassVar[str] = "ERROR"
    http_status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"
    message: ClassVar[str] = "The request was refused."
    advice: ClassVar[str] = ""
    # The audit entry that the API leaves of a refusal of this kind, because who asks may be trying doors; none if empty.
    audit_action: ClassVar[str] = ""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        extra: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.detail = detail or str(self.message)
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        self.retry_after = retry_after
        super().__init__(self.detail)


class ValidationFailed(ApplicationError):
    code = "VALIDATION_ERROR"
    title = "Some fields were refused"
    message = "Some fields were refused."
    advice = "Correct the fields listed under errors."


class MalformedRequest(ApplicationError):
    code = "MALFORMED_REQUEST"
    title = "The request cannot be read"
    message = "The request cannot be read."
    advice = "Send one well-formed JSON document."


class ImportUnreadable(ApplicationError):
    """A file that cannot be imported at all; nothing was written."""

    code = "IMPORT_UNREADABLE"
    title = "The file cannot be read"
    message = "The file cannot be read."


class BodyTooLarge(ApplicationError):
    code = "BODY_TOO_LARGE"
    http_status = 413
    title = "The body is too large"
    message = "The body is too large."


class NotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "Not found"
    message = "There is nothing at this address."


class AuthRequired(ApplicationError):
    code = "AUTH_REQUIRED"
    http_status = 401
    title = "Credentials are needed"
    message = "Sign in, or send the session token of a guest cart."


class TokenExpired(ApplicationError):
    code = "TOKEN_EXPIRED"
    http_status = 401
    title = "The access token has expired"
    message = "The access token has expired."
    advice = "Get a new one from /api/v1/auth/refresh."


class Forbidden(ApplicationError):
    code = "FORBIDDEN"
    http_status = 403
    title = "Not allowed"
    message = "You may not do this."
    audit_action = "access.refused"


class RateLimited(ApplicationError):
    code = "RATE_LIMITED"
    http_status = 429
    title = "Too many requests"
    message = "Too many requests."
    advice = "Wait for the time in Retry-After, then try again."


class FeatureDisabled(ApplicationError):
    code = "FEATURE_DISABLED"
    http_status = 404
    title = "This feature is switched off"
    message = "This feature is switched off."


class DependencyUnavailable(ApplicationError):
    code = "DEPENDENCY_UNAVAILABLE"
    http_status = 503
    title = "A service we need does not answer"
    message = "A service we need does not answer. Nothing was changed."
    advice = "Try again in a moment; repeat the same Idempotency-Key."


class IdempotencyConflict(ApplicationError):
    code = "IDEMPOTENCY_CONFLICT"
    http_status = 409
    title = "This key was used for another request"
    message = "This Idempotency-Key was used for another request."
    advice = "Use a new key for a new request."


class IdempotencyInProgress(ApplicationError):
    code = "IDEMPOTENCY_IN_PROGRESS"
    http_status = 409
    title = "The first request with this key is still running"
    message = "The first request with this Idempotency-Key is still running."
    advice = "Repeat it after the time in Retry-After."


class IdempotencyKeyRequired(ApplicationError):
    code = "IDEMPOTENCY_KEY_REQUIRED"
    title = "An Idempotency-Key is needed"
    message = "Send an Idempotency-Key of 1 to 255 printable characters."


class InvalidTransition(ApplicationError):
    code = "INVALID_STATUS_TRANSITION"
    http_status = 409
    title = "This status change is not allowed"
    message = "This status change is not allowed."
    audit_action = "transition.refused"


class Conflict(ApplicationError):
    code = "CONFLICT"
    http_status = 409
    title = "Someone else changed this at the same moment"
    message = "Someone else changed this at the same moment. Nothing was changed."
    advice = "Repeat the request; the same Idempotency-Key is fine."


class InternalError(ApplicationError):
    code = "INTERNAL_ERROR"
    http_status = 500
    title = "Something went wrong on our side"
    message = "Something went wrong on our side."
    advice = "Quote the request id when you report this."


class MethodNotAllowed(ApplicationError):
    code = "METHOD_NOT_ALLOWED"
    http_status = 405
    title = "Method not allowed"
    message = "This address does not take that method."


class UnsupportedMediaType(ApplicationError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    http_status = 415
    title = "Unsupported media type"
    message = "Send the body as application/json in UTF-8."


class WebhookSignatureInvalid(ApplicationError):
    code = "WEBHOOK_SIGNATURE_INVALID"
    title = "The signature is wrong"
    message = "The signature is missing, wrong or too old."


def known_errors() -> list[type[ApplicationError]]:
    """Return one class per code, of every app that is loaded, by code."""
    found: dict[str, type[ApplicationError]] = {}
    waiting = ApplicationError.__subclasses__()
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        found.setdefault(error.code, error)
    return [found[code] for code in sorted(found)]
