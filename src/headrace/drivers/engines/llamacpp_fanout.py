"""Several choices as several requests of one engine, merged into one answer with the usage summed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.ports.upstream import Exchange
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import DONE, FrameSplitter, FrameTooLong, data_frame, frame_data

WAITING_FRAMES = 64
MAX_ERROR_BYTES = 65_536

Failure = Callable[[int, Mapping[str, str], bytes], HeadraceError]
Opening = Callable[[], Coroutine[Any, Any, Exchange]]


class MergedExchange:
    """One exchange over several streams: choice `i` is the i-th stream, frames leave whole, usage is one frame.

    The first stream is open already and lends its status and headers; the others are opened beside it, so that
    an engine with fewer slots than choices answers the first at once.
    """

    def __init__(self, first: Exchange, others: Sequence[Opening], failure: Failure) -> None:
        self._first = first
        self._failure = failure
        self._items: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(WAITING_FRAMES)
        self._open = [first]
        self._head: JsonObject = {}
        self._usage: JsonObject | None = None
        self._running = 1 + len(others)
        self._whole = 0
        self._is_over = False
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._pump(0, None))]
        self._tasks += [loop.create_task(self._pump(index, opening)) for index, opening in enumerate(others, 1)]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    @property
    def status(self) -> int:
        """The first stream's status."""
        return self._first.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The first stream's headers."""
        return self._first.headers

    async def read(self) -> bytes | None:
        """Return the next frame of any stream, then usage and terminator, then None."""
        while self._running:
            item = await self._items.get()
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                self._room.release()
                return item
            self._running -= 1
        if self._is_over:
            return None
        self._is_over = True
        # A stream that ended without its terminator leaves the whole answer without one.
        return self._ending() if self._whole == len(self._tasks) else None

    async def close(self) -> None:
        """End every stream; those that were read to their end give their connection back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in self._open))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._items.put_nowait(task.exception())

    def _ending(self) -> bytes:
        if self._usage is None:
            return DONE
        return data_frame(encode({**self._head, "choices": [], "usage": self._usage})) + DONE

    async def _pump(self, index: int, opening: Opening | None) -> None:
        exchange = self._first
        if opening is not None:
            exchange = await opening()
            self._open.append(exchange)
            await self._check(exchange)
        splitter = FrameSplitter()
        while (block := await exchange.read()) is not None:
            try:
                frames = splitter.feed(block)
            except FrameTooLong as error:
                raise UpstreamProtocol("The engine sent an endless frame.", detail=str(error)) from None
            for frame in frames:
                await self._put(index, frame)

    async def _check(self, exchange: Exchange) -> None:
        if exchange.status < 400:
            return
        body = b""
        while len(body) < MAX_ERROR_BYTES and (block := await exchange.read()) is not None:
            body += block
        raise self._failure(exchange.status, exchange.headers, body)

    async def _put(self, index: int, frame: bytes) -> None:
        data = frame_data(frame)
        if data == b"[DONE]":
            self._whole += 1
            return
        out = frame if data is None else self._numbered(index, frame, data)
        if out is not None:
            await self._room.acquire()
            self._items.put_nowait(out)

    def _numbered(self, index: int, frame: bytes, data: bytes) -> bytes | None:
        try:
            chunk = decode_trusted(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return frame
        if not is_object(chunk) or "error" in chunk:
            return frame
        if not self._head:
            self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        self._add_usage(chunk.get("usage"))
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        numbered: list[JsonValue] = [{**choice, "index": index} for choice in choices if is_object(choice)]
        merged: JsonObject = {**chunk, **self._head, "choices": numbered}
        merged.pop("usage", None)
        return data_frame(encode(merged))

    def _add_usage(self, block: JsonValue) -> None:
        if is_object(block):
            self._usage = _sum(self._usage, block)


def _sum(left: JsonObject | None, right: JsonObject) -> JsonObject:
    """Return two usage blocks added field by field, groups within them too."""
    total: JsonObject = dict(left or {})
    for name, value in right.items():
        before = total.get(name)
        if is_object(value):
            total[name] = _sum(before if is_object(before) else None, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            total[name] = (before if isinstance(before, int) else 0) + value
        else:
            total[name] = value
    return total
