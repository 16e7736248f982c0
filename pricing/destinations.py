"""
Places as people write them, read into the form in which rates and zones are compared: pure rules, no tables.

The cart's estimates, the checkout and the order all read a place by these, so "california" is the same place everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from django_countries import countries

from config.platform.errors import FieldError, ValidationFailed
from pricing.engine import ANYWHERE, Place

LONGEST_STATE, LONGEST_POSTAL_CODE = 40, 20

_US = (
    "AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|"
    "DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|"
    "KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|"
    "MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|"
    "NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island|"
    "SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|WA Washington|"
    "WV West Virginia|WI Wisconsin|WY Wyoming|AS American Samoa|GU Guam|MP Northern Mariana Islands|PR Puerto Rico|"
    "VI Virgin Islands|AA Armed Forces Americas|AE Armed Forces Europe|AP Armed Forces Pacific"
)
_CA = (
    "AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador|NS Nova Scotia|"
    "NT Northwest Territories|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|SK Saskatchewan|YT Yukon"
)
_AU = (
    "ACT Australian Capital Territory|NSW New South Wales|NT Northern Territory|QLD Queensland|SA South Australia|"
    "TAS Tasmania|VIC Victoria|WA Western Australia"
)


def _states(text: str) -> dict[str, str]:
    pairs = [entry.split(" ", 1) for entry in text.split("|")]
    return {code: code for code, _ in pairs} | {name.upper(): code for code, name in pairs}


# Where states have codes: the code by itself and by the name of the state.
STATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"US": _states(_US), "CA": _states(_CA), "AU": _states(_AU)}
)
_POSTAL_CODE = re.compile(r"[0-9A-Z]([0-9A-Z -]*[0-9A-Z])?")
_ALIASES = {"UK": "GB"}


def country_code(text: str) -> str:
    """Return the code of two letters of a country named by two or three; empty if there is none."""
    code = text.strip().upper()
    if not code.isascii() or not code.isalpha() or len(code) not in {2, 3}:
        return ""
    return str(countries.alpha2(_ALIASES.get(code, code)) or "")


def state_code(country: str, text: str) -> str | None:
    """Return a state as rates name it: its code where the country's states have some; None if there is no such state."""
    if not text or country not in STATES:
        return text
    return STATES[country].get(text.upper())


def country_of_rule(text: str) -> str:
    """Return the code of the country that a rule is for, `*` for any; empty if there is no such country."""
    return ANYWHERE if text.strip() == ANYWHERE else country_code(text)


def state_of_rule(countries_of_rule: Iterable[str], text: str) -> str | None:
    """Return the state that a rule is for, as destinations write it; None if none of the countries has it."""
    named = " ".join(unicodedata.normalize("NFKC", text).split())
    known = (state_code(country, named) for country in countries_of_rule)
    return next((code for code in known if code is not None), None)


def read_place(*, country: str, state: str = "", postal_code: str = "") -> Place:
    """
    Return the place that a caller names; state and postal code may be missing, a postal code may be its beginning.

    :raises ValidationFailed: listing each of `country`, `state`, `postalCode` that is none
    """
    errors = []
    code = country_code(country)
    if not code:
        errors.append(FieldError("country", "invalid", "A country code of two letters is needed."))
    named = " ".join(unicodedata.normalize("NFKC", state).split())
    known = state_code(code, named)
    if len(named) > LONGEST_STATE:
        errors.append(
            FieldError("state", "max_length", f"At most {LONGEST_STATE} characters are possible.")
        )
    elif known is None or not all(map(_may_stand_in_a_name, named)):
        errors.append(FieldError("state", "invalid", "There is no such state."))
    postal = " ".join(unicodedata.normalize("NFKC", postal_code).upper().split())
    if len(postal) > LONGEST_POSTAL_CODE:
        errors.append(
            FieldError(
                "postalCode",
                "max_length",
                f"At most {LONGEST_POSTAL_CODE} characters are possible.",
            )
        )
    elif postal and not _POSTAL_CODE.fullmatch(postal):
        errors.append(
            FieldError("postalCode", "invalid", "Letters, digits, spaces and hyphens only.")
        )
    if errors:
        raise ValidationFailed(errors=errors)
    return Place(code, known or "", postal)


def _may_stand_in_a_name(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in " .,'’-()/&"
