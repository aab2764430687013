"""Labelled prompts: both forms, and what is said of a line that is wrong."""

from __future__ import annotations

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject
from headrace.wire import labelled_prompts
from headrace.wire.labelled_prompts import LabelledPrompt, read_labelled

ASKED: JsonObject = {"role": "user", "content": "hi"}


def test_a_prompt_and_messages_are_read() -> None:
    text = (
        '{"prompt": "hi", "route": "greet", "more": 1}\n\n'
        '{"messages": [{"role": "user", "content": "hi"}], "route": null, "outcomes": {"a": 1, "b": 0.5}}\n'
    )
    assert read_labelled("f", text) == (
        LabelledPrompt((ASKED,), "greet", {}),
        LabelledPrompt((ASKED,), None, {"a": 1.0, "b": 0.5}),
    )


def test_only_a_line_feed_ends_a_line() -> None:
    said = "one\u2028two\u0085three"
    first, second = read_labelled("f", f'{{"prompt": "{said}", "route": "a"}}\r\n{{"prompt": "hi", "route": "b"}}\r\n')
    assert (first.messages[0]["content"], second.route) == (said, "b")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "f:1: "),
        ("[]", "f:1: "),
        ('{"prompt": "hi"}', '"route" is missing'),
        ('{"prompt": "hi", "route": 1}', "slug or null"),
        ('{"prompt": "hi", "route": ""}', "slug or null"),
        ('{"route": "a"}', 'either "prompt" or "messages"'),
        ('{"prompt": "hi", "messages": [], "route": "a"}', 'either "prompt" or "messages"'),
        ('{"prompt": 1, "route": "a"}', "must be a text"),
        ('{"messages": [], "route": "a"}', "list of messages"),
        ('{"messages": "hi", "route": "a"}', "list of messages"),
        ('{"messages": ["hi"], "route": "a"}', "list of messages"),
        ('{"prompt": "hi", "route": "a", "outcomes": [1]}', "numbers from 0 to 1"),
        ('{"prompt": "hi", "route": "a", "outcomes": {"m": 2}}', "numbers from 0 to 1"),
        ('{"prompt": "hi", "route": "a", "outcomes": {"m": "1"}}', "numbers from 0 to 1"),
        ("\n", "has no prompt"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(line: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_labelled("f", line)
    assert says in caught.value.message


def test_the_line_is_the_files_own() -> None:
    with pytest.raises(ConfigInvalid, match=r"f:3: "):
        read_labelled("f", '{"prompt": "hi", "route": "a"}\n\n{"prompt": "hi"}')


def test_a_file_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_prompts, "MOST_ROWS", 1)
    with pytest.raises(ConfigInvalid, match="Split the file"):
        read_labelled("f", '{"prompt": "hi", "route": "a"}\n' * 2)
