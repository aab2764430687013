"""Reading an embeddings request."""

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonValue
from headrace.wire.openai_embeddings import MAX_INPUTS, read_envelope


@pytest.mark.parametrize("value", ["Hi", ["Hi", "you"], [1, 2, 3], [[1, 2], [3]], [7] * (MAX_INPUTS + 1)])
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_every_form_of_input(value: JsonValue, encoding: str | None) -> None:
    envelope = read_envelope({"model": "m", "input": value, "encoding_format": encoding}, 9)
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("m", False, False)
    assert (envelope.output_cap, envelope.choices, envelope.body_bytes) == (None, 1, 9)


@pytest.mark.parametrize(
    "value", [None, "", [], {}, 5, [1, "a"], [True], [None], [1.5], [{}], [["a"], "b"], ["a"] * (MAX_INPUTS + 1)]
)
def test_a_wrong_input_is_named(value: JsonValue) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope({"model": "m", "input": value}, 9)
    assert caught.value.param == "input"


@pytest.mark.parametrize("encoding", ["int8", 5, [], {}])
def test_a_wrong_encoding_is_named(encoding: JsonValue) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope({"model": "m", "input": "x", "encoding_format": encoding}, 9)
    assert caught.value.param == "encoding_format"


def test_a_model_is_needed() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope({"input": "x"}, 9)
    assert caught.value.param == "model"
