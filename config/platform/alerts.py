"""
What staff have to know at once: rules on the numbers of `/metrics`, looked at each minute (JOB-16).

An alert is raised once when a number crosses its threshold, again when it becomes critical, and ends when the number has
been below for a while. Apps add rules with `alerts.watch`, from the module that adds the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.platform import metrics
from config.platform.models import Alert

# A number that goes to and fro about its threshold is one alert, not many.
CALM = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    Raised where the number `series` is above `warning` or `critical` (of each of its labels apart).

    `title` says what is wrong, `hint` where to look first.
    """

    name: str
    series: str
    title: str | Promise
    hint: str | Promise
    warning: float | None = None
    critical: float | None = None

    def judge(self, value: float) -> tuple[str, float] | None:
        """Return the level and the threshold that was crossed, the worse one first."""
        if self.critical is not None and value > self.critical:
            return Alert.Level.CRITICAL, self.critical
        if self.warning is not None and value > self.warning:
            return Alert.Level.WARNING, self.warning
        return None


@dataclass(frozen=True, slots=True)
class _Raised:
    level: str
    value: float
    threshold: float


_rules: dict[str, Rule] = {}


def watch(*rules: Rule) -> None:
    """Add rules; one of the same name takes the place of the one before."""
    _rules.update({rule.name: rule for rule in rules})


def rules() -> list[Rule]:
    return list(_rules.values())


def rule_of(name: str) -> Rule | None:
    """Return a rule by its name; None for one that was taken out since its alerts were raised."""
    return _rules.get(name)


@transaction.atomic
def evaluate(*, now: datetime) -> int:
    """
    Compare the numbers with the rules; return how many alerts were raised or became worse.

    Where numbers could not be read nothing ends: no news are no good news. Locks the open alerts.
    """
    numbers, is_whole = metrics.read(now=now)
    found = _crossings(numbers)
    open_alerts = {
        (alert.rule, alert.subject): alert
        for alert in Alert.objects.filter(resolved_at=None).order_by("pk").select_for_update()
    }
    news = [
        Alert(
            rule=rule,
            subject=subject,
            level=raised.level,
            value=raised.value,
            threshold=raised.threshold,
            raised_at=now,
            seen_at=now,
            is_untold=True,
        )
        for (rule, subject), raised in found.items()
        if (rule, subject) not in open_alerts
    ]
    Alert.objects.bulk_create(news, ignore_conflicts=True)
    worse, kept, over = [], [], []
    for key, alert in open_alerts.items():
        raised = found.get(key)
        if raised is not None:
            is_worse = alert.level == Alert.Level.WARNING != raised.level
            if is_worse:
                alert.level, alert.threshold, alert.is_untold = raised.level, raised.threshold, True
                worse.append(alert)
            alert.value, alert.seen_at = raised.value, now
            kept.append(alert)
        elif is_whole and now - alert.seen_at >= CALM:
            alert.resolved_at, alert.is_untold = now, True
            over.append(alert)
    Alert.objects.bulk_update(
        [*kept, *over], ["level", "threshold", "value", "seen_at", "resolved_at", "is_untold"]
    )
    return len(news) + len(worse)


def _crossings(numbers: Iterable[metrics.Gauge]) -> dict[tuple[str, str], _Raised]:
    by_series: dict[str, list[Rule]] = {}
    for rule in _rules.values():
        by_series.setdefault(rule.series, []).append(rule)
    found = {}
    for number in numbers:
        for rule in by_series.get(number.name, ()):
            crossed = rule.judge(number.value)
            if crossed is not None:
                subject = ", ".join(str(value) for value in number.labels.values())[:200]
                level, threshold = crossed
                found[rule.name, subject] = _Raised(level, float(number.value), threshold)
    return found


watch(
    Rule(
        name="events_late",
        series="outbox_oldest_seconds",
        warning=60,
        critical=300,
        title=_("Events wait to be handed on"),
        hint=_("Does a worker run? Mails, live updates and outside systems wait for it."),
    ),
    Rule(
        name="event_given_up",
        series="outbox_dead",
        warning=0,
        title=_("An event was given up"),
        hint=_("Events in the admin show why; mend the cause, then send it again."),
    ),
    Rule(
        name="job_overdue",
        series="job_overdue",
        warning=0,
        title=_("A job is overdue"),
        hint=_("Do beat and a worker run? `manage.py jobs` shows the timetable."),
    ),
    Rule(
        name="job_failed",
        series="job_last_failed",
        warning=0,
        title=_("A job failed when it last ran"),
        hint=_("Job runs in the admin show the error."),
    ),
)
