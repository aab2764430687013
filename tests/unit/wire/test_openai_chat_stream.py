"""Reading a streamed answer: what leaves at once, what waits for the settlement, and how the end is judged."""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import msgspec
import pytest

from headrace.domain.errors import HeadraceError, UpstreamTruncated
from headrace.domain.usage import Usage
from headrace.testing.openai_replies import Chat, ToolCall, UsageShape, chat_stream, sse_frame, usage_object
from headrace.testing.recordings import Recording, Seen, recordings
from headrace.wire import frame_reader, sse
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_usage import read_usage
from headrace.wire.sse import DONE

MODEL = "served-model"
MONEY: Mapping[str, int | str] = {"cost_nano_usd": 5, "cost_usd": "0.000000005"}
ALL = recordings()
NAMES = list(ALL)


def a_reader(*, show_usage: bool = True, choices: int = 1) -> ChatStreamReader:
    return ChatStreamReader(MODEL, show_usage=show_usage, choices=choices)


def read(stream: bytes, *cuts: int, reader: ChatStreamReader | None = None) -> tuple[ChatStreamReader, bytes]:
    reader = reader or a_reader()
    places = [0, *cuts, len(stream)]
    return reader, b"".join([reader.feed(stream[start:end]) for start, end in pairwise(places)])


def finished(reader: ChatStreamReader) -> bytes:
    return reader.finish(reader.usage or Usage(source="counted"), MONEY)


def payloads(stream: bytes) -> list[bytes]:
    """The data of every event, read by the text of the format and not by the product's parser."""
    found: list[bytes] = []
    for event in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line.partition(b":") for line in event.split(b"\n")]
        data = [value.removeprefix(b" ") for name, _, value in lines if name == b"data"]
        if data:
            found.append(b"\n".join(data))
    return found


def chunks(stream: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(each, type=dict[str, object]) for each in payloads(stream) if each != b"[DONE]"]


def choices_of(chunk: Mapping[str, object]) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", chunk.get("choices") or [])


def text_of(stream: bytes, index: int = 0) -> str:
    deltas = [choice["delta"] for each in chunks(stream) for choice in choices_of(each) if choice["index"] == index]
    return "".join(str(cast("dict[str, object]", delta).get("content") or "") for delta in deltas)


def arguments_of(stream: bytes) -> tuple[str, ...]:
    found: dict[int, str] = {}
    for chunk in chunks(stream):
        for choice in choices_of(chunk):
            delta = cast("dict[str, object]", choice["delta"])
            for call in cast("list[dict[str, object]]", delta.get("tool_calls") or []):
                place = cast("int", call["index"])
                piece = cast("dict[str, str]", call["function"]).get("arguments", "")
                found[place] = found.get(place, "") + piece
    return tuple(found[place] for place in sorted(found))


