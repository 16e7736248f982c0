"""`manage.py clean_up_carts`: what time does to carts, by hand (JOB-17)."""

from __future__ import annotations

from typing import ClassVar

from cart import services
from cart.management.commands._sweep import SweepCommand


class Command(SweepCommand):
    help = "Close carts whose life is over, keep what was abandoned for the next purchase, delete what is old."
    sweeps: ClassVar = {
        "expired": services.expire_due,
        "kept for the next purchase": services.move_abandoned_to_next,
        "deleted": services.delete_old,
    }
