from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.wire.responses_usage import read_usage, responses_usage, shown_chat_usage, write_usage

BLOCK: JsonObject = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}


def test_the_counts_are_split_into_classes_that_do_not_overlap() -> None:
    assert read_usage(BLOCK) == Usage(
        input_fresh=3, input_cache_read=4, input_cache_write_5m=3, output_text=4, output_reasoning=2
    )


def test_a_block_without_counts_is_no_usage_and_a_contradiction_is_named() -> None:
    assert read_usage(None) is read_usage({}) is read_usage([]) is None
    found = read_usage({**BLOCK, "total_tokens": 99})
    assert found is not None and found.anomaly == "total_mismatch"


def test_the_upstreams_own_block_is_shown_unless_we_had_to_count() -> None:
    assert write_usage(Usage(), BLOCK) is BLOCK
    ours = write_usage(Usage(input_fresh=2, output_text=1, source="counted"), None)
    assert ours == {
        "input_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
        "estimated": True,
    }


def test_a_block_survives_the_way_to_chat_and_back() -> None:
    assert responses_usage(shown_chat_usage(BLOCK)) == BLOCK
    assert shown_chat_usage({"input_tokens": 1, "output_tokens": 1, "estimated": True})["estimated"] is True
