"""Routes as data: method, path, who may call it, and the endpoint; admitting a request is door's.

An endpoint takes a Request and returns a Reply or a Stream; it raises HeadraceError for everything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import parse_qs

from headrace.domain.access import Caller
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.names import did_you_mean
from headrace.http.edge import Receive, Scope, headers_named, read_json
from headrace.http.replies import JSON_HEADERS
from headrace.http.sink import Headers
from headrace.ports.ambient import Offload
from headrace.wire.json_strict import encode
from headrace.wire.openapi import Entry

NO_STORE: Headers = (("cache-control", "no-store"),)
MAX_CONTROL_BODY_BYTES = 1024 * 1024
READ = ("if-none-match",)
CHANGE = ("if-match",)
TAGGED = ("etag",)


class Audience(StrEnum):
    """Who may call a route: the admin token only, any credential for what is its own, or everybody."""

    ADMIN = "admin"
    OWN = "own"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Request:
    """One admitted request; `caller` is None only on a public route."""

    scope: Scope
    receive: Receive
    request_id: str
    caller: Caller | None

    @property
    def who(self) -> Caller:
        """The identified caller; raises AssertionError on a public route, which knows none."""
        if self.caller is None:
            raise AssertionError("a public route has no caller")
        return self.caller

    def part(self, name: str) -> str:
        """Return what stands in the path at `{name}`."""
        return str(self.scope["path_params"][name])

    def number(self, name: str, default: int, most: int) -> int:
        """Return a whole number of the query string from 1 to `most`; raises InvalidRequest."""
        text = _query_value(self.scope, name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most:
            return int(text)
        raise InvalidRequest(f'"{name}" must be a whole number from 1 to {most}, not "{text[:40]}".', param=name)

    def text(self, name: str) -> str | None:
        """Return a value of the query string, or None; raises InvalidRequest when it stands twice."""
        return _query_value(self.scope, name)

    def texts(self, name: str) -> list[str]:
        """Return every value that the query string gives a name."""
        return _query_values(self.scope, name)

    def query(self, known: Collection[str]) -> dict[str, list[str]]:
        """Return the query string; raises InvalidRequest naming a field that is not known."""
        found = _query(self.scope)
        for name in found:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidRequest(
                    f'"{name[:80]}" is not known in this query string.{f" {hint}" if hint else ""} '
                    f"Known are: {', '.join(sorted(known))}.",
                    code="unknown_field",
                    param=name[:80],
                )
        return found

    async def fields(
        self, known: Collection[str], most_bytes: int = MAX_CONTROL_BODY_BYTES, offload: Offload | None = None
    ) -> JsonObject:
        """Return the body's JSON object; raises InvalidRequest naming a field that is not known."""
        body = await read_json(self.scope, self.receive, most_bytes, offload)
        for name in body:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidRequest(
                    f'The field "{name[:80]}" is not known here.{f" {hint}" if hint else ""} '
                    f"Known are: {', '.join(sorted(known))}.",
                    code="unknown_field",
                    param=name[:80],
                )
        return body


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply that is sent block by block."""

    headers: Headers
    blocks: AsyncGenerator[bytes, None]


Endpoint: TypeAlias = Callable[[Request], Awaitable[Reply | Stream]]


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route; `path` is Starlette's template. A route without an audience is refused when the app is built.

    `entry` is what the published description says of it; a test names a route that has none.
    """

    method: str
    path: str
    endpoint: Endpoint
    audience: Audience | None = None
    entry: Entry | None = None


def json_reply(body: JsonObject, status: int = 200, headers: Headers = ()) -> Reply:
    """Return a JSON reply that nobody should keep."""
    return Reply(status, (*JSON_HEADERS, *NO_STORE, *headers), encode(body))


def resource_reply(body: JsonObject) -> Reply:
    """Return a resource as it is now, with its ETag."""
    content = encode(body)
    headers = (*JSON_HEADERS, ("cache-control", "private, no-cache"), ("etag", etag_of(content)))
    return Reply(200, headers, content)


def etag_of(content: bytes) -> str:
    """Return the entity tag of a representation."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def require_match(request: Request, present: JsonObject) -> None:
    """Raise Conflict when the request has an If-Match that does not name the present representation."""
    tags = _tags(request.scope, b"if-match")
    if tags and "*" not in tags and etag_of(encode(present)) not in tags:
        raise Conflict(
            "Somebody else has changed this since you read it: read it again, then repeat your change.",
            code="etag_mismatch",
        )


def is_known_to_caller(scope: Scope, reply: Reply) -> bool:
    """Whether the caller's If-None-Match names what would be sent."""
    tags = _tags(scope, b"if-none-match")
    return bool(tags) and dict(reply.headers).get("etag") in tags


def _tags(scope: Scope, name: bytes) -> frozenset[str]:
    parts = [part for value in headers_named(scope, name) for part in value.decode("latin-1").split(",")]
    return frozenset(part.strip().removeprefix("W/") for part in parts if part.strip())


def _query_value(scope: Scope, name: str) -> str | None:
    found = _query_values(scope, name)
    if len(found) > 1:
        raise InvalidRequest(f'"{name}" stands twice in the query string; send it once.', param=name)
    return found[0] if found else None


def _query_values(scope: Scope, name: str) -> list[str]:
    return _query(scope).get(name, [])


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
