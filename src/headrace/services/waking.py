"""Waking: starts a sleeping deployment for requests that do not wait for it; how it starts is its driver's."""

from __future__ import annotations

from headrace.domain.dedicated import Deployment
from headrace.domain.errors import HeadraceError
from headrace.ports.fleet import Compute
from headrace.services.autoscaling import Objection, no_objection
from headrace.services.tasks import Tasks

# Large weights take minutes to load; nobody waits for this but the next wake.
WAKE_SECONDS = 900.0


class Waking:
    """Wakes deployments in the background, each once at a time, unless `objection` has something against it."""

    def __init__(self, compute: Compute, tasks: Tasks, objection: Objection = no_objection) -> None:
        self._compute = compute
        self._tasks = tasks
        self._objection = objection
        self._woken: set[str] = set()

    def wake(self, deployment: Deployment) -> None:
        """Have a replica started, unless that is under way."""
        if deployment.id not in self._woken:
            self._woken.add(deployment.id)
            self._tasks.start(f"wake {deployment.name}", self._wake(deployment))

    async def _wake(self, deployment: Deployment) -> None:
        try:
            if await self._objection(deployment) is None:
                lease = await self._compute.acquire(deployment.id, WAKE_SECONDS)
                lease.release()
        except HeadraceError:
            # The deployment's own standing says why it does not start; there is no request to tell.
            return
        finally:
            self._woken.discard(deployment.id)
