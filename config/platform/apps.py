from importlib import import_module

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    name = "config.platform"
    label = "platform"
    verbose_name = "Platform"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("config.platform.checks")
        import_module("config.platform.handlers")
        import_module("config.platform.schema")
