from __future__ import annotations

import msgspec

from headrace.domain.call import Dialect
from headrace.domain.errors import UpstreamTruncated
from headrace.wire.dialect_errors import error_body, error_frame
from headrace.wire.sse import frame_data
from tests.open_responses import judge_event

ERROR = UpstreamTruncated("The upstream's stream ended before its answer was complete.")


def event_of(dialect: Dialect) -> dict[str, object]:
    data = frame_data(error_frame(dialect, ERROR, "req_1"))
    assert data is not None
    return msgspec.json.decode(data, type=dict[str, object])


def test_a_responses_stream_tells_of_a_failure_by_the_words_of_both_documents() -> None:
    event = {**event_of(Dialect.RESPONSES), "sequence_number": 7}
    judge_event(event)
    said = {"code": "upstream_truncated", "message": ERROR.message, "param": None}
    assert said.items() <= event.items()
    error = event["error"]
    assert isinstance(error, dict) and said.items() <= error.items() and event["request_id"] == "req_1"


def test_the_other_dialects_tell_of_it_in_their_own() -> None:
    chat, messages = event_of(Dialect.CHAT), event_of(Dialect.MESSAGES)
    assert set(chat) == {"error"}
    assert set(messages) == {"type", "error", "request_id"} and messages["type"] == "error"
    assert msgspec.json.decode(error_body(Dialect.MESSAGES, ERROR, "req_1")) == messages
    assert msgspec.json.decode(error_body(Dialect.RESPONSES, ERROR, "req_1")) == chat
