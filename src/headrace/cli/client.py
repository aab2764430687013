"""The client of the platform's API: one request, its reply, its failure in our words; what to ask is the verbs'."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from headrace import __version__
from headrace.cli.access import Access, Who, access_of
from headrace.cli.options import ClientFlags
from headrace.cli.session import Session
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import FrameSplitter, FrameTooLong, frame_data

T = TypeVar("T")
CONNECT_SECONDS, READ_SECONDS = 5.0, 180.0
FIRST_REFUSAL = 300
SCALARS = (str, int, bool)
NO_NAMES = frozenset({"", ".", ".."})
# What httpx says of a server that hangs up at once, as one that waits for TLS does.
NO_ANSWER = "without sending a response"


@dataclass(frozen=True, slots=True)
class Events:
    """A reply that comes in events: its headers are here, its data follow."""

    headers: Mapping[str, str]
    data: Iterator[bytes]


class ApiClient:
    """Talks to one server; raises OperatorError for everything that goes wrong."""

    def __init__(self, access: Access, transport: httpx2.BaseTransport | None = None) -> None:
        self.access = access
        self._http = httpx2.Client(
            base_url=access.url,
            transport=transport,
            verify=_trust(access),
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not access.is_loopback,
            headers={"user-agent": f"headrace-cli/{__version__}", "accept": "application/json"},
        )

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def get(self, path: str, who: Who, query: Mapping[str, str | int] | None = None) -> JsonObject:
        """Return the object at a path."""
        return self._call(self._request("GET", path, who, query=query))

    def text(self, path: str, who: Who) -> str:
        """Return what stands at a path as text."""
        request = self._request("GET", path, who)
        with self._failures():
            response = self._http.send(request)
        if response.status_code >= FIRST_REFUSAL:
            raise refusal(response.status_code, response.content, self.access.url)
        return response.text

    def send(self, method: str, path: str, who: Who, body: JsonObject | None = None) -> JsonObject:
        """Send a change and return the reply's object."""
        return self._call(self._request(method, path, who, body=body))

    def remove(self, path: str, who: Who) -> None:
        """Delete what is at a path, where the reply has no body."""
        request = self._request("DELETE", path, who)
        with self._failures():
            response = self._http.send(request)
        if response.status_code >= FIRST_REFUSAL:
            raise refusal(response.status_code, response.content, self.access.url)

    @contextlib.contextmanager
    def events(self, path: str, who: Who, body: JsonObject | None = None) -> Generator[Events]:
        """Post and yield the events of the reply as they come."""
        with self._failures():
            response = self._http.send(self._request("POST", path, who, body=body), stream=True)
            with contextlib.closing(response):
                if response.status_code >= FIRST_REFUSAL:
                    raise refusal(response.status_code, response.read(), self.access.url)
                yield Events(response.headers, _event_data(response.iter_bytes()))

    def _call(self, request: httpx2.Request) -> JsonObject:
        with self._failures():
            response = self._http.send(request)
        value = None if response.status_code >= FIRST_REFUSAL else _json_object(response.content)
        if value is None:
            raise refusal(response.status_code, response.content, self.access.url)
        return value

    def _request(
        self,
        method: str,
        path: str,
        who: Who,
        *,
        query: Mapping[str, str | int] | None = None,
        body: JsonObject | None = None,
    ) -> httpx2.Request:
        headers = {"authorization": f"Bearer {self.access.secret(who)}"}
        if body is not None:
            headers["content-type"] = "application/json"
        content = None if body is None else encode(body)
        return self._http.build_request(method, path, params=query, headers=headers, content=content)

    @contextlib.contextmanager
    def _failures(self) -> Generator[None]:
        url = self.access.url
        try:
            yield
        except httpx2.ConnectError as error:
            raise _unreachable(url, error) from error
        except httpx2.TimeoutException as error:
            raise OperatorError(
                f"{url} did not answer in time. Look at its log, or try again.", code="timeout"
            ) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ConfigInvalid(f'"{url}" is not the address of a server ({error}). Correct --url.') from error
        except (httpx2.TransportError, FrameTooLong) as error:
            raise _broken(url, error) from error