def a_chunk(delta: object, finish: str | None = None, **more: object) -> dict[str, object]:
    return {
        "id": "c1",
        "model": "theirs",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def a_stream(*values: Mapping[str, object], done: bool = True) -> bytes:
    return b"".join(sse_frame(each) for each in values) + (DONE if done else b"")


HELLO = a_chunk({"content": "Hello"})
STOP = a_chunk({}, "stop")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("show_usage", [True, False])
def test_the_output_does_not_depend_on_the_cuts(name: str, show_usage: bool) -> None:
    stream = ALL[name].body
    whole, out = read(stream, reader=a_reader(show_usage=show_usage))
    expected = (out, finished(whole))
    reader, out = read(stream, *range(1, len(stream)), reader=a_reader(show_usage=show_usage))
    assert (out, finished(reader)) == expected
    for cut in range(1, len(stream), 7):
        reader, out = read(stream, cut, reader=a_reader(show_usage=show_usage))
        assert (out, finished(reader)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_recording_is_read_whole(name: str) -> None:
    recording = ALL[name]
    reader, out = read(recording.body)
    assert reader.ended
    assert reader.failure is None
    assert reader.usage == read_usage(dict(cast("dict[str, str]", recording.usage)))
    stream = out + finished(reader)
    assert text_of(stream) == recording.text
    assert arguments_of(stream) == recording.tool_arguments
    assert {chunk["model"] for chunk in chunks(stream)} == {MODEL}
    assert stream.endswith(DONE)
    assert stream.count(b"[DONE]") == 1
    assert reader.output_tokens_seen >= recording.completion_tokens


def first_reached(seen: Seen, fed_bytes: int) -> bool | None:
    """Whether a reader has that frame: None where both are right."""
    if fed_bytes >= seen.certain_bytes:
        return True
    return None if fed_bytes >= seen.possible_bytes else False


@pytest.mark.parametrize("name", NAMES)
def test_what_a_reader_knows_after_every_byte(name: str) -> None:
    recording = ALL[name]
    reader, out = a_reader(), b""
    for fed in range(1, len(recording.body) + 1):
        out += reader.feed(recording.body[fed - 1 : fed])
        assert reader.failure is None
        assert reader.ended in (first_reached(recording.done, fed), reader.ended)
        assert reader.ended is first_reached(recording.done, fed) or first_reached(recording.done, fed) is None
        assert reader.meaningful is first_reached(recording.first_meaningful, fed) or (
            first_reached(recording.first_meaningful, fed) is None
        )
    assert b"[DONE]" not in out
    assert b'"finish_reason":"' not in out
    assert b'"total_tokens"' not in out
    assert all(msgspec.json.decode(each) for each in payloads(out))


def completes_at_a_clean_end(recording: Recording, fed_bytes: int) -> bool:
    """By construction: the finish reason is here and what follows it is whole, but for its blank line."""
    frames = recording.frames
    finish = recording.kinds.index("finish")
    starts = [sum(len(frame.data) for frame in frames[:place]) for place in range(len(frames) + 1)]
    if fed_bytes < starts[finish]:
        return False
    place = next(place for place in range(finish, len(frames)) if fed_bytes <= starts[place + 1])
    part = frames[place].data[: fed_bytes - starts[place]]
    if part.strip() == frames[place].data.strip():
        return True
    return place > finish and not part.strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_cut_at_any_byte_is_truncated_unless_the_answer_was_whole(name: str) -> None:
    recording = ALL[name]
    stream = recording.body
    judged: set[bool] = set()
    for cut in range(len(stream)):
        reader, out = read(stream[:cut])
        reader.close()
        whole = completes_at_a_clean_end(recording, cut)
        judged.add(whole)
        assert reader.ended is whole, cut
        assert (None if reader.failure is None else reader.failure.code) == (None if whole else "upstream_truncated")
        assert all(chunk["model"] == MODEL for chunk in chunks(out))
    assert judged == {True, False}


@pytest.mark.parametrize("shape", ["final", "in_finish", "every_chunk", "absent", "null", "zero"])
@pytest.mark.parametrize("show_usage", [True, False])
def test_usage_wherever_the_upstream_puts_it(shape: UsageShape, show_usage: bool) -> None:
    chat = Chat("one two three", model="theirs", usage=shape)
    reader, out = read(chat_stream(chat).body, reader=a_reader(show_usage=show_usage))
    assert reader.ended
    counted = Usage(input_fresh=9, output_text=4, source="counted")
    known = {"absent": None, "null": None, "zero": Usage()}.get(shape, Usage(input_fresh=7, output_text=3))
    assert reader.usage == known
    tail = reader.finish(known or counted, MONEY)
    stream = out + tail
    with_usage = [chunk for chunk in chunks(stream) if chunk.get("usage") is not None]
    if not show_usage:
        assert b'"usage"' not in stream
        assert with_usage == []
        assert b"headrace" not in stream
        return
    assert with_usage == [chunks(tail)[-1]]
    last = with_usage[0]
    block = dict(usage_object(0, 0) if shape == "zero" else usage_object(7, 3))
    if known is None:
        block = dict(usage_object(9, 4)) | {"estimated": True}
    assert last["usage"] == block
    assert last["choices"] == []
    assert last["headrace"] == MONEY
    assert last["id"] == chat.id
    assert last["object"] == "chat.completion.chunk"


def test_a_later_usage_without_counts_does_not_erase_the_counts() -> None:
    nothing: dict[str, object] = {"choices": (), "usage": {}}
    stream = a_stream(HELLO, STOP, {"choices": (), "usage": usage_object(3, 1)}, nothing)
    reader, _ = read(stream)
    assert reader.usage == Usage(input_fresh=3, output_text=1)


def test_usage_that_comes_twice_is_not_summed() -> None:
    stream = a_stream(HELLO, STOP, *[{"choices": (), "usage": usage_object(3, 1)}] * 2)
    assert read(stream)[0].usage == Usage(input_fresh=3, output_text=1)


@pytest.mark.parametrize("choices", [2, 3])
def test_the_answer_of_several_choices_ends_with_the_last_of_them(choices: int) -> None:
    chat = Chat("one two", model="theirs", choices=choices)
    reader, out = read(chat_stream(chat).body, reader=a_reader(choices=choices))
    assert out.count(b'"finish_reason":"stop"') == choices - 1
    tail = finished(reader)
    assert tail.count(b'"finish_reason":"stop"') == 1
    assert [text_of(out + tail, index) for index in range(choices)] == ["one two"] * choices


def test_a_body_that_ends_before_every_choice_is_finished_is_truncated() -> None:
    chat = Chat("one", model="theirs", choices=2, done=False, usage="absent")
    frames = chat_stream(chat).frames
    reader, _ = read(b"".join(frame.data for frame in frames[:-1]), reader=a_reader(choices=2))
    reader.close()
    assert reader.failure is not None
    assert reader.failure.code == "upstream_truncated"


def test_a_finish_reason_and_a_clean_end_are_enough() -> None:
    reader, _ = read(a_stream(HELLO, STOP, done=False))
    assert not reader.ended
    reader.close()
    assert reader.ended
    assert reader.failure is None
    reader.close()
    assert reader.ended


def test_a_terminator_without_a_finish_reason_is_no_end() -> None:
    reader, out = read(a_stream(HELLO))
    assert not reader.ended
    assert isinstance(reader.failure, UpstreamTruncated)
    assert text_of(out) == "Hello"


def test_a_terminator_without_an_answer_is_not_an_answer() -> None:
    reader, out = read(a_stream(a_chunk({"role": "assistant", "content": ""})))
    assert not reader.ended
    assert failure_of(reader).code == "upstream_truncated"
    assert out == b""


def test_nothing_after_the_terminator_is_read() -> None:
    reader, out = read(a_stream(HELLO, STOP) + b"data: garbage\n\n")
    assert reader.ended
    assert reader.feed(sse_frame(HELLO)) == b""
    assert failure_of(read(b"data: garbage\n\n", reader=a_reader())[0]).code == "upstream_protocol"
    assert text_of(out + finished(reader)) == "Hello"


def test_one_frame_may_carry_the_whole_answer() -> None:
    reader, out = read(a_stream(a_chunk({"role": "assistant", "content": "Hi"}, "stop")))
    assert out == b""
    assert reader.meaningful
    assert reader.ended
    assert text_of(finished(reader)) == "Hi"


def failure_of(reader: ChatStreamReader) -> HeadraceError:
    assert reader.failure is not None
    return reader.failure


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "slow down", "type": "rate_limit_error"}, "upstream_rate_limited"),
        ({"message": "broken", "type": "server_error", "code": "overloaded"}, "upstream_unavailable"),
        ({"message": "no money", "code": "insufficient_quota"}, "upstream_quota_exhausted"),
        ({"message": "bad key", "code": 401}, "upstream_auth_failed"),
        ({"message": "bad request", "code": 400}, "upstream_refused"),
        ("plain text", "upstream_unavailable"),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
