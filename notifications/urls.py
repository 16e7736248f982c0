from __future__ import annotations

from django.urls import path

from notifications import views

urlpatterns = [
    path("account/notifications/", views.mine, name="page_notifications"),
    path("dev/mail/", views.mailbox, name="mailbox"),
    path("dev/mail/<uuid:mail_id>/", views.mail, name="mail"),
    path("dev/mail/<uuid:mail_id>/html/", views.mail_html, name="mail_html"),
    path("unsubscribe/<str:token>/", views.unsubscribe, name="unsubscribe"),
]
