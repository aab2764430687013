"""The one door of every route but the hot ones: host, method, credential, audience; then reply, error and report.

What an endpoint does is its own module's; what hot routes pass is inference's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.access import Caller
from headrace.domain.call import Dialect
from headrace.domain.errors import HeadraceError, MethodNotAllowed, NotFound
from headrace.domain.names import did_you_mean
from headrace.http.edge import DEDICATED, EdgeLimits, Receive, Scope, Send, check_host, identify, speaks_messages
from headrace.http.outcome import failure_of
from headrace.http.replies import error_headers
from headrace.http.routing import Audience, Reply, Request, RouteSpec, Stream, is_known_to_caller
from headrace.http.sink import AsgiSink, Headers
from headrace.ports.ambient import Clock, Ids
from headrace.ports.observer import Observer, RequestEnd
from headrace.services.identity import Identity, require_admin
from headrace.services.snapshots import Snapshots
from headrace.wire.dialect_errors import error_body
from headrace.wire.errors import control_error_body

UNKNOWN_ROUTE = "(unknown)"
DATA_PLANE = "/v1"
NO_CONTENT = 204


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What the door works with."""

    snapshots: Snapshots
    identity: Identity
    limits: EdgeLimits
    ids: Ids
    clock: Clock
    observer: Observer


class PathDoor:
    """Admits requests to one path; `routes` is by method, `elsewhere` are methods of it that are served elsewhere."""

    def __init__(
        self, parts: DoorParts, path: str, routes: Mapping[str, RouteSpec], elsewhere: frozenset[str] = frozenset()
    ) -> None:
        self._parts = parts
        self.path = path
        self.routes = routes
        readable = {"HEAD"} if "GET" in routes else set[str]()
        self._allow = ", ".join(sorted({*routes, *elsewhere, *readable}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        visit = _Visit(self._parts, self.path, scope, AsgiSink(receive, send, self._parts.ids.new("req")))
        method = "GET" if scope["method"] == "HEAD" else str(scope["method"])
        await visit.serve(self.routes.get(method), receive, self._allow)


class NoRoute:
    """Answers for every path that is no route."""

    def __init__(self, parts: DoorParts, paths: frozenset[str]) -> None:
        self._parts = parts
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with a 404 that names the closest path."""
        visit = _Visit(self._parts, UNKNOWN_ROUTE, scope, AsgiSink(receive, send, self._parts.ids.new("req")))
        await visit.turn_away(self._paths)


class _Visit:
    """One request from its coming to its report."""

    def __init__(self, parts: DoorParts, route: str, scope: Scope, sink: AsgiSink) -> None:
        self._parts = parts
        self._route = route
        self._scope = scope
        self._sink = sink
        self._caller: Caller | None = None
        self._began = parts.clock.monotonic()

    async def serve(self, spec: RouteSpec | None, receive: Receive, allow: str) -> None:
        error = await failure_of(self._work(spec, receive, allow), self._sink)
        if error is not None:
            await self._refuse(error, allow)
        self._note(error)

    async def _work(self, spec: RouteSpec | None, receive: Receive, allow: str) -> None:
        await self._answer(self._admit(spec, receive, allow), spec, receive)

    async def turn_away(self, paths: frozenset[str]) -> None:
        error: HeadraceError
        try:
            check_host(self._scope, self._parts.limits)
            path = str(self._scope["path"])
            hint = did_you_mean(path, paths)
            error = NotFound(
                f'Nothing is served at "{path[:200]}".{f" {hint}" if hint else ""}', code="route_not_found"
            )
        except HeadraceError as caught:
            error = caught
        await self._refuse(error)
        self._note(error)

    def _admit(self, spec: RouteSpec | None, receive: Receive, allow: str) -> Request:
        check_host(self._scope, self._parts.limits)
        if spec is None:
            raise MethodNotAllowed(f"{self._scope['method']} is not served here; {allow} is.")
        if spec.audience is not Audience.PUBLIC:
            self._caller = identify(self._scope, self._parts.snapshots.current(), self._parts.identity)
            if spec.audience is not Audience.OWN:
                require_admin(self._caller)
        return Request(self._scope, receive, self._sink.request_id, self._caller)

    async def _answer(self, request: Request, spec: RouteSpec | None, receive: Receive) -> None:
        if spec is None:
            raise AssertionError("a request without a route was admitted")
        answer = await spec.endpoint(request)
        if isinstance(answer, Stream):
            await self._stream(answer)
        elif self._scope["method"] in ("GET", "HEAD") and is_known_to_caller(self._scope, answer):
            await self._sink.start(304, tuple(each for each in answer.headers if each[0] in ("etag", "cache-control")))
            await self._sink.end(b"")
        else:
            await self._reply(answer)

    async def _reply(self, reply: Reply) -> None:
        # Of a reply that never has a body, no length is told: RFC 9110, section 8.6.
        length: Headers = () if reply.status == NO_CONTENT else (("content-length", str(len(reply.body))),)
        await self._sink.start(reply.status, (*reply.headers, *length))
        await self._sink.end(b"" if self._scope["method"] == "HEAD" else reply.body)

    async def _stream(self, stream: Stream) -> None:
        reader = asyncio.current_task()
        if reader is None:
            raise AssertionError("a request runs in a task")
        watch = self._sink.watch(reader)
        try:
            await self._sink.start(200, stream.headers)
            async with contextlib.aclosing(stream.blocks) as blocks:
                async for block in blocks:
                    await self._sink.write(block)
            await self._sink.end(b"")
        finally:
            watch.end()

    async def _refuse(self, error: HeadraceError, allow: str | None = None) -> None:
        sink = self._sink
        if sink.gone or sink.started:
            return
        headers = error_headers(error)
        if isinstance(error, MethodNotAllowed) and allow is not None:
            headers = (*headers, ("allow", allow))
        await self._reply(Reply(error.status, headers, self._error_body(error)))

    def _error_body(self, error: HeadraceError) -> bytes:
        path, request_id = str(self._scope["path"]), self._sink.request_id
        # Below a deployment's own endpoint everything is data plane, whatever stands in the place of its id.
        if path != DATA_PLANE and not path.startswith((f"{DATA_PLANE}/", DEDICATED)):
            return control_error_body(error, request_id)
        dialect = Dialect.MESSAGES if speaks_messages(self._scope) else Dialect.CHAT
        return error_body(dialect, error, request_id)

    def _note(self, error: HeadraceError | None) -> None:
        sink = self._sink
        self._parts.observer.request_ended(
            RequestEnd(
                request_id=sink.request_id,
                method=str(self._scope["method"]),
                route=self._route,
                status=499 if sink.gone else sink.status,
                duration_seconds=self._parts.clock.monotonic() - self._began,
                key_id=None if self._caller is None else self._caller.key_id,
                error_code=sink.departure or (None if error is None else error.code),
                detail=None if error is None else error.detail,
            )
        )
