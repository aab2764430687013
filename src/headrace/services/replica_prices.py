"""What a replica costs an hour: its accelerator's dated price, from the accelerators' file as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.domain.dedicated import Deployment
from headrace.domain.errors import ConfigInvalid
from headrace.ports.accelerators import Accelerators
from headrace.ports.ambient import Offload

MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplicaPrice:
    """What one replica costs an hour, in nano-dollars, and where that stands."""

    nano_per_hour: int
    source: str


class ReplicaPrices:
    """Looks up the price of a deployment's replicas on a day, as deployments are asked for: on demand or spot."""

    def __init__(self, accelerators: Accelerators, offload: Offload) -> None:
        self._accelerators = accelerators
        self._offload = offload

    async def price(self, deployment: Deployment, at_micros: int) -> ReplicaPrice | None:
        """Return the price on the day of that time in UTC; None where the file has none now or cannot be read."""
        try:
            book = await self._offload.run(self._accelerators.read)
        except ConfigInvalid:
            return None
        goal = deployment.goal
        accelerator = book.find(goal.accelerator)
        if accelerator is None:
            return None
        day = datetime.fromtimestamp(at_micros // MICROS, UTC).date().isoformat()
        found = accelerator.hourly_price(goal.asked_accelerator, goal.gpus, day)
        return None if found is None else ReplicaPrice(*found)
