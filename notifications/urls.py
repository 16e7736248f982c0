from __future__ import annotations

from django.urls import path

from notifications import simulator, views

urlpatterns = [
    path("account/notifications/", views.mine, name="page_notifications"),
    path("dev/mail/", views.mailbox, name="mailbox"),
    path("dev/mail/<uuid:mail_id>/", views.mail, name="mail"),
    path("dev/mail/<uuid:mail_id>/html/", views.mail_html, name="mail_html"),
    path("dev/payments/", simulator.simulator, name="simulator"),
    path("dev/payments/<uuid:payment_id>/", simulator.rehearsal, name="simulator_payment"),
    path("dev/payments/<uuid:payment_id>/story/", simulator.story, name="simulator_story"),
    path("dev/payments/<uuid:payment_id>/press/", simulator.press, name="simulator_press"),
    path("unsubscribe/<str:token>/", views.unsubscribe, name="unsubscribe"),
]
