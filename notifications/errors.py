"""What notifications can refuse."""

from __future__ import annotations

from config.platform.errors import ApplicationError


class NotificationNotFound(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "No such message"
    message = "There is no such message for you."


class UnsubscribeTokenInvalid(ApplicationError):
    code = "NOT_FOUND"
    http_status = 404
    title = "This link does not work"
    message = "This link does not work."
