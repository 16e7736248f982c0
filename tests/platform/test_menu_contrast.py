"""The entry of the admin's menu that one is at can be read on a dark ground (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

COLORS = settings.UNFOLD["COLORS"]
CSS = Path(settings.BASE_DIR) / "static/css/backoffice.css"


def channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(colour: list[float]) -> float:
    """Return the relative luminance of sRGB channels, as WCAG defines it."""
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(text: str, ground: list[float]) -> float:
    high, low = sorted((luminance(channels(text)), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_active_entry_is_light_enough_in_the_dark() -> None:
    # the theme lays 6 % of white over its darkest ground
    ground = [0.94 * each + 0.06 for each in channels(COLORS["base"]["950"])]
    rule = re.search(
        r"\.dark #nav-sidebar-apps a\.active[^{]*\{ color: var\(--color-primary-(\d+)\)",
        CSS.read_text(),
    )

    assert contrast(COLORS["primary"]["500"], ground) < 4.5  # what the theme would take
    assert rule is not None
    assert contrast(COLORS["primary"][rule[1]], ground) >= 4.5
