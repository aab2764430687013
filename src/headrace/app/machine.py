"""What the composition root has built before it builds the planes: the open drivers, and services that both ask."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.app.alerting import Alerting
from headrace.app.dedicated import Dedicated, Managed, Surroundings
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.ambient import Offload
from headrace.services.health import TargetHealth
from headrace.services.limits import Limits
from headrace.services.planning import Planner
from headrace.services.pulls import Pulls
from headrace.services.responses import Responses
from headrace.services.snapshots import Snapshots
from headrace.services.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Machine:
    """The open drivers and what was loaded through them."""

    weights: WeightsStore
    dedicated: Dedicated
    around: Surroundings
    transport: Http1Transport
    alerting: Alerting

    @property
    def snapshots(self) -> Snapshots:
        """The configuration in force."""
        return self.around.snapshots

    @property
    def tasks(self) -> Tasks:
        """Who runs what goes on beside requests."""
        return self.around.tasks

    @property
    def offload(self) -> Offload:
        """The pool for what takes the processor long."""
        return self.around.offload


@dataclass(frozen=True, slots=True)
class Asked:
    """Services that both planes are asked for."""

    pulls: Pulls
    responses: Responses
    health: TargetHealth
    planner: Planner
    rates: Limits
    managed: Managed
