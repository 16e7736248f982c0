"""The customer's bell and what they want to hear about; for staff, every message."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.http import ApiView, ApiViewSet, SignedIn, Staff, actor_of, page
from notifications import selectors, services
from notifications.api.serializers import (
    PreferencesInput,
    PushEndpointInput,
    PushSubscriptionInput,
    render_for_staff,
    render_notification,
    render_preferences,
)
from notifications.models import Notification


class NotificationViewSet(ApiViewSet):
    """`/notifications`: the caller's own messages in the shop."""

    permission_classes = [SignedIn]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request) -> Response:
        notes = list(selectors.in_app(actor=actor_of(request))[:1000])
        return Response(page(notes, request, render=render_notification))

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, notification_id: UUID) -> Response:
        note = selectors.one(actor=actor_of(request), notification_id=notification_id)
        return Response(render_notification(note))

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    def read(self, request: Request, notification_id: UUID) -> Response:
        note = services.mark_read(
            actor=actor_of(request), notification_id=notification_id, now=timezone.now()
        )
        return Response(render_notification(note))

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    def read_all(self, request: Request) -> Response:
        count = services.mark_all_read(actor=actor_of(request), now=timezone.now())
        return Response({"read": count})

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def unread_count(self, request: Request) -> Response:
        return Response({"unreadCount": selectors.unread_count(actor=actor_of(request))})


def _customer(request: Request) -> UUID:
    user_id = actor_of(request).user_id
    assert user_id is not None  # SignedIn let the caller in
    return user_id


class PreferencesView(ApiView):
    permission_classes = [SignedIn]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(render_preferences(selectors.preferences(user_id=_customer(request))))

    @extend_schema(request=PreferencesInput, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request) -> Response:
        sent = PreferencesInput.read(request)["preferences"]
        services.set_preferences(
            user_id=_customer(request),
            choices={(choice["category"], choice["type"]): choice["enabled"] for choice in sent},
        )
        return Response(render_preferences(selectors.preferences(user_id=_customer(request))))


class PushSubscriptionsView(ApiView):
    """`/notifications/push-subscriptions`: the browsers a customer takes push messages in."""

    permission_classes = [SignedIn]

    @extend_schema(request=PushSubscriptionInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        given = PushSubscriptionInput.read(request)
        subscription = services.subscribe_push(
            user_id=_customer(request),
            endpoint=given["endpoint"],
            p256dh=given["keys"]["p256dh"],
            auth=given["keys"]["auth"],
            now=timezone.now(),
        )
        return Response({"id": str(subscription.pk), "endpoint": subscription.endpoint}, status=201)

    @extend_schema(request=PushEndpointInput, responses={204: None})
    def delete(self, request: Request) -> Response:
        given = PushEndpointInput.read(request)
        services.unsubscribe_push(user_id=_customer(request), endpoint=given["endpoint"])
        return Response(status=204)


class AllNotificationsView(ApiView):
    """`/notifications/admin/all`: every message of the company, newest first."""

    permission_classes = [Staff]
    rights = {"get": "notifications.view_notification"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        notes = Notification.objects.filter(company_id=actor_of(request).company_id)
        return Response(page(notes, request, render=render_for_staff))
