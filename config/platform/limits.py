"""
How often one caller may do something: a sliding window in Redis, counted and decided in one atomic script.

Exactly `limit` requests pass in any window, however many arrive at once. Where Redis is down, limits that guard
secrets (log-in, coupons, recovery) refuse; the others let pass, so that the shop stays open.
"""

from __future__ import annotations

import functools
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.utils import timezone

from config.platform import breaker
from config.platform.actor import Actor
from config.platform.errors import DependencyUnavailable, RateLimited


@dataclass(frozen=True, slots=True)
class Limit:
    """
    `count` requests per `window` seconds; `closed` refuses while Redis cannot be asked.

    A guest's token is the client's own choice, so it cannot be all that a guest is counted by: with `by_address` it
    does not count at all, else the address may do `ADDRESS_FACTOR` times as much as one token.
    """

    count: int
    window: int
    closed: bool = False
    by_address: bool = False


ADDRESS_FACTOR = 10  # guests behind one address: a household, an office, a mobile network

# The whole table (SEC-20…24). What is counted is requests; bulk calls have a limit of their own.
LIMITS: dict[str, Limit] = {
    "general": Limit(600, 60),
    "create_cart": Limit(10, 60, by_address=True),
    "add_item": Limit(30, 60),
    "bulk": Limit(10, 60),
    "apply_discount": Limit(5, 60, closed=True),
    "recovery": Limit(10, 3_600, closed=True, by_address=True),
    # Failed log-ins only: one that succeeds gives its place back.
    "login": Limit(30, 60, closed=True, by_address=True),
    "login_account": Limit(5, 60, closed=True, by_address=True),
    "register": Limit(20, 60, closed=True, by_address=True),
    "refresh": Limit(30, 60, by_address=True),
    "lookup": Limit(5, 60, closed=True, by_address=True),
    # Each may send a mail to an address its owner has not confirmed: few per caller, and few per address.
    "back_in_stock": Limit(20, 3_600, closed=True, by_address=True),
    "back_in_stock_mail": Limit(5, 3_600, closed=True),
    "checkout": Limit(60, 60),
    "payment": Limit(50, 60),
    "import": Limit(10, 60),
    "forged_webhook": Limit(20, 60, by_address=True),
    "inbound": Limit(120, 60, by_address=True),  # messages of outside systems, forged ones too
}

_SCRIPT = """
local now = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  if redis.call('ZCARD', key) >= limit then
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return {i, oldest[2] and math.max(tonumber(oldest[2]) + window - now, 1) or window}
  end
end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[2])
  redis.call('PEXPIRE', key, ARGV[2 * i + 2])
end
return {0, 0}
"""

redis_breaker = breaker.Breaker("redis", rest=2.0)


@functools.cache
def client() -> redis.Redis:
    """Return this process's connection pool to the Redis that holds counters."""
    return redis.Redis.from_url(settings.CACHE_URL, socket_timeout=0.5, socket_connect_timeout=0.5)


@functools.cache
def _script() -> Any:
    return client().register_script(_SCRIPT)


@dataclass(frozen=True, slots=True)
class Hit:
    """One counted request; `give_back()` takes it off the count."""

    keys: tuple[str, ...] = ()
    member: str = ""

    def give_back(self) -> None:
        with redis_breaker.guard() as closed:
            if closed:
                for key in self.keys:
                    client().zrem(key, self.member)


def key_of(scope: str, identity: str) -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:limit:{scope}:{identity}"


def count(*, actor: Actor, scopes: Sequence[str], now: datetime | None = None) -> Hit:
    """
    Count one request of a caller against entries of the table, in one round trip.

    :raises RateLimited: if any of them is used up
    :raises DependencyUnavailable: if Redis does not answer and one of them guards a secret
    """
    address = f"address:{actor.address}"
    demands = []
    for scope in scopes:
        entry = LIMITS[scope]
        if actor.user_id is not None or actor.session_hash is None:
            demands.append((scope, actor.identity, entry))
        elif entry.by_address:
            demands.append((scope, address, entry))
        else:
            wide = replace(entry, count=entry.count * ADDRESS_FACTOR)
            demands += [(scope, actor.identity, entry), (f"{scope}:guests", address, wide)]
    return hit_all(demands, now=now)


def hit(
    *,
    scope: str,
    identity: str,
    limit: int | None = None,
    window: int | None = None,
    now: datetime | None = None,
) -> Hit:
    """
    Count one request of `identity` against `scope`; `limit` per `window` seconds default to the table above.

    :raises RateLimited: if the limit is used up; the refused request is not counted
    :raises DependencyUnavailable: if Redis does not answer and the limit guards a secret
    """
    known = LIMITS.get(scope)
    if known is None and (limit is None or window is None):
        raise KeyError(f"no limit is named {scope}")
    entry = Limit(
        count=limit if limit is not None else known.count,  # type: ignore[union-attr]
        window=window if window is not None else known.window,  # type: ignore[union-attr]
        closed=known.closed if known else False,
    )
    return hit_all([(scope, identity, entry)], now=now)


def hit_all(demands: Sequence[tuple[str, str, Limit]], *, now: datetime | None = None) -> Hit:
    """
    Count one request against several limits in one round trip: against all of them, or against none.

    :raises RateLimited: if any of them is used up
    """
    if not settings.RATE_LIMITS or not demands:
        return Hit()
    milliseconds = int((now or timezone.now()).timestamp() * 1000)
    keys = tuple(key_of(scope, identity) for scope, identity, _ in demands)
    member = f"{milliseconds}:{secrets.token_hex(6)}"
    numbers = [number for _, _, entry in demands for number in (entry.count, entry.window * 1000)]
    answer: list[int] | None = None
    with redis_breaker.guard() as closed:
        if closed:
            answer = _script()(keys=keys, args=[milliseconds, member, *numbers])
    if answer is None:
        if any(entry.closed for _, _, entry in demands):
            raise DependencyUnavailable(retry_after=5)
        return Hit()
    refused, wait = int(answer[0]), int(answer[1])
    if refused:
        scope, _, entry = demands[refused - 1]
        raise RateLimited(
            f"No more than {entry.count} requests in {entry.window} seconds.",
            extra={"limit": entry.count, "windowSeconds": entry.window, "scope": scope},
            retry_after=max(1, -(-wait // 1000)),
        )
    return Hit(keys, member)


def client_address(remote: str, forwarded_for: str, trusted_proxies: int) -> str:
    """
    Return the address a request is counted under: an IPv6 one by its /64, as one household has 2^64 of them.

    `forwarded_for` is believed for `trusted_proxies` hops from the right and no further: what stands left of that is
    written by the client.
    """
    hops = (
        [hop.strip() for hop in forwarded_for.split(",") if hop.strip()] if trusted_proxies else []
    )
    chosen = hops[-min(trusted_proxies, len(hops))] if hops else remote
    for candidate in (chosen, remote):
        try:
            address = ipaddress.ip_address(candidate.strip("[]"))
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)
    return "unknown"
