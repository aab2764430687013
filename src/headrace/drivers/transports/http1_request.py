"""The sending side of HTTP/1.1: where a URL leads and the head of a request as bytes; does no input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from headrace.domain.errors import UpstreamUnavailable
from headrace.domain.plan import Endpoint
from headrace.ports.upstream import Prepared

MAX_PORT = 65_535
_DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443}
_KEPT_IN_PATHS = "/%?:@!$&'()*+,;=[]~"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a connection leads to; requests to the same origin share connections."""

    host: str
    port: int
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Route:
    """An origin with the unchanging part of a request to one path there.

    Shapes: `lines` are header lines without line ends by their names in lower case.
    """

    origin: Origin
    request_line: str
    lines: Mapping[str, str]


def route_to(url: str, user_agent: str) -> Route:
    """Return the route to a URL; raises UpstreamUnavailable when it is none."""
    try:
        origin, authority, target = _parts_of(url)
    except ValueError as error:
        raise UpstreamUnavailable(
            "The provider's base URL is not valid.", code="upstream_unreachable", detail=f"{url!r}: {error}"
        ) from error
    lines = {
        "host": f"Host: {authority}",
        "user-agent": f"User-Agent: {user_agent}",
        "accept": "Accept: */*",
        "accept-encoding": "Accept-Encoding: identity",
        "content-type": "Content-Type: application/json",
    }
    return Route(origin, f"POST {target} HTTP/1.1", lines)


def _parts_of(url: str) -> tuple[Origin, str, str]:
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("the scheme is neither http nor https")
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError("no host name stands after the scheme")
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode("ascii")
    default = _DEFAULT_PORTS[parts.scheme]
    port = default if parts.port is None else parts.port
    if not 0 < port <= MAX_PORT:
        raise ValueError("the port is not between 1 and 65535")
    name = f"[{host}]" if ":" in host else host
    path = quote(url.partition("://")[2][len(parts.netloc) :], safe=_KEPT_IN_PATHS)
    target = path if path.startswith("/") else f"/{path}"
    return Origin(host, port, parts.scheme == "https"), name if port == default else f"{name}:{port}", target


def request_head(route: Route, endpoint: Endpoint, prepared: Prepared) -> bytes:
    """Return the head of a request; a later header replaces an earlier one of its name, the credential all.

    Raises UpstreamUnavailable, before anything is sent, when a header holds what would end it early.
    """
    lines = dict(route.lines)
    for name, value in prepared.headers:
        lines[name.lower()] = f"{name}: {value}"
    if endpoint.auth_header is not None and endpoint.auth_value is not None:
        lines[endpoint.auth_header.lower()] = f"{endpoint.auth_header}: {endpoint.auth_value.reveal()}"
    lines["content-length"] = f"Content-Length: {len(prepared.body)}"
    text = "\r\n".join((route.request_line, *lines.values(), "", ""))
    ends = len(lines) + 2
    is_framed = text.count("\r") == ends and text.count("\n") == ends and "\0" not in text
    if not is_framed or "transfer-encoding" in lines:
        raise _unsendable("a line end, a zero byte or a Transfer-Encoding")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        # The cause would show the head, and with it the credential.
        raise _unsendable("a character outside Latin-1") from None


def _unsendable(what: str) -> UpstreamUnavailable:
    message = "A header for the upstream cannot be sent: the credential, or a header in the provider's catalog file, "
    return UpstreamUnavailable(f"{message}holds {what}.", code="upstream_unreachable")
