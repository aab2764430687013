"""The edge: what every request passes before a route sees it: host, credential, content type, body.

Works on plain ASGI scopes, so that hot routes and Starlette's share one check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from headrace.domain.access import Caller
from headrace.domain.errors import BodyTooLarge, InvalidRequest, Unauthenticated, UnsupportedMedia, WrongHost
from headrace.domain.json_value import JsonObject
from headrace.domain.snapshot import Snapshot
from headrace.http.connections import CallerLink
from headrace.ports.ambient import Offload
from headrace.services.identity import Identity
from headrace.wire.json_strict import decode_object

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GROUPED = "headrace.headers"
OFFLOAD_BYTES = 256 * 1024
MESSAGES_PATH = "/v1/messages"
DEDICATED = "/dedicated/"
CONNECTION_EXTENSION = "headrace.connection"


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What the edge lets in; `hosts` are lower-case names without ports, "*" lets every name in."""

    hosts: frozenset[str]
    max_body_bytes: int = 16 * 1024 * 1024


class CallerLeft(Exception):
    """The caller closed the connection before the request was whole."""


def headers_named(scope: Scope, name: bytes) -> list[bytes]:
    """Return every value of a header; ASGI gives names in lower case. They are grouped once a request."""
    grouped: dict[bytes, list[bytes]] | None = scope.get(GROUPED)
    if grouped is None:
        grouped = scope[GROUPED] = {}
        for key, value in scope["headers"]:
            grouped.setdefault(key, []).append(value)
    return grouped.get(name, [])


def speaks_messages(scope: Scope) -> bool:
    """Whether a request of the data plane is one of Anthropic's clients: by its path, or by the version it sends."""
    path = str(scope["path"])
    if path.startswith(DEDICATED):
        # Whatever stands in the place of the deployment's id.
        path = "".join(path.partition("/v1/")[1:])
    if path == MESSAGES_PATH or path.startswith(f"{MESSAGES_PATH}/"):
        return True
    return path.startswith("/v1/") and bool(headers_named(scope, b"anthropic-version"))


def data_path(path: str) -> str:
    """Return the path of the shared endpoint that a path of a deployment's own stands for; every other one as it is."""
    if not path.startswith(DEDICATED):
        return path
    _, slash, rest = path.removeprefix(DEDICATED).partition("/")
    return slash + rest


def link_of(scope: Scope) -> CallerLink | None:
    """Return what the server knows of the caller's end, where it tells."""
    extensions = scope.get("extensions")
    link = extensions.get(CONNECTION_EXTENSION) if extensions else None
    return link if isinstance(link, CallerLink) else None


def check_host(scope: Scope, limits: EdgeLimits) -> None:
    """Raise WrongHost unless exactly one Host header names a host that we serve."""
    values = headers_named(scope, b"host")
    host = _without_port(values[0].decode("latin-1").lower()) if len(values) == 1 else ""
    if "*" in limits.hosts or host in limits.hosts:
        return
    raise WrongHost(
        f'This server does not answer for the host "{host[:80]}"; start it with --allowed-host to add a name.'
    )


def credential_of(scope: Scope) -> str:
    """Return the one credential of a request; two different ones are refused, none is Unauthenticated."""
    found: set[str] = set()
    for value in headers_named(scope, b"authorization"):
        scheme, _, rest = value.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not rest.strip():
            raise Unauthenticated('The Authorization header must read "Bearer hr_…".', code="invalid_api_key")
        found.add(rest.strip())
    found.update(value.decode("latin-1").strip() for value in headers_named(scope, b"x-api-key"))
    if len(found) > 1:
        raise InvalidRequest("The request carries two different credentials; send one.", code="conflicting_credentials")
    if not found:
        raise Unauthenticated(
            "No API key was sent. Send it as `Authorization: Bearer hr_…`; `headrace keys create` makes one.",
            code="missing_api_key",
        )
    return found.pop()


def identify(scope: Scope, snapshot: Snapshot, identity: Identity) -> Caller:
    """Return who is asking; raises Unauthenticated or InvalidRequest."""
    return identity.identify(credential_of(scope), snapshot.keys)


def check_json(scope: Scope) -> None:
    """Raise UnsupportedMedia unless the body is plain JSON, InvalidRequest when the query names a model beside it."""
    kinds = headers_named(scope, b"content-type")
    kind = kinds[0].decode("latin-1").lower() if len(kinds) == 1 else ""
    media, _, parameters = kind.partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media.strip() != "application/json" or charset not in ("", "charset=utf-8"):
        raise UnsupportedMedia(f'The content type must be "application/json", not "{kind[:80]}".')
    encodings = headers_named(scope, b"content-encoding")
    if any(value.strip().lower() != b"identity" for value in encodings):
        raise UnsupportedMedia("A compressed request body is not accepted; send it plain.")
    query = scope.get("query_string", b"")
    if query and "model" in parse_qs(query.decode("latin-1"), keep_blank_values=True):
        raise InvalidRequest(
            'The model stands in the query string; name it once, as "model" in the body.',
            code="model_named_twice",
            param="model",
        )


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body; raises BodyTooLarge without reading on, CallerLeft when it never comes."""
    for value in headers_named(scope, b"content-length"):
        if value.isdigit() and int(value[:20]) > max_bytes:
            raise _too_large(max_bytes)
    message = await receive()
    if message["type"] != "http.request":
        raise CallerLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= max_bytes:
        return body
    blocks, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            raise CallerLeft
        block: bytes = message.get("body", b"")
        size += len(block)
        if size > max_bytes:
            raise _too_large(max_bytes)
        blocks.append(block)
    if size > max_bytes:
        raise _too_large(max_bytes)
    return b"".join(blocks)


async def read_json(scope: Scope, receive: Receive, max_bytes: int, offload: Offload | None = None) -> JsonObject:
    """Return the body as a strictly decoded JSON object; a large one is decoded in the pool where there is one."""
    check_json(scope)
    body = await read_body(scope, receive, max_bytes)
    if offload is None or len(body) <= OFFLOAD_BYTES:
        return decode_object(body)
    return await offload.run(decode_object, body)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body passes the limit of {max_bytes} bytes.")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
