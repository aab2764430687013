"""Ports of the way to an upstream and back: transport, exchange, adapter, reader.

The relay knows no dialect: it pushes blocks of bytes into a Reader and forwards what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from headrace.domain.call import Call
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request in the upstream's dialect; `path` is relative to the endpoint's base URL.

    `stream` says how the upstream was asked, which need not be how the caller asked. `dropped` names the caller's
    fields that the upstream's dialect has no place for and that the caller's dialect allows to be ignored. `call` is
    the call that its answer's reader is asked for, where that is a translation. `service_tier` is the one of the
    target's price that the request asks for, or None.
    """

    path: str
    body: bytes
    stream: bool
    headers: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    call: Call | None = None
    service_tier: str | None = None

    def labelled(self, request_id: str, attempt_id: str) -> Prepared:
        """Return the request with our ids as headers, by which an upstream's log joins the ledger."""
        labels = (("x-request-id", request_id), ("x-headrace-attempt", attempt_id))
        headers = self.headers + labels
        return Prepared(self.path, self.body, self.stream, headers, self.dropped, self.call, self.service_tier)


class Exchange(Protocol):
    """One request under way: its status and headers are here, its body is read in blocks."""

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The upstream's headers, names in lower case."""
        ...

    async def read(self) -> bytes | None:
        """Return the next block as it came, or None at a clean end; raises UpstreamError."""
        ...

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, otherwise drop it."""
        ...


class Transport(Protocol):
    """Sends one request to one endpoint."""

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        """Send and wait for the status line; raises UpstreamError, never retries."""
        ...


class Reader(Protocol):
    """Reads one upstream answer by pushed blocks and gives out what the caller shall see.

    A pure object: no I/O, no clock. `feed` never gives out the terminal frames: those come from `finish`, after
    the turn has settled. A non-streaming reader gives everything out in `finish`.
    """

    @property
    def meaningful(self) -> bool:
        """Whether something that carries content was read; from then on no other target may be tried."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the dialect's own terminator was read."""
        ...

    @property
    def failure(self) -> HeadraceError | None:
        """What is wrong with the answer so far, or None."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The upstream's usage when it was read, else None."""
        ...

    @property
    def output_tokens_seen(self) -> int:
        """Our own running count of output tokens: one per content event, for checkpoints and estimates."""
        ...

    def feed(self, block: bytes) -> bytes:
        """Take a block of any size and return the bytes to forward now."""
        ...

    def close(self) -> None:
        """Say that the upstream's body has ended; sets `failure` when the terminator is missing."""
        ...

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held-back end of the reply, with the settled usage and the additive money fields."""
        ...


@runtime_checkable
class PromptCounter(Protocol):
    """An adapter that can count a prompt's tokens without having it answered."""

    async def count_prompt(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> int | None:
        """Return how many tokens one choice of a prepared request reads, or None where that cannot be told."""
        ...


class Adapter(Protocol):
    """One upstream's dialect and quirks: request out, answer in, failures named."""

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the upstream request; raises InvalidRequest naming the field that it cannot express."""
        ...

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the prepared request; most adapters just use the transport."""
        ...

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a fresh reader for one answer; `call` is the prepared request's own where it has one."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more, by status before text."""
        ...
