"""
Numbers of payment cards in texts that people write: they are refused wherever they might be stored, and never logged.

Card data belongs to the payment provider alone.
"""

from __future__ import annotations

import re

CARD_CODE = "card_data_not_accepted"
CARD_MESSAGE = "This looks like a card number. Never send card numbers here."

_BETWEEN = re.compile(r"[ \-.+]|%20")  # the last two: a blank within an address
_DIGITS = re.compile(rf"[0-9]+(?:(?:{_BETWEEN.pattern})[0-9]+)*")
# How the numbers of the card networks begin, and how long they are (ISO/IEC 7812; Visa, Mastercard, American Express,
# Diners Club, Discover, JCB, UnionPay). Visa's of 13 digits, long gone, would be confused with barcodes.
_ISSUED = re.compile(
    r"4[0-9]{15}([0-9]{3})?|(5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}|3(0[0-5]|[689][0-9])[0-9]{11,16}"
    r"|6(011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}|35(2[89]|[3-8][0-9])[0-9]{12,15}|62[0-9]{14,17}"
)


def has_card_number(text: str, *, issued: bool = False) -> bool:
    """
    Return whether the text contains 13 to 19 digits that pass the check of payment cards.

    Digits may be grouped; groups that follow, such as an expiry date, do not hide a number. With `issued` they must
    also begin as some network's cards do and not be a part of a word, as digits of tokens are: of long numbers of
    another kind, one in ten passes the check by chance.
    """
    return any(_holds_card(run, issued) for run in _DIGITS.finditer(text))


def without_card_numbers(text: str) -> str:
    """Return the text with stars in place of digits that hold the number of an issued card."""
    return _DIGITS.sub(lambda run: "***" if _holds_card(run, issued=True) else run[0], text)


def _holds_card(run: re.Match[str], issued: bool) -> bool:
    if len(run[0]) < 13:
        return False
    around = (
        run.string[max(run.start() - 1, 0) : run.start()] + run.string[run.end() : run.end() + 1]
    )
    if issued and any(map(str.isalpha, around)):
        return False
    groups = _BETWEEN.split(run[0])
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > 19:
                break
            if (
                len(digits) >= 13
                and _passes_luhn(digits)
                and (not issued or _ISSUED.fullmatch(digits))
            ):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(
        number - 9 if number > 9 else number for number in doubled
    )
    return total % 10 == 0 and digits.strip("0") != ""
