from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Dialect
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.drivers.providers.openai_responses import OpenAiResponsesAdapter
from headrace.ports.upstream import Exchange, Prepared
from headrace.services.spoken import SpokenDialects
from headrace.testing.clock import FakeClock
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from tests.fakes.nouns import a_call, a_target

CLOCK = FakeClock()


class FakeTransport:
    """Gives out one exchange that nobody reads."""

    def __init__(self) -> None:
        self.exchange: Any = object()

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        assert (endpoint.base_url, prepared.path) == ("http://upstream", "/chat/completions")
        found: Exchange = self.exchange
        return found


ADAPTER = SpokenDialects(OpenAiAdapter(CLOCK, "max_tokens"), {Dialect.RESPONSES: OpenAiResponsesAdapter(CLOCK)})


def test_each_dialect_goes_its_own_way() -> None:
    chat = a_call(stream=True)
    responses = replace(chat, body={"model": "one", "input": "Hi"}, dialect=Dialect.RESPONSES)
    assert ADAPTER.prepare(chat, a_target()).path == "/chat/completions"
    assert ADAPTER.prepare(responses, a_target()).path == "/responses"
    assert isinstance(ADAPTER.reader(chat, a_target()), ChatStreamReader)
    assert isinstance(ADAPTER.reader(responses, a_target()), ResponsesStreamReader)
    assert ADAPTER.failure(429, {}, b"{}").status == 429


@pytest.mark.anyio
async def test_every_dialect_is_sent_by_the_same_transport() -> None:
    transport = FakeTransport()
    call = a_call()
    exchange = await ADAPTER.open(
        transport, Endpoint("http://upstream"), ADAPTER.prepare(call, a_target()), Deadlines()
    )
    assert exchange is transport.exchange
