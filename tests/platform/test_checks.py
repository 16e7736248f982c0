"""What whoever deploys is told before a version starts."""

from __future__ import annotations

import pytest
from django.core.checks import Tags, run_checks
from django.db import connection


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["on", "off"])
def test_who_deploys_is_told_when_commits_do_not_wait_for_the_disk(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL synchronous_commit = {value}")

    told = [
        warning.msg
        for warning in run_checks(
            tags=[Tags.database], include_deployment_checks=True, databases=["default"]
        )
        if warning.id == "platform.W001"
    ]

    assert any("synchronous_commit = off" in text for text in told) is (value == "off")
