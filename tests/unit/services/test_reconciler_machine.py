"""Random histories of operators, crashes, failing drivers, failing stores and restarts: the reconciler converges.

What must hold at every moment is checked after each tick; at the end everything is mended, and what runs has to be
exactly what is stored.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from headrace.domain.dedicated import DeploymentStatus
from headrace.domain.errors import DriverUnusable, EngineFailed, MeteringUnavailable
from headrace.ports.fleet import Lease
from tests.fakes.compute import FakeCompute, plan_of
from tests.fakes.reconciled import Reconciled, a_deployment, a_wanted

pytestmark = pytest.mark.timeout(60)

NAMES = st.sampled_from(["dep_a", "dep_b"])
MISFORTUNES = st.sampled_from(["a step", "a driver", "no room", "no weights", "the store"])
PAUSES = st.sampled_from([0.0, 2.0, 2.0, 70.0])
METHODS = st.sampled_from(["apply", "scale", "remove"])
FAILURES = st.sampled_from([EngineFailed("it cannot run"), DriverUnusable("set a credential")])


class ReconcilerMachine(RuleBasedStateMachine):
    """One control plane at a time over the same replicas."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = Reconciled(compute=FakeCompute(is_prompt=False))
        self.leases: list[tuple[str, Lease]] = []
        self.deleted: set[str] = set()

    @initialize()
    def begin(self) -> None:
        for name in ("dep_a", "dep_b"):
            self.world.deployments.add(a_deployment(a_wanted(1, 2), name))
        self.tick(2.0)

    @rule(name=NAMES, low=st.integers(0, 2), more=st.integers(0, 2), pause=PAUSES)
    def create(self, name: str, low: int, more: int, pause: float) -> None:
        if name not in self.world.deployments.stored:
            self.world.deployments.add(a_deployment(a_wanted(low, max(1, low + more)), name))
            self.tick(pause)

    @rule(name=NAMES, low=st.integers(0, 2), more=st.integers(0, 2), slots=st.integers(1, 3), pause=PAUSES)
    def change(self, name: str, low: int, more: int, slots: int, pause: float) -> None:
        present = self.world.deployments.stored.get(name)
        if present is not None and present.status is not DeploymentStatus.DELETING:
            self.world.deployments.change(name, a_wanted(low, max(1, low + more), slots=slots))
            self.tick(pause)

    @rule(name=NAMES, pause=PAUSES)
    def delete(self, name: str, pause: float) -> None:
        if name in self.world.deployments.stored:
            self.world.deployments.delete(name)
            self.tick(pause)

    @rule(name=NAMES)
    def send(self, name: str) -> None:
        for ready in self.world.compute.ready(name):
            lease = self.world.compute.lease(name, ready.id)
            assert lease is not None
            self.leases.append((name, lease))

    @precondition(lambda self: self.leases)
    @rule()
    def answer(self) -> None:
        self.leases.pop(0)[1].release()

    @rule(name=NAMES, waiting=st.integers(0, 6))
    def queue(self, name: str, waiting: int) -> None:
        if name in self.world.compute.deployments:
            self.world.compute.deployments[name].waiting = waiting

    @rule(name=NAMES)
    def crash(self, name: str) -> None:
        self.world.compute.crash(name)
        alive = {each.id for each in self.world.compute.live(name)}
        self.leases = [(of, lease) for of, lease in self.leases if of != name or lease.endpoint.replica in alive]

    @rule(name=NAMES, misfortune=MISFORTUNES, method=METHODS, failure=FAILURES)
    def let_fail(self, name: str, misfortune: str, method: str, failure: EngineFailed | DriverUnusable) -> None:
        compute = self.world.compute
        match misfortune:
            case "a step":
                compute.errors.setdefault(method, []).append(failure)
            case "a driver":
                compute.broken[name] = failure
            case "no room":
                compute.room = 1
            case "no weights":
                self.world.weights.is_here = False
            case _:
                self.world.deployments.failure = MeteringUnavailable("the store is locked")

    @rule()
    def mend(self) -> None:
        world = self.world
        world.compute.broken.clear()
        world.compute.errors.clear()
        world.compute.room = None
        world.weights.is_here = True
        world.deployments.failure = None

    @rule()
    def restart(self) -> None:
        self.leases.clear()
        before = {each.id for each in self.world.compute.replicas if self.world.compute.live(each.spec.id)}
        self.world.restart()
        assert {each.id for each in self.world.compute.replicas} <= before

    @rule(pause=PAUSES)
    def rest(self, pause: float) -> None:
        self.tick(pause)

    def tick(self, seconds: float) -> None:
        """Let time pass, the reconciler look, and then the driver move on; 0 for none of it."""
        if not seconds:
            return
        before = set(self.world.deployments.stored)
        busy = {name for name, _ in self.leases}
        self.runner.run(self.world.tick(1, seconds))
        assert self.world.defects == []
        for name in before - set(self.world.deployments.stored):
            assert name not in busy
            assert name not in self.world.compute.deployments
            assert self.world.compute.live(name) == []
        for deployment in self.world.deployments.all():
            self.look_at(deployment.id)
        self.world.compute.step()

    def look_at(self, name: str) -> None:
        """Nobody is told of a ready deployment that is none, and work in flight has its replica."""
        deployment, standing = self.world.deployments.stored[name], self.world.compute.standing(name)
        in_flight = [each for each, _ in self.leases if each == name]
        live = self.world.compute.live(name)
        assert not in_flight or live
        is_current = self.world.deployments.failure is None and deployment.retry_at_micros is None
        if deployment.status is not DeploymentStatus.ACTIVE or not is_current:
            return
        assert standing is not None
        assert deployment.pending is None
        assert standing.ready >= min(1, deployment.wanted.min_scale)
        assert standing.wanted <= max(deployment.wanted.max_scale, 0)

    def teardown(self) -> None:
        """Mend everything: what runs must become what is stored, and stay so."""
        try:
            self.mend()
            self.finish()
            for _ in range(25):
                self.tick(10.0)
            self.check_converged()
            writes = self.world.deployments.writes
            self.tick(2.0)
            assert self.world.deployments.writes == writes
        finally:
            self.runner.close()

    def finish(self) -> None:
        """Let all work end."""
        for _, lease in self.leases:
            lease.release()
        self.leases.clear()
        for entry in self.world.compute.deployments.values():
            entry.waiting = 0

    def check_converged(self) -> None:
        compute, stored = self.world.compute, self.world.deployments.stored
        assert set(compute.deployments) == set(stored)
        assert {each.spec.id for each in compute.replicas} <= set(stored)
        for name, deployment in stored.items():
            assert (deployment.status, deployment.pending) == (DeploymentStatus.ACTIVE, None), deployment
            assert deployment.retry_at_micros is None
            live = compute.live(name)
            assert deployment.wanted.min_scale <= len(live) <= deployment.wanted.max_scale
            goal = plan_of(compute.deployments[name].spec)
            assert all(plan_of(each.spec) == goal for each in live)
            assert replace(compute.deployments[name].spec).wanted == deployment.wanted


TestReconcilerMachine = ReconcilerMachine.TestCase
TestReconcilerMachine.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
