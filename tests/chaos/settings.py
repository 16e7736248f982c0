"""The served shop in a hurry: what takes minutes in life takes seconds here."""

from __future__ import annotations

from tests.concurrency.settings import *
from tests.concurrency.settings import BROKER_URL, CELERY_BEAT_SCHEDULE, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.hasty"]
CELERY_BROKER_URL = BROKER_URL
CELERY_BEAT_SCHEDULER = "celery.beat:PersistentScheduler"
CELERY_BEAT_SCHEDULE = {
    name: {**entry, "schedule": timedelta(seconds=1), "options": {"expires": 5}}
    for name, entry in CELERY_BEAT_SCHEDULE.items()
    if isinstance(entry["schedule"], timedelta) and entry["schedule"] <= timedelta(minutes=1)
}
HOLD_DURATION = timedelta(minutes=1)  # companies set it in minutes
PAYMENT_LIFETIME = timedelta(seconds=8)
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
