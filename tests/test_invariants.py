"""Each invariant catches the one violation that is planted for it, and none is violated by a sound shop."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from config.platform import invariants
from config.platform.invariants import Check
from tests.plants import PLANTS

pytestmark = pytest.mark.django_db

for _app in apps.get_app_configs():
    _module = f"tests.{_app.label}.plants"
    if find_spec(f"tests.{_app.label}") and find_spec(_module):
        import_module(_module)

CHECKS = invariants.all_checks()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_it_catches_what_is_planted(check, company):
    assert check.id in PLANTS, f"plant a violation of {check.id} in tests/<app>/plants.py"
    (before,) = invariants.run([check])
    assert (before.error, before.rows) == ("", [])

    PLANTS[check.id]()

    (after,) = invariants.run([check])
    assert after.error == ""
    assert after.count >= 1


def test_it_plants_nothing_that_no_check_watches():
    assert set(PLANTS) <= {check.id for check in CHECKS}


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        call_command("check_invariants", *arguments)
    return ended.value.code, capsys.readouterr().out


def test_it_exits_with_zero_one_or_two(capsys, company, monkeypatch):
    assert call(capsys)[0] == 0

    PLANTS["E05"]()
    code, text = call(capsys, "--only", "E05,E04")
    assert code == 1
    assert "E05  1 × not: what a consumer took was announced" in text
    assert call(capsys, "--class", "L")[0] == 0
    assert call(capsys, "--only", "X99")[0] == 2

    monkeypatch.setattr(
        invariants, "all_checks", lambda: [Check("X1", "S", "nonsense", "select from nowhere")]
    )
    assert call(capsys)[0] == 2


def test_it_reports_as_json(capsys, company):
    PLANTS["E02"]()

    code, text = call(capsys, "--json", "--only", "E02,E04")

    report = json.loads(text)
    assert (code, report["checks"], report["violated"], report["failed"]) == (1, 2, ["E02"], [])
    assert report["results"][0]["violations"] == 1
    assert call(capsys, "--only", "E02", "--grace", "7200")[0] == 0


@pytest.mark.django_db(transaction=True)
def test_it_reads_one_snapshot_and_cannot_write(company):
    checks = [
        Check("X1", "S", "isolation", "select current_setting('transaction_isolation') as level"),
        Check("X2", "S", "writing", "delete from job_runs returning id"),
        Check("X3", "S", "after a failure", "select 1 where false"),
    ]

    isolation, writing, after = invariants.run(checks)

    assert isolation.rows == [{"level": "repeatable read"}]
    assert "read-only" in writing.error
    assert after.holds
    assert connection.in_atomic_block is False