def test_an_error_inside_the_stream_is_named_and_not_forwarded(error: object, code: str, before: int) -> None:
    frames = [HELLO] * before
    reader, out = read(a_stream(*frames, {"error": error}, HELLO))
    assert failure_of(reader).code == code
    assert text_of(out) == "Hello" * before
    assert len(chunks(out)) == before
    assert reader.meaningful is bool(before)
    assert reader.feed(sse_frame(HELLO)) == b""
    reader.close()
    assert failure_of(reader).code == code


def test_an_error_at_the_very_end_is_named_too() -> None:
    reader, _ = read(a_stream(HELLO, STOP, done=False) + b'data: {"error":{"message":"late","code":429}}')
    reader.close()
    assert failure_of(reader).code == "upstream_rate_limited"
    assert not reader.ended


def test_an_error_that_is_the_whole_chunk_is_found() -> None:
    reader, out = read(a_stream(HELLO, {"object": "error", "message": "out of memory", "code": 500}))
    assert failure_of(reader).message == "The upstream reported an error inside its answer: out of memory"
    assert text_of(out) == "Hello"


def test_an_error_that_is_null_is_none() -> None:
    reader, out = read(a_stream(HELLO | {"error": None}, HELLO | {"error": None}, STOP))
    assert reader.ended
    assert text_of(out) == "HelloHello"


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"not json",
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xc3"},"finish_reason":null}]}',
        b'{"choices":[{"delta":{"content":"\\ud800"}}]}',
        b'{"error":1e400}',
        b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[1]",
        b'"error"',
        b"null",
        b"1",
        b"",
    ],
)
@pytest.mark.parametrize("before", [0, 1])
def test_a_frame_that_is_not_an_object_ends_the_stream_unforwarded(data: bytes, before: int) -> None:
    reader, out = read(a_stream(*[HELLO] * before, done=False) + b"data: " + data + b"\n\n" + a_stream(HELLO))
    assert failure_of(reader).code == "upstream_protocol"
    assert text_of(out) == "Hello" * before
    assert len(payloads(out)) == before


