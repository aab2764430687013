"""Translations whole: for each pair a folder of requests, replies and streams with what they become beside them.

`requests/NAME.json` is what a caller sent and `NAME.upstream.json` what leaves, with the names of what was dropped.
`replies/NAME.upstream.json` and `streams/NAME.upstream.sse` are what an upstream answered; `NAME.json` and `NAME.sse`
are what the caller reads. Streams and replies are read through the upstream's own reader, as in a turn.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.domain.call import Dialect
from headrace.domain.usage import Usage
from headrace.ports.upstream import Reader
from headrace.services.translation import TranslatedReply, TranslatedStream
from headrace.wire.anthropic_body import MessagesBodyReader
from headrace.wire.anthropic_messages_stream import MessagesStreamReader
from headrace.wire.chat_to_messages import ChatToMessages
from headrace.wire.json_strict import decode_object
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.messages_to_responses import MessagesToResponses
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from headrace.wire.pair import Pair
from headrace.wire.responses_body import ResponsesBodyReader
from headrace.wire.responses_to_messages import ResponsesToMessages

FOLDER = Path(__file__).parent
PAIRS: dict[str, Pair] = {
    "messages_to_chat": MessagesToChat(),
    "chat_to_messages": ChatToMessages(lambda: 1_764_000_000),
    "messages_to_responses": MessagesToResponses(),
    "responses_to_messages": ResponsesToMessages(lambda: 1_764_000_000),
}
REQUESTS = sorted(each for each in FOLDER.glob("*/requests/*.json") if not each.stem.endswith(".upstream"))
REPLIES = sorted(FOLDER.glob("*/replies/*.upstream.json"))
STREAMS = sorted(FOLDER.glob("*/streams/*.upstream.sse"))
COUNTED = Usage(input_fresh=11, output_text=3, source="counted")
MONEY: dict[str, int | str] = {"request_id": "req_1", "cost_usd": "0.000000023", "cost_nano_usd": 23}
ASKED = decode_object(
    b'{"model":"one","max_tokens":99,"stop_sequences":["END"],"stream_options":{"include_usage":true},"messages":[]}'
)


def name_of(path: Path) -> str:
    return f"{path.parts[-3]}-{path.name.partition('.')[0]}"


def pair_of(path: Path) -> Pair:
    return PAIRS[path.parts[-3]]


def reader_of(pair: Pair, *, stream: bool) -> Reader:
    if pair.upstream is Dialect.MESSAGES:
        return MessagesStreamReader("one") if stream else MessagesBodyReader("one")
    if pair.upstream is Dialect.RESPONSES:
        return ResponsesStreamReader("one") if stream else ResponsesBodyReader("one")
    return ChatStreamReader("one", show_usage=True, choices=1) if stream else JsonBodyReader("one", "choices")


def read(reader: Reader, body: bytes) -> bytes:
    out = reader.feed(body)
    reader.close()
    assert reader.ended and reader.failure is None
    return out + reader.finish(reader.usage or COUNTED, MONEY)


@pytest.mark.parametrize("path", REQUESTS, ids=name_of)
def test_a_request_leaves_as_the_file_beside_it(path: Path) -> None:
    translated = pair_of(path).request(decode_object(path.read_bytes()))
    expected = msgspec.json.decode(path.with_suffix(".upstream.json").read_bytes())
    assert {"body": translated.body, "dropped": list(translated.dropped)} == expected


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_reaches_the_caller_as_the_file_beside_it(path: Path) -> None:
    pair = pair_of(path)
    reader = TranslatedReply(reader_of(pair, stream=False), lambda body: pair.reply(body, ASKED))
    got = msgspec.json.decode(read(reader, path.read_bytes()))
    assert got == msgspec.json.decode(path.with_name(path.name.replace(".upstream", "")).read_bytes())


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_reaches_the_caller_as_the_file_beside_it(path: Path, block_bytes: int) -> None:
    pair, body = pair_of(path), path.read_bytes()
    reader = TranslatedStream(reader_of(pair, stream=True), pair.stream(ASKED))
    early = b"".join(reader.feed(body[start : start + block_bytes]) for start in range(0, len(body) - 1, block_bytes))
    out = early + read(reader, body[len(body) - 1 :] if block_bytes == 1 else b"")
    assert out == path.with_name(path.name.replace(".upstream", "")).read_bytes()


def test_there_are_cases_of_every_kind() -> None:
    for pair in PAIRS:
        for cases, least in ((REQUESTS, 4), (REPLIES, 4), (STREAMS, 4)):
            assert sum(path.parts[-3] == pair for path in cases) >= least
