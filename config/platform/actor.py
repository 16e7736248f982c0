"""Who acts: resolved once at the edge, handed down to every service."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ActorKind(StrEnum):
    ANONYMOUS = "anonymous"
    GUEST = "guest"
    USER = "user"
    STAFF = "staff"
    SYSTEM = "system"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Actor:
    """
    The caller of a service, within one company.

    `session_hash` is the SHA-256 of the guest token, never the token; a signed-in caller who also
    sent a guest token has both. `address` is the client's network address, used for limits only.
    """

    kind: ActorKind
    company_id: UUID
    user_id: UUID | None = None
    email: str = ""
    session_hash: bytes | None = None
    request_id: str = ""
    source: str = "api"
    address: str = ""

    @classmethod
    def system(cls, company_id: UUID, *, source: str = "job", request_id: str = "") -> Actor:
        return cls(
            kind=ActorKind.SYSTEM, company_id=company_id, source=source, request_id=request_id
        )

    @property
    def is_staff(self) -> bool:
        return self.kind is ActorKind.STAFF

    @property
    def is_system(self) -> bool:
        return self.kind in {ActorKind.SYSTEM, ActorKind.PROVIDER}

    @property
    def sees_everything(self) -> bool:
        return self.is_staff or self.is_system

    @property
    def is_known(self) -> bool:
        """True when a cart can belong to this caller: signed in, or a guest with a token."""
        return self.user_id is not None or self.session_hash is not None

    @property
    def identity(self) -> str:
        """A stable key for limits and ceilings: user, else guest session, else address."""
        if self.user_id is not None:
            return f"user:{self.user_id}"
        if self.session_hash is not None:
            return f"session:{self.session_hash.hex()}"
        return f"address:{self.address}"

    @property
    def label(self) -> str:
        """How histories name this actor."""
        return f"{self.kind}:{self.user_id}" if self.user_id else str(self.kind)


def hash_token(token: str) -> bytes:
    """Return the 32-byte digest under which a bearer secret is stored."""
    return hashlib.sha256(token.encode()).digest()
