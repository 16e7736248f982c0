"""What follows from a page's log-in or sign-up, which allauth does. The API calls the same functions itself."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_reset, user_signed_up
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from config.platform import auth, devices, outbox, tokens
from config.platform.events import CustomerCreated
from config.platform.http.context import actor_of, forget_actor
from config.platform.models import User


@receiver(user_logged_in)
def announce(sender: Any, request: Any, user: User, **_: Any) -> None:
    """Tell who registered with `auth.on_sign_in`, so that the guest's cart follows its owner (AUTH-11)."""
    if request is None or not hasattr(request, "META"):
        return
    forget_actor(request)
    request.user = user
    request.sign_in_report = auth.announce_sign_in(
        user=user, actor=actor_of(request), now=timezone.now()
    )
    devices.note_browser(request, now=timezone.now())


@receiver(user_logged_out)
def forget_browser(sender: Any, request: Any, **_: Any) -> None:
    """Take the browser off the list of those that are signed in; the session itself is flushed next."""
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        devices.forget(session_key=session.session_key)


@receiver(user_signed_up)
def announce_customer(sender: Any, request: Any, user: User, **_: Any) -> None:
    with transaction.atomic():
        event = CustomerCreated(aggregate_id=user.pk, email=user.email)
        outbox.publish(event, actor=actor_of(request), now=timezone.now())


@receiver(password_changed)
@receiver(password_reset)
def end_sign_ins(sender: Any, request: Any, user: User, **_: Any) -> None:
    tokens.revoke_all(user_id=user.pk, now=timezone.now())
