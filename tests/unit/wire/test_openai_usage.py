"""OpenAI's usage block to disjoint classes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.media_usage import MAX_COUNT
from headrace.wire.openai_usage import read_usage, write_usage

COUNTS = st.integers(0, 1000)


@pytest.mark.parametrize(
    ("block", "usage"),
    [
        (None, None),
        ([], None),
        ("12", None),
        ({}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 1.0}, None),
        ({"prompt_tokens": 10**30}, None),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 3}, Usage(input_fresh=3)),
        ({"completion_tokens": 3}, Usage(output_text=3)),
        ({"prompt_tokens": MAX_COUNT}, Usage(input_fresh=MAX_COUNT)),
        ({"prompt_tokens": -5, "completion_tokens": 3}, Usage(output_text=3, anomaly="invalid_count")),
        ({"prompt_tokens": 5, "completion_tokens": 10**20}, Usage(input_fresh=5, anomaly="invalid_count")),
        ({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}, Usage(input_fresh=5, output_text=1)),
        (
            {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 9},
            Usage(input_fresh=5, output_text=1, anomaly="total_mismatch"),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input_fresh=40, input_cache_read=60, output_text=30, output_reasoning=20),
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": None, "completion_tokens_details": [1]},
            Usage(input_fresh=10),
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}},
            Usage(input_cache_read=10, anomaly="cached_over_prompt"),
        ),
        (
            {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(output_reasoning=1, anomaly="reasoning_over_completion"),
        ),
        (
            {
                "prompt_tokens": 100,
                "cache_read_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            },
            Usage(input_fresh=40, input_cache_read=10, input_cache_write_5m=20, input_cache_write_1h=30),
        ),
    ],
)
def test_a_block_as_classes(block: JsonValue, usage: Usage | None) -> None:
    assert read_usage(block) == usage


@given(prompt=COUNTS, cached=COUNTS, write_5m=COUNTS, write_1h=COUNTS, completion=COUNTS, reasoning=COUNTS)
def test_no_token_is_lost_or_counted_twice(
    prompt: int, cached: int, write_5m: int, write_1h: int, completion: int, reasoning: int
) -> None:
    usage = read_usage(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
            "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        }
    )
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (prompt, completion)
    assert all(quantity > 0 for _, quantity in usage.quantities())
    is_odd = cached + write_5m + write_1h > prompt or reasoning > completion
    assert (usage.anomaly is not None) is is_odd


def test_the_upstreams_block_is_shown_as_it_came() -> None:
    block: JsonObject = {"prompt_tokens": 1, "x_vendor": {"cost": 0.1}}
    assert write_usage(Usage(input_fresh=1), block) is block


@pytest.mark.parametrize("block", [None, {"prompt_tokens": 99}])
def test_our_own_count_is_marked(block: "JsonObject | None") -> None:
    assert write_usage(Usage(input_fresh=3, output_text=2, source="counted"), block) == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "estimated": True,
    }


@pytest.mark.parametrize(
    ("block", "usage"),
    [
        ({"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 81}, Usage(8, 0, 0, 0, 12, 61)),
        ({"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 20}, Usage(8, 0, 0, 0, 12, 0)),
        ({"prompt_tokens": 8, "completion_tokens": 12}, Usage(8, 0, 0, 0, 12, 0)),
        (
            {"prompt_tokens": 8, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 5}},
            Usage(8, 0, 0, 0, 7, 5),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 10},
            Usage(8, 0, 0, 0, 12, 0, anomaly="total_mismatch"),
        ),
    ],
)
def test_reasoning_apart_is_what_the_total_holds_beyond_both_counts(block: JsonObject, usage: Usage) -> None:
    assert read_usage(block, reasoning_apart=True) == usage


@pytest.mark.parametrize("name", ["cache_read_input_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_have_several_names(name: str) -> None:
    assert read_usage({"prompt_tokens": 9, name: 4}) == Usage(input_fresh=5, input_cache_read=4)
