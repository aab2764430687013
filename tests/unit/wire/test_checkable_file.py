"""The file of checkable prompts: what is read, and what a wrong one is told."""

import pytest

from headrace.domain.checkable import Check, Checkable
from headrace.domain.errors import ConfigInvalid
from headrace.wire.checkable_file import read_checkable

GOOD = """
[[prompt]]
id = "arithmetic-01"
kind = "arithmetic"
prompt = "What is 7 + 8?"
check = "number"
expected = ["15"]
difficulty = 1
"""


def problem(text: str) -> str:
    with pytest.raises(ConfigInvalid) as failure:
        read_checkable("checkable.toml", text.encode())
    return failure.value.message


def test_a_prompt_is_read() -> None:
    item = Checkable("arithmetic-01", "arithmetic", "What is 7 + 8?", Check.NUMBER, ("15",), 1)
    assert read_checkable("checkable.toml", GOOD.encode()) == (item,)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('check = "number"', 'check = "numbr"', 'Did you mean "number"?'),
        ("difficulty = 1", "difficulty = 6", "1 (easiest) to 5."),
        ("difficulty = 1", "", '"difficulty" is missing'),
        ("difficulty = 1", "difficulty = 1\nhint = 2", '"hint" is not a key here'),
        ('["15"]', "[]", "this list is not what belongs here"),
        ('["15"]', '["fifteen"]', '"fifteen" is not a number'),
        ('id = "arithmetic-01"', 'id = "Arithmetic 1"', "lower-case letters, digits, hyphens"),
        ('prompt = "What is 7 + 8?"', 'prompt = " "', "Text in quotes"),
    ],
)
def test_a_wrong_prompt_is_told_with_its_line(old: str, new: str, told: str) -> None:
    message = problem(GOOD.replace(old, new))
    assert told in message
    assert "checkable.toml:" in message


def test_a_second_prompt_of_the_same_name_or_words_is_told() -> None:
    message = problem(GOOD + GOOD)
    assert '"arithmetic-01" stands here a second time' in message
    assert "prompt[1].prompt: stands here a second time" in message


def test_a_file_without_prompts_or_without_form_is_told() -> None:
    assert '"prompt" is missing' in problem("")
    assert "not valid TOML" in problem("[[prompt")
