"""The project: settings, entry points and the platform layer that every app stands on."""

# Importing the Celery app here binds every `@shared_task` to it, whichever process imports the tasks first.
from config.celery import app as celery_app

__all__ = ["celery_app"]
