"""Anthropic's usage block: classes that are disjoint already, and counts of a stream that are never added up."""

import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_usage import merge_usage, read_usage, usage_block, write_usage


def test_input_leaves_out_what_the_cache_held() -> None:
    block: JsonObject = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    usage = Usage(5, 100, 10, 20, 5, 4)
    assert read_usage(block) == usage
    assert usage_block(usage) == block


def test_writes_of_no_stated_length_are_for_five_minutes() -> None:
    assert read_usage({"input_tokens": 0, "cache_creation_input_tokens": 30}) == Usage(input_cache_write_5m=30)
    assert read_usage({"input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 3}}) == Usage(
        input_cache_write_1h=3
    )


@pytest.mark.parametrize("block", [None, 5, {}, {"service_tier": "standard"}, {"input_tokens": None}])
def test_a_block_without_counts_is_no_usage(block: JsonValue) -> None:
    assert read_usage(block) is None


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"input_tokens": -1, "output_tokens": 2}, Usage(output_text=2, anomaly="invalid_count")),
        ({"input_tokens": True, "output_tokens": 2}, Usage(output_text=2, anomaly="invalid_count")),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            },
            Usage(1, input_cache_write_5m=7, input_cache_write_1h=2, anomaly="cache_write_mismatch"),
        ),
        (
            {"output_tokens": 2, "output_tokens_details": {"thinking_tokens": 5}},
            Usage(output_reasoning=2, anomaly="reasoning_over_completion"),
        ),
    ],
)
def test_contradictions_are_named_and_billed_within_the_total(block: JsonObject, expected: Usage) -> None:
    assert read_usage(block) == expected


def test_the_last_value_of_each_field_holds() -> None:
    first = merge_usage(None, {"input_tokens": 5, "output_tokens": 1})
    assert merge_usage(first, None) == first
    later = merge_usage(first, {"input_tokens": None, "output_tokens": 9, "cache_read_input_tokens": 2})
    assert later == {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 2}


def test_the_upstreams_own_block_is_shown_unless_the_counts_are_ours() -> None:
    own: JsonObject = {"output_tokens": 9, "service_tier": "standard"}
    assert write_usage(Usage(output_text=9), own) is own
    counted = Usage(input_fresh=4, output_text=2, source="counted")
    assert write_usage(counted, own) == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 2,
        "estimated": True,
    }
