from __future__ import annotations

from typing import Any

import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.chat_to_responses import ChatToResponses
from headrace.wire.responses_to_chat import ResponsesToChat
from headrace.wire.sealed_reasoning import block_of_item, items_of_blocks, open_blocks, seal_blocks
from tests.unit.wire.typed_events import read_events, read_response

BLOCKS: list[JsonValue] = [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]
ITEM: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}


def test_blocks_and_items_come_out_as_they_went_in() -> None:
    assert open_blocks(seal_blocks(BLOCKS)) == BLOCKS
    assert items_of_blocks(block_of_item(ITEM)) == [ITEM]


@pytest.mark.parametrize(
    "sealed", [None, 7, "gAAAA", "thinking_blocks:?", "thinking_blocks:e30=", "thinking_blocks:bm8="]
)
def test_what_somebody_else_has_sealed_or_broken_stays_closed(sealed: JsonValue) -> None:
    assert open_blocks(sealed) == []
    assert items_of_blocks([{"type": "redacted_thinking", "data": sealed}, "x"]) == items_of_blocks(sealed) == []


def test_an_item_that_is_not_sealed_is_no_block() -> None:
    assert block_of_item({"type": "reasoning"}) == block_of_item({"encrypted_content": ""}) == []


def test_signed_thinking_makes_the_round_through_a_responses_caller() -> None:
    pair = ResponsesToChat()
    request: JsonObject = {"model": "one", "input": "Hi"}
    translator = pair.stream(request)
    sealed: JsonObject = {"thinking_blocks": BLOCKS}
    deltas: list[JsonObject] = [{"reasoning_content": "Hm."}, sealed, {"reasoning_content": "So."}, sealed]
    deltas.append({"content": "Yes."})
    frames = b"".join(translator.event({"id": "chatcmpl-1", "choices": [{"delta": delta}]}) for delta in deltas)
    events = read_events(frames + translator.finish())
    output: Any = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "reasoning", "message"]
    assert read_response(events[-1]["response"]).output_text == "Yes."
    silent: JsonObject = {**output[0], "content": []}
    alone: Any = pair.request({"model": "one", "input": [silent]}).body["messages"]
    assert alone == [{"role": "assistant", "thinking_blocks": BLOCKS}]
    sent: Any = pair.request({"model": "one", "input": [*output, {"role": "user", "content": "Why?"}]})
    assert sent.dropped == ()
    assert sent.body["messages"][0] == {
        "role": "assistant",
        "reasoning_content": "Hm.\n\nSo.",
        "thinking_blocks": BLOCKS * 2,
        "content": "Yes.",
    }


@pytest.mark.parametrize("streamed", [True, False])
def test_sealed_items_make_the_round_through_a_chat_caller(streamed: bool) -> None:
    pair = ChatToResponses()
    if streamed:
        translator = pair.stream({})
        translator.event({"type": "response.created", "response": {"id": "resp_1"}})
        out = translator.event({"type": "response.output_item.done", "item": ITEM})
        assert b"thinking_blocks" in out
        assert translator.event({"type": "response.output_item.done", "item": {"type": "message"}}) == b""
        blocks = block_of_item(ITEM)
    else:
        whole: Any = pair.reply({"output": [ITEM]}, {})
        blocks = whole["choices"][0]["message"]["thinking_blocks"]
    answer: JsonObject = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm.", "thinking_blocks": blocks}
    sent = pair.request({"model": "one", "messages": [answer]})
    assert sent.dropped == () and isinstance(sent.body["input"], list) and sent.body["input"][0] == ITEM


def test_blocks_of_another_maker_are_dropped_and_named() -> None:
    answer: JsonObject = {"role": "assistant", "content": "Yes.", "reasoning": "Hm.", "thinking_blocks": BLOCKS}
    sent = ChatToResponses().request({"model": "one", "messages": [answer]})
    assert sent.dropped == ("messages.reasoning", "messages.thinking_blocks")
