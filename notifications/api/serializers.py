"""Shapes of the notifications API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.platform.http import Input, timestamp
from notifications.models import Notification, Preference


class ChoiceInput(Input):
    category = serializers.ChoiceField(Preference.Category.choices)
    type = serializers.ChoiceField(Notification.Type.choices)
    enabled = serializers.BooleanField()


class PreferencesInput(Input):
    preferences = ChoiceInput(many=True)

    def validate_preferences(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for choice in value:
            order_mail = choice["category"] == "orders" and choice["type"] == "EMAIL"
            if order_mail and not choice["enabled"]:
                raise serializers.ValidationError("Mail about your orders cannot be switched off.")
        return value


class PushKeysInput(Input):
    p256dh = serializers.CharField(max_length=200)
    auth = serializers.CharField(max_length=100)


class PushSubscriptionInput(Input):
    """What `PushSubscription.toJSON()` gives in a browser."""

    endpoint = serializers.URLField(max_length=1000)
    keys = PushKeysInput()
    expiration_time = serializers.IntegerField(required=False, allow_null=True)

    def validate_endpoint(self, value: str) -> str:
        if not value.startswith("https://"):
            raise serializers.ValidationError("A push service is reached by https.")
        return value


class PushEndpointInput(Input):
    endpoint = serializers.CharField(max_length=1000)


def render_notification(note: Notification) -> dict[str, Any]:
    return {
        "id": str(note.pk),
        "type": note.type,
        "channel": note.channel,
        "subject": note.subject,
        "url": note.metadata.get("url", ""),
        "status": note.status,
        "read": note.read_at is not None,
        "createdAt": timestamp(note.created_at),
        "readAt": timestamp(note.read_at) if note.read_at else None,
    }


def render_for_staff(note: Notification) -> dict[str, Any]:
    return {
        **render_notification(note),
        "userId": str(note.user_id) if note.user_id else None,
        "recipient": note.recipient,
        "error": note.error,
        "attempts": note.attempts,
        "sentAt": timestamp(note.sent_at) if note.sent_at else None,
    }


def render_preferences(chosen: dict[str, dict[str, bool]]) -> dict[str, Any]:
    return {
        "preferences": [
            {"category": category, "type": kind, "enabled": enabled}
            for category, kinds in chosen.items()
            for kind, enabled in kinds.items()
        ]
    }
