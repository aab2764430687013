"""Credentials of our own: minting, checking and identifying; where they are stored is the key store's.

A credential reads `hr_<public id>_<secret><checksum>`; an admin token begins with `hra_`. The secret has 256 bits, so
a fast keyed digest protects it: HMAC-SHA-256 with the home's pepper, compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.access import AccessKey, Caller, Role
from headrace.domain.errors import Forbidden, Unauthenticated
from headrace.domain.secret import Secret
from headrace.ports.ambient import Randomness

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIXES: Mapping[Role, str] = {Role.KEY: "hr", Role.ADMIN: "hra"}
_SHAPE = re.compile(r"(hra?)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9a-f]{8})\Z")
CHECKSUM_CHARS = 8
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new credential: the text is shown once and never stored."""

    key: AccessKey
    text: Secret


@dataclass(frozen=True, slots=True)
class NewKey:
    """What the operator decides about a new credential; `first_id` and `deployment` are as in AccessKey."""

    name: str
    role: Role
    account: str
    models: frozenset[str] | None
    cache_seconds: int | None = None
    first_id: str | None = None
    deployment: str | None = None


class Identity:
    """Mints and recognises credentials with one pepper."""

    def __init__(self, pepper: Secret, randomness: Randomness) -> None:
        if len(pepper.reveal()) < 32:
            raise ValueError("the pepper is too short")
        # Copied for every digest: setting up a keyed hash costs more than the hash.
        self._keyed = hmac.new(pepper.reveal().encode(), digestmod=hashlib.sha256)
        self._randomness = randomness

    def mint(self, wanted: NewKey, at_micros: int) -> Minted:
        """Return a new credential and its stored form."""
        public_id = _base62(self._randomness.token_bytes(9), 12)
        body = f"{_PREFIXES[wanted.role]}_{public_id}_{_base62(self._randomness.token_bytes(32), 43)}"
        text = body + _checksum(body)
        key = AccessKey(
            public_id=public_id,
            name=wanted.name,
            role=wanted.role,
            account=wanted.account,
            digest=self._digest(text),
            models=wanted.models,
            created_at_micros=at_micros,
            cache_seconds=wanted.cache_seconds,
            first_id=wanted.first_id,
            deployment=wanted.deployment,
        )
        return Minted(key, Secret(text))

    def identify(self, credential: str, keys: Mapping[str, AccessKey]) -> Caller:
        """Return who presents this credential; raises Unauthenticated, the same for unknown and revoked secrets."""
        found = _SHAPE.match(credential)
        if found is None or _checksum(credential[:-CHECKSUM_CHARS]) != found.group(4):
            raise Unauthenticated(
                "The API key is not well-formed: keys look like hr_…; check that it was copied whole.",
                code="invalid_api_key",
            )
        key = keys.get(found.group(2))
        stored = _NOBODY if key is None else key.digest
        matches = hmac.compare_digest(self._digest(credential), stored)
        if key is None or not matches or _PREFIXES[key.role] != found.group(1):
            raise Unauthenticated(
                "The API key is not known here. It may be another server's; `headrace keys create` makes one.",
                code="invalid_api_key",
            )
        if key.revoked_at_micros is not None:
            raise Unauthenticated(
                "The API key was revoked. `headrace keys create` makes another.",
                code="invalid_api_key",
            )
        return Caller(
            key_id=key.public_id,
            key_name=key.name,
            account=key.account,
            role=key.role,
            models=key.models,
            cache_seconds=key.cache_seconds,
            first_id=key.first_id,
            deployment=key.deployment,
        )

    def fingerprint(self, content: bytes) -> str:
        """Return a keyed digest of anything, in hexadecimal: who has no pepper cannot check a guess by it."""
        return self._keyed_digest(b"fingerprint\0" + content).hex()

    def _digest(self, text: str) -> bytes:
        return self._keyed_digest(text.encode())

    def _keyed_digest(self, content: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(content)
        return keyed.digest()


def require_admin(caller: Caller) -> None:
    """Raise Forbidden unless the caller presented the admin token."""
    if not caller.is_admin:
        raise Forbidden(
            "Only the admin token may do this; a model access key reads its own receipts, usage and budgets. Give the"
            " token as HEADRACE_ADMIN_TOKEN to the command, or as the bearer token to the API.",
            code="admin_required",
        )


def _base62(data: bytes, width: int) -> str:
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
