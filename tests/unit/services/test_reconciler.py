"""The reconciler over a driver in memory: what it makes of each state, each failure and each restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.domain.dedicated import DeploymentStatus, Standing
from headrace.domain.deployment import DeploymentSpec, OwnerLoss, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed, StoreUnusable
from headrace.services.deployment_steps import Pace
from headrace.testing.clock import FakeClock
from tests.fakes.compute import FakeCompute, FakeReplica
from tests.fakes.reconciled import CATALOG, Reconciled, a_deployment, a_wanted

pytestmark = pytest.mark.anyio

UNUSABLE = DriverUnusable("The driver needs the package ray: `pip install headrace[ray]`.")


def status(world: Reconciled) -> tuple[str, str]:
    return world.first.status.value, world.first.reason


def applies(world: Reconciled) -> int:
    return [each[0] for each in world.compute.calls].count("apply")


async def test_a_new_deployment_sleeps_wakes_grows_and_sleeps_again() -> None:
    world = Reconciled(a_deployment())
    await world.tick()
    assert status(world) == ("active", "It sleeps until a request comes.")
    world.compute.deployments["dep"].waiting = 4
    await world.tick()
    await world.tick()
    assert status(world) == ("active", "")
    world.compute.deployments["dep"].waiting = 0
    leases = [await world.compute.acquire("dep", 1.0) for _ in range(4)]
    await world.tick(50)
    assert world.compute.standing("dep") is not None
    assert len(world.compute.ready("dep")) == 2
    for lease in leases:
        lease.release()
    await world.tick(31)
    assert world.compute.live("dep") == []
    assert world.said() == [("active", 0, 0), ("active", 1, 1), ("active", 2, 2), ("active", 0, 0)]
    assert [each.wanted for each in world.reconciler.events("dep")] == [0, 1, 2, 0]


async def test_nothing_is_written_while_nothing_changes() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    writes = world.deployments.writes
    await world.tick(20)
    assert world.deployments.writes == writes


async def test_it_is_provisioning_until_its_least_number_is_ready() -> None:
    world = Reconciled(a_deployment(a_wanted(2)), compute=FakeCompute(is_prompt=False))
    await world.tick()
    assert status(world) == ("provisioning", "0 of 2 replicas are ready.")
    world.compute.room = 0
    world.compute.step()
    await world.tick()
    assert status(world) == ("active", "")


async def test_one_without_room_says_since_when() -> None:
    world = Reconciled(a_deployment(a_wanted(2)), compute=FakeCompute(room=1))
    await world.tick()
    assert status(world) == ("provisioning", "1 of 2 replicas is ready.")
    writes = world.deployments.writes
    await world.tick(31)
    reason = "1 of 2 replicas is ready. Since 16:00 UTC its driver has had no room for more; it goes on trying."
    assert status(world) == ("provisioning", reason)
    assert world.deployments.writes == writes + 1
    world.compute.room = None
    await world.tick()
    world.compute.step()
    await world.tick()
    assert status(world) == ("active", "")


async def test_a_start_that_takes_long_says_so() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=FakeCompute(is_prompt=False))
    await world.tick(32)
    assert world.first.reason.endswith("Starting since 16:00 UTC; its log says how far it is.")


async def test_a_crash_is_an_error_with_its_reason_until_another_is_ready() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=FakeCompute(is_prompt=False))
    await world.tick()
    world.compute.step()
    await world.tick()
    world.compute.crash("dep", "it was ended by signal SIGKILL. No new start before 8 s")
    await world.tick()
    assert status(world) == ("error", "It was ended by signal SIGKILL. No new start before 8 s.")
    writes = world.deployments.writes
    world.compute.replicas[0].reason = "it was ended by signal SIGKILL. No new start before 6 s"
    world.compute.room = 0
    await world.tick()
    assert world.deployments.writes == writes
    world.compute.room = None
    world.compute.step()
    await world.tick()
    assert status(world) == ("provisioning", "0 of 1 replica is ready.")
    world.compute.step()
    await world.tick()
    assert status(world) == ("active", "")


async def test_figures_of_a_reason_are_stored_once_a_minute() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    world.compute.room = 0
    await world.tick()
    world.compute.room = None
    world.compute.step()
    world.compute.crash("dep", "There is no room. No new start before 60 s")
    world.compute.room = 0
    await world.tick()
    writes = world.deployments.writes
    for left in range(58, 0, -2):
        world.compute.replicas[0].reason = f"There is no room. No new start before {left} s"
        await world.tick()
    assert world.deployments.writes == writes
    await world.tick()
    assert world.deployments.writes == writes + 1
    assert world.first.reason == "There is no room. No new start before 2 s."


async def test_one_of_two_that_crashed_leaves_it_active() -> None:
    world = Reconciled(a_deployment(a_wanted(2)))
    await world.tick()
    world.compute.room = 0
    world.compute.crash("dep", "it exited with status 1")
    await world.tick()
    assert status(world) == ("active", "1 of 2 replicas is ready. It exited with status 1.")


async def test_missing_weights_say_how_to_get_them_and_are_noticed() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    world.weights.is_here = False
    await world.tick(2)
    assert status(world) == ("error", 'The weights of "tiny" are not on this machine: `headrace models pull tiny`.')
    assert world.first.retry_at_micros is None
    assert world.compute.calls == [("end_unknown", "dep", 0)]
    world.weights.is_here = True
    await world.tick()
    assert status(world)[0] == "active"
    world.weights.is_here = False
    await world.tick()
    assert status(world)[0] == "active"
    assert "models pull" in world.first.reason


async def test_a_driver_that_cannot_be_used_is_tried_less_and_less_often() -> None:
    world = Reconciled(a_deployment())
    world.compute.broken["dep"] = UNUSABLE
    await world.tick(1, seconds=0)
    assert status(world) == ("error", UNUSABLE.message)
    assert world.first.retry_at_micros == world.clock.unix_micros() + 2_000_000
    await world.tick(1, seconds=1.9)
    assert applies(world) == 1
    await world.tick(1, seconds=0.1)
    assert world.first.retry_at_micros == world.clock.unix_micros() + 4_000_000
    await world.tick(300, seconds=1.0)
    tries = applies(world)
    await world.tick(120, seconds=1.0)
    assert applies(world) == tries + 2
    world.compute.broken.clear()
    await world.tick(60, seconds=1.0)
    assert status(world) == ("active", "It sleeps until a request comes.")
    assert world.first.retry_at_micros is None


async def test_a_change_is_tried_at_once_though_the_last_step_failed() -> None:
    world = Reconciled(a_deployment())
    world.compute.errors["apply"] = [EngineFailed("no such engine", retry_after_seconds=50.0)]
    await world.tick()
    assert world.first.retry_at_micros == world.clock.unix_micros() + 50_000_000
    world.deployments.stored["dep"] = replace(world.first, wanted=a_wanted(1))
    await world.tick()
    assert status(world) == ("active", "")


async def test_a_failure_of_one_leaves_the_others_alone() -> None:
    world = Reconciled(a_deployment(a_wanted(1), "bad"), a_deployment(a_wanted(1), "good"))
    world.compute.broken["bad"] = EngineFailed("it cannot run")
    await world.tick()
    assert [each.status.value for each in world.deployments.all()] == ["error", "active"]


async def test_a_driver_that_fails_while_replicas_serve_leaves_it_active_unless_it_is_lost() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    world.compute.errors["apply"] = [EngineFailed("no room"), UNUSABLE]
    await world.tick()
    assert status(world) == ("active", "1 of 1 replica is ready. No room.")
    await world.tick()
    assert status(world)[0] == "error"
    await world.tick(3)
    assert status(world) == ("active", "")


class Hanging(FakeCompute):
    """A driver that does not answer for one deployment."""

    async def apply(self, spec: DeploymentSpec) -> None:
        if spec.id == "hangs":
            await asyncio.Event().wait()
        await super().apply(spec)


async def test_a_step_that_does_not_end_holds_up_only_its_own() -> None:
    hanging, good = a_deployment(a_wanted(1), "hangs"), a_deployment(a_wanted(1), "good")
    world = Reconciled(hanging, good, compute=Hanging(), pace=Pace(wait_seconds=0.001))
    await world.tick()
    first, second = world.deployments.all()
    assert (first.status, second.status) == (DeploymentStatus.NEW, DeploymentStatus.ACTIVE)
    await world.tick(14)
    assert ("end_unknown", "good,hangs", 0) not in world.compute.calls
    await world.tick()
    assert status(world) == ("error", "Its driver has not answered for 30 s; it is still asked.")
    writes = world.deployments.writes
    await world.tick()
    assert world.deployments.writes == writes
    assert ("end_unknown", "good,hangs", 0) in world.compute.calls


async def test_a_step_that_does_not_end_gives_way_to_what_is_asked_anew() -> None:
    world = Reconciled(a_deployment(a_wanted(1), "hangs"), compute=Hanging(), pace=Pace(wait_seconds=0.001))
    await world.tick()
    world.deployments.stored["hangs"] = replace(world.first, wanted=a_wanted(2))
    await world.tick(14)
    assert world.compute.calls == []
    world.snapshot = replace(CATALOG, models={})
    world.deployments.delete("hangs")
    await world.tick(2)
    assert world.deployments.all() == ()


class Defective(FakeCompute):
    """A driver with a defect."""

    async def apply(self, spec: DeploymentSpec) -> None:
        raise KeyError(spec.id)


async def test_a_defect_is_told_and_tried_again_later() -> None:
    world = Reconciled(a_deployment(), compute=Defective())
    await world.tick()
    assert status(world) == ("error", "A step failed unexpectedly (KeyError); the log says more.")
    assert [name for name, _ in world.defects] == ["reconcile dep"]
    await world.tick(1, seconds=0.5)
    assert len(world.defects) == 1


async def test_a_store_that_fails_changes_nothing_that_runs() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    world.deployments.failure = StoreUnusable("the store is locked")
    await world.tick(3)
    assert len(world.compute.ready("dep")) == 1
    assert world.first.status is DeploymentStatus.NEW
    world.deployments.failure = None
    await world.tick()
    assert world.first.status is DeploymentStatus.ACTIVE
    world.deployments.delete("dep")
    world.deployments.failure = StoreUnusable("the store is locked")
    await world.tick()
    assert world.first.status is DeploymentStatus.DELETING
    world.deployments.failure = None
    await world.tick(2)
    assert world.deployments.all() == ()


async def test_a_change_is_in_force_when_the_new_replicas_are_ready_and_the_old_are_gone() -> None:
    world = Reconciled(a_deployment(a_wanted(2)), compute=FakeCompute(is_prompt=False))
    await world.tick()
    world.compute.step()
    await world.tick()
    (first, second) = world.compute.ready("dep")
    held = world.compute.lease("dep", first.id)
    assert held is not None
    wanted = a_wanted(2, slots=3)
    world.deployments.change("dep", wanted)
    await world.tick()
    assert status(world)[0] == "updating"
    assert world.first.reason.startswith("0 of 2 replicas are ready.")
    world.compute.step()
    await world.tick()
    assert (world.first.pending, status(world)[0]) == (wanted, "updating")
    held.release()
    await world.tick()
    assert (world.first.wanted, world.first.pending, status(world)[0]) == (wanted, None, "active")
    assert not {first.id, second.id} & {each.id for each in world.compute.replicas}


class Keeping(FakeCompute):
    """A cloud to which slots mean nothing: a change of them replaces no replica."""

    def _is_stale(self, each: object) -> bool:
        del each
        return False


async def test_old_replicas_are_known_though_the_driver_counts_them() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=Keeping())
    await world.tick()
    world.deployments.change("dep", a_wanted(1, slots=3))
    await world.tick(3)
    assert status(world)[0] == "updating"
    world.compute.replicas.clear()
    await world.tick(2)
    assert status(world)[0] == "active"


async def test_a_change_that_means_nothing_to_the_driver_is_done_when_nothing_moves() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=Keeping())
    await world.tick()
    world.deployments.change("dep", a_wanted(1, slots=3))
    await world.tick(15)
    assert status(world)[0] == "updating"
    await world.tick(2)
    assert (world.first.pending, status(world)[0]) == (None, "active")


async def test_a_change_whose_replicas_fail_is_not_done_though_the_old_ones_serve() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=Keeping())
    await world.tick()
    world.deployments.change("dep", a_wanted(1, slots=3))
    await world.tick()
    failed = FakeReplica("dep-new", world.compute.replicas[0].spec, 5, ReplicaState.FAILED, reason="it exited")
    world.compute.is_prompt = False
    world.compute.replicas.append(failed)
    await world.tick(60)
    assert status(world)[0] == "updating"


class Counting(FakeCompute):
    """A driver whose replicas of an earlier plan count as ready until they are replaced."""

    def standing(self, deployment: str) -> Standing | None:
        seen = super().standing(deployment)
        return None if seen is None else replace(seen, ready=len(self.ready(deployment)))


async def test_a_change_is_finished_by_the_next_control_plane() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=Counting())
    await world.tick()
    world.deployments.change("dep", a_wanted(1, slots=3))
    world.restart()
    world.compute.is_prompt = False
    await world.tick()
    assert status(world)[0] == "updating"
    await world.tick()
    assert status(world)[0] == "updating"
    world.compute.step()
    await world.tick()
    assert (world.first.pending, status(world)[0]) == (None, "active")


async def test_a_change_of_bounds_replaces_nothing() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    before = [each.id for each in world.compute.ready("dep")]
    world.deployments.change("dep", a_wanted(1, 3))
    await world.tick()
    assert (world.first.pending, world.first.wanted) == (None, a_wanted(1, 3))
    assert [each.id for each in world.compute.ready("dep")] == before


async def test_what_was_asked_for_meanwhile_stays_pending() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    later = a_wanted(1, 4)

    class Changing(FakeCompute):
        async def apply(self, spec: DeploymentSpec) -> None:
            await super().apply(spec)
            world.deployments.change("dep", later)

    world.compute = Changing(world.clock)
    world.restart()
    world.deployments.change("dep", later)
    await world.tick()
    world.deployments.change("dep", a_wanted(1, 3))
    await world.tick()
    assert (world.first.pending, world.first.wanted) == (later, a_wanted(1))


async def test_deleting_drains_first_and_then_forgets() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), a_deployment(a_wanted(1), "other"))
    await world.tick()
    lease = await world.compute.acquire("dep", 1.0)
    world.deployments.delete("dep")
    await world.tick()
    assert status(world) == ("deleting", "1 replica to end, 1 request to finish first.")
    await world.tick(20)
    assert status(world)[0] == "deleting"
    lease.release()
    await world.tick()
    assert [each.id for each in world.deployments.all()] == ["other"]
    assert list(world.compute.deployments) == ["other"]
    assert world.compute.live("dep") == []
    assert world.events[-1].is_gone
    assert world.reconciler.events("dep") == ()


async def test_deleting_waits_for_a_driver_that_cannot_be_asked() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    world.compute.broken["dep"] = UNUSABLE
    world.deployments.delete("dep")
    await world.tick()
    assert status(world) == ("deleting", UNUSABLE.message)
    world.compute.broken.clear()
    await world.tick()
    assert world.deployments.all() == ()


async def test_what_no_driver_took_is_deleted_at_once() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    world.compute.broken["dep"] = UNUSABLE
    await world.tick()
    world.deployments.delete("dep")
    await world.tick()
    assert world.deployments.all() == ()


class Unset(FakeCompute):
    """A cloud without a credential, to which nothing was ever sent."""

    async def apply(self, spec: DeploymentSpec) -> None:
        raise UNUSABLE


async def test_a_driver_that_says_there_is_nothing_lets_it_be_deleted_after_a_restart_too() -> None:
    world = Reconciled(a_deployment(), compute=Unset())
    await world.tick()
    world.restart()
    world.deployments.delete("dep")
    await world.tick()
    assert world.deployments.all() == ()


async def test_a_driver_that_has_not_seen_it_yet_is_waited_for() -> None:
    class Slow(FakeCompute):
        def standing(self, deployment: str) -> Standing | None:
            return None

    world = Reconciled(a_deployment(), compute=Slow())
    await world.tick()
    assert status(world) == ("provisioning", "Its driver has not seen it yet.")


async def test_what_cannot_run_any_more_can_be_deleted() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    world.compute.errors["apply"] = [EngineFailed("No engine is named so")]
    world.deployments.delete("dep")
    await world.tick()
    assert world.deployments.all() == ()
    gone = Reconciled(a_deployment())
    gone.snapshot = replace(CATALOG, models={})
    await gone.tick()
    assert status(gone)[1].startswith('The catalogue has no model "tiny" any more')
    gone.deployments.delete("dep")
    await gone.tick()
    assert gone.deployments.all() == ()


async def test_the_next_control_plane_takes_over_what_runs_and_ends_only_what_nobody_knows() -> None:
    world = Reconciled(a_deployment(a_wanted(0, 3, idle_seconds=600)), a_deployment(a_wanted(1), "orphan"))
    await world.tick()
    world.compute.deployments["dep"].waiting = 5
    await world.tick(2)
    running = {each.id for each in world.compute.live("dep")}
    assert len(running) == 3
    del world.deployments.stored["orphan"]
    world.restart()
    assert len(world.compute.replicas) == 4
    await world.tick()
    assert {each.id for each in world.compute.live("dep")} == running
    assert world.compute.live("orphan") == []
    assert status(world) == ("active", "")
    assert world.compute.calls[0][0] == "apply"
    await world.tick()
    assert [each[0] for each in world.compute.calls].count("end_unknown") == 1


async def test_the_next_control_plane_goes_on_deleting() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=FakeCompute(is_prompt=False))
    await world.tick()
    world.compute.step()
    world.deployments.delete("dep")
    world.restart()
    lease = None

    class Busy(FakeCompute):
        async def apply(self, spec: DeploymentSpec) -> None:
            nonlocal lease
            await super().apply(spec)
            lease = lease or self.lease("dep", self.ready("dep")[0].id)

    world.compute = Busy(world.clock, is_prompt=False, replicas=world.compute.replicas)
    world.restart()
    await world.tick(3)
    assert status(world) == ("deleting", "1 replica to end, 1 request to finish first.")
    assert lease is not None
    lease.release()
    await world.tick()
    assert (world.deployments.all(), world.compute.replicas) == ((), [])


async def test_what_was_never_taken_over_is_ended_when_it_is_deleted() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    world.restart()
    world.weights.is_here = False
    await world.tick(2)
    assert len(world.compute.live("dep")) == 1
    world.deployments.delete("dep")
    await world.tick()
    assert (world.deployments.all(), world.compute.replicas) == ((), [])


async def test_a_second_change_before_the_first_is_done_is_rolled_out() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), compute=FakeCompute(is_prompt=False))
    await world.tick()
    world.compute.step()
    await world.tick()
    for wanted in (a_wanted(1, slots=3), a_wanted(1, 4, slots=3)):
        world.deployments.change("dep", wanted)
        await world.tick()
        assert status(world)[0] == "updating"
    world.compute.step()
    await world.tick()
    assert (world.first.pending, world.first.wanted) == (None, a_wanted(1, 4, slots=3))


async def test_a_lost_driver_keeps_what_it_runs_from_being_ended() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    await world.tick()
    world.compute.broken["dep"] = UNUSABLE
    world.restart()
    await world.tick()
    assert len(world.compute.live("dep")) == 1
    assert world.compute.calls[-1] == ("end_unknown", "dep", 0)


async def test_an_owner_without_means_gets_no_more_replicas_and_is_told() -> None:
    world = Reconciled(a_deployment(a_wanted(1)))
    world.objection = "It is not scaled up: the budget bud_1 of the platform is used up."
    await world.tick()
    assert status(world) == ("provisioning", f"0 of 0 replicas are ready. {world.objection}")
    assert world.compute.deployments["dep"].spec.min_replicas == 0
    world.objection = None
    await world.tick()
    assert status(world) == ("active", "")
    assert world.compute.deployments["dep"].spec.min_replicas == 1


async def test_a_cluster_that_scales_itself_is_given_bounds_and_woken() -> None:
    world = Reconciled(a_deployment(a_wanted(0, 3)), compute=FakeCompute(scales_itself=True))
    await world.tick(5)
    assert [each[0] for each in world.compute.calls if each[0] == "scale"] == []
    world.compute.deployments["dep"].waiting = 1
    await world.tick()
    assert [each for each in world.compute.calls if each[0] == "scale"] == [("scale", "dep", 1)]
    world.compute.deployments["dep"].waiting = 9
    await world.tick(5)
    assert len(world.compute.ready("dep")) == 1


async def test_replicas_outlive_the_gateway_and_carry_what_was_asked_for() -> None:
    world = Reconciled(a_deployment(a_wanted(0, 3, slots=2)))
    await world.tick()
    spec = world.compute.deployments["dep"].spec
    assert (spec.on_owner_loss, spec.name, spec.wanted) == (OwnerLoss.KEEP, "prod", world.first.wanted)
    assert (spec.min_replicas, spec.max_replicas, spec.slots, spec.context_length) == (0, 3, 2, 512)


async def test_it_runs_until_cancelled_and_looks_at_once_when_woken() -> None:
    world = Reconciled(pace=Pace(tick_seconds=3_600.0))
    running = asyncio.get_running_loop().create_task(world.reconciler.run())
    await asyncio.sleep(0)
    world.deployments.add(a_deployment(a_wanted(1)))
    world.reconciler.wake()
    async with asyncio.timeout(2):
        while not world.events:  # noqa: ASYNC110 - what is awaited is told by no event
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_it_looks_at_every_tick() -> None:
    world = Reconciled(a_deployment(a_wanted(1)), pace=Pace(tick_seconds=0.001), compute=FakeCompute(FakeClock()))
    running = asyncio.get_running_loop().create_task(world.reconciler.run())
    async with asyncio.timeout(2):
        while applies(world) < 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    running.cancel()
