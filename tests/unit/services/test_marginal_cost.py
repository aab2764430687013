"""What one more request costs at a deployment."""

from __future__ import annotations

import pytest

from headrace.domain.dedicated import Standing
from headrace.services.marginal_cost import beyond_slots, marginal
from tests.fakes.deployed import a_deployment, a_wanted

# $3.60 an hour: 1,000,000 nano-dollars a second, two slots for each replica.
HERE = a_deployment()


@pytest.mark.parametrize(
    ("in_flight", "waiting", "reason"),
    [(0, 0, "already paid: 4 of 4 slots free"), (2, 1, "already paid: 1 of 4 slots free")],
)
def test_a_free_slot_is_paid_already(in_flight: int, waiting: int, reason: str) -> None:
    found = marginal(HERE, Standing(ready=2, in_flight=in_flight, waiting=waiting), 10.0)
    assert (found.cost_nano, found.reason, found.wait_seconds) == (0, reason, 0.0)


@pytest.mark.parametrize(
    ("in_flight", "waiting", "cost", "queue"),
    # Ten seconds of one of two slots are 5,000,000; as much again for each full round of four.
    [(4, 0, 5_000_000, 0), (6, 0, 7_500_000, 2), (4, 4, 10_000_000, 4)],
)
def test_the_queue_makes_it_dearer(in_flight: int, waiting: int, cost: int, queue: int) -> None:
    standing = Standing(ready=2, in_flight=in_flight, waiting=waiting)
    found = marginal(HERE, standing, 10.0)
    assert (found.cost_nano, found.reason) == (cost, f"busy: all 4 slots taken, {queue} waiting")
    assert beyond_slots(HERE, standing) == queue


@pytest.mark.parametrize(
    ("standing", "wake"),
    [(None, 30.0), (Standing(starting=1), 30.0), (Standing(wake_seconds=90.0), 90.0)],
)
def test_asleep_it_is_the_waking_and_the_time_it_stays_awake(standing: Standing | None, wake: float) -> None:
    found = marginal(HERE, standing, 10.0)
    assert found.cost_nano == (wake + 600 + 10) * 1_000_000
    assert found.wait_seconds == wake
    assert found.reason == f"asleep: a replica would be paid for {wake:.0f} s to wake and 600 s to stay"


def test_what_never_falls_asleep_again_is_paid_for_a_day() -> None:
    found = marginal(a_deployment(a_wanted(idle_seconds=0)), Standing(), 10.0)
    assert found.cost_nano == (30 + 86_400 + 10) * 1_000_000
    assert found.reason.endswith("30 s to wake and 86400 s to stay, for it does not fall asleep again")


def test_who_says_nothing_of_its_slots_has_one() -> None:
    assert marginal(a_deployment(a_wanted(slots=0)), Standing(ready=1, in_flight=1), 1.0).cost_nano == 1_000_000


@pytest.mark.parametrize(
    ("standing", "cost", "reason"),
    [
        (Standing(ready=1, in_flight=3), 0, "already paid: 1 of 4 slots free"),
        (Standing(ready=1, in_flight=4), 500_000, "busy: all 4 slots taken, 0 waiting"),
        (Standing(ready=1, in_flight=4, waiting=5), 1_125_000, "busy: all 4 slots taken, 5 waiting"),
        (
            Standing(wake_seconds=40.0),
            642_000_000,
            "asleep: a replica would be paid for 40 s to wake and 600 s to stay",
        ),
    ],
)
def test_the_example_of_the_documentation(standing: Standing, cost: int, reason: str) -> None:
    found = marginal(a_deployment(a_wanted(slots=4)), standing, 2.0)
    assert (found.cost_nano, found.reason) == (cost, reason)
