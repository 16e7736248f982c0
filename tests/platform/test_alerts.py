"""Numbers beyond their thresholds: raised once a crossing, shown to staff, mailed, and over when they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.platform import alerts, metrics
from config.platform.alerts import Rule
from config.platform.metrics import Gauge
from config.platform.models import Alert, JobRun, new_id
from inventory import watch
from inventory.models import Company, Reservation, StockDrift
from notifications import services, tasks
from notifications.models import Notification
from tests.factories import make_staff, make_variant
from tests.inventory.plants import _hold, _level

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


class Probe:
    """A source of one number that a test sets."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.is_broken = False
        self.__qualname__ = "probe"

    def __call__(self, now: datetime) -> Iterable[Gauge]:
        if self.is_broken:
            raise RuntimeError("no numbers today")
        return [Gauge("probe", {"part": part}, value) for part, value in self.values.items()]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    source = Probe()
    rule = Rule(name="probe_high", series="probe", warning=5, critical=10, title="It is high", hint="Look at it.")  # fmt: skip
    monkeypatch.setattr(metrics, "_sources", [source])
    monkeypatch.setattr(alerts, "_rules", {"probe_high": rule})
    return source


def told() -> list[tuple[str, str, bool]]:
    rows = Alert.objects.order_by("id")
    return [(alert.subject, alert.level, alert.resolved_at is not None) for alert in rows]


def test_a_crossing_is_raised_once_and_again_when_it_becomes_critical(
    probe: Probe, now: datetime
) -> None:
    probe.values = {"a": 5, "b": 1}
    assert alerts.evaluate(now=now) == 0
    probe.values = {"a": 6, "b": 1}

    assert [alerts.evaluate(now=now + n * MINUTE) for n in range(3)] == [1, 0, 0]
    probe.values = {"a": 11, "b": 7}
    assert [alerts.evaluate(now=now + n * MINUTE) for n in (3, 4)] == [2, 0]
    probe.values = {"a": 6, "b": 7}  # better is no news
    assert alerts.evaluate(now=now + 5 * MINUTE) == 0

    assert told() == [("a", "critical", False), ("b", "warning", False)]
    first = Alert.objects.get(subject="a")
    assert (first.raised_at, first.seen_at, first.value, first.threshold) == (
        now,
        now + 5 * MINUTE,
        6,
        10,
    )


def test_it_ends_when_the_number_was_below_for_a_while_and_a_new_crossing_is_a_new_alert(
    probe: Probe, now: datetime
) -> None:
    probe.values = {"a": 6}
    alerts.evaluate(now=now)
    for minute, value in ((1, 4), (3, 6), (4, 4)):  # to and fro: one alert
        probe.values = {"a": value}
        assert alerts.evaluate(now=now + minute * MINUTE) == 0
    assert told() == [("a", "warning", False)]

    alerts.evaluate(now=now + 8 * MINUTE)
    assert told() == [("a", "warning", True)]
    probe.values = {"a": 6}
    assert alerts.evaluate(now=now + 9 * MINUTE) == 1
    assert told() == [("a", "warning", True), ("a", "warning", False)]


def test_numbers_that_cannot_be_read_end_nothing(probe: Probe, now: datetime) -> None:
    probe.values = {"a": 6}
    alerts.evaluate(now=now)
    probe.is_broken = True

    assert alerts.evaluate(now=now + timedelta(hours=1)) == 0

    assert told() == [("a", "warning", False)]


def test_the_database_keeps_one_open_alert_per_rule_and_subject(now: datetime) -> None:
    row = {"rule": "r", "subject": "s", "level": "warning", "value": 2, "threshold": 1, "raised_at": now, "seen_at": now}  # fmt: skip
    Alert.objects.create(**row, resolved_at=now)
    Alert.objects.create(**row)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(**row)


