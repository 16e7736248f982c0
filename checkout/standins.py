"""A stand-in for Stripe's servers on this machine: what its buttons do. The real Stripe has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from config.platform.errors import DependencyUnavailable, InvalidTransition

HERE = {"127.0.0.1", "localhost", "::1"}
Verb = tuple[
    str, str, Mapping[str, str]
]  # the button, how it calls the intent, and what else it takes


@dataclass(frozen=True, slots=True)
class StandIn:
    address: str

    def act(self, *, intent_id: str, verbs: Sequence[Verb], manner: str) -> None:
        """
        Press buttons about an intent, with messages that travel in a `manner`; afterwards they travel as ever.

        :raises InvalidTransition: if the intent can no longer take this turn
        :raises DependencyUnavailable: if nobody answers
        """
        self._press("deliver", {"manner": manner})
        try:
            for verb, name, parameters in verbs:
                self._press(verb, {name: intent_id, **parameters})
        finally:
            self._press("deliver", {"manner": "normal"})

    def _press(self, verb: str, parameters: Mapping[str, str]) -> None:
        try:
            answer = httpx.post(
                f"{self.address}/_fake/{verb}",
                json=dict(parameters),
                timeout=settings.STRIPE_TIMEOUT_SECONDS,
            )
        except httpx.HTTPError:
            raise DependencyUnavailable("The stand-in for Stripe does not answer.") from None
        # 402 is a card that was declined, which is what was asked for.
        if answer.status_code not in {200, 402} and verb != "deliver":
            raise InvalidTransition("This payment can no longer take this turn.")


def find() -> StandIn | None:
    """Return the stand-in that this installation talks to instead of Stripe, if it does."""
    address = getattr(settings, "STRIPE_API_HOST", "")
    if not settings.STRIPE_SECRET_KEY or urlsplit(address).hostname not in HERE:
        return None
    return StandIn(address.rstrip("/"))
