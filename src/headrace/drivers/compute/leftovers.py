"""What an earlier process left of its replicas: those that still run, and those that ended since; it starts none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from headrace.domain.deployment import Replica, ReplicaState
from headrace.drivers.compute.devices import DeviceBook
from headrace.ports.fleet import Running, Supervisor


class Leftovers:
    """Replicas of an earlier process until their deployment is known again, or known to be gone."""

    def __init__(
        self, supervisor: Supervisor, devices: DeviceBook, grace_seconds: float, tell: Callable[[Replica], None]
    ) -> None:
        self._supervisor = supervisor
        self._devices = devices
        self._grace_seconds = grace_seconds
        self._tell = tell
        self._running: dict[str, list[Running]] = {}
        self._lost: dict[str, list[Replica]] = {}

    def find(self) -> None:
        """Take over what runs, and tell of what ended since."""
        for running in self._supervisor.adopt():
            self._running.setdefault(running.deployment, []).append(running)
            self._devices.claim(running.replica, running.devices)
        for replica in self._supervisor.lost():
            self._lost.setdefault(replica.deployment, []).append(replica)
            self._tell(replica)

    @property
    def names(self) -> set[str]:
        """The names of those that run."""
        return {each.replica for several in self._running.values() for each in several}

    def has(self, deployment: str) -> bool:
        """Whether anything runs of a deployment that has not been taken yet."""
        return bool(self._running.get(deployment))

    def lost(self) -> list[Replica]:
        """Return those that have ended, of deployments that are not known yet."""
        return [replica for several in self._lost.values() for replica in several]

    def take(self, deployment: str) -> tuple[Sequence[Running], Sequence[Replica]]:
        """Give a deployment what it had: replicas that run, and those that have ended."""
        return self._running.pop(deployment, ()), self._lost.pop(deployment, ())

    async def end(self, deployment: str) -> None:
        """End what runs of a deployment that is not to run, and tell of it."""
        running, _ = self.take(deployment)
        for each in running:
            await self._supervisor.stop(each, self._grace_seconds)
            self._devices.give_back(each.replica)
            self._tell(
                Replica(
                    id=each.replica,
                    deployment=deployment,
                    state=ReplicaState.STOPPING,
                    base_url=None,
                    pid=each.pid,
                    started_at_micros=each.started_at_micros,
                    reason="Its deployment is not known any more.",
                    ready_at_micros=each.ready_at_micros,
                    ended_at_micros=self._supervisor.ended_at(each),
                )
            )

    async def end_unknown(self, known: Collection[str]) -> None:
        """End what runs of every deployment that is not among these, and forget what ended of them."""
        for deployment in {*self._running, *self._lost}.difference(known):
            await self.end(deployment)
