import pytest

from headrace.domain.names import closest, did_you_mean

KNOWN = ("openai-gpt-oss-20b", "gpt-5-mini", "qwen2.5-coder-0.5b", "SmolLM2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai-gpt-oss-20", "openai-gpt-oss-20b"),
        ("GPT-5-MINI", "gpt-5-mini"),
        ("smollm2", "SmolLM2"),
        ("qwen2.5", "qwen2.5-coder-0.5b"),
        ("xyzzy", None),
        ("q", None),
        ("", None),
    ],
)
def test_the_closest_name_is_found_or_none(name: str, expected: str | None) -> None:
    assert closest(name, KNOWN) == expected


def test_the_question_is_empty_when_nothing_is_close() -> None:
    assert did_you_mean("gpt-5-min", KNOWN) == 'Did you mean "gpt-5-mini"?'
    assert did_you_mean("xyzzy", KNOWN) == ""


def test_what_is_longer_than_any_name_is_like_none() -> None:
    """Comparing takes time for every character, and anybody may send many."""
    assert closest("a" * 256, ("a" * 257,)) == "a" * 257
    assert closest("a" * 257, ("a" * 257,)) is None
