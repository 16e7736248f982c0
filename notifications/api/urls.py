from __future__ import annotations

from django.urls import path

from notifications.api import views

bell = views.NotificationViewSet

urlpatterns = [
    path("notifications", bell.as_view({"get": "list"})),
    path("notifications/unread-count", bell.as_view({"get": "unread_count"})),
    path("notifications/read-all", bell.as_view({"post": "read_all"})),
    path("notifications/preferences", views.PreferencesView.as_view()),
    path("notifications/push-subscriptions", views.PushSubscriptionsView.as_view()),
    path("notifications/admin/all", views.AllNotificationsView.as_view()),
    path("notifications/<uuid:notification_id>", bell.as_view({"get": "retrieve"})),
    path("notifications/<uuid:notification_id>/read", bell.as_view({"post": "read"})),
]