def test_an_endless_frame_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 1000)
    reader, _ = read(a_stream(HELLO, done=False) + b"data: " + b"x" * 2000)
    assert failure_of(reader).code == "upstream_protocol"


def test_a_large_frame_passes() -> None:
    big = "x" * (8 * 1024 * 1024)
    stream = a_stream(a_chunk({"content": big}), STOP)
    reader, out = read(stream, *range(65_536, len(stream), 65_536))
    assert text_of(out) == big
    assert reader.ended


@pytest.mark.parametrize("start", [[], [HELLO, STOP]])
def test_what_is_kept_back_is_bounded(start: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_reader, "MAX_KEPT_BYTES", 1000)
    reader, _ = read(a_stream(*start, done=False) + b": waiting and waiting\n\n" * 100)
    assert failure_of(reader).code == "upstream_protocol"


def test_what_comes_before_the_first_content_leaves_with_it() -> None:
    reader = a_reader()
    opening = sse_frame(a_chunk({"role": "assistant", "content": ""}))
    assert reader.feed(b": connected\n\n" + opening) == b""
    out = reader.feed(sse_frame(HELLO))
    assert out.startswith(b": connected\n\n")
    assert len(chunks(out)) == 2


def test_comments_in_the_middle_pass_through() -> None:
    _, out = read(a_stream(HELLO, done=False) + b": keep-alive\n\n" + a_stream(HELLO, STOP))
    assert b": keep-alive\n\n" in out


def test_data_on_several_lines_is_one_chunk() -> None:
    lines = (
        b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},\ndata: "finish_reason":null}],"model":"theirs"}\n\n'
    )
    reader, out = read(lines + lines + a_stream(STOP))
    assert text_of(out) == "HiHi"
    assert {chunk["model"] for chunk in chunks(out)} == {MODEL}
    assert reader.ended


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "refusal", "tool_calls", "audio"])
def test_every_kind_of_content_is_meaningful(field: str) -> None:
    reader, out = read(a_stream(a_chunk({field: "x"}), done=False))
    assert reader.meaningful
    assert len(chunks(out)) == 1
    assert reader.output_tokens_seen == 1


