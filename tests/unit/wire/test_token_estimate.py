"""The estimate of a prompt's tokens: its JSON's bytes, and one size for every picture."""

import pytest

from headrace.domain.json_value import JsonObject
from headrace.wire.token_estimate import IMAGE_TOKENS, estimated_tokens


def test_four_bytes_are_a_token_rounded_up() -> None:
    assert [estimated_tokens({"a": "x" * count}) for count in (0, 1, 4, 5)] == [2, 3, 3, 4]
    assert estimated_tokens({"a": "ü" * 4}) == 4


@pytest.mark.parametrize("kind", ["image", "image_url", "input_image"])
def test_a_picture_has_one_size_wherever_it_stands(kind: str) -> None:
    def with_picture(data: str) -> JsonObject:
        return {"input": [{"content": [{"type": kind, "image_url": data}, {"type": "text", "text": "x"}]}]}

    assert estimated_tokens(with_picture("A" * 99_999)) == estimated_tokens(with_picture("A"))
    assert IMAGE_TOKENS < estimated_tokens(with_picture("A")) < IMAGE_TOKENS + 30


def test_a_type_that_is_no_word_is_no_picture() -> None:
    assert estimated_tokens({"a": {"type": ["image"]}}) < 20
