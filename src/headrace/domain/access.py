"""Who is asking and what they may do; the identity is a required value without a default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What kind of credential was presented."""

    KEY = "key"
    ADMIN = "admin"


OPERATOR_ACCOUNT = "operator"


def key_scope(key_id: str) -> str:
    """Return the scope of one key."""
    return f"key:{key_id}"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A stored credential: its public id and the HMAC of its secret, never the secret.

    `models` is None when every model is allowed. Times are microseconds since 1970 UTC. `cache_seconds` is how long
    replies are kept for the same request again, None when they are not. `first_id` is the public id of the first key of
    those that this one replaces, one after the other; None when it replaces none. `deployment` is the id of the one
    that this is a token of, None for every other credential.
    """

    public_id: str
    name: str
    role: Role
    account: str
    digest: bytes
    models: frozenset[str] | None
    created_at_micros: int
    revoked_at_micros: int | None = None
    cache_seconds: int | None = None
    first_id: str | None = None
    deployment: str | None = None

    @property
    def budget_scope(self) -> str:
        """The scope of this key's budgets: a key that replaces another goes on with what is left of them."""
        return key_scope(self.first_id or self.public_id)


@dataclass(frozen=True, slots=True)
class Caller:
    """The identified owner of a request; every call carries one. `first_id` and `deployment` are as in AccessKey."""

    key_id: str
    key_name: str
    account: str
    role: Role
    models: frozenset[str] | None
    cache_seconds: int | None = None
    first_id: str | None = None
    deployment: str | None = None

    @property
    def budget_scope(self) -> str:
        """The scope of the key's budgets, as in AccessKey."""
        return key_scope(self.first_id or self.key_id)

    def may_call(self, model_id: str) -> bool:
        """Whether this caller may be served by the concrete model."""
        return self.models is None or model_id in self.models

    @property
    def team(self) -> str:
        """The name of the team that is billed: its account in the books."""
        return self.account

    @property
    def is_admin(self) -> bool:
        """Whether the control plane is open to this caller."""
        return self.role is Role.ADMIN
