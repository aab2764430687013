"""What is said of a deployment, state by state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.dedicated import Deployment, DeploymentStatus, Standing
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.deployment_status import (
    Sighting,
    Verdict,
    counted,
    draining,
    failure,
    is_rolled_out,
    judged,
    troubled,
)
from tests.fakes.reconciled import a_deployment, a_wanted

CRASHED = Replica("r1", "dep", ReplicaState.FAILED, None, None, 5, "it exited with status 1", None, 9)


def deployment(status: str = "new", low: int = 1) -> Deployment:
    return replace(a_deployment(a_wanted(low, 3)), status=DeploymentStatus(status))


@pytest.mark.parametrize(
    ("before", "wanted", "ready", "failed", "status", "reason"),
    [
        ("new", 2, 0, False, "provisioning", "0 of 2 replicas are ready."),
        ("new", 2, 1, False, "active", "1 of 2 replicas is ready."),
        ("new", 1, 1, False, "active", ""),
        ("active", 1, 0, False, "provisioning", "0 of 1 replica is ready."),
        ("active", 1, 0, True, "error", "It exited with status 1."),
        ("error", 2, 1, True, "active", "1 of 2 replicas is ready. It exited with status 1."),
        ("updating", 2, 2, True, "active", ""),
        ("new", 0, 0, True, "provisioning", "0 of 0 replicas are ready."),
    ],
)
def test_a_deployment_that_needs_one(
    before: str, wanted: int, ready: int, failed: bool, status: str, reason: str
) -> None:
    seen = Sighting(Standing(wanted, ready), [CRASHED] if failed else [])
    verdict = judged(deployment(before), seen)
    assert (verdict.status.value, verdict.reason) == (status, reason)


def test_one_that_needs_two_stays_active_with_one_and_is_provisioning_before() -> None:
    seen = Sighting(Standing(2, 1))
    assert judged(deployment("active", 2), seen).status is DeploymentStatus.ACTIVE
    assert judged(deployment("provisioning", 2), seen).status is DeploymentStatus.PROVISIONING


def test_one_that_sleeps_says_so_unless_something_else_matters() -> None:
    asleep = Sighting(Standing())
    assert judged(deployment(low=0), asleep) == Verdict(DeploymentStatus.ACTIVE, "It sleeps until a request comes.")
    ending = replace(asleep, replicas=[replace(CRASHED, state=ReplicaState.STOPPING), CRASHED])
    assert judged(deployment(low=0), ending).reason == "It goes to sleep: 1 replica to end."
    told = judged(deployment(low=0), replace(asleep, note="Its budget is used up."))
    assert told == Verdict(DeploymentStatus.ACTIVE, "Its budget is used up.")


def test_one_that_changes_is_updating_until_it_is_done() -> None:
    changing = replace(deployment("updating"), pending=a_wanted(2))
    up = replace(CRASHED, state=ReplicaState.READY)
    verdict = judged(changing, Sighting(Standing(2, 1), [CRASHED, up], is_rolled_out=False))
    assert verdict.status is DeploymentStatus.UPDATING
    assert verdict.reason == (
        "1 of 2 replicas is ready. Replicas of the earlier specification end without dropping a request."
        " It exited with status 1."
    )
    first = replace(CRASHED, state=ReplicaState.STARTING)
    none_before = judged(changing, Sighting(Standing(1, 0, 1), [first], is_rolled_out=False))
    assert none_before.reason == "0 of 1 replica is ready."
    assert judged(changing, Sighting(Standing(2, 2))).status is DeploymentStatus.ACTIVE


def test_it_is_rolled_out_when_just_the_wanted_replicas_are_ready() -> None:
    up = replace(CRASHED, state=ReplicaState.READY)
    assert is_rolled_out(Standing(1, 1), [up, CRASHED])
    assert is_rolled_out(Standing(), [])
    assert not is_rolled_out(Standing(2, 1, 1), [up])
    assert not is_rolled_out(Standing(2, 1), [up])
    assert not is_rolled_out(Standing(1, 1), [up, replace(up, state=ReplicaState.STOPPING)])


def test_a_failed_step_is_an_error_unless_replicas_serve_or_it_is_being_deleted() -> None:
    serving = Standing(1, 1)
    assert troubled(deployment(), "No room", None) == Verdict(DeploymentStatus.ERROR, cause="No room")
    assert troubled(deployment(), "No room", Standing(1, 0)).status is DeploymentStatus.ERROR
    told = troubled(deployment(), "No room", serving)
    assert (told.status, told.reason) == (DeploymentStatus.ACTIVE, "1 of 1 replica is ready. No room.")
    assert troubled(deployment(), "Lost", serving, is_lost=True).status is DeploymentStatus.ERROR
    changing = replace(deployment("updating"), pending=a_wanted(2))
    assert troubled(changing, "No room", serving).status is DeploymentStatus.UPDATING
    assert troubled(changing, "It needs a program", serving, is_lost=True).status is DeploymentStatus.UPDATING
    assert troubled(deployment("deleting"), "Lost", None, is_lost=True).status is DeploymentStatus.DELETING


def test_the_last_failure_is_the_one_that_is_told() -> None:
    later = replace(CRASHED, reason="it was ended by signal SIGKILL", ended_at_micros=None, started_at_micros=10)
    assert failure([later, CRASHED]) == "it was ended by signal SIGKILL"
    assert failure([replace(CRASHED, reason="")]) == ""


def test_what_drains_is_counted() -> None:
    assert draining(Standing(0, 0, 0, 3), 2).reason == "2 replicas to end, 3 requests to finish first."
    assert counted(Standing(3, 0)) == "0 of 3 replicas are ready."


def test_figures_in_a_cause_make_nothing_new() -> None:
    verdict = Verdict(DeploymentStatus.ERROR, "1 of 2 replicas is ready.", "no new start before 8 s")
    status = DeploymentStatus.ERROR
    assert verdict.is_told_by(status, "1 of 2 replicas is ready. No new start before 16 s.")
    assert Verdict(status, cause="it exited. It is started again").is_told_by(status, "It exited.")
    assert not verdict.is_told_by(status, "0 of 2 replicas are ready. No new start before 8 s.")
    assert not verdict.is_told_by(status, "1 of 2 replicas is ready. It exited.")
    assert not verdict.is_told_by(DeploymentStatus.ACTIVE, verdict.reason)
    assert Verdict(status, cause="Really?").reason == "Really?"