def open_client(session: Session, flags: ClientFlags) -> ApiClient:
    """Return a client for the server that flags, environment and home name."""
    access = access_of(flags, session.environment)
    return session.connect(access) if session.connect is not None else ApiClient(access)


def given(**fields: T | None) -> dict[str, T]:
    """Return the fields of a request that are given; None is what a flag has that was left out."""
    return {name: value for name, value in fields.items() if value is not None}


def segment(name: str) -> str:
    """Return a name as one segment of a path; raises ConfigInvalid for what would lead to another path."""
    if name in NO_NAMES:
        raise ConfigInvalid(f'"{name}" is no name and no ID. Is a variable of your shell empty?', code="usage")
    return quote(name, safe=":")


def segments(name: str) -> str:
    """Return a name that may have slashes as segments of a path; raises ConfigInvalid as `segment` does."""
    return "/".join(map(segment, name.split("/")))


def event_object(data: bytes) -> JsonObject:
    """Return the object of one event; raises OperatorError, also for an event that tells of a failure."""
    value = _json_object(data)
    if value is None:
        raise OperatorError("the server sent an event that is not JSON. Is it a Headrace server?", code="foreign_reply")
    if is_object(value.get("error")):
        raise refusal(0, data, "")
    return value


def refusal(status: int, body: bytes, url: str) -> OperatorError:
    """Return the failure that an error body of either plane tells of."""
    value = _json_object(body)
    if value is None:
        return _foreign(url, status)
    inner = value.get("error")
    told: JsonObject = inner if is_object(inner) else value
    code, message, param = (told.get(name) for name in ("code", "message", "param"))
    if not is_object(inner):
        code = value.get("id")
    if not isinstance(message, str):
        return _foreign(url, status)
    kept = {
        name: item
        for name, item in told.items()
        if name not in {"code", "id", "message", "param", "type"} and (item is None or isinstance(item, SCALARS))
    }
    return OperatorError(
        message,
        code=code if isinstance(code, str) else None,
        param=param if isinstance(param, str) else None,
        extra=kept | ({"status": status} if status else {}),
    )


def _json_object(body: bytes) -> JsonObject | None:
    try:
        value: JsonValue = decode_trusted(body)
    except msgspec.DecodeError:
        return None
    return value if is_object(value) else None


def _event_data(blocks: Iterator[bytes]) -> Iterator[bytes]:
    splitter = FrameSplitter()
    for block in blocks:
        for frame in splitter.feed(block):
            data = frame_data(frame)
            if data is not None and data != b"[DONE]":
                yield data


def _trust(access: Access) -> ssl.SSLContext | bool:
    """What TLS trusts; nothing, where TLS is not spoken: loading the machine's authorities takes a while."""
    if access.url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if access.ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(access.ca.expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(f"{access.ca} is no authority to trust ({error}). Give --ca a PEM file.") from error


def _foreign(url: str, status: int) -> OperatorError:
    return OperatorError(
        f"{url} answered with status {status}, but not like a Headrace server. Check --url.", code="foreign_reply"
    )


def _broken(url: str, error: Exception) -> OperatorError:
    if NO_ANSWER in str(error):
        return OperatorError(
            f"{url} hung up without an answer. Look at its log; if it speaks TLS, write https:// in --url.",
            code="reply_broken",
            detail=repr(error),
        )
    return OperatorError(
        f"the reply of {url} broke off. What it cost is in its receipt: look with headrace receipt.",
        code="reply_broken",
        detail=repr(error),
    )


def _unreachable(url: str, error: httpx2.ConnectError) -> OperatorError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return OperatorError(
            f"the certificate of {url} is not trusted. "
            "Give --ca the authority's file: tls/ca.pem in the home of that server.",
            code="untrusted_certificate",
        )
    if "[SSL:" in str(error):
        return OperatorError(
            f"{url} answered, but not with TLS. If that server speaks plain HTTP, write http:// in --url.",
            code="foreign_reply",
            detail=str(error),
        )
    return OperatorError(
        f"nothing answers at {url}. Start it with `headrace serve`, or name another server with --url.",
        code="nothing_answers",
        detail=str(error),
    )
