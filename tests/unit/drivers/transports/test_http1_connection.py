"""One connection over a fake socket: who is made to wait, and what is kept, without a network's timing."""

import asyncio
from collections.abc import Iterable

import pytest

from headrace.domain.errors import UpstreamError
from headrace.drivers.transports.http1_connection import HIGH_WATER_BYTES, Http1Connection, Http1Exchange

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\n"
BETWEEN_SECONDS = 0.05
WHOLE = OK + b"content-length: 2\r\n\r\nok"


class FakeSocket(asyncio.Transport):
    """Keeps what was written and what was asked of it; `unsent` is what the network did not take."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.unsent = 0
        self.is_reading_now = True
        self.is_aborted = False

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.sent += b"".join(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        assert self.is_reading_now and not self.is_aborted
        self.is_reading_now = False

    def resume_reading(self) -> None:
        assert not self.is_reading_now and not self.is_aborted
        self.is_reading_now = True

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted


class Keeper:
    """Notes the life of one connection."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def made(self, connection: Http1Connection) -> None:
        self.heard.append("made")

    def give_back(self, connection: Http1Connection) -> None:
        self.heard.append("given back")

    def lost(self, connection: Http1Connection) -> None:
        self.heard.append("lost")


class World:
    """A connection between its fake neighbours."""

    def __init__(self) -> None:
        self.keeper, self.socket = Keeper(), FakeSocket()
        self.connection = Http1Connection(self.keeper)
        self.connection.connection_made(self.socket)

    async def asked(self, *segments: bytes) -> Http1Exchange:
        """Send a request; the answer comes as soon as it is waited for."""
        loop = asyncio.get_running_loop()
        for segment in segments:
            loop.call_soon(self.connection.data_received, segment)
        return await self.connection.exchange(b"head", b"body", 1.0, BETWEEN_SECONDS)


async def test_a_request_leaves_and_its_connection_comes_back() -> None:
    world = World()
    exchange = await world.asked(WHOLE)
    assert world.socket.sent == b"headbody"
    assert (exchange.status, await exchange.read(), await exchange.read()) == (200, b"ok", None)
    await exchange.close()
    assert world.keeper.heard == ["made", "given back"]
    world.connection.connection_lost(None)
    assert world.keeper.heard == ["made", "given back", "lost"]


async def test_above_the_mark_the_upstream_waits_until_all_is_taken() -> None:
    world, piece = World(), b"a" * (HIGH_WATER_BYTES // 2)
    exchange = await world.asked(OK + b"content-length: %d\r\n\r\n" % (3 * len(piece)))
    states: list[bool] = []
    for _ in range(3):
        world.connection.data_received(piece)
        states.append(world.socket.is_reading_now)
    assert states == [True, True, False]
    assert await exchange.read() == 3 * piece
    assert world.socket.is_reading_now
    await exchange.close()
    assert world.keeper.heard[-1] == "given back"


async def test_a_connection_given_back_unread_reads_again() -> None:
    world, body = World(), b"a" * (HIGH_WATER_BYTES + 1)
    exchange = await world.asked(OK + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    assert not world.socket.is_reading_now
    await exchange.close()
    assert world.socket.is_reading_now
    assert world.keeper.heard[-1] == "given back"


async def test_a_paused_connection_that_is_gone_is_not_resumed() -> None:
    world, body = World(), b"a" * (HIGH_WATER_BYTES + 1)
    exchange = await world.asked(OK + b"content-length: 999999\r\n\r\n" + body)
    world.connection.drop()
    world.connection.connection_lost(None)
    assert await exchange.read() == body
    with pytest.raises(UpstreamError) as caught:
        await exchange.read()
    assert caught.value.code == "upstream_truncated"


async def test_an_answer_before_the_request_is_the_answer_but_ends_the_connection() -> None:
    world = World()
    world.connection.data_received(WHOLE)
    exchange = await world.connection.exchange(b"head", b"body", 1.0, 1.0)
    assert await exchange.read() == b"ok"
    await exchange.close()
    assert world.socket.is_aborted and world.keeper.heard == ["made"]


async def test_an_answer_that_overtakes_the_request_ends_the_connection() -> None:
    world = World()
    world.socket.unsent = 1
    exchange = await world.asked(WHOLE)
    await exchange.close()
    assert world.socket.is_aborted and world.keeper.heard == ["made"]


async def test_a_connection_that_the_upstream_will_close_is_not_given_back() -> None:
    world = World()
    exchange = await world.asked(OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok")
    assert (await exchange.read(), await exchange.read()) == (b"ok", None)
    await exchange.close()
    assert world.socket.is_aborted and world.keeper.heard == ["made"]


async def test_a_caller_that_leaves_before_the_head_closes_the_connection() -> None:
    world = World()
    task = asyncio.get_running_loop().create_task(world.asked())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() and world.socket.sent == b"headbody"
    assert world.socket.is_aborted and world.keeper.heard == ["made"]


async def test_a_connection_that_is_lost_before_the_request_has_a_named_failure() -> None:
    world = World()
    world.connection.connection_lost(ConnectionResetError(104, "reset"))
    with pytest.raises(UpstreamError) as caught:
        await world.asked()
    assert (caught.value.code, world.socket.sent) == ("upstream_unavailable", b"")
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_a_connection_that_nobody_wants_when_it_is_made_is_closed() -> None:
    connection, socket = Http1Connection(Keeper()), FakeSocket()
    connection.drop()
    connection.connection_made(socket)
    assert socket.is_aborted and not connection.is_open


async def test_chunk_extensions_do_not_put_a_deadline_off() -> None:
    world = World()
    exchange = await world.asked(OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n1;")
    assert await exchange.read() == b"a"
    task = asyncio.get_running_loop().create_task(exchange.read())
    while not task.done():
        world.connection.data_received(b"x")
        await asyncio.sleep(0)
    with pytest.raises(UpstreamError) as caught:
        await task
    assert caught.value.code == "upstream_stalled"
    assert world.socket.is_aborted
