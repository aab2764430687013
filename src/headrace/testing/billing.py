"""The fake upstream's own append-only account of what it was asked, what it sent and what it would bill."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec

from headrace.testing.script import UpstreamRequest
from headrace.testing.waiting import Changes

EndingKind: TypeAlias = Literal["complete", "cut", "reset", "stalled", "client_left", "stopped", "failed"]

_CREDENTIAL_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_SHOWN_HEADERS = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "content-encoding",
        "content-type",
        "host",
        "idempotency-key",
        "openai-organization",
        "openai-project",
        "traceparent",
        "user-agent",
        "x-headrace-attempt",
        "x-request-id",
    }
)


class Received(msgspec.Struct, frozen=True, tag_field="event", tag="received"):
    """A request, logged as soon as its last byte is in.

    Shapes: `headers` holds the values of harmless headers only, `header_names` names all of them; the
    credential is present only as the SHA-256 digest of its token.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    header_names: list[str]
    credential_sha256: str | None
    request_id: str | None
    attempt_id: str | None
    body: object
    at_unix_micros: int


class Ended(msgspec.Struct, frozen=True, tag_field="event", tag="ended"):
    """The end of a request's reply.

    Shapes: `ending` is `complete` (all of it and the HTTP end), `cut` and `reset` (as scripted),
    `client_left` (the caller hung up first, also out of a stall), `stalled` and `stopped` (the upstream
    itself was shut down meanwhile), `failed` (the script's own function raised). `sent_bytes` counts body
    bytes handed to the system, `sent_frames` the frames wholly inside them.
    """

    number: int
    request_id: str | None
    attempt_id: str | None
    model: str | None
    status: int | None
    ending: EndingKind
    stalled: bool
    sent_bytes: int
    sent_frames: int
    prompt_tokens: int
    completion_tokens: int
    at_unix_micros: int


Entry: TypeAlias = Received | Ended


_ENTRY = msgspec.json.Decoder(Received | Ended)


class BillingLog:
    """An append-only list of entries, also written to a file where each line is on disk before the next."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._received: list[Received] = []
        self._ends: dict[int, Ended] = {}
        self._changes: Changes = Changes()
        self._file: BinaryIO | None = None if path is None else path.open("ab", buffering=0)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    @property
    def received(self) -> tuple[Received, ...]:
        """The requests received, oldest first."""
        return tuple(self._received)

    @property
    def ended(self) -> tuple[Ended, ...]:
        """The replies that ended, in the order of their ends."""
        return tuple(self._ends.values())

    def append(self, entry: Entry) -> None:
        """Add an entry: first durably to the file, then to the list."""
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            os.fsync(self._file.fileno())
        self._changes.apply(lambda: self._keep(entry))

    def wait_ended(self, replies: int = 1, timeout_seconds: float = 5.0) -> tuple[Ended, ...]:
        """Block until that many replies ended; raises TimeoutError."""
        self._changes.wait(lambda: len(self._ends) >= replies, timeout_seconds)
        return self.ended

    async def until_ended(self, replies: int = 1) -> tuple[Ended, ...]:
        """Wait on this event loop until that many replies ended."""
        await self._changes.until(lambda: len(self._ends) >= replies)
        return self.ended

    def wait_end_of(self, number: int, timeout_seconds: float = 5.0) -> Ended:
        """Block until the reply to that request ended; raises TimeoutError."""
        self._changes.wait(lambda: number in self._ends, timeout_seconds)
        return self._ends[number]

    async def until_end_of(self, number: int) -> Ended:
        """Wait on this event loop until the reply to that request ended."""
        await self._changes.until(lambda: number in self._ends)
        return self._ends[number]

    def wait_received(self, requests: int = 1, timeout_seconds: float = 5.0) -> tuple[Received, ...]:
        """Block until that many requests came in; raises TimeoutError."""
        self._changes.wait(lambda: len(self._received) >= requests, timeout_seconds)
        return self.received

    async def until_received(self, requests: int = 1) -> tuple[Received, ...]:
        """Wait on this event loop until that many requests came in."""
        await self._changes.until(lambda: len(self._received) >= requests)
        return self.received

    def close(self) -> None:
        """Close the file; the list stays readable."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)
        if isinstance(entry, Received):
            self._received.append(entry)
        else:
            self._ends[entry.number] = entry


def read_billing_log(path: Path) -> tuple[Entry, ...]:
    """Read the file of a billing log, leaving out a last line that was still being written."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return tuple(_ENTRY.decode(line) for line in lines)


def received_entry(request: UpstreamRequest, at_unix_micros: int) -> Received:
    """The entry for a request, with its credential digested."""
    return Received(
        number=request.number,
        connection=request.connection,
        method=request.method,
        path=request.path,
        headers={name: value for name, value in request.headers if name in _SHOWN_HEADERS},
        header_names=[name for name, _ in request.headers],
        credential_sha256=_credential_sha256(request.headers),
        request_id=request.header("x-request-id"),
        attempt_id=request.header("x-headrace-attempt"),
        body=request.json,
        at_unix_micros=at_unix_micros,
    )


def credential_digest(token: str) -> str:
    """The digest under which a credential stands in the log."""
    return hashlib.sha256(token.encode()).hexdigest()


def _credential_sha256(headers: Iterable[tuple[str, str]]) -> str | None:
    by_name = dict(headers)
    value = next((by_name[name] for name in _CREDENTIAL_HEADERS if name in by_name), None)
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    return credential_digest(token.strip() if token and scheme.lower() in {"bearer", "basic"} else value)
