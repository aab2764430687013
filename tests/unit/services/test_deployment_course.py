"""What the reconciler remembers of a deployment, and what a driver tells it that a restart had it forget."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentSpec, OwnerLoss, Replica, ReplicaState
from headrace.services.deployment_course import Course

SPEC = DeploymentSpec(
    id="dep",
    model_id="tiny",
    engine="llamacpp",
    driver="local",
    weights=(Path("/weights"),),
    memory_bytes=1,
    context_length=512,
    slots=2,
    min_replicas=1,
    max_replicas=2,
    idle_seconds=60,
    on_owner_loss=OwnerLoss.KEEP,
)


def replicas(*are_current: bool | None) -> Sequence[Replica]:
    return [
        Replica(f"dep-{number}", "dep", ReplicaState.READY, None, None, number, is_current=each)
        for number, each in enumerate(are_current)
    ]


@pytest.mark.parametrize(
    ("seen", "is_replaced", "is_behind"),
    [
        ((), True, False),
        ((None, None), True, False),
        ((True, None), True, False),
        ((True, False), False, True),
    ],
)
def test_after_a_restart_a_driver_says_what_is_left_of_an_earlier_specification(
    seen: Sequence[bool | None], is_replaced: bool, is_behind: bool
) -> None:
    course = Course(is_new=False)
    course.applied(SPEC)
    course.saw(replicas(*seen))
    assert (course.is_replaced, course.is_behind) == (is_replaced, is_behind)


def test_where_a_driver_cannot_tell_what_was_seen_before_a_change_is_replaced() -> None:
    course = Course(is_new=False)
    course.applied(SPEC)
    course.saw(replicas(None))
    course.applied(replace(SPEC, slots=3))
    course.saw(replicas(None))
    assert not course.is_replaced
    course.saw(())
    assert course.is_replaced


def test_a_driver_is_believed_before_what_was_seen() -> None:
    course = Course(is_new=False)
    course.applied(SPEC)
    course.saw(replicas(True))
    course.applied(replace(SPEC, accelerator="another-name-of-it"))
    course.saw(replicas(True))
    assert course.is_replaced
