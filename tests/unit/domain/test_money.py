"""Integer money: parsing, printing and rounding."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.money import (
    MAX_NANO,
    PPM,
    divide_half_even,
    format_nano,
    format_usd_per_mtok,
    line_nano,
    parse_usd_per_mtok,
)


@given(pico=st.integers(0, 999_999_999_999_999))
def test_a_price_survives_printing_and_parsing(pico: int) -> None:
    assert parse_usd_per_mtok(format_usd_per_mtok(pico)) == pico


@pytest.mark.parametrize(
    ("text", "pico"),
    [("0", 0), ("0.0375", 37_500), ("5", 5_000_000), ("0.000001", 1), ("5.00", 5_000_000), ("25.5", 25_500_000)],
)
def test_dollars_per_million_tokens_as_pico_dollars_per_token(text: str, pico: int) -> None:
    assert parse_usd_per_mtok(text) == pico


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1\n", "-1", "+1", ".5", "5.", "01", "1e3", "0.0000001", "1,5", "1_000", "NaN", "٣", "1234567890"],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        parse_usd_per_mtok(text)


@given(numerator=st.integers(0, 10**30), denominator=st.integers(1, 10**9))
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(quantity=st.integers(0, 10**9), pico=st.integers(0, 10**9), ppm=st.integers(0, 10**7))
def test_a_line_is_rounded_once(quantity: int, pico: int, ppm: int) -> None:
    assert line_nano(quantity, pico, ppm) == round(Fraction(quantity * pico * ppm, 1000 * PPM))
    assert isinstance(line_nano(quantity, pico, ppm), int)


@pytest.mark.parametrize(("pico", "nano"), [(499, 0), (500, 0), (501, 1), (1500, 2), (2500, 2), (2501, 3)])
def test_halves_go_to_the_even_side(pico: int, nano: int) -> None:
    assert line_nano(1, pico) == nano
    assert line_nano(1, pico, PPM) == line_nano(2, pico, PPM // 2)


def test_an_amount_beyond_the_ledgers_range_is_refused() -> None:
    assert line_nano(MAX_NANO, 1000) == MAX_NANO
    with pytest.raises(OverflowError):
        line_nano(MAX_NANO + 1, 1000)


@given(nano=st.integers(-MAX_NANO, MAX_NANO))
def test_an_amount_prints_exactly(nano: int) -> None:
    text = format_nano(nano)
    assert Decimal(text) * 10**9 == nano
    assert len(text.partition(".")[2]) == 9


def test_amounts_look_like_this() -> None:
    assert format_nano(4_772) == "0.000004772"
    assert format_nano(-1) == "-0.000000001"
    assert format_nano(1_234_567_890) == "1.234567890"
