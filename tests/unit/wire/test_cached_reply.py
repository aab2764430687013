"""The end of a stream that is sent again: only the fields about money are new."""

import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.json_value import JsonObject
from headrace.wire.cached_reply import renewed_end
from headrace.wire.sse import DONE, FrameSplitter, data_frame, frame_data, named_frame

MONEY: dict[str, int | str] = {"request_id": "req_2", "attempts": 0, "cost_nano_usd": 0}
OLD = {"request_id": "req_1", "attempts": 3, "cost_nano_usd": 15}
TEXT = data_frame(b'{"choices": [{"delta": {"content": "\\"headrace\\": 1"}}]}')


def objects(stream: bytes) -> list[object]:
    data = [frame_data(frame) for frame in FrameSplitter().feed(stream)]
    return [json.loads(each) for each in data if each is not None and each != b"[DONE]"]


def test_the_usage_chunk_of_a_chat_gets_the_money_of_now() -> None:
    chunk: JsonObject = {"id": "c", "choices": [], "usage": {"total_tokens": 9}, "headrace": {**OLD}}
    end = TEXT + data_frame(json.dumps(chunk).encode()) + DONE
    renewed = renewed_end(end, MONEY)
    assert renewed.startswith(TEXT)
    assert renewed.endswith(DONE)
    assert objects(renewed)[1] == {**chunk, "headrace": MONEY}


def test_the_terminal_event_of_a_response_gets_it_inside_the_response() -> None:
    event = {"type": "response.completed", "response": {"id": "r", "headrace": OLD}, "sequence_number": 9}
    renewed = renewed_end(named_frame(b"response.completed", json.dumps(event).encode()), MONEY)
    assert renewed.startswith(b"event: response.completed\n")
    assert objects(renewed) == [{**event, "response": {"id": "r", "headrace": MONEY}}]


def test_a_message_gets_it_in_its_delta_and_keeps_the_events_around_it() -> None:
    delta = {"type": "message_delta", "usage": {"output_tokens": 3}, "headrace": OLD}
    stop = named_frame(b"message_stop", b'{"type": "message_stop"}')
    renewed = renewed_end(named_frame(b"message_delta", json.dumps(delta).encode()) + stop, MONEY)
    assert objects(renewed)[0] == {**delta, "headrace": MONEY}
    assert renewed.endswith(stop)


def test_what_holds_no_such_field_stays_as_it_is() -> None:
    odd = (
        b': "headrace"\n\n'
        + TEXT
        + data_frame(b'["headrace"]')
        + data_frame(b'{"response": {"a": "headrace"}}')
        + b"re"
    )
    assert renewed_end(odd, MONEY) == odd


@given(st.lists(st.text()), st.binary())
def test_only_frames_with_the_field_are_touched(texts: list[str], rest: bytes) -> None:
    frames = b"".join(data_frame(json.dumps({"content": each}).encode()) for each in texts)
    tail = rest.replace(b"\n", b"").replace(b"\r", b"")
    assert renewed_end(frames + tail, MONEY) == frames + tail
