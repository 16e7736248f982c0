"""
Amounts of money: exact decimals, rounded half-up to the currency's own number of places.

Splits never lose or invent a unit: parts are handed out by largest remainder, ties in the order given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from types import MappingProxyType

_NO_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_TWO_PLACES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"

EXPONENTS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(_NO_PLACES.split(), 0)
    | dict.fromkeys(_TWO_PLACES.split(), 2)
    | dict.fromkeys(_THREE_PLACES.split(), 3)
)
_QUANTUM = {places: Decimal(1).scaleb(-places) for places in set(EXPONENTS.values())}


def exponent(currency: str) -> int:
    """
    Return how many decimal places amounts in this currency have.

    :raises ValueError: if we do not know the currency
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"{currency!r} is not a currency we know.") from None


def quantize(amount: Decimal, currency: str) -> Decimal:
    """Return the amount rounded half-up to the currency's places."""
    return amount.quantize(_QUANTUM[exponent(currency)], rounding=ROUND_HALF_UP)


def convert(amount: Decimal, rate: Decimal, currency: str) -> Decimal:
    """Return an amount at a rate in another currency, rounded half-up to that currency's places."""
    return quantize(amount * rate, currency)


def format_amount(amount: Decimal, currency: str) -> str:
    """Return the amount as a plain decimal string with the currency's own number of places."""
    return f"{quantize(amount, currency):f}"


def parse_amount(text: str, currency: str) -> Decimal:
    """
    Return the amount that a plain decimal string names.

    :raises ValueError: if it is not a plain number, or has more places than the currency
    """
    places = exponent(currency)
    if (
        not text.isascii()
        or not text.replace(".", "", 1).removeprefix("-").isdigit()
        or len(text) > 18
    ):
        raise ValueError(f"{text!r} is not an amount.")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount.") from None
    rounded = amount.quantize(_QUANTUM[places], rounding=ROUND_HALF_UP)
    if rounded != amount:
        raise ValueError(f"{text!r} has more than {places} decimal places.")
    return rounded


def to_minor(amount: Decimal, currency: str) -> int:
    """Return the amount as a whole number of the currency's smallest unit, rounded half-up."""
    return int(amount.scaleb(exponent(currency)).to_integral_value(rounding=ROUND_HALF_UP))


def from_minor(minor: int, currency: str) -> Decimal:
    """Return the decimal amount of a whole number of the currency's smallest unit."""
    return Decimal(minor).scaleb(-exponent(currency))


def split_minor(total: int, weights: Sequence[int]) -> list[int]:
    """
    Return whole parts of `total` in proportion to `weights`; they add up to `total` exactly.

    By largest remainder; equal remainders are served in the order given. Weights that are all zero
    count as equal.

    :raises ValueError: if there is something to split and nobody to take it, or a weight is negative
    """
    if total < 0:
        return [-part for part in split_minor(-total, weights)]
    if not weights:
        if total:
            raise ValueError("There is nobody to split this among.")
        return []
    if min(weights) < 0:
        raise ValueError("A weight is negative.")
    whole = sum(weights)
    if not whole:
        weights = [1] * len(weights)
        whole = len(weights)
    parts = []
    remainders = []
    for weight in weights:
        part, remainder = divmod(total * weight, whole)
        parts.append(part)
        remainders.append(remainder)
    missing = total - sum(parts)
    if missing:
        # sorted() is stable: ties keep the order given
        for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:missing]:
            parts[index] += 1
    return parts


def split(total: Decimal, weights: Sequence[Decimal | int], currency: str) -> list[Decimal]:
    """
    Return parts of `total` in proportion to `weights`, each in the currency's places, adding up exactly.

    :raises ValueError: as `split_minor`
    """
    fractions = [Fraction(weight) for weight in weights]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    whole = [int(fraction * scale) for fraction in fractions]
    return [from_minor(part, currency) for part in split_minor(to_minor(total, currency), whole)]


def unit_shares(total: Decimal, quantity: int, first: int, count: int, currency: str) -> Decimal:
    """
    Return what units `first` … `first + count - 1` of a line carry of the line's `total`.

    A fixed function of the total: whatever the order and the size of partial cancellations, the
    shares of all units add up to the total exactly.

    :raises ValueError: if the line does not have these units
    """
    if quantity < 1 or first < 0 or count < 0 or first + count > quantity:
        raise ValueError("The line does not have these units.")
    minor = to_minor(total, currency)
    sign, size = (1, minor) if minor >= 0 else (-1, -minor)
    return from_minor(
        sign * (size * (first + count) // quantity - size * first // quantity), currency
    )


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in a currency, rounded once when it is made. Two currencies never mix."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", quantize(self.amount, self.currency))

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(Decimal(0), currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix.")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        return Money(self.amount * factor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __bool__(self) -> bool:
        return bool(self.amount)

    def split(self, weights: Sequence[Decimal | int]) -> list[Money]:
        return [Money(part, self.currency) for part in split(self.amount, weights, self.currency)]

    def __str__(self) -> str:
        return f"{format_amount(self.amount, self.currency)} {self.currency}"
