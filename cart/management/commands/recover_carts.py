"""`manage.py recover_carts`: mark what was left behind and send the reminders that are due, by hand (JOB-17)."""

from __future__ import annotations

from typing import ClassVar

from cart import services
from cart.management.commands._sweep import SweepCommand


class Command(SweepCommand):
    help = "Mark carts that were left behind, and announce the reminders that are due. Each is announced once, whoever asks."
    sweeps: ClassVar = {
        "left behind": services.mark_abandoned,
        "reminded": services.send_due_recoveries,
    }
