"""The caller's connection as a sink."""

import asyncio

import pytest

from headrace.http import sink as sink_module
from headrace.http.connections import CallerLink
from headrace.http.edge import Message
from headrace.http.sink import AsgiSink

pytestmark = pytest.mark.anyio


class Connection:
    """Both directions of one ASGI connection."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.arriving: asyncio.Queue[Message] = asyncio.Queue()
        self.sink = AsgiSink(self.arriving.get, self.send, "req_7")

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_a_stream_is_started_written_and_ended() -> None:
    connection = Connection()
    sink = connection.sink
    assert (sink.started, sink.ended, sink.gone, sink.status) == (False, False, False, 0)
    await sink.start(200, (("content-type", "text/event-stream"), ("x-name", "水é")))
    await sink.write(b"one")
    assert (sink.started, sink.ended, sink.status) == (True, False, 200)
    await sink.end(b"two")
    assert sink.ended
    assert connection.sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream"),
                (b"x-name", b"?\xe9"),
                (b"x-request-id", b"req_7"),
                (b"request-id", b"req_7"),
            ],
        },
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"two"},
    ]


async def test_a_whole_reply_says_its_length() -> None:
    connection = Connection()
    await connection.sink.reply(404, (("content-type", "application/json"),), b"{}")
    assert (b"content-length", b"2") in connection.sent[0]["headers"]
    assert connection.sent[1] == {"type": "http.response.body", "body": b"{}"}


@pytest.mark.parametrize("is_slow", [True, False])
async def test_why_a_caller_is_gone(is_slow: bool) -> None:
    connection, link = Connection(), CallerLink()
    sink = AsgiSink(connection.arriving.get, connection.send, "req_7", link)
    link.is_slow = is_slow
    assert sink.departure is None
    sink.gone = True
    assert sink.departure == ("slow_reader" if is_slow else "client_closed")


async def test_a_reply_that_is_broken_off_has_no_end() -> None:
    connection = Connection()
    await connection.sink.start(200, ())
    await connection.sink.break_off(b"data: error\n\n")
    assert connection.sent[-1] == {"type": "http.response.body", "body": b"data: error\n\n", "more_body": True}
    assert not connection.sink.ended


async def wait_forever() -> None:
    await asyncio.Event().wait()


async def test_a_caller_who_leaves_ends_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "WATCH_AFTER_SECONDS", 0.0)
    connection = Connection()
    turn = asyncio.get_running_loop().create_task(wait_forever())
    watch = connection.sink.watch(turn)
    connection.arriving.put_nowait({"type": "http.request"})
    connection.arriving.put_nowait({"type": "http.disconnect"})
    await asyncio.wait([turn])
    assert turn.cancelled()
    assert connection.sink.gone
    watch.end()


async def test_leaving_after_the_end_is_no_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "WATCH_AFTER_SECONDS", 0.0)
    connection = Connection()
    turn = asyncio.get_running_loop().create_task(wait_forever())
    await connection.sink.start(200, ())
    await connection.sink.end(b"")
    watch = connection.sink.watch(turn)
    connection.arriving.put_nowait({"type": "http.disconnect"})
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.arriving.empty()
    assert not connection.sink.gone
    assert not turn.done()
    watch.end()
    turn.cancel()
    await asyncio.wait([turn])


async def test_a_watch_that_ended_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "WATCH_AFTER_SECONDS", 0.0)
    connection = Connection()
    turn = asyncio.get_running_loop().create_task(wait_forever())
    for ticks in range(3):
        watch = connection.sink.watch(turn)
        for _ in range(ticks):
            await asyncio.sleep(0)
        watch.end()
    connection.arriving.put_nowait({"type": "http.disconnect"})
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.arriving.qsize() == 1
    assert not turn.done()
    turn.cancel()
    await asyncio.wait([turn])
