"""Numbers for a Prometheus scraper: requests by route, and what waits."""

from __future__ import annotations


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
