"""The signing examples of docs/integrations.md, run as they stand there against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as configured

from inventory.models import Source, StockLevel
from tests.factories import make_variant

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

TEXT = (configured.BASE_DIR / "docs/integrations.md").read_text()


@pytest.mark.parametrize(
    ("language", "command", "units"),
    [("sh", ["sh", "-c"], 7), ("python", [sys.executable, "-c"], 9)],
)
def test_an_example_is_accepted(
    language: str, command: list[str], units: int, live_server: Any, settings: Any, company: Any
) -> None:
    if language == "sh" and not (shutil.which("openssl") and shutil.which("curl")):
        pytest.skip("needs openssl and curl")
    secret = "example-" + "s" * 40
    settings.INVENTORY_WEBHOOK_SECRETS = {"erp": [secret]}
    Source.objects.create(company=company, slug="erp", name="ERP")
    variant = make_variant(available=1)
    [script] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)

    done = subprocess.run(
        [*command, script],
        env={
            "PATH": os.environ["PATH"],
            "SHOP": live_server.url,
            "SECRET": secret,
            "SKU": variant.sku,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert '"status":"done"' in done.stdout.replace(" ", ""), done.stdout + done.stderr
    assert StockLevel.objects.get(variant=variant).total == units
