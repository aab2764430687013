"""Audio and images in OpenAI's usage block; tests/golden/prices has the providers' own blocks."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.json_value import JsonObject
from headrace.domain.usage import UnitClass
from headrace.wire.openai_usage import read_usage

COUNT = st.integers(0, 3000)


@st.composite
def details(draw: st.DrawFn, *names: str) -> JsonObject:
    """Details of a count, some of which are left out."""
    found: JsonObject = {name: draw(COUNT) for name in names if draw(st.booleans())}
    if "cached_tokens" in names and draw(st.booleans()):
        found["cached_tokens_details"] = {name: draw(COUNT) for name in ("audio_tokens", "image_tokens")}
    return found


GIVEN = details("cached_tokens", "audio_tokens", "image_tokens", "cache_write_tokens")
TAKEN = details("reasoning_tokens", "audio_tokens", "image_tokens")


@given(prompt=COUNT, completion=COUNT, given=GIVEN, taken=TAKEN)
def test_whatever_the_details_say_no_token_is_lost_or_counted_twice(
    prompt: int, completion: int, given: JsonObject, taken: JsonObject
) -> None:
    usage = read_usage(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": given,
            "completion_tokens_details": taken,
        }
    )
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (prompt, completion)
    assert all(quantity > 0 for _, quantity in usage.quantities())
    assert len(dict(usage.quantities())) == len(usage.quantities())


def test_audio_that_is_counted_in_seconds_is_no_token() -> None:
    block: JsonObject = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 99, "prompt_audio_seconds": 7}
    usage = read_usage(block)
    assert usage is not None
    assert (usage.input_total, usage.anomaly) == (4, None)
    assert usage.more == ((UnitClass.SECOND, 7),)


def test_what_is_no_count_is_none() -> None:
    usage = read_usage({"prompt_tokens": 4, "completion_tokens": 6, "prompt_tokens_details": {"audio_tokens": "3"}})
    assert usage is not None
    assert usage.more == ()
