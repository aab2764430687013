from __future__ import annotations

from typing import Any

import pytest

from headrace.domain.json_value import JsonObject
from headrace.wire.responses_object import response_head, said_back
from tests.open_responses import judge_body, schema_faults
from tests.unit.wire.typed_events import read_response

SHAPE: JsonObject = {"type": "json_schema", "name": "place", "schema": {"type": "object"}}


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"text": {"format": SHAPE, "verbosity": "low"}},
        {"text": {"verbosity": "low"}},
        {"text": {"format": None}, "reasoning": {"effort": "low"}},
        {"text": {"format": {"type": "json_object"}}, "temperature": 0.5, "metadata": {"a": "b"}},
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}},
    ],
)
def test_what_any_request_leads_to_is_of_both_documents(request_body: JsonObject) -> None:
    head = response_head(request_body, "1", 1_764_000_000, "one")
    judge_body(head)
    assert read_response(head).id == "resp_1"


def test_a_shape_is_said_back_with_what_its_request_left_out() -> None:
    said: Any = said_back({"text": {"format": SHAPE}})
    assert said["text"] == {"format": {**SHAPE, "description": None, "strict": False}}
    strict: Any = said_back({"text": {"format": {**SHAPE, "strict": True, "description": "Where."}}})
    assert (strict["text"]["format"]["strict"], strict["text"]["format"]["description"]) == (True, "Where.")


def test_a_head_is_judged_for_what_it_lacks() -> None:
    head = response_head({}, "1", 1_764_000_000, "one")
    del head["text"]
    assert schema_faults("ResponseResource", head) == ["ResponseResource at $: 'text' is a required property"]
