"""What the one contract suite of compute drivers needs of a driver and of the machines below it.

A driver plugs in by a world: a subclass here, and a test class that inherits `ComputeContract` (compute_contract.py)
with a fixture `world` that yields it and closes it at the end; also `ProcessContract` where replicas are processes that
can be killed, and `LogContract` where there are logs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from headrace.domain.dedicated import Wanted
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.plan import Endpoint
from headrace.ports.fleet import Compute
from tests.fakes.deployed import a_spec


class Held(Protocol):
    """A request that an endpoint has begun to answer and that ends only when asked to."""

    async def finish(self) -> int:
        """Let it end and return its status, 0 where the connection was cut."""
        ...


class ComputeWorld(ABC):
    """One kind of driver over real replicas.

    `seconds` bounds whatever the suite waits for. `seen` are the replicas as the driver told them, in order.
    `sees_processes` says that `pids` knows the processes behind replicas.
    """

    seconds: float = 20.0
    sees_processes: bool = True

    def __init__(self) -> None:
        self.seen: list[Replica] = []

    @abstractmethod
    async def make(self) -> Compute:
        """Return an opened driver, as the control plane has after its start."""
        ...

    @abstractmethod
    async def restart(self, compute: Compute) -> Compute:
        """Let the control plane die without a word, and return the driver of the next one, opened, nothing applied."""
        ...

    @abstractmethod
    async def end_unknown(self, compute: Compute, known: Collection[str]) -> None:
        """End what an earlier control plane left of deployments that are no longer known."""
        ...

    @abstractmethod
    async def ask(self, endpoint: Endpoint) -> int:
        """Send one request and return its status, 0 where the connection was refused or cut."""
        ...

    @abstractmethod
    async def hold(self, endpoint: Endpoint) -> Held:
        """Begin a request that stays open."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """End every driver and every replica."""
        ...

    def pids(self, deployment: str) -> set[int]:
        """Return the processes of all replicas of a deployment that exist now, as the operating system says."""
        raise NotImplementedError

    def kill(self, compute: Compute, replica: str) -> None:
        """Kill the process of a replica without notice."""
        raise NotImplementedError

    def silence(self, compute: Compute, replica: str) -> None:
        """Stop the process of a replica so that it lives and answers nothing."""
        raise NotImplementedError

    def spec(self, deployment: str, **changes: int) -> DeploymentSpec:
        """Return a small deployment between 0 and 4 replicas that never sleeps by itself, changed as asked.

        Another number of `slots` is another launch plan.
        """
        return scaled_spec(deployment, **changes)

    async def resize(self, compute: Compute, spec: DeploymentSpec, replicas: int) -> DeploymentSpec:
        """Bring the deployment to so many replicas; a cluster that scales itself is given them as both bounds."""
        if compute.scales_itself:
            spec = bounded(spec, replicas, max(1, replicas))
            await compute.apply(spec)
        await compute.scale(spec.id, replicas)
        return spec

    def ids(self, compute: Compute, deployment: str) -> set[str]:
        """Return the replicas that can be sent to now."""
        return {each.id for each in compute.ready(deployment)}

    def states(self, compute: Compute, deployment: str) -> dict[str, ReplicaState]:
        """Return each replica of a deployment with its state."""
        return {each.id: each.state for each in compute.observe() if each.deployment == deployment}

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll until the condition holds; raises AssertionError that says what did not come."""
        try:
            async with asyncio.timeout(self.seconds):
                while not condition():  # noqa: ASYNC110 - other processes have no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {self.seconds:g} s: {what}") from None

    async def until_ready(self, compute: Compute, deployment: str, count: int) -> set[str]:
        """Wait until exactly so many replicas can be sent to, and return them."""
        await self.until(lambda: len(compute.ready(deployment)) == count, f"{count} ready replicas of {deployment}")
        return self.ids(compute, deployment)


def scaled_spec(deployment: str, **changes: int) -> DeploymentSpec:
    """Return what the reconciler makes of a small deployment of a toy."""
    toy = a_spec(
        id=deployment, model_id="toy-model", max_replicas=4, idle_seconds=0, accelerator="cpu", name=deployment
    )
    spec = replace(toy, **changes)
    return bounded(spec, spec.min_replicas, spec.max_replicas)


def bounded(spec: DeploymentSpec, least: int, most: int) -> DeploymentSpec:
    """Return the specification with other bounds, in what the operator wants of it too."""
    wanted = Wanted(
        name=spec.name,
        model=spec.model_id,
        driver=spec.driver,
        engine=spec.engine,
        accelerator=spec.accelerator,
        gpus=spec.gpus,
        min_scale=least,
        max_scale=most,
        slots=spec.slots,
        context_length=spec.context_length,
        idle_seconds=spec.idle_seconds,
    )
    return replace(spec, min_replicas=least, max_replicas=most, wanted=wanted)
