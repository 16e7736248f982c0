"""
Postal addresses and other text that customers send: pure rules, no tables.

An address may be incomplete while it is being typed; what is *there* must be well-formed. `missing`
says what a parcel still needs, per country.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.core.validators import EmailValidator
from django.utils.html import strip_tags

from config.platform.cards import CARD_CODE, CARD_MESSAGE, has_card_number
from config.platform.errors import FieldError, ValidationFailed
from pricing.destinations import STATES, country_code, state_code

FIELDS: Mapping[str, int] = MappingProxyType(
    {
        "name": 200,
        "line1": 200,
        "line2": 200,
        "city": 120,
        "state": 80,
        "postalCode": 20,
        "country": 2,
        "phone": 40,
    }
)
ALIASES: Mapping[str, str] = MappingProxyType(
    {"zipCode": "postalCode", "zip_code": "postalCode", "postal_code": "postalCode"}
)

_UK = r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}"
# A country that is not listed may have any postal code, or none.
POSTAL_CODES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        country: re.compile(pattern)
        for codes, pattern in {
            "US PR": r"[0-9]{5}(-[0-9]{4})?",
            "CA": r"[ABCEGHJ-NPRSTVXY][0-9][A-Z] ?[0-9][A-Z][0-9]",
            "GB GG IM JE": rf"{_UK}|GIR ?0AA",
            "IE": r"[A-Z][0-9W]{2} ?[0-9A-Z]{4}|DUBLIN ?[0-9]{1,2}W?",
            "AT AU BE BG CH CY DK HU LU NO NZ PH SI ZA LI": r"([A-Z]{1,2}-)?[0-9]{4}",
            "DE ES FR IT FI EE HR MX MY TH TR UA MC": r"([A-Z]{1,2}-)?[0-9]{5}",
            "NL": r"[1-9][0-9]{3} ?[A-Z]{2}",
            "SE CZ GR SK": r"[0-9]{3} ?[0-9]{2}",
            "PL": r"[0-9]{2}-?[0-9]{3}",
            "PT": r"[0-9]{4}(-[0-9]{3})?",
            "JP": r"[0-9]{3}-?[0-9]{4}",
            "BR": r"[0-9]{5}-?[0-9]{3}",
            "CN IN RO SG": r"[0-9]{6}|[0-9]{3} [0-9]{3}",
            "LT": r"(LT-)?[0-9]{5}",
            "LV": r"(LV-)?[0-9]{4}",
        }.items()
        for country in codes.split()
    }
)
_PHONE = re.compile(r"\+?[0-9][0-9 ()./\-]{3,38}( ?(x|ext\.?) ?[0-9]{1,6})?")
_email = EmailValidator()


def check_text(
    text: object, field: str, limit: int, *, multiline: bool = False, numbers: bool = False
) -> str:
    """
    Return the text without markup, trimmed.

    Line breaks could forge headers of mail, and a card number must never be stored, so both are refused. With
    `numbers` long numbers belong here, and only what begins like a card's is taken for one.

    :raises ValidationFailed: if it is not text, too long, has control characters or a card number
    """
    if not isinstance(text, str):
        raise _refusal(field, "invalid", "This must be text.")
    if any(
        unicodedata.category(character) in {"Cc", "Cs"}
        and not (multiline and character in "\r\n\t")
        for character in text
    ):
        raise _refusal(field, "invalid", "Line breaks and control characters are not allowed here.")
    if len(text) > limit:
        raise _refusal(field, "max_length", f"This may have at most {limit} characters.")
    if has_card_number(text, issued=numbers) and not is_phone(text):
        raise _refusal(field, CARD_CODE, CARD_MESSAGE)
    try:
        return strip_tags(text).strip()
    except SuspiciousOperation:  # more brackets than anybody writes
        raise _refusal(field, "invalid", "The text cannot be read.") from None


def is_phone(text: str) -> bool:
    """Return whether this is an international telephone number; those have up to 15 digits after the plus."""
    return (
        text.startswith("+") and bool(_PHONE.fullmatch(text)) and sum(map(str.isdigit, text)) <= 15
    )


def check_email(text: object, field: str = "email") -> str:
    """
    Return the e-mail address, trimmed; empty stays empty.

    :raises ValidationFailed: if it is malformed
    """
    email = check_text(text, field, 254)
    if email:
        try:
            _email(email)
        except ValidationError:
            raise _refusal(field, "invalid", "Enter a valid e-mail address.") from None
    return email


def normalise(address: object, field: str) -> dict[str, str]:
    """
    Return the address with every field present, aliases resolved, codes in their canonical form.

    `zipCode` stands for `postalCode` and three-letter codes such as "USA" for the country. Fields that
    are missing become empty.

    :raises ValidationFailed: listing each field that is unknown or malformed
    """
    if not isinstance(address, Mapping):
        raise _refusal(field, "invalid", "This must be an address.")
    errors: list[FieldError] = []
    clean = dict.fromkeys(FIELDS, "")
    for key, value in address.items():
        name = ALIASES.get(key, key)
        if name not in FIELDS:
            errors.append(FieldError(f"{field}.{key}", "unknown_field", "There is no such field."))
            continue
        if value is None:
            continue
        try:
            clean[name] = check_text(
                value, f"{field}.{name}", 60 if name == "country" else FIELDS[name]
            )
        except ValidationFailed as refusal:
            errors.extend(refusal.errors)
    if clean["country"]:
        clean["country"] = country_code(clean["country"])
        if not clean["country"]:
            errors.append(
                FieldError(f"{field}.country", "invalid", "Use a two-letter country code.")
            )
    country = clean["country"]
    if clean["state"] and country in STATES:
        state = state_code(country, clean["state"])
        if state is None:
            errors.append(FieldError(f"{field}.state", "invalid", "There is no such state."))
        else:
            clean["state"] = state
    if clean["postalCode"]:
        clean["postalCode"] = " ".join(clean["postalCode"].upper().split())
        pattern = POSTAL_CODES.get(country)
        if pattern is not None and not pattern.fullmatch(clean["postalCode"]):
            errors.append(
                FieldError(f"{field}.postalCode", "invalid", "This is no postal code there.")
            )
    if clean["phone"] and not _PHONE.fullmatch(clean["phone"]):
        errors.append(FieldError(f"{field}.phone", "invalid", "This is no telephone number."))
    if errors:
        raise ValidationFailed(errors=errors)
    return clean


def missing(address: Mapping[str, Any] | None) -> list[str]:
    """Return the fields that a parcel to this address still needs, in the order of a form."""
    if not address or not any(address.get(field) for field in FIELDS):
        return [""]
    needed = ["name", "line1", "city"]
    country = address.get("country") or ""
    if country in STATES:
        needed.append("state")
    if country in POSTAL_CODES:
        needed.append("postalCode")
    needed.append("country")
    return [field for field in needed if not address.get(field)]


def _refusal(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])
