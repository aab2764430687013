"""Items of a conversation as a list shows them, judged by the official SDK's types and the published schema."""

from __future__ import annotations

import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.responses_listed import listed_item
from tests.open_responses import judge_list

PICTURE = "data:image/png;base64,AA"
LEAN: tuple[JsonObject, ...] = (
    {"role": "user", "content": "Hi"},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}], "status": None},
    {"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]},
    {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": "data:x;base64,AA"}]},
    {"role": "assistant", "content": "Yes"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_a", "output": "rain"},
    {
        "type": "function_call_output",
        "call_id": "call_a",
        "output": [{"type": "input_image", "image_url": PICTURE}, {"type": "input_text", "text": "x"}],
    },
    {"type": "reasoning", "summary": []},
)


@pytest.mark.parametrize("item", LEAN, ids=lambda item: str(item.get("type", item.get("role"))))
def test_a_lean_item_gets_what_the_types_demand(item: JsonObject) -> None:
    listed = listed_item(item, 3)
    judge_list({"object": "list", "data": [listed], "first_id": "a", "last_id": "a", "has_more": False})


def test_what_an_item_says_is_kept() -> None:
    parts: list[JsonValue] = [{"type": "input_image", "image_url": PICTURE, "detail": "low"}, "odd", {"type": "new"}]
    whole: JsonObject = {"id": "msg_1", "type": "message", "role": "user", "status": "incomplete", "content": parts}
    assert listed_item(whole, 0) == whole
    said: JsonObject = {"type": "output_text", "text": "a", "annotations": [], "logprobs": [{"token": "a"}]}
    spoken: JsonObject = {"role": "assistant", "content": [said]}
    assert listed_item(spoken, 0)["content"] == [said]


@pytest.mark.parametrize("item", ["text", None, {}, {"type": "mystery"}])
def test_what_is_no_item_of_ours_is_listed_all_the_same(item: JsonValue) -> None:
    assert {"id", "type"} <= listed_item(item, 7).keys()
