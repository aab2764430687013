"""What a replica costs an hour: its accelerator's dated price, from the accelerators' file as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.domain.accelerator import AcceleratorPrice, Billing
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
    """Looks up the price that is in force when a replica begins; it holds until that replica ends."""

    def __init__(self, accelerators: Accelerators, offload: Offload) -> None:
        self._accelerators = accelerators
        self._offload = offload

    async def price(self, deployment: Deployment, at_micros: int) -> ReplicaPrice:
        """Return the price on the day of that time in UTC; the deployment's own where its accelerator has none now."""
        own = ReplicaPrice(deployment.nano_per_hour, deployment.price_source)
        try:
            book = await self._offload.run(self._accelerators.read)
        except ConfigInvalid:
            return own
        accelerator = book.find(deployment.goal.accelerator)
        if accelerator is None:
            return own
        day = datetime.fromtimestamp(at_micros // MICROS, UTC).date().isoformat()
        found: tuple[AcceleratorPrice, int] | None = None
        for billing in (Billing.ON_DEMAND, Billing.SPOT):
            found = found or accelerator.replica_price_on(day, deployment.goal.gpus, billing)
        return own if found is None else ReplicaPrice(found[0].nano_per_hour * found[1], found[0].source)
