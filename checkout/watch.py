"""What is watched of money: differences between the books that stay, comparisons that fail, authorisations that end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from checkout import selectors
from config.platform import alerts, metrics
from config.platform.alerts import Rule
from config.platform.metrics import Gauge

MOST_NAMED = 50  # orders named one by one


@metrics.gauges
def books(now: datetime) -> Iterable[Gauge]:
    """Yield how many differences are open, for how long the oldest has been, and whether the last comparison failed."""
    found = selectors.book_figures()
    yield Gauge("payments_differences_open", {}, found.open)
    yield Gauge(
        "payments_difference_oldest_seconds",
        {},
        (now - found.oldest_at).total_seconds() if found.oldest_at else 0,
    )
    yield Gauge("payments_comparisons_failed", {}, found.failed)


@metrics.gauges
def collecting(now: datetime) -> Iterable[Gauge]:
    """Yield the hours that are left to collect each authorised payment, of those that end within two days."""
    ending = list(selectors.to_collect(now=now)[:MOST_NAMED])
    yield Gauge("payments_to_collect_soon", {}, len(ending))
    for payment in ending:
        yield Gauge("payment_authorization_ends", {"order": payment.order.number}, 1)


@metrics.gauges
def attempts(now: datetime) -> Iterable[Gauge]:
    """Yield how many payments were declined within the hour, and how many clients were asked to wait for it."""
    found = selectors.attempt_figures(now=now)
    yield Gauge("payments_declined_hour", {}, found.declined)
    yield Gauge("payments_clients_refused_hour", {}, found.refused)


@metrics.gauges
def refusals(now: datetime) -> Iterable[Gauge]:
    """Yield what was refused within the hour and smells of attack: forged messages, strange amounts, others' payments."""
    for kind, count in selectors.refusal_figures(now=now).items():
        yield Gauge(f"payments_{kind}_hour", {}, count)


alerts.watch(
    Rule(
        name="forged_messages",
        series="payments_forged_hour",
        warning=4,
        critical=99,
        title=_("Messages come that their sender did not sign"),
        hint=_(
            "The audit log shows from when (webhook.refused). Somebody forges them, or a secret is wrong."
        ),
    ),
    Rule(
        name="payment_mismatch",
        series="payments_mismatch_hour",
        warning=0,
        title=_("A provider reports another payment than ours"),
        hint=_(
            "The audit log says how (payment.mismatch: the order is flagged; webhook.ignored: nothing was done)."
        ),
    ),
    Rule(
        name="tampering",
        series="payments_tampered_hour",
        warning=9,
        critical=99,
        title=_("Somebody sends amounts, payments or addresses that are not theirs"),
        hint=_("The audit log names who (payment.refused, address.refused, refund.refused)."),
    ),
    Rule(
        name="card_testing",
        series="payments_clients_refused_hour",
        warning=0,
        critical=20,
        title=_("Somebody tries many payments that come to nothing"),
        hint=_(
            "The audit log names each client (payment.attempts_refused). Cards may be tried out."
        ),
    ),
    Rule(
        name="authorization_ends",
        series="payment_authorization_ends",
        warning=0,
        title=_("An authorised payment ends within two days"),
        hint=_(
            "Collect it in the admin under Payments, or cancel the order; then nothing is owed."
        ),
    ),
    Rule(
        name="books_differ",
        series="payments_difference_oldest_seconds",
        warning=24 * 3600,
        critical=7 * 24 * 3600,
        title=_("The provider's books and ours have differed for a day"),
        hint=_("Differences in the admin name each payment; fix it by a click, or explain it."),
    ),
    Rule(
        name="books_unread",
        series="payments_comparisons_failed",
        warning=0,
        title=_("The books could not be compared"),
        hint=_("Comparisons of books in the admin show why. Does the payment provider answer?"),
    ),
)
