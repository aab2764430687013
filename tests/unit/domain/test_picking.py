"""Which replica gets a request: the prefix's own, while load allows it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.picking import ReadyReplica, pick

PREFIXES = [f"prompt {number}".encode() for number in range(300)]


def idle(*names: str) -> list[ReadyReplica]:
    return [ReadyReplica(name, 0) for name in names]


def test_a_prefix_stays_with_its_replica_whatever_the_order_of_the_list() -> None:
    for prefix in PREFIXES:
        assert pick(prefix, idle("a", "b", "c"), 4) == pick(prefix, idle("c", "a", "b"), 4)


def test_prefixes_are_spread_over_all_replicas() -> None:
    found = Counter(pick(prefix, idle("a", "b", "c"), 4) for prefix in PREFIXES)
    assert min(found.values()) > 60


def test_a_replica_that_goes_moves_its_own_prefixes_only() -> None:
    for prefix in PREFIXES:
        before = pick(prefix, idle("a", "b", "c"), 4)
        after = pick(prefix, idle("a", "b"), 4)
        assert after == before or before == "c"


def test_a_prefix_yields_when_its_replica_has_more_than_its_share() -> None:
    prefix = next(each for each in PREFIXES if pick(each, idle("a", "b"), 8) == "a")
    assert pick(prefix, [ReadyReplica("a", 1), ReadyReplica("b", 0)], 8) == "a"
    assert pick(prefix, [ReadyReplica("a", 3), ReadyReplica("b", 0)], 8) == "b"
    assert pick(prefix, [ReadyReplica("a", 3), ReadyReplica("b", 3)], 8) == "a"


def test_what_the_first_cannot_take_goes_to_the_same_second_one() -> None:
    prefix = next(each for each in PREFIXES if pick(each, idle("a", "b", "c"), 8) == "a")
    second = pick(prefix, idle("b", "c"), 8)
    loaded = [ReadyReplica("a", 4), *idle("b", "c")]
    assert {pick(prefix, loaded, 8) for _ in range(3)} == {second}


def test_a_replica_without_a_free_slot_gets_nothing_while_another_has_one() -> None:
    prefix = next(each for each in PREFIXES if pick(each, idle("a", "b"), 1) == "a")
    assert pick(prefix, [ReadyReplica("a", 1), ReadyReplica("b", 0)], 1) == "b"
    assert pick(prefix, [ReadyReplica("a", 1), ReadyReplica("b", 2)], 1) == "a", "the least in flight has the queue"
    assert pick(prefix, idle("a", "b"), 0) == "a", "who says nothing of its slots has one"


def test_without_a_prefix_it_is_the_least_in_flight() -> None:
    assert pick(b"", [ReadyReplica("a", 2), ReadyReplica("b", 1), ReadyReplica("c", 3)], 4) == "b"
    assert pick(b"", idle("a", "b"), 4) == pick(b"", idle("b", "a"), 4)


def test_one_replica_is_no_choice_and_none_is_a_mistake() -> None:
    assert pick(b"x", [ReadyReplica("a", 99)], 1) == "a"
    with pytest.raises(ValueError, match="empty"):
        pick(b"", [], 1)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.binary(max_size=8),
    st.integers(1, 16),
)
def test_nobody_gets_more_than_its_share_and_one(in_flight: list[int], prefix: bytes, slots: int) -> None:
    replicas = [ReadyReplica(str(number), count) for number, count in enumerate(in_flight)]
    picked = next(each for each in replicas if each.id == pick(prefix, replicas, slots))
    mean = (sum(in_flight) + 1) / len(in_flight)
    assert picked.in_flight + 1 <= 1.25 * mean + 1
