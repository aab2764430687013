"""Strengths: what a share of right answers comes to, and which of two counts."""

import math

import pytest

from headrace.domain.strength import CHECKABLE, Strength, checkable_strength, merged


def test_half_of_the_answers_are_a_strength_of_nothing() -> None:
    found = checkable_strength("small", 130, 260, "headrace routers calibrate", "2026-11-28")
    assert found == Strength("small", 0.0, -0.243, 0.243, CHECKABLE, "headrace routers calibrate", "2026-11-28", 260)


@pytest.mark.parametrize("right", [0, 1, 7, 9, 10])
def test_any_share_has_a_finite_strength_inside_its_interval(right: int) -> None:
    found = checkable_strength("small", right, 10, "here", "2026-11-28")
    assert found.low <= found.value <= found.high
    assert all(map(math.isfinite, (found.low, found.value, found.high)))


def test_none_and_all_are_mirrored() -> None:
    none, every = (checkable_strength("small", right, 10, "here", "2026-11-28") for right in (0, 10))
    assert none.value == -every.value == round(math.log(0.5 / 10.5), 3)


def test_nothing_checked_is_no_strength() -> None:
    with pytest.raises(ValueError, match="no answer was checked"):
        checkable_strength("small", 0, 0, "here", "2026-11-28")


def test_the_later_strength_of_a_model_on_a_scale_counts() -> None:
    def of(model: str, scale: str, value: float) -> Strength:
        return Strength(model, value, value, value, scale, "here", "2026-11-28")

    below = (of("a", "elo", 1), of("a", CHECKABLE, 2), of("b", "elo", 3))
    assert merged(below, (of("a", "elo", 9), of("c", "elo", 4))) == (
        of("a", "elo", 9),
        of("a", CHECKABLE, 2),
        of("b", "elo", 3),
        of("c", "elo", 4),
    )
