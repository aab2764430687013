import msgspec

from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.responses_replies import response_reply, response_stream
from tests.unit.wire.typed_events import read_events, read_response, types_of

CALLS = (ToolCall("call_a", "f", '{"a": 1}'), ToolCall("call_b", "g", "{}"))


def test_a_stream_is_of_the_sdks_types_and_bills_each_delta() -> None:
    for chat in (Chat("one two"), Chat("", reasoning="hm hm", tool_calls=CALLS), Chat("one", finish_reason="length")):
        reply = response_stream(chat)
        events = read_events(reply.body)
        assert events[-1]["type"] in {"response.completed", "response.incomplete"}
        assert events[-1]["response"]["output"] == read_whole(chat)["output"]
        assert sum(frame.tokens for frame in reply.frames) == chat.completion_tokens
        assert sum(kind.endswith(".delta") for kind in types_of(events)) == chat.completion_tokens


def read_whole(chat: Chat) -> dict[str, object]:
    body: dict[str, object] = msgspec.json.decode(response_reply(chat).body)
    assert read_response(body).model == chat.model
    return body


def test_a_failure_takes_the_place_of_the_rest() -> None:
    events = read_events(response_stream(Chat("one two three", error_at_frame=5)).body)
    assert types_of(events)[-2:] == ["output_text.delta", "failed"] and len(events) == 6


def test_a_stream_may_lack_its_end() -> None:
    assert types_of(read_events(response_stream(Chat("one", done=False)).body))[-1] == "output_item.done"
