"""The one adapter: an engine behind an address, asked by HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings

from pricing.outside.question import Question, Unusable

MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class HttpEngine:
    """An engine behind one address: a question is posted there as JSON, with the shop's key; 200 and JSON is the answer."""

    url: str

    def answer(self, question: Question) -> Mapping[str, Any]:
        seconds = float(settings.OUTSIDE_ENGINE_TIMEOUT)
        ends = time.monotonic() + seconds
        headers = {
            "User-Agent": "Holdfast",
            "Idempotency-Key": question.key[-64:],
            "Accept-Encoding": "identity",  # what comes packed cannot be measured before it is unpacked
        }
        if settings.OUTSIDE_ENGINE_KEY:
            headers["Authorization"] = f"Bearer {settings.OUTSIDE_ENGINE_KEY}"
        body = bytearray()
        try:
            with (
                httpx.Client(timeout=seconds, trust_env=False) as client,
                client.stream(
                    "POST", self.url, json=dict(question.content), headers=headers
                ) as response,
            ):
                if response.status_code != 200:
                    raise Unusable(f"it answered {response.status_code}")
                for piece in response.iter_raw(65_536):
                    body += piece
                    if len(body) > MOST_BYTES or time.monotonic() > ends:
                        raise Unusable("its answer is too long, or too slow")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            raise Unusable(f"{type(failure).__name__}: {failure}".rstrip(": ")) from failure
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise Unusable("its answer is no JSON") from None
        if not isinstance(answer, dict) or not answer:
            raise Unusable("its answer is no JSON object")
        return answer
