"""Tools without names and results of calls that nobody made, in each dialect; the rest is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.tool_checks import (
    UNBILLED,
    check_billed_tools,
    check_chat_results,
    check_chat_tools,
    check_message_results,
    check_message_tools,
    check_response_results,
    check_response_tools,
)

CHAT_CALL = {"role": "assistant", "tool_calls": [{"id": "c1"}, {"id": "c2"}, 5]}
CALL = {"type": "function_call", "call_id": "c1"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1"}]}


BILLED = "which its provider runs and bills by the use"


@pytest.mark.parametrize(
    "tool",
    [{"type": each} for each in ("web_search", "file_search", "code_interpreter", "image_generation", "new_kind")]
    + [{"type": "shell"}, {"type": "shell", "environment": {"type": "container_auto"}}],
    ids=str,
)
def test_a_tool_that_its_provider_bills_by_the_use_is_refused(tool: JsonObject) -> None:
    with pytest.raises(InvalidRequest, match=BILLED) as caught:
        check_billed_tools([{"type": "function", "name": "f"}, tool])
    assert (caught.value.param, caught.value.code) == ("tools[1].type", "unsupported_field")


def test_a_tool_that_costs_its_tokens_alone_passes() -> None:
    check_billed_tools([{"type": each} for each in sorted(UNBILLED)])
    check_billed_tools([{"type": "shell", "environment": {"type": "local"}}, {}, 5])
    check_billed_tools(None)


RIGHT: list[tuple[Callable[..., None], Any]] = [
    (check_chat_tools, [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}, {}, 5]),
    (check_chat_tools, [{"type": "custom", "custom": {"name": "f"}}]),
    (
        check_chat_results,
        [CHAT_CALL, {"role": "tool", "tool_call_id": "c2"}, {"role": "tool", "tool_call_id": "c1"}],
    ),
    (check_chat_results, [{"role": "user", "tool_call_id": "c9"}, {"role": "assistant", "tool_calls": 5}]),
    (check_response_tools, [{"type": "function", "name": "f"}, {"type": "web_search"}, 5]),
    (check_response_tools, None),
    (check_response_results, "Hi"),
    (check_response_results, [CALL, {"type": "function_call_output", "call_id": "c1"}, 5]),
    (check_response_results, [{"type": "shell_call_output", "call_id": "c9"}]),
    (check_message_tools, [{"name": "f"}, {"type": "bash_20250124"}, {"type": "custom", "name": "f"}, 5]),
    (check_message_tools, None),
    (check_message_results, [USE, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}]),
    (check_message_results, [{"role": "user", "content": "Hi"}, {"role": "user", "content": [{"type": "text"}]}]),
]


@pytest.mark.parametrize(("check", "given"), RIGHT)
def test_what_is_right_or_not_ours_passes(check: Callable[..., None], given: Any) -> None:
    check(given)


WRONG: list[tuple[Callable[..., None], list[Any], str, str]] = [
    (check_chat_tools, [{"type": "function", "function": {}}], "tools[0].function.name", "invalid_request"),
    (check_chat_tools, [{"type": "function"}], "tools[0].function.name", "invalid_request"),
    (check_chat_tools, [{"type": "custom", "custom": {"name": ""}}], "tools[0].custom.name", "invalid_request"),
    (check_response_tools, [{"type": "function"}], "tools[0].name", "invalid_request"),
    (check_message_tools, [{"name": "f"}, {"name": 5}], "tools[1].name", "invalid_request"),
    (
        check_chat_results,
        [{"role": "tool", "tool_call_id": "c1"}, CHAT_CALL],
        "messages[0].tool_call_id",
        "orphan_tool_result",
    ),
    (check_chat_results, [CHAT_CALL, {"role": "tool"}], "messages[1].tool_call_id", "orphan_tool_result"),
    (check_chat_results, [{"role": "tool", "tool_call_id": {}}], "messages[0].tool_call_id", "orphan_tool_result"),
    (
        check_response_results,
        [{"type": "function_call_output", "call_id": []}],
        "input[0].call_id",
        "orphan_tool_result",
    ),
    (
        check_response_results,
        [{"type": "function_call_output", "call_id": "c1"}, CALL],
        "input[0].call_id",
        "orphan_tool_result",
    ),
    (
        check_message_results,
        [USE, {"role": "user", "content": [{"type": "text"}, {"type": "tool_result", "tool_use_id": "c2"}]}],
        "messages[1].content[1].tool_use_id",
        "orphan_tool_result",
    ),
]


@pytest.mark.parametrize(("check", "given", "param", "code"), WRONG)
def test_what_is_wrong_is_named(check: Callable[..., None], given: Any, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(given)
    assert (caught.value.param, caught.value.code) == (param, code)
