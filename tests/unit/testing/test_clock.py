"""The fakes for time, ids and randomness, against the ports."""

import pytest

from headrace.ports.ambient import Clock, Ids, Randomness
from headrace.testing.clock import FakeClock, FakeIds, FakeRandom


def test_time_moves_only_when_told() -> None:
    fake = FakeClock(unix_micros=5_000_000, monotonic_seconds=10.0)
    clock: Clock = fake

    fake.advance(1.5)
    assert (clock.unix_micros(), clock.monotonic()) == (6_500_000, 11.5)

    fake.jump(-3600)
    assert (clock.unix_micros(), clock.monotonic()) == (6_500_000 - 3_600_000_000, 11.5)


def test_time_does_not_pass_backwards() -> None:
    with pytest.raises(ValueError, match="does not pass by -1 s"):
        FakeClock().advance(-1)


def test_many_small_steps_add_up_exactly() -> None:
    clock = FakeClock(monotonic_seconds=0.0)
    for _ in range(1000):
        clock.advance(0.001)
    assert clock.monotonic() == 1.0


def test_ids_count_up() -> None:
    ids: Ids = FakeIds()
    assert [ids.new("req"), ids.new("att"), ids.new("req")] == ["req_000001", "att_000002", "req_000003"]


def test_random_bytes_repeat_with_the_seed_and_never_within_it() -> None:
    first: Randomness = FakeRandom(seed=1)
    again = FakeRandom(seed=1)
    draws = [first.token_bytes(32) for _ in range(10)]
    assert draws == [again.token_bytes(32) for _ in range(10)]
    assert len({*draws, FakeRandom(seed=2).token_bytes(32)}) == 11
    assert {len(draw) for draw in draws} == {32}
