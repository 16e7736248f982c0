"""Signing in, signing up, and who wants to know about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from config.platform import limits, outbox
from config.platform.actor import Actor, ActorKind
from config.platform.errors import AuthRequired, FieldError, ValidationFailed
from config.platform.events import CustomerCreated
from config.platform.models import User

logger = structlog.get_logger(__name__)

SignIn = Callable[..., dict[str, Any]]
_on_sign_in: list[SignIn] = []


def on_sign_in(run: SignIn) -> SignIn:
    """
    Register `run(*, actor, now) -> dict` to be called whenever somebody signs in, through the API or a page.

    The actor is the user; `session_hash` is set when a guest token came along. What it returns becomes part of the
    API's answer (`{"merge": …}`). What it raises never keeps anybody from signing in.
    """
    if run not in _on_sign_in:
        _on_sign_in.append(run)
    return run


def announce_sign_in(*, user: User, actor: Actor, now: datetime) -> dict[str, Any]:
    """Call what registered; return what it has to add to the answer."""
    signed_in = dataclasses.replace(
        actor,
        kind=ActorKind.STAFF if user.is_staff else ActorKind.USER,
        user_id=user.pk,
        email=user.email,
    )
    answer: dict[str, Any] = {}
    for run in _on_sign_in:
        try:
            answer |= run(actor=signed_in, now=now) or {}
        except Exception:
            logger.exception("a reaction to a sign-in failed", reaction=run.__qualname__)
    return answer


def sign_in(*, actor: Actor, email: str, password: str, now: datetime) -> User:
    """
    Return the user these credentials belong to.

    Takes the same time whether the address is known or not. Failures count against the address and the account; a
    success gives its place back.

    :raises AuthRequired: if they belong to nobody, or to somebody who is disabled
    :raises RateLimited: after too many failures
    """
    attempt = limits.hit_all(
        [
            ("login", f"address:{actor.address}", limits.LIMITS["login"]),
            ("login_account", f"{email.lower()}|{actor.address}", limits.LIMITS["login_account"]),
        ],
        now=now,
    )
    user = User.objects.by_email(email)
    if user is None:
        make_password(password)  # as slow as checking one
    elif check_password(password, user.password, setter=_renew(user)) and user.is_active:
        attempt.give_back()
        return user
    raise AuthRequired("E-mail or password is wrong.")


def _renew(user: User) -> Callable[[str], None]:
    def renew(raw: str) -> None:
        user.set_password(raw)
        user.save(update_fields=["password"])

    return renew


def sign_up(*, actor: Actor, email: str, password: str, name: str = "", now: datetime) -> User:
    """
    Create a customer and announce it.

    :raises ValidationFailed: if the address is taken or the password too weak
    """
    try:
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        raise ValidationFailed(
            errors=[FieldError("password", "invalid", message) for message in error.messages]
        ) from None
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, name=name)
            outbox.publish(
                CustomerCreated(aggregate_id=user.id, email=user.email), actor=actor, now=now
            )
    except IntegrityError:
        raise ValidationFailed(
            errors=[
                FieldError(
                    "email",
                    "invalid",
                    "This address cannot be used. Sign in, or reset the password.",
                )
            ]
        ) from None
    return user
