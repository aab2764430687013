"""What drafts of deployments are judged by, in memory: stored deployments, hardware, sizes, drivers, engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headrace.domain.accelerator import Accelerator, AcceleratorBook
from headrace.domain.architecture import Architecture, ArchitectureBook, CacheLayers
from headrace.domain.dedicated import Deployment
from headrace.domain.deployment_costs import Served
from headrace.domain.errors import ConfigInvalid, Conflict, DriverUnusable, HeadraceError
from headrace.ports.ambient import Clock
from headrace.services.deployment_choice import DriverOffer, EngineOffer, Offers
from headrace.services.deployment_trial import DeploymentTrial
from headrace.services.fitting import Fitting
from tests.fakes.breakeven import BIG, SMALL, InPlace, MemoryAccelerators, a_gpu_price

CPU = Accelerator("cpu", "CPU of this machine", "any", 0, (a_gpu_price("2026-11-01", 40_000_000),), is_processor=True)
UNPRICED = Accelerator("new", "NEW", "Acme", 100, (a_gpu_price("2027-01-01", 1),))
TINY = Architecture(
    name="Tiny 1B",
    models=("maker/Tiny-1B", "tiny"),
    parameters=1_000_000_000,
    weight_bytes=2_000_000_000,
    hidden_size=512,
    vocabulary=32_000,
    attention_heads=8,
    context_length=4096,
    cache=(CacheLayers(12, 1024, 4),),
    source="https://example.com/tiny/config.json",
)
LARGE = Architecture(
    name="Large 100B",
    models=("maker/Large-100B", "acme/chat:large"),
    parameters=100_000_000_000,
    weight_bytes=200_000_000_000,
    hidden_size=8192,
    vocabulary=128_000,
    attention_heads=64,
    context_length=8192,
    cache=(CacheLayers(80, 2048, 8),),
    source="https://example.com/large/config.json",
    is_gated=True,
)


class MemoryDeploymentStore:
    """Deployments in memory, the oldest first; `failure` is what writing one raises."""

    def __init__(self) -> None:
        self.stored: dict[str, Deployment] = {}
        self.writes = 0
        self.failure: HeadraceError | None = None

    async def put(self, deployment: Deployment) -> None:
        if self.failure is not None:
            raise self.failure
        if any(each.name == deployment.name and each.id != deployment.id for each in self.stored.values()):
            raise Conflict("taken", code="name_taken", param="name")
        self.stored[deployment.id] = deployment
        self.writes += 1

    async def remove(self, deployment_id: str) -> bool:
        return self.stored.pop(deployment_id, None) is not None

    async def list(self) -> tuple[Deployment, ...]:
        return tuple(self.stored.values())


class NothingServed:
    """The books of deployments that had no request."""

    async def served(self, deployment_id: str, since_micros: int, until_micros: int) -> Served:
        return Served()


@dataclass(slots=True)
class MemoryArchitectures:
    """Architectures that a test gives; `reads` counts how often they were read."""

    book: ArchitectureBook = field(default_factory=lambda: ArchitectureBook((TINY, LARGE), "fetching"))
    reads: int = 0
    failure: ConfigInvalid | None = None

    def read(self) -> ArchitectureBook:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return self.book


def usable() -> None:
    """A driver that lacks nothing."""


def lacking() -> None:
    """A driver that lacks something."""
    raise DriverUnusable("The driver cloud has no token: `headrace providers set-key cloud`.")


def engines() -> Mapping[str, EngineOffer]:
    """One engine that runs files of this machine, one that fetches what it runs."""
    return {"e": EngineOffer(needs_files=True), "fetching": EngineOffer(needs_files=False)}


@dataclass(slots=True)
class Hardware:
    """The books and offers of one installation."""

    accelerators: MemoryAccelerators = field(
        default_factory=lambda: MemoryAccelerators(AcceleratorBook((BIG, SMALL, CPU, UNPRICED)))
    )
    architectures: MemoryArchitectures = field(default_factory=MemoryArchitectures)
    cloud_check: Callable[[], None] = lacking

    def offers(self) -> Offers:
        drivers = {
            "local": DriverOffer(usable),
            "cloud": DriverOffer(lambda: self.cloud_check(), runs_engines=False),
            "cluster": DriverOffer(usable, scales_by_first_token=False),
        }
        return Offers(drivers, engines(), "local")

    def fitting(self) -> Fitting:
        return Fitting(self.architectures, self.accelerators)

    def trial(self, clock: Clock) -> DeploymentTrial:
        books = (self.accelerators, self.architectures)
        return DeploymentTrial(self.fitting(), books, self.offers(), clock, InPlace())
