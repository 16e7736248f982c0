"""Every mail that is written here is whole: what a template names is there."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import engines
from django.template.loader import render_to_string

from notifications import services


class Gap(str):
    """Stands where a template names something that it was not given, and says so at once."""

    __slots__ = ()

    def __contains__(self, text: object) -> bool:
        return text == "%s"

    def __mod__(self, name: Any) -> str:
        raise AssertionError(f"a mail names {name}, which it was not given")


@pytest.fixture(autouse=True)
def _whole_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(template: str, values: Any) -> str:
        engine: Any = engines["django"].engine  # type: ignore[attr-defined]
        usual, engine.string_if_invalid = engine.string_if_invalid, Gap("?")
        try:
            return render_to_string(template, values)
        finally:
            engine.string_if_invalid = usual

    monkeypatch.setattr(services, "render_to_string", strict)
