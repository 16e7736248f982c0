"""How a code is written."""

from __future__ import annotations

import re
import unicodedata

from config.platform.cards import has_card_number
from pricing import engine
from pricing.errors import DiscountInvalid

_CODE = re.compile(r"[A-Z0-9-]{1,50}")


def normalise_code(code: str) -> str:
    """
    Return a code the way codes are stored: trimmed, compatibility-normalised, upper-case.

    :raises DiscountInvalid: if nothing that a code may look like is left, or a card number is
    """
    normal = unicodedata.normalize("NFKC", code).strip().upper()
    if not _CODE.fullmatch(normal) or has_card_number(normal, issued=True):
        raise DiscountInvalid(extra={"reason": engine.UNKNOWN})
    return normal
