"""
A stand-in for Apple's payment sessions: HTTPS on loopback that lets in only who shows a merchant's certificate.

Authority, server and merchant certificates are made anew for each run; nothing outside the tests trusts them.
"""

from __future__ import annotations

from tests.applepay.server import AppleServer, Identity, identities

__all__ = ["AppleServer", "Identity", "identities"]
