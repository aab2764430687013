"""Replays add requests up: moves, abstentions, costs beside controls, and never more than may be remembered."""

from __future__ import annotations

import pytest

from headrace.domain import replay as domain
from headrace.domain.evaluation import Choosable
from headrace.domain.replay import Redecided, ReplaySums

BOTH = {"small": Choosable(10), "large": Choosable(90)}


def summed(*requests: Redecided, most_choosable: int = 100) -> domain.Replay:
    sums = ReplaySums(most_choosable)
    for each in requests:
        sums.add(each)
    return sums.replay()


def test_nothing_comes_to_nothing() -> None:
    found = summed()
    assert (found.redecided, found.changed, found.moves, found.compared.own, found.compared.controls) == (
        0,
        0,
        (),
        None,
        (),
    )


def test_moves_are_counted_and_the_newest_requests_named() -> None:
    found = summed(*[Redecided(f"req_{number}", "a", "b") for number in range(5)], Redecided("req_x", None, None))
    assert [(each.before, each.after, each.requests) for each in found.moves] == [("a", "b", 5), (None, None, 1)]
    assert found.moves[0].newest == ("req_0", "req_1", "req_2")
    assert (found.changed, found.abstained_before, found.abstained_after) == (5, 1, 1)


def test_only_the_most_frequent_moves_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "MOST_MOVES", 2)
    found = summed(*[Redecided("req", "a", name) for name in "bbbccd"])
    assert [(each.after, each.requests) for each in found.moves] == [("b", 3), ("c", 2)]
    assert found.moves_left_out == 1


def test_costs_are_of_requests_that_were_and_could_be_served() -> None:
    found = summed(
        Redecided("req_1", "a", "a", 50, "small", BOTH),
        Redecided("req_2", "a", "a", None, "small", BOTH),
        Redecided("req_3", "a", "a", 50, None, {}),
        Redecided("req_4", "a", "a", 70, "large", BOTH),
    )
    assert (found.redecided, found.priced, found.paid_nano, found.cost_nano) == (4, 2, 120, 100)
    assert found.compared.own is not None
    assert found.compared.own.cost_nano == 50
    assert {each.name: each.cost_nano for each in found.compared.controls} == {
        "always cheapest": 10,
        "always best": 90,
        "only large": 90,
        "shuffle of the same choices": 50,
    }


def test_the_controls_cover_no_more_than_can_be_remembered() -> None:
    found = summed(*[Redecided("req", "a", "a", 1, "small", BOTH) for _ in range(5)], most_choosable=6)
    assert (found.priced, found.compared.requests, found.cost_nano) == (5, 3, 50)
