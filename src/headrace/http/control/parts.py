"""What the control plane's endpoints work with; building it is the composition root's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from headrace.domain.snapshot import Snapshot
from headrace.http.door import DoorParts
from headrace.http.operations import Check, RenderMetrics
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Compute, Weights
from headrace.services.alerts import Alerts
from headrace.services.aliases import Aliases
from headrace.services.breakeven import Breakeven
from headrace.services.budget_book import BudgetBook
from headrace.services.corrections import Corrections
from headrace.services.deployment_costs import DeploymentCostReader
from headrace.services.deployment_events import EventsOf
from headrace.services.deployments import Deployments
from headrace.services.fit_questions import FitQuestions
from headrace.services.keys import Keys
from headrace.services.limit_changes import LimitChanges
from headrace.services.limits import Limits
from headrace.services.provider_credentials import ProviderCredentials
from headrace.services.pulls import Pulls
from headrace.services.receipts import ReceiptReader
from headrace.services.reconciliation import Reconciliations
from headrace.services.replays import Replays
from headrace.services.responses import Responses
from headrace.services.route_questions import RouteQuestions
from headrace.services.routers import Routers
from headrace.services.savings import SavingsReader
from headrace.services.shadow_book import ShadowBook
from headrace.services.teams import Teams
from headrace.services.usage import UsageReader
from headrace.services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class About:
    """What is running: versions of the program, of Python and of the store, and how the store commits."""

    version: str
    commit: str | None
    python: str
    store_schema: str
    store_synchronous: str
    store_library: str


@dataclass(frozen=True, slots=True)
class ControlParts:
    """Services and ports of the control plane, the model list and the operations routes.

    `reload` reads the configuration anew and raises ConfigInvalid. `checks` decide readiness. `metrics_public` lets
    everybody read the metrics, which is for listeners that only this machine reaches. `offload` is the pool for reading
    large bodies; without one they are read in place. `authority` reads this server's own certificate authority as PEM,
    None where it has none; it may block.
    """

    door: DoorParts
    keys: Keys
    credentials: ProviderCredentials
    aliases: Aliases
    routers: Routers
    deployments: Deployments
    deployment_costs: DeploymentCostReader
    deployment_events: EventsOf
    fit: FitQuestions
    corrections: Corrections
    replays: Replays
    savings: SavingsReader
    shadows: ShadowBook
    questions: RouteQuestions
    rates: Limits
    alerts: Alerts
    webhooks: Webhooks
    limits: LimitChanges
    teams: Teams
    budgets: BudgetBook
    responses: Responses
    pulls: Pulls
    receipts: ReceiptReader
    reconciliations: Reconciliations
    usage: UsageReader
    breakeven: Breakeven
    weights: Weights
    compute: Compute
    about: About
    reload: Callable[[], Awaitable[Snapshot]]
    checks: Mapping[str, Check]
    render_metrics: RenderMetrics
    metrics_public: bool
    authority: Callable[[], bytes | None]
    offload: Offload | None = None
