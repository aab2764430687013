"""Plans: the ordered targets of a request, and what was left out with the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.domain.catalog import Model, Provider
from headrace.domain.credential import Credential
from headrace.domain.errors import CallerError
from headrace.domain.price import PriceVersion
from headrace.domain.routing import Decision
from headrace.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Target:
    """The concrete thing one attempt is sent to, with the price it is held and settled at.

    `deployment` is the deployment's id when the target runs on our own hardware, else None. `credential` is the one of
    the provider's that this target is called with, None when it takes none. `overflow_of` is the id of the deployment
    that it helps out here, None for what was named otherwise.
    """

    model: Model
    provider: Provider
    price: PriceVersion
    deployment: str | None
    reason: str
    credential: Credential | None = None
    overflow_of: str | None = None

    @property
    def adapter(self) -> str:
        """The name of the adapter that speaks to it: the engine's for local models, the provider's otherwise."""
        local = self.model.local
        return self.provider.adapter if local is None else local.engine

    @property
    def has_siblings(self) -> bool:
        """Whether there are targets that differ from this one in nothing but the credential."""
        return len(self.provider.credentials) > 1

    def is_sibling_of(self, other: Target) -> bool:
        """Whether both are the same model at the same provider, whatever the credential."""
        return self.model.id == other.model.id and self.provider.name == other.provider.name

    def in_service_tier(self, name: str | None) -> Target:
        """Return the target at the price of a service tier that its price has; None is the standard one."""
        return self if name is None else replace(self, price=self.price.service_tiers[name].price)

    @property
    def identity(self) -> str:
        """What exactly serves: the weights' sha256 for local models, the upstream's model name otherwise."""
        local = self.model.local
        return f"sha256:{local.weights[0].sha256}" if local is not None else self.model.upstream_name


@dataclass(frozen=True, slots=True)
class Excluded:
    """A target that cannot serve this request, and why."""

    model_id: str
    provider: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a router sends a call: every target that can serve it, in order, those that rest now among them.

    `problem` is why none can, None where one can.
    """

    decision: Decision
    targets: tuple[Target, ...]
    excluded: tuple[Excluded, ...] = ()
    problem: CallerError | None = None

    @property
    def chosen(self) -> tuple[Target, ...]:
        """The target that the router chose, with each of its credentials; the first where all of them rest."""
        first = self.decision.chosen
        place = None if first is None else (first.model_id, first.provider)
        named = [each for each in self.targets if (each.model.id, each.provider.name) == place]
        return tuple(named or [each for each in self.targets if each.is_sibling_of(self.targets[0])])


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a request may go, in order; `decision` is what a router decided, None where no router was asked."""

    requested: str
    targets: tuple[Target, ...]
    excluded: tuple[Excluded, ...] = ()
    decision: Decision | None = None

    @property
    def route(self) -> str | None:
        """The task that a router matched, or None."""
        return None if self.decision is None else self.decision.route


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and with which credential one attempt is sent; `base_url` has no trailing slash."""

    base_url: str
    auth_header: str | None = None
    auth_value: Secret | None = None
    replica: str | None = None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits of waiting in one exchange, in seconds."""

    connect_seconds: float = 3.0
    first_event_seconds: float = 120.0
    between_events_seconds: float = 60.0
    total_seconds: float = 900.0
