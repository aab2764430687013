"""The port to the outcomes that are kept for repeated requests: one of each owner, route and key, until it expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be repeated: whose it is, where it went, by which key, with which body, and its id.

    `name` and `digest` are hexadecimal sha256 of the caller's key and of the body.
    """

    owner: str
    route: str
    name: str
    digest: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nobody asked this before; it is noted as running now."""


@dataclass(frozen=True, slots=True)
class Running:
    """The request of that id is still running."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request of that id has ended, but its outcome is not here: the process died, or it was too large."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Different:
    """The key was used for another body, in the request of that id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The request of that id has ended, with this outcome."""

    request_id: str
    content: bytes


Beginning: TypeAlias = Fresh | Running | Lost | Different | Stored


class Outcomes(Protocol):
    """Outcomes, sealed at rest; every method raises MeteringUnavailable when a write could not be made durable."""

    async def begin(self, asked: Asked, expires_at_micros: int) -> Beginning:
        """Return what is known of this request; at most one of several at once is told that it is fresh."""
        ...

    async def finish(self, asked: Asked, content: bytes | None) -> None:
        """Keep the outcome of a running request, or that it has one that cannot be kept."""
        ...

    async def abandon(self, asked: Asked) -> None:
        """Forget a running request: nothing came of it, so a repeat is fresh."""
        ...

    async def sweep(self) -> int:
        """Forget what has expired; returns how many there were."""
        ...
