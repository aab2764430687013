"""The sink through which a reply in the Responses dialect passes: our id, our state, and the response at its end.

Only the first events and the end are read; what lies between passes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace.domain.call import Call
from headrace.domain.json_value import JsonObject
from headrace.ports.sink import Sink
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.responses_object import said_back
from headrace.wire.sse import FrameSplitter, frame_data, named_frame

Headers: TypeAlias = tuple[tuple[str, str], ...]
Keep: TypeAlias = Callable[[JsonObject], Awaitable[bool]]
_NUMBER = re.compile(rb'"sequence_number": ?(\d+)')
_HOLDS_RESPONSE = b'"response":{'


class ResponseSink:
    """Passes one reply on; `keep` is called with the whole response before its end leaves, and says whether it is kept.

    The caller sees `store` as it turned out.
    """

    def __init__(self, sink: Sink, call: Call) -> None:
        self._sink = sink
        self._is_stream = call.envelope.stream
        # Servers leave out of a response what its request said, and clients of the dialect expect all of it.
        self._said = said_back(dict(call.body))
        self._previous = call.body.get("previous_response_id")
        self._id = f"resp_{call.request_id.removeprefix('req_')}"
        self._waiting: tuple[int, Headers] | None = None
        self._is_begun = False
        self._last_number = -1
        self.keep: Keep | None = None

    @property
    def started(self) -> bool:
        """Whether status and headers have left, or wait for the body whose length they tell."""
        return self._sink.started or self._waiting is not None

    @property
    def gone(self) -> bool:
        """Whether the caller has left."""
        return self._sink.gone

    @property
    def departure(self) -> str | None:
        """How the caller left; None while the caller is there."""
        return self._sink.departure

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers; those of a whole reply wait until its length is known."""
        if self._is_stream:
            await self._sink.start(status, headers)
        else:
            self._waiting = (status, headers)

    async def write(self, block: bytes) -> None:
        """Send a block of a stream; the first events carry the response and get our id."""
        if not self._is_begun and _HOLDS_RESPONSE in block:
            self._is_begun = True
            block = b"".join([self._begun(frame) for frame in FrameSplitter().feed(block)])
        self._note_number(block)
        await self._sink.write(block)

    async def end(self, block: bytes) -> None:
        """Keep the response that this block ends with, then send it."""
        if self._is_stream:
            frames = [await self._ended(frame) for frame in FrameSplitter().feed(block)]
            await self._sink.end(b"".join(frames))
            return
        body = decode_trusted(block)
        last = encode(await self._finished(body)) if is_object(body) else block
        if self._waiting is not None:
            status, headers = self._waiting
            others = tuple(each for each in headers if each[0] != "content-length")
            await self._sink.start(status, (*others, ("content-length", str(len(last)))))
        await self._sink.end(last)

    async def break_off(self, block: bytes) -> None:
        """Send an event that tells of a failure, numbered as the next one, and leave the reply incomplete."""
        frames = [self._numbered(frame) for frame in FrameSplitter().feed(block)]
        await self._sink.break_off(b"".join(frames))

    def _begun(self, frame: bytes) -> bytes:
        event = _event(frame)
        response = event.get("response")
        return _frame(event, {"response": self._ours(response)}) if is_object(response) else frame

    async def _ended(self, frame: bytes) -> bytes:
        event = _event(frame)
        response = event.get("response")
        return _frame(event, {"response": await self._finished(response)}) if is_object(response) else frame

    async def _finished(self, response: JsonObject) -> JsonObject:
        ours = self._ours(response)
        if self.keep is not None and not await self.keep(ours):
            ours["store"] = False
        return ours

    def _ours(self, response: JsonObject) -> JsonObject:
        ours: JsonObject = {"id": self._id, "store": self.keep is not None, "previous_response_id": self._previous}
        return {**self._said, **response, **ours}

    def _numbered(self, frame: bytes) -> bytes:
        event = _event(frame)
        return _frame(event, {"sequence_number": self._last_number + 1}) if event else frame

    def _note_number(self, block: bytes) -> None:
        start = block.rfind(b'"sequence_number":')
        found = _NUMBER.match(block, start) if start >= 0 else None
        if found is not None:
            self._last_number = int(found[1])


def _event(frame: bytes) -> JsonObject:
    data = frame_data(frame)
    value = None if data is None else decode_trusted(data)
    return value if is_object(value) else {}


def _frame(event: JsonObject, changes: JsonObject) -> bytes:
    whole = {**event, **changes}
    return named_frame(str(whole.get("type")).encode(), encode(whole))
