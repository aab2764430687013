"""What arrived before a connection broke is part of the answer, however late it is read."""

import aiohttp
import pytest

from headrace.domain.errors import UpstreamTruncated
from headrace.drivers.transports.aiohttp_transport import AiohttpExchange
from headrace.testing.openai_replies import chat_stream
from headrace.testing.upstream import FakeUpstream

pytestmark = pytest.mark.anyio
CUT_BYTES = 300


@pytest.mark.parametrize("size", [None, 7])
async def test_bytes_that_came_before_the_break_are_read_before_it_is_told(size: int | None) -> None:
    whole = chat_stream("one two three")
    reply = (whole if size is None else whole.split_every(size)).cut(CUT_BYTES)
    async with FakeUpstream(reply) as upstream, aiohttp.ClientSession() as session:
        response = await session.post(f"{upstream.base_url}/chat/completions", json={"model": "m", "stream": True})
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.wait_eof()
        exchange = AiohttpExchange(response, 1.0)
        assert await exchange.read() == whole.body[:CUT_BYTES]
        with pytest.raises(UpstreamTruncated):
            await exchange.read()
        await exchange.close()
