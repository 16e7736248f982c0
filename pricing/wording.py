"""Promotions in plain words: one sentence, built from the terms and from nothing else, the same wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_time
from django.utils.dates import WEEKDAYS
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pricing.engine import (
    BUY_X_GET_Y,
    FIXED_AMOUNT,
    FREE_SHIPPING,
    PERCENTAGE,
    TIERED_QUANTITY,
)
from pricing.templatetags.money import current_locale, money_text
from pricing.terms import PromotionTerms

MOST_NAMED = 4  # of products, categories, groups, codes; more are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the terms of a promotion leave out: what ids are called, and the company's currency and clock."""

    names: Mapping[UUID, str] = field(default_factory=dict)
    currency: str = "USD"
    time_zone: str = "UTC"


def promotion_words(terms: PromotionTerms, setting: Setting) -> str:
    """
    Return what a promotion does in one sentence: "10 % off the whole order, on orders from $50.00, once per customer".

    Every term but the name changes it; a test holds that. Never fails, whatever an older row may hold.
    """
    parts = [
        _what(terms, setting),
        *_for_what(terms, setting),
        *_for_whom(terms, setting),
        *_conditions(terms, setting),
        *_when(terms, setting),
        *_how_often(terms),
        *_how_it_comes(terms),
        *_beside_others(terms),
    ]
    sentence = ", ".join(part for part in parts if part)
    said = sentence if terms.is_active else _("Paused: %(sentence)s") % {"sentence": sentence}
    return capfirst(said)


# --- what it does ---------------------------------------------------------------------------------


def _what(terms: PromotionTerms, setting: Setting) -> str:
    return _KINDS.get(terms.kind, _of_no_kind)(terms, setting)


def _percentage(terms: PromotionTerms, setting: Setting) -> str:
    return _off(_("%(number)s %%") % {"number": _plain(terms.value)}, terms)


def _fixed_amount(terms: PromotionTerms, setting: Setting) -> str:
    amount = money_text(terms.value, terms.currency or setting.currency)
    if terms.settings.get("per_unit"):
        amount = _("%(amount)s for each unit") % {"amount": amount}
    return _off(amount, terms)


def _free_shipping(terms: PromotionTerms, setting: Setting) -> str:
    return _("free shipping%(scope)s") % {"scope": _scope_words(terms.scope, FREE_SHIPPING)}


def _buy_some_get_some(terms: PromotionTerms, setting: Setting) -> str:
    buy, get = _count(terms.settings.get("buy")), _count(terms.settings.get("get"))
    off = _plain(terms.settings.get("percent", 100))
    values = {"buy": buy, "get": get, "all": buy + get, "off": off}
    if off == "100":
        words = _("buy %(buy)d, get %(get)d of every %(all)d free, the cheapest") % values
    else:
        words = (
            _("buy %(buy)d, get the cheapest %(get)d of every %(all)d at %(off)s %% off") % values
        )
    times = _count(terms.settings.get("times"))
    if times:
        often = ngettext("for %(n)d set only", "for up to %(n)d sets", times) % {"n": times}
        words = f"{words}, {often}"
    return words + _scope_words(terms.scope, BUY_X_GET_Y)


def _more_for_less(terms: PromotionTerms, setting: Setting) -> str:
    tiers = [
        _("%(off)s %% off from %(n)d units")
        % {"off": _plain(tier.get("percent")), "n": _count(tier.get("from"))}
        for tier in _tiers(terms.settings)
    ]
    return (", ".join(tiers) or _("nothing yet")) + _scope_words(terms.scope, TIERED_QUANTITY)


def _of_no_kind(terms: PromotionTerms, setting: Setting) -> str:
    return _("an unknown kind of discount (%(kind)s)") % {"kind": terms.kind}


_KINDS: Mapping[str, Callable[[PromotionTerms, Setting], str]] = {
    PERCENTAGE: _percentage,
    FIXED_AMOUNT: _fixed_amount,
    FREE_SHIPPING: _free_shipping,
    BUY_X_GET_Y: _buy_some_get_some,
    TIERED_QUANTITY: _more_for_less,
}


def _off(amount: str, terms: PromotionTerms) -> str:
    match terms.scope:
        case "PRODUCT":
            words = _("%(amount)s off products")
        case "CATEGORY":
            words = _("%(amount)s off categories")
        case "SHIPPING":
            words = _("%(amount)s off shipping")
        case "USER":
            words = _("%(amount)s off the order of signed-in customers")
        case _:
            words = _("%(amount)s off the whole order")
    return words % {"amount": amount}


def _scope_words(scope: str, kind: str) -> str:
    """Return what a scope adds to a kind that says by itself what it is about."""
    if scope == "USER":
        return _(" for signed-in customers")
    if scope == "SHIPPING" and kind != FREE_SHIPPING:
        return _(", taken off shipping")
    if scope in {"PRODUCT", "CATEGORY"}:
        return _(" (by product)") if scope == "PRODUCT" else _(" (by category)")
    return ""


def _for_what(terms: PromotionTerms, setting: Setting) -> Iterator[str]:
    about = [*terms.product_ids, *terms.category_ids]
    if about:
        yield _("only on %(names)s") % {"names": _named(about, setting)}
    apart = [*terms.excluded_product_ids, *terms.excluded_category_ids]
    if apart:
        yield _("not on %(names)s") % {"names": _named(apart, setting)}
    options = terms.settings.get("options")
    if isinstance(options, list) and options:
        yield _("only shipped by %(ways)s") % {"ways": _several([str(way) for way in options])}


