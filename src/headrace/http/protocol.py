"""The server's protocol with what uvicorn's lacks: deadlines, rates, sizes, a strict head; serving is uvicorn's.

There are no timers per request: the server inspects all connections about once a second. What httptools lets through
and HTTP/1.1 does not is refused here. Trailer fields are dropped: merged into the head they would smuggle.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from headrace.domain.errors import BodyTooLarge, HeadersTooLarge, HeadraceError, InvalidRequest, Overloaded, SlowRequest
from headrace.http.connections import CallerLink, Census, ConnectionLimits
from headrace.http.edge import CONNECTION_EXTENSION
from headrace.http.replies import error_headers
from headrace.ports.ambient import Ids
from headrace.ports.observer import Observer, RequestEnd
from headrace.wire.errors import openai_error_body

CONNECTION_ROUTE = "(connection)"


class _Stage(Enum):
    """Where a connection stands; REPLIED_EARLY is a reply to a request that has not come whole."""

    REST = auto()
    HEAD = auto()
    BODY = auto()
    REPLY = auto()
    REPLIED_EARLY = auto()
    REFUSED = auto()


class GuardedConfig(uvicorn.Config):
    """A server's configuration with what its connections are guarded by; `guard` it before it is loaded."""

    limits: ConnectionLimits
    census: Census
    ids: Ids
    observer: Observer

    def guard(self, limits: ConnectionLimits, ids: Ids, observer: Observer) -> None:
        """Set the limits, and who is told of requests that no route saw."""
        self.limits = limits
        self.census = Census(limits)
        self.ids = ids
        self.observer = observer


class _RefusedHead(Exception):
    """Ends the parser's work; what is answered was noted before."""


