"""Keep-alive comments for a stream whose first event is slow to come."""

from __future__ import annotations

import asyncio

from headrace.ports.sink import Sink

COMMENT = b": waiting for the model\n\n"


class KeepAlive:
    """Starts the reply after a silence and writes a comment in every further one, until it is stopped.

    The timer costs nothing while the first event comes in time: a task exists only after the first silence.
    """

    def __init__(self, sink: Sink, silence_seconds: float) -> None:
        self._sink = sink
        self._headers: tuple[tuple[str, str], ...] = ()
        self._silence_seconds = silence_seconds
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, headers: tuple[tuple[str, str], ...]) -> None:
        """Begin to count the silence; `headers` are the reply's, should it have to start."""
        self._headers = headers
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._silence_seconds, self._begin)

    async def stop(self) -> None:
        """End the comments; when this returns, none is being written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._write(), name="keep-alive")

    async def _write(self) -> None:
        if not self._sink.started:
            await self._sink.start(200, self._headers)
        while True:
            await self._sink.write(COMMENT)
            await asyncio.sleep(self._silence_seconds)
