"""Calibration: which prompts are asked, what they cost, and how they are counted."""

import pytest

from headrace.domain.calibration import Estimate, Tally, Verdict, estimate, spread, tallies
from headrace.domain.checkable import Check, Checkable


def an_item(kind: str, number: int, prompt: str = "?") -> Checkable:
    return Checkable(f"{kind}-{number}", kind, prompt, Check.EQUALS, ("x",), 1)


ITEMS = tuple(an_item(kind, number) for kind in ("code", "logic") for number in range(10))


@pytest.mark.parametrize("limit", [None, 20, 99])
def test_all_prompts_are_asked_unless_fewer_are_wanted(limit: int | None) -> None:
    assert spread(ITEMS, limit) == ITEMS


def test_fewer_prompts_come_from_every_kind() -> None:
    assert [each.id for each in spread(ITEMS, 4)] == ["code-0", "code-5", "logic-0", "logic-5"]
    assert len(set(spread(ITEMS, 7))) == 7


def test_answers_are_counted_by_kind_and_missing_ones_nowhere() -> None:
    verdicts = [
        Verdict(ITEMS[0], True),
        Verdict(ITEMS[1], False),
        Verdict(ITEMS[2], None, problem="it rests"),
        Verdict(ITEMS[10], True),
    ]
    assert tallies(verdicts) == (Tally("code", 1, 2), Tally("logic", 1, 1))
    assert tallies([]) == ()


def test_a_cost_is_expected_and_bounded() -> None:
    items = [an_item("code", 1, "x" * 40)]
    assert estimate(items, 1_000_000, 2_000_000, reasons=False) == Estimate(
        expected_nano=26_000 + 24 * 2_000, most_nano=26_000 + 128 * 2_000
    )
    reasoned = estimate(items, 1_000_000, 2_000_000, reasons=True)
    assert reasoned == Estimate(26_000 + 600 * 2_000, 26_000 + 4096 * 2_000)
    assert estimate(items, 1, 0, reasons=False) == Estimate(1, 1)