# --- for whom, on what condition --------------------------------------------------------------------


def _for_whom(terms: PromotionTerms, setting: Setting) -> Iterator[str]:
    if terms.user_ids:
        number = len(terms.user_ids)
        yield ngettext("for %(n)d customer only", "for %(n)d customers only", number) % {
            "n": number
        }
    if terms.group_ids:
        yield _("for members of %(names)s") % {"names": _named(terms.group_ids, setting)}
    if terms.first_order_only:
        yield _("with the first order")
    if terms.new_customer_days is not None:
        days = terms.new_customer_days
        yield ngettext(
            "in the first %(n)d day of an account", "in the first %(n)d days of an account", days
        ) % {"n": days}


def _conditions(terms: PromotionTerms, setting: Setting) -> Iterator[str]:
    currency = terms.currency or setting.currency
    if terms.minimum_order is not None:
        yield _("on orders from %(amount)s") % {"amount": money_text(terms.minimum_order, currency)}
    if terms.minimum_quantity is not None:
        number = terms.minimum_quantity
        yield ngettext("from %(n)d unit of it", "from %(n)d units of it", number) % {"n": number}
    if terms.maximum_discount is not None:
        yield _("at most %(amount)s off") % {"amount": money_text(terms.maximum_discount, currency)}
    if terms.currency and terms.kind != FIXED_AMOUNT:
        yield _("in %(currency)s only") % {"currency": terms.currency}


# --- when and how often ------------------------------------------------------------------------------


def _when(terms: PromotionTerms, setting: Setting) -> Iterator[str]:
    start, end = (_moment(moment, setting) for moment in (terms.starts_at, terms.ends_at))
    if start and end:
        yield _("from %(start)s to %(end)s") % {"start": start, "end": end}
    elif start:
        yield _("from %(start)s") % {"start": start}
    elif end:
        yield _("until %(end)s") % {"end": end}
    days = [str(WEEKDAYS[day - 1]) for day in sorted(terms.weekdays) if 1 <= day <= 7]
    if days:
        yield _("on %(days)s") % {"days": _and(days)}
    if terms.opens_at is not None or terms.closes_at is not None:
        yield _("between %(opens)s and %(closes)s") % {
            "opens": _hour(terms.opens_at),
            "closes": _hour(terms.closes_at),
        }


def _how_often(terms: PromotionTerms) -> Iterator[str]:
    if terms.usage_limit is not None:
        number = terms.usage_limit
        yield ngettext("%(n)d use in all", "%(n)d uses in all", number) % {"n": number}
    if terms.per_customer_limit == 1:
        yield _("once per customer")
    elif terms.per_customer_limit is not None:
        yield _("%(n)d times per customer") % {"n": terms.per_customer_limit}


def _how_it_comes(terms: PromotionTerms) -> Iterator[str]:
    if terms.is_automatic:
        yield _("by itself")
    if terms.codes:
        yield ngettext(
            "with the code %(codes)s", "with one of the codes %(codes)s", len(terms.codes)
        ) % {"codes": _several(list(terms.codes))}
    if terms.reminder_stage is not None:
        yield _("sent with reminder %(n)d") % {"n": terms.reminder_stage}
    if not terms.is_automatic and not terms.codes and terms.reminder_stage is None:
        yield _("with codes of batches")


def _beside_others(terms: PromotionTerms) -> Iterator[str]:
    if not terms.is_stackable:
        yield _("not together with others")
    if terms.priority:
        yield _("priority %(n)d") % {"n": terms.priority}
    if terms.is_advertised:
        yield _("shown to customers")


# --- words ---------------------------------------------------------------------------------------


def _named(ids: Sequence[UUID], setting: Setting) -> str:
    return _several([setting.names.get(id, _("something else")) for id in ids])


def _several(names: list[str]) -> str:
    rest = len(names) - MOST_NAMED
    if rest < 2:  # "and 1 more" is longer than most names
        return _and(names)
    shown = ", ".join(names[:MOST_NAMED])
    return _("%(names)s and %(n)d more") % {"names": shown, "n": rest}


def _and(names: list[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return _("%(first)s and %(last)s") % {"first": ", ".join(names[:-1]), "last": names[-1]}


def _plain(number: Any) -> str:
    try:
        return f"{Decimal(str(number)).normalize():f}"
    except InvalidOperation:
        return "?"


def _count(number: Any) -> int:
    return number if isinstance(number, int) else 0


def _tiers(settings: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    tiers = settings.get("tiers")
    rows = [tier for tier in tiers if isinstance(tier, dict)] if isinstance(tiers, list) else []
    return sorted(rows, key=lambda tier: _count(tier.get("from")))


def _moment(moment: datetime | None, setting: Setting) -> str:
    if moment is None:
        return ""
    local = moment.astimezone(ZoneInfo(setting.time_zone))
    return format_datetime(
        local, format="EEE d MMM y HH:mm", tzinfo=local.tzinfo, locale=current_locale()
    )


def _hour(hour: time | None) -> str:
    return "?" if hour is None else format_time(hour, format="HH:mm", locale=current_locale())
