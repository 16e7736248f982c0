#!/usr/bin/env python
"""Run Holdfast's management commands; `python manage.py help` lists them."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # A missing key is the operator's to fix: the message names it, a traceback would only hide it.
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