def test_any_number_of_alerts_costs_the_same_statements(
    probe: Probe, now: datetime, unhurried: None
) -> None:
    counts = []
    for many in (2, 20):
        probe.values = {f"{many}-{number}": 6.0 for number in range(many)}
        with CaptureQueriesContext(connection) as queries:
            alerts.evaluate(now=now)
        counts.append(len(queries))

    assert counts[1] <= counts[0] + 1  # those of before are open by then


def test_mails_tell_of_the_beginning_and_the_end_once(
    probe: Probe, now: datetime, settings: Any, company: Company
) -> None:
    settings.ALERT_EMAILS = ["ops@example.com", "boss@example.com"]
    probe.values = {"a": 6, "b": 12}
    alerts.evaluate(now=now)

    assert [services.mail_alerts(now=now) for _ in range(2)] == [2, 0]
    mails = Notification.objects.filter(channel="alert").order_by("recipient")
    assert [mail.recipient for mail in mails] == ["boss@example.com", "ops@example.com"]
    assert mails[0].subject == "It is high (warning), and 1 more"
    assert "It is 12; more than 10 is too much." in mails[0].body_text
    assert "Look at it." in mails[0].body_html

    probe.values = {}
    alerts.evaluate(now=now + 6 * MINUTE)
    assert services.mail_alerts(now=now + 6 * MINUTE) == 2
    assert mails.filter(subject__startswith="Over: It is high").count() == 2
    assert Notification.objects.filter(channel="alert").count() == 4


def test_without_addresses_alerts_are_shown_and_not_kept_for_later(
    probe: Probe, now: datetime, settings: Any, company: Company
) -> None:
    settings.ALERT_EMAILS = []
    probe.values = {"a": 6}
    alerts.evaluate(now=now)
    tasks.send_digests()
    assert not Notification.objects.exists()
    settings.ALERT_EMAILS = ["ops@example.com"]
    tasks.send_digests()
    assert not Notification.objects.exists()

    client = Client()
    client.force_login(
        make_staff(is_superuser=True), "allauth.account.auth_backends.AuthenticationBackend"
    )
    assert "alert that goes on" in client.get(reverse("admin:index")).content.decode()
    page = client.get(reverse("admin:platform_alert_changelist"), {"state": "open"})
    assert "It is high" in page.content.decode()
    assert client.get(reverse("admin:platform_alert_changelist"), {"state": "over"}).context["cl"].result_count == 0  # fmt: skip


def names(now: datetime) -> set[str]:
    alerts.evaluate(now=now)
    return set(Alert.objects.filter(resolved_at=None).values_list("rule", flat=True))


def test_what_goes_wrong_with_stock_and_jobs_is_known(company: Company, now: datetime) -> None:
    assert watch.stock in metrics._sources
    before = names(now)
    level = make_variant(available=5).stock_levels.get()
    StockDrift.objects.create(
        company=company, stock_level=level, kind="total", expected=-1, actual=5, found_at=now
    )
    _hold(_level(), expires_at=now - 3 * MINUTE)
    JobRun.objects.create(
        name="inventory.release_expired_holds", state="failed", started_at=now, ended_at=now, lease_until=now, error="x"
    )  # fmt: skip

    assert names(now) - before >= {"stock_drift", "stock_oversold", "holds_overdue", "job_failed"}


@pytest.mark.parametrize(("expired", "sold", "is_raised"), [(49, 1, True), (45, 5, False), (20, 0, False)])  # fmt: skip
def test_nearly_every_hold_lapsing_is_known_where_there_are_enough(
    company: Company, expired: int, sold: int, is_raised: bool
) -> None:
    level = _level()
    _hold(level)
    first = Reservation.objects.get()
    for status, count in (("EXPIRED", expired), ("COMPLETED", sold)):
        for _ in range(count):
            Reservation.objects.create(
                company=company, stock_level=level, variant=level.variant, line_id=new_id(), cart_id=new_id(),
                holder="test", quantity=1, started_at=first.started_at, expires_at=first.expires_at, status=status,
            )  # fmt: skip
    latest = Reservation.objects.latest("created_at").created_at

    assert ("holds_lapse" in names(latest + MINUTE)) is is_raised
