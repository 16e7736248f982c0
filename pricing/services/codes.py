"""How a code is written."""

from __future__ import annotations

import re
import unicodedata

from pricing import engine
from pricing.errors import DiscountInvalid

_CODE = re.compile(r"[A-Z0-9-]{1,50}")


def normalise_code(code: str) -> str:
    """
    Return a code the way codes are stored: trimmed, compatibility-normalised, upper-case.

    :raises DiscountInvalid: if nothing that a code may look like is left
    """
    normal = unicodedata.normalize("NFKC", code).strip().upper()
    if not _CODE.fullmatch(normal):
        raise DiscountInvalid(extra={"reason": engine.UNKNOWN})
    return normal
