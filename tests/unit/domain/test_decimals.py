import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.decimals import format_scaled, parse_scaled


@pytest.mark.parametrize(
    ("text", "places", "value"),
    [("0", 0, 0), ("7", 3, 7_000), ("61.4", 3, 61_400), ("2.59", 9, 2_590_000_000), ("0.000001", 6, 1)],
)
def test_a_plain_decimal_is_read(text: str, places: int, value: int) -> None:
    assert parse_scaled(text, places) == value


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", ".5", "5.", "01", "1.2345", "1/3", "NaN", "inf", " 1", "1\n", "1,5", "1" * 20]
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^" if not text else None):
        parse_scaled(text, 3)


def test_text_is_as_short_as_can_be() -> None:
    assert format_scaled(1_990_000_000, 9) == "1.99"
    assert format_scaled(5, 0) == "5"
    assert format_scaled(-200_000, 4) == "-20"
    assert format_scaled(0, 3) == "0"


@given(st.integers(0, 10**14), st.integers(1, 9))
def test_what_is_written_is_read_back(value: int, places: int) -> None:
    value %= 10 ** (places + 11)
    assert parse_scaled(format_scaled(value, places), places) == value