class GuardedProtocol(HttpToolsProtocol):
    """One guarded connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if not isinstance(config, GuardedConfig):
            raise AssertionError("a guarded protocol needs a guarded configuration")
        self._config = config
        self._limits = config.limits
        self._link = CallerLink()
        self._extensions = {CONNECTION_EXTENSION: self._link}
        self._address = ""
        self._is_counted = False
        self._requests = 0
        self._received_bytes = 0
        self._refusal: HeadraceError | None = None
        self._is_refused = False
        self._place = (_Stage.REST, 0)
        self._since = self._inspected_at = self.loop.time()
        self._unsent: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Count the connection in, or turn it away."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._is_counted = self._config.census.admit(self._address)
        if not self._is_counted:
            self._refuse(Overloaded("There are too many connections open.", retry_after_seconds=1))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        if self._is_counted:
            self._is_counted = False
            self._config.census.release(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; `_received_bytes` are those since the last head was whole, or of the block it came in."""
        if self._is_refused:
            return
        self._received_bytes += len(data)
        super().data_received(data)
        if self._received_bytes > self._limits.head_bytes:
            self._check_size()

    def on_headers_complete(self) -> None:
        """Check the head and start the request (called by the parser)."""
        parser = self.parser
        if parser is None:
            raise AssertionError("a parser that is gone has called")
        is_upgrade = parser.should_upgrade()
        self._refusal = self._head_problem(parser.get_http_version(), is_upgrade=is_upgrade)
        if self._refusal is not None:
            raise _RefusedHead
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item] - a key of ASGI's that uvicorn's type lacks
        super().on_headers_complete()
        self.headers = []
        self._received_bytes = 0
        self._requests += 1
        if is_upgrade or self._requests >= self._limits.requests_per_connection:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refusal or _invalid("The request is not valid HTTP/1.1."))

    def _unsupported_upgrade_warning(self) -> None:
        """An offer to upgrade is not taken up, and nobody needs to hear of it."""

    def inspect(self, now: float) -> None:
        """Turn away a caller who has used up its time; called about once a second."""
        passed = now - self._inspected_at
        self._inspected_at = now
        place = (self._stage(), self._requests)
        if place != self._place:
            self._place, self._since = place, now
        elif self.flow.read_paused:
            self._since += passed
        else:
            self._judge_request(place[0], now - self._since)
        self._judge_reader(now)

    def _stage(self) -> _Stage:
        if self._is_refused or self.transport.is_closing():
            return _Stage.REFUSED
        cycle = self.cycle
        if cycle is None:  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
            return _Stage.HEAD if self._received_bytes else _Stage.REST
        if not cycle.response_complete:
            return _Stage.BODY if cycle.more_body else _Stage.REPLY
        if self.scope is not cycle.scope:
            return _Stage.HEAD
        return _Stage.REPLIED_EARLY if cycle.more_body else _Stage.REST

    def _judge_request(self, stage: _Stage, waited: float) -> None:
        limits = self._limits
        match stage:
            case _Stage.REST if waited > (limits.idle_seconds if self._requests else limits.head_seconds):
                self.transport.close()
            case _Stage.HEAD if waited > limits.head_seconds:
                self._refuse(SlowRequest(f"The head of the request did not come within {limits.head_seconds:g} s."))
            case _Stage.BODY if waited > limits.body_seconds or self._received_bytes < limits.due_body_bytes(waited):
                self._refuse(SlowRequest("The body of the request came too slowly."))
            case _Stage.REPLIED_EARLY if waited > limits.linger_seconds:
                self.transport.close()
            case _Stage.REFUSED if waited > limits.linger_seconds and not self.transport.get_write_buffer_size():
                self.transport.abort()
            case _:
                pass

    def _judge_reader(self, now: float) -> None:
        size = self.transport.get_write_buffer_size()
        is_writing = self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
        if not size or (is_writing and not self.flow.write_paused and not self.transport.is_closing()):
            self._unsent = None
        elif self._unsent is None:
            self._unsent = (now, size)
        elif now - self._unsent[0] > self._limits.reader_seconds:
            taken = self._unsent[1] - size
            if taken < self._limits.reader_bytes_per_second * self._limits.reader_seconds:
                self._link.is_slow = True
                self.transport.abort()
            self._unsent = (now, size)

    def resume_writing(self) -> None:
        """Go on writing: the caller has taken what waited (called by the transport)."""
        self._unsent = None
        super().resume_writing()

    def _check_size(self) -> None:
        stage = self._stage()
        if stage is _Stage.HEAD or (stage is not _Stage.REFUSED and self.scope is not self.cycle.scope):
            self._refuse(self._large_head())
        elif stage is _Stage.BODY and self._received_bytes > self._limits.body_wire_bytes:
            self._refuse(BodyTooLarge(f"The body passes {self._limits.body_wire_bytes} bytes on the wire."))

    def _large_head(self) -> HeadraceError:
        limits = self._limits
        return HeadersTooLarge(
            f"The head of the request passes {limits.head_bytes} bytes or {limits.head_lines} header lines."
        )

    def _head_problem(self, version: str, *, is_upgrade: bool) -> HeadraceError | None:
        headers, limits = self.headers, self._limits
        is_unsized = self._received_bytes > limits.head_bytes or not self._received_bytes
        if len(headers) > limits.head_lines or (is_unsized and self._head_size() > limits.head_bytes):
            return self._large_head()
        if version not in ("1.1", "1.0"):
            return _invalid("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if self.url[:1] != b"/" or b"#" in self.url:
            return _invalid('The target of the request must be a path that begins with "/".')
        last = dict(headers)
        coding = last.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            return _invalid('The only transfer coding is "chunked", in HTTP/1.1.')
        if is_upgrade and (coding is not None or last.get(b"content-length", b"0") != b"0"):
            return _invalid("A request with a body cannot offer an upgrade; send it as plain HTTP/1.1.")
        return None

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _refuse(self, error: HeadraceError) -> None:
        """Answer where an answer can still be written, then throw away what comes until the caller has read it."""
        cycle = self.cycle
        is_running = cycle is not None and not cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
        can_answer = not is_running or (
            self.scope is cycle.scope and cycle.more_body and not cycle.response_started and not self.pipeline
        )
        self._unset_keepalive_if_required()
        self._note(error, self._config.ids.new("req"), can_answer=can_answer)
        self._is_refused = True
        if is_running:
            cycle.disconnected = True
            cycle.message_event.set()
        if not can_answer or not self.transport.can_write_eof():
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def _note(self, error: HeadraceError, request_id: str, *, can_answer: bool) -> None:
        if can_answer and not self.transport.is_closing():
            self.transport.write(_reply(error, request_id))
        self._config.observer.request_ended(
            RequestEnd(
                request_id=request_id,
                method="-",
                route=CONNECTION_ROUTE,
                status=error.status,
                duration_seconds=self.loop.time() - self._since,
                key_id=None,
                error_code=error.code,
            )
        )


def _invalid(message: str) -> HeadraceError:
    return InvalidRequest(message, code="invalid_http")


def _reply(error: HeadraceError, request_id: str) -> bytes:
    body = openai_error_body(error, request_id)
    headers = (
        *error_headers(error),
        ("content-length", str(len(body))),
        ("connection", "close"),
        ("x-request-id", request_id),
        ("request-id", request_id),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return STATUS_LINE[error.status] + lines.encode("latin-1") + b"\r\n" + body
