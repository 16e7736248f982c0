"""
Answers that many ask for, kept in Redis under the generation of what they were made from.

A change renews the generation of its company after the commit. Whoever computed an answer from what was there before
keeps it under the old generation, where nobody looks any more: an old value cannot come back. When Redis is down,
answers are computed; when it was down at the moment of a change, an old answer lives for `settings.CATALOGUE_CACHE`
at most.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.cache import cache

from config.platform import metrics
from config.platform.http.rendering import encode

BIGGEST = 300_000  # bytes of one answer; what is larger is computed each time
LONGEST_NAME = 600


def _generation(company_id: UUID) -> str | None:
    """Return what answers of this company are kept under now; None where nothing can be kept."""
    key = f"catalogue:{company_id}"
    found: str | None = cache.get(key)
    if found is None:
        # Never a number that could come again: after Redis was emptied, old answers must stay out of reach.
        cache.add(key, uuid4().hex, timeout=None)
        found = cache.get(key)
    return found


def renew(company_id: UUID) -> None:
    """Put every kept answer of this company out of reach. Call after the commit of what changed."""
    cache.set(f"catalogue:{company_id}", uuid4().hex, timeout=None)


def recall(
    *,
    company_id: UUID,
    name: str,
    make: Callable[[], Any],
    freshen: Callable[[Any], Any] | None = None,
    until: Callable[[], datetime | None] | None = None,
    now: datetime | None = None,
) -> Any:
    """
    Return the JSON content of that name: as it was kept, else as `make` makes it now, which is then kept.

    `freshen` puts in what changes too often to be kept, such as stock; it is not asked about what was just made.
    `until` tells when the content next changes by itself, without a write: it is kept no longer than from `now` to then.
    """
    lifetime = settings.CATALOGUE_CACHE.total_seconds()
    generation = _generation(company_id) if lifetime and len(name) <= LONGEST_NAME else None
    if generation is None:
        return make()
    # The generation is read before the content: whatever commits from here on renews it.
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    key = f"kept:{company_id}:{generation}:{digest}"
    found: bytes | None = cache.get(key)
    metrics.count("cache_answers_total", result="miss" if found is None else "hit")
    if found is not None:
        content = json.loads(found)
        return freshen(content) if freshen else content
    ends_at = until() if until is not None else None
    if ends_at is not None and now is not None:
        lifetime = min(lifetime, (ends_at - now).total_seconds())
    content = make()
    body = encode(content)
    if len(body) <= BIGGEST and lifetime > 0:
        cache.set(key, body, timeout=lifetime)
    return content
