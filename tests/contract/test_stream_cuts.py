"""All recordings cut at every byte in this process: the real readers, and the real translators over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from headrace.domain.call import Dialect as Spoken
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.ports.upstream import Reader
from headrace.services.translation import TranslatedStream
from headrace.wire.anthropic_messages_stream import MessagesStreamReader
from headrace.wire.chat_to_messages import ChatToMessages
from headrace.wire.chat_to_responses import ChatToResponses
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.messages_to_responses import MessagesToResponses
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from headrace.wire.pair import Pair
from headrace.wire.responses_to_chat import ResponsesToChat
from headrace.wire.responses_to_messages import ResponsesToMessages
from tests.e2e.cut_dialects import SPOKEN, payloads_of
from tests.e2e.cut_recordings import DIALECTS, NO_PAIR, CutStream, Dialect, cut_streams

ALL = cut_streams()
READERS: Mapping[Dialect, Callable[[], Reader]] = {
    "chat": lambda: ChatStreamReader("one", show_usage=True, choices=1),
    "messages": lambda: MessagesStreamReader("one"),
    "responses": lambda: ResponsesStreamReader("one"),
}
PAIRS: tuple[Pair, ...] = (
    MessagesToChat(),
    MessagesToResponses(),
    ResponsesToChat(),
    ResponsesToMessages(lambda: 1_764_000_000),
    ChatToMessages(lambda: 1_764_000_000),
    ChatToResponses(),
)
NAMES: Mapping[Spoken, Dialect] = {Spoken(dialect): dialect for dialect in DIALECTS}
LEAST_BYTES = 4096
TRANSLATED_EVERY = 7
COUNTED = Usage(input_fresh=11, output_text=3, source="counted")
MONEY: dict[str, int | str] = {"request_id": "req_1", "cost_usd": "0.000000023", "cost_nano_usd": 23}


def whole_of(reader: Reader, stream: CutStream) -> bytes:
    """What leaves of a whole stream before its end; the end is checked to be the caller's dialect's own."""
    early = reader.feed(stream.body)
    reader.close()
    assert reader.ended and reader.failure is None
    return early


def check(reader: Reader, stream: CutStream, cut: int, whole: bytes, caller: Dialect) -> bytes:
    """Feed what came before the cut, end the body there, and judge; returns what left."""
    half = cut // 2 if cut % 2 else 0
    out = reader.feed(stream.body[:half]) + reader.feed(stream.body[half:cut])
    first, done = stream.first_meaningful, stream.done
    assert whole.startswith(out)
    assert not any(mark in out for mark in SPOKEN[caller].never_broken)
    if not first.possible_bytes <= cut < first.certain_bytes:
        assert reader.meaningful is (cut >= first.certain_bytes)
    if not done.possible_bytes <= cut < done.certain_bytes:
        assert reader.ended is (cut >= done.certain_bytes)
    reader.close()
    if cut >= done.certain_bytes:
        assert reader.ended and reader.failure is None
    elif not may_end_here(stream, cut):
        assert not reader.ended and reader.failure is not None and reader.failure.code == "upstream_truncated"
    return out


def may_end_here(stream: CutStream, cut: int) -> bool:
    """Whether a body that ends here, well by HTTP, may be taken for an answer.

    It may where only line ends of the last frame are missing; and a chat upstream may leave `[DONE]` out.
    """
    decisive = "finish" if stream.dialect == "chat" else "done"
    closing = range(stream.kinds.index(decisive), len(stream.frames))
    return any(
        stream.ends[place] - line_ends(stream.frames[place].data) <= cut <= stream.ends[place] for place in closing
    )


def line_ends(frame: bytes) -> int:
    return len(frame) - len(frame.rstrip())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stream", ALL.values(), ids=ALL)
def test_a_stream_cut_at_any_byte_has_no_end_that_did_not_come(stream: CutStream) -> None:
    assert len(stream.body) >= LEAST_BYTES
    whole = whole_of(READERS[stream.dialect](), stream)
    for cut in range(len(stream.body) + 1):
        reader = READERS[stream.dialect]()
        out = check(reader, stream, cut, whole, stream.dialect)
        left = [
            end for kind, end in zip(stream.kinds, stream.ends, strict=True) if kind in ("passing", "call", "content")
        ]
        if cut >= stream.first_meaningful.certain_bytes:
            certain, possible = sum(end <= cut for end in left), sum(end - 1 <= cut for end in left)
            assert certain <= len(payloads_of(out)) <= possible
        elif cut < stream.first_meaningful.possible_bytes:
            assert out == b""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.client}-by-{pair.upstream}")
def test_a_translated_stream_cut_at_any_place_has_no_end_that_did_not_come(pair: Pair) -> None:
    caller = NAMES[pair.client]
    for stream in ALL.values():
        if stream.dialect != NAMES[pair.upstream] or (caller, stream.name) == NO_PAIR:
            continue
        request: JsonObject = {"model": "one", "stream_options": {"include_usage": True}}
        reader = TranslatedStream(READERS[stream.dialect](), pair.stream(dict(request)))
        whole = whole_of(reader, stream)
        *_, last = payloads_of(whole + reader.finish(reader.usage or COUNTED, MONEY))
        assert SPOKEN[caller].is_end(last)
        for cut in sorted({*range(0, len(stream.body), TRANSLATED_EVERY), *stream.near_boundaries()}):
            reader = TranslatedStream(READERS[stream.dialect](), pair.stream(dict(request)))
            payloads_of(check(reader, stream, cut, whole, caller))
