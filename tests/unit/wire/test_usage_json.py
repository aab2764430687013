"""Rare classes of usage as the store keeps them."""

from headrace.domain.usage import TokenClass, UnitClass
from headrace.wire.usage_json import quantities_text, read_quantities

MORE = ((TokenClass.INPUT_AUDIO, 3), (TokenClass.OUTPUT_IMAGE, 5), (UnitClass.SEARCH, 2))


def test_what_is_kept_comes_back_in_order() -> None:
    assert quantities_text(MORE) == '{"input_audio":3,"output_image":5,"search":2}'
    assert read_quantities('{"search":2,"output_image":5,"call":0,"input_audio":3}') == MORE
