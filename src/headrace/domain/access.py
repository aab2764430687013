"""Who is asking and what they may do; the identity is a required value without a default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What kind of credential was presented."""

    KEY = "key"
    ADMIN = "admin"


OPERATOR_ACCOUNT = "operator"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A stored credential: its public id and the HMAC of its secret, never the secret.

    `models` is None when every model is allowed. Times are microseconds since 1970 UTC.
    """

    public_id: str
    name: str
    role: Role
    account: str
    digest: bytes
    models: frozenset[str] | None
    created_at_micros: int
    revoked_at_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The identified owner of a request; every call carries one."""

    key_id: str
    key_name: str
    account: str
    role: Role
    models: frozenset[str] | None

    def may_call(self, model_id: str) -> bool:
        """Whether this caller may be served by the concrete model."""
        return self.models is None or model_id in self.models

    @property
    def is_admin(self) -> bool:
        """Whether the control plane is open to this caller."""
        return self.role is Role.ADMIN
