"""One process or two of one name: what tells them apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.replica_identity import START_SLACK_MICROS, is_ended, is_process, is_same, replica_of
from tests.fakes.replicas import STARTED_MICROS, a_replica, a_run, ended, ready

KNOWN = ready(a_replica(), STARTED_MICROS + 9)
LATER = STARTED_MICROS + START_SLACK_MICROS + 1


@pytest.mark.parametrize(
    ("heard", "same"),
    [
        (KNOWN, True),
        (replace(KNOWN, pid=None, started_at_micros=STARTED_MICROS + START_SLACK_MICROS, ready_at_micros=None), True),
        (replace(KNOWN, pid=None, started_at_micros=LATER), True),
        (replace(KNOWN, started_at_micros=LATER, ready_at_micros=None), False),
        (replace(KNOWN, pid=1), False),
    ],
)
def test_a_process_is_known_by_its_number_its_start_or_its_first_token(heard: Replica, *, same: bool) -> None:
    assert is_same(KNOWN, heard) is same
    assert is_process(KNOWN, heard) is same
    assert not is_process(KNOWN, replace(heard, id="prod-llm-7"))


def test_one_has_ended_when_its_driver_says_so_with_or_without_when() -> None:
    assert [is_ended(each) for each in (KNOWN, ended(KNOWN, None), ended(KNOWN, 5))] == [False, True, True]
    assert is_ended(replace(KNOWN, ended_at_micros=5))


def test_a_run_tells_its_replica() -> None:
    run = replace(a_run(), pid=4_711)
    assert (replica_of(run).state, replica_of(run).pid) == (ReplicaState.STARTING, 4_711)
    assert replica_of(replace(run, ready_at_micros=STARTED_MICROS)).state is ReplicaState.READY
