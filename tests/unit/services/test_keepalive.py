"""Comments of a slow stream."""

import asyncio

import pytest

from headrace.services.keepalive import COMMENT, KeepAlive
from tests.fakes.turn_world import FakeSink

pytestmark = pytest.mark.anyio


async def test_nothing_is_written_before_the_silence_is_over() -> None:
    sink = FakeSink([])
    keepalive = KeepAlive(sink, 60.0)
    keepalive.start(())
    await keepalive.stop()
    await keepalive.stop()
    assert not sink.started
    assert sink.blocks == []


async def test_a_keepalive_that_never_started_can_be_stopped() -> None:
    await KeepAlive(FakeSink([]), 0.0).stop()


async def test_after_silence_the_reply_starts_and_comments_follow() -> None:
    sink = FakeSink([])
    keepalive = KeepAlive(sink, 0.0)
    keepalive.start((("content-type", "text/event-stream"),))
    await sink.written.wait()
    sink.written.clear()
    await sink.written.wait()
    await keepalive.stop()
    assert sink.headers == {"content-type": "text/event-stream"}
    assert set(sink.blocks) == {COMMENT}
    written = len(sink.blocks)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(sink.blocks) == written


async def test_a_started_reply_is_not_started_again() -> None:
    events: list[str] = []
    sink = FakeSink(events)
    await sink.start(200, ())
    keepalive = KeepAlive(sink, 0.0)
    keepalive.start(())
    await sink.written.wait()
    await keepalive.stop()
    assert events.count("start") == 1


async def test_stop_before_the_first_comment_writes_none() -> None:
    sink = FakeSink([])
    keepalive = KeepAlive(sink, 0.0)
    keepalive.start(())
    await asyncio.sleep(0)
    await keepalive.stop()
    assert sink.blocks == []