@pytest.mark.parametrize(
    "value", [{"choices": []}, {"choices": None}, {"choices": [1]}, a_chunk(None), a_chunk({}), {"id": "x"}]
)
def test_frames_without_content_are_not_meaningful(value: dict[str, object]) -> None:
    reader, out = read(a_stream(value, done=False))
    assert not reader.meaningful
    assert out == b""
    assert reader.output_tokens_seen == 0


def test_reasoning_comes_through() -> None:
    chat = Chat("answer", reasoning="think hard", model="theirs")
    reader, out = read(chat_stream(chat).body)
    assert b'"reasoning_content":"think"' in out
    assert reader.ended


TRICKY = 'say "model":"theirs", "finish_reason":"stop", "usage":null, "error" and data: [DONE]'


@pytest.mark.parametrize("show_usage", [True, False])
def test_words_of_the_format_inside_the_text_change_nothing(show_usage: bool) -> None:
    values = [a_chunk({"content": TRICKY}, usage=None)] * 3
    reader, out = read(a_stream(*values, STOP), reader=a_reader(show_usage=show_usage))
    assert text_of(out) == TRICKY * 3
    assert {chunk["model"] for chunk in chunks(out)} == {MODEL}
    assert all(("usage" in chunk) is show_usage for chunk in chunks(out))
    assert reader.ended


def test_only_the_model_of_the_chunk_itself_is_renamed() -> None:
    nested = a_chunk({"content": "x"}, x_vendor={"model": "theirs"}, fallback={"model": "other"})
    other = {"x": {"model": "theirs"}, **HELLO, "model": "changed"}
    _, out = read(a_stream(HELLO, nested, nested, other, STOP))
    found = chunks(out)
    assert [chunk["model"] for chunk in found] == [MODEL] * 4
    assert [chunk.get("x_vendor") for chunk in found] == [None, {"model": "theirs"}, {"model": "theirs"}, None]
    assert found[3]["x"] == {"model": "theirs"}


@pytest.mark.parametrize("name", ["", "théirs", 'a"b', "a/b", MODEL])
def test_any_upstream_name_is_replaced_and_a_change_of_name_too(name: str) -> None:
    values = [HELLO, HELLO | {"model": name}, HELLO | {"model": name}, HELLO | {"model": 7}, {**HELLO, "model": None}]
    bare = {key: value for key, value in HELLO.items() if key != "model"}
    _, out = read(a_stream(*values, bare, STOP))
    assert [chunk["model"] for chunk in chunks(out)] == [MODEL] * 6


@pytest.mark.parametrize("separators", [(", ", ": "), (",", " : ")])
def test_frames_with_spaces_in_their_json_are_read_alike(separators: tuple[str, str]) -> None:
    spaced = [sse_frame(value).replace(b'":', f'"{separators[1]}'.encode()) for value in (HELLO, HELLO, STOP)]
    reader, out = read(b"".join(spaced) + DONE)
    assert [chunk["model"] for chunk in chunks(out)] == [MODEL] * 2
    assert reader.ended
    assert b"stop" not in out


def test_a_frame_that_needs_no_change_passes_as_the_same_bytes() -> None:
    mine = sse_frame(HELLO | {"model": MODEL, "x_unknown": [1, {"y": None}]})
    _, out = read(mine * 3 + a_stream(STOP))
    assert out.endswith(mine * 2)


def test_tool_arguments_come_through() -> None:
    call = ToolCall("call_1", "look_up", '{"q":"Zürich \\"HB\\""}', 3)
    reader, out = read(chat_stream(Chat(tool_calls=(call,), finish_reason="tool_calls")).body)
    assert arguments_of(out) == (call.arguments,)
    assert reader.ended


def test_a_choice_without_an_index_is_the_first_one() -> None:
    reader, _ = read(a_stream({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}))
    assert reader.ended
