"""A whole control plane over ports that live in memory, and a way to call it without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import httpx2

from headrace.domain.access import AccessKey, Role
from headrace.domain.alias import Alias
from headrace.domain.catalog import Provider, WeightsFile
from headrace.domain.credential import Credential
from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.errors import Conflict, EngineFailed, StoreUnusable
from headrace.domain.json_value import JsonObject
from headrace.domain.price import Line
from headrace.domain.rate_limit import ScopedLimits
from headrace.domain.receipt import AttemptRecord, Receipt
from headrace.domain.secret import Secret
from headrace.domain.usage import Usage
from headrace.http.control.app import control_app
from headrace.http.control.parts import About, ControlParts
from headrace.http.door import DoorParts
from headrace.http.edge import EdgeLimits
from headrace.http.gateway import AsgiApp
from headrace.ports.catalogs import WrittenAliases
from headrace.ports.fleet import Lease, Progress, ReadyReplica
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.ports.stores import SealedCredential
from headrace.services.affinity import Affinity
from headrace.services.alerts import Alerts
from headrace.services.aliases import Aliases
from headrace.services.breakeven import Breakeven
from headrace.services.budget_book import BudgetBook
from headrace.services.corrections import Corrections
from headrace.services.deployment_costs import DeploymentCostReader
from headrace.services.deployment_tokens import DeploymentTokens
from headrace.services.deployments import DeploymentParts, Deployments
from headrace.services.fit_questions import FitQuestions
from headrace.services.health import TargetHealth
from headrace.services.identity import Identity, NewKey
from headrace.services.keys import Keys
from headrace.services.limit_changes import LimitChanges
from headrace.services.limits import Limits
from headrace.services.planning import Knowledge, Planner
from headrace.services.provider_credentials import ProviderCredentials
from headrace.services.pulls import Pulls
from headrace.services.receipts import ReceiptReader
from headrace.services.reconciliation import Reconciliations
from headrace.services.replays import ReplayParts, Replays
from headrace.services.responses import Responses
from headrace.services.route_figures import RouteFigures
from headrace.services.route_questions import RouteQuestions
from headrace.services.routers import Routers
from headrace.services.savings import SavingsReader
from headrace.services.shadow_book import ShadowBook
from headrace.services.snapshots import Snapshots, SnapshotSources, given_credentials
from headrace.services.tasks import Tasks
from headrace.services.teams import Teams
from headrace.services.usage import UsageReader
from headrace.services.webhooks import Webhooks
from headrace.testing.clock import FakeClock, FakeIds, FakeRandom
from headrace.wire.catalog_file import CatalogText
from tests.fakes.alerts import MemoryAlerting, MemoryAlertStore, MemorySender, MemoryWebhookStore
from tests.fakes.bills import MemoryBookedUsage, MemoryReconciliations
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.breakeven import InPlace, MemoryAccelerators, MemoryUsageHours
from tests.fakes.hardware import Hardware, MemoryDeploymentStore, NothingServed
from tests.fakes.money import MemoryAccounts, MemoryBudgetStore, MemoryMoney, MemoryTeamStore
from tests.fakes.replicas import MemoryRuns
from tests.fakes.routed import MemoryDecisions
from tests.fakes.routers import GivenPresets, MemoryRouters
from tests.fakes.scorer import NamingScorer
from tests.fakes.shadows import MemoryShadows
from tests.fakes.usage import MemoryUsageReports

NOON_MICROS = 1_795_521_600_000_000  # 2026-11-24 12:00 UTC
RECEIPTS = (("own", "key"), ("foreign", "foreign"))
KEPT_RESPONSE = b'{"response":{"id":"resp_own","output":[]},"input":[],"requested_model":"tiny"}'
SHA = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CLOUD = """
[provider]
name = "acme"
display_name = "Acme"
base_url = "https://api.example.com/v1"
key_variable = "ACME_API_KEY"
docs_url = "https://example.com/docs"

[[models]]
id = "acme/chat:large"
context_length = 8192
max_output_tokens = 2048
released_on = 2026-05-01
capabilities = ["streaming", "tools", "image_input"]

[[models.prices]]
effective = 2026-11-01
source = "https://example.com/prices"
input = "1"
cache_read = "0.1"
output = "4"

[[models]]
id = "unpriced"
context_length = 8192
max_output_tokens = 2048
"""
LOCAL = f"""
[provider]
name = "here"
base_url = "local:"
auth = "none"

[[models]]
id = "tiny"
context_length = 4096
max_output_tokens = 1024

[[models.prices]]
effective = 2026-11-01
source = "x"
input = "0.1"
output = "0.4"

[models.local]
engine = "e"
memory_mib = 1

[[models.local.weights]]
name = "tiny.gguf"
sha256 = "{SHA}"
size_bytes = 100
licence = "MIT"
sources = ["https://example.com/tiny.gguf"]
"""


class MemoryCatalog:
    """Catalog files that a test replaces."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {"acme": CLOUD, "here": LOCAL}

    def read(self) -> tuple[CatalogText, ...]:
        return tuple(CatalogText(f"{name}.toml", name, "operator", text.encode()) for name, text in self.texts.items())

    def digest(self) -> str:
        return str(hash(tuple(self.texts.items())))


class MemoryKeys:
    """A key store in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, AccessKey] = {}

    async def add(self, key: AccessKey) -> None:
        if key.public_id in self.keys:
            raise Conflict("there")
        self.keys[key.public_id] = key

    async def change(self, key: AccessKey) -> bool:
        present = self.keys.get(key.public_id)
        if present is None or present.revoked_at_micros is not None:
            return False
        self.keys[key.public_id] = replace(present, name=key.name, cache_seconds=key.cache_seconds)
        return True

    async def revoke(self, public_id: str, at_micros: int) -> bool:
        key = self.keys.get(public_id)
        if key is None or key.revoked_at_micros is not None:
            return False
        self.keys[public_id] = replace(key, revoked_at_micros=at_micros)
        return True

    async def list(self) -> tuple[AccessKey, ...]:
        return tuple(self.keys.values())


class MemoryCredentials:
    """A store of sealed credentials in memory."""

    def __init__(self) -> None:
        self.sealed: dict[tuple[str, str], SealedCredential] = {}

    async def put(self, credential: SealedCredential) -> None:
        self.sealed[credential.provider, credential.label] = credential

    async def remove(self, provider: str, label: str) -> bool:
        return self.sealed.pop((provider, label), None) is not None

    async def list(self) -> tuple[SealedCredential, ...]:
        return tuple(self.sealed.values())


class ContextSecrets:
    """Seals by writing the context in front, reversed, so that plain text never stands in the sealed value."""

    key_version = 7

    def seal(self, context: str, plain: bytes) -> bytes:
        return context.encode() + b"|" + plain[::-1]

    def open(self, context: str, sealed: bytes) -> bytes:
        head, _, tail = sealed.partition(b"|")
        if head != context.encode():
            raise StoreUnusable("sealed with another key")
        return tail[::-1]


class MemoryReceipts:
    """Receipts in memory, newest last."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []

    async def get(self, request_id: str, key_id: str | None) -> Receipt | None:
        return next((each for each in await self.recent(key_id, 1000) if each.request_id == request_id), None)

    async def recent(self, key_id: str | None, limit: int) -> tuple[Receipt, ...]:
        own = [each for each in reversed(self.receipts) if key_id is None or each.key_id == key_id]
        return tuple(own[:limit])


class MemoryAliases:
    """A store of aliases in memory."""

    def __init__(self) -> None:
        self.aliases: dict[str, Alias] = {}

    async def put(self, alias: Alias) -> None:
        self.aliases[alias.name] = alias

    async def remove(self, name: str) -> bool:
        return self.aliases.pop(name, None) is not None

    async def list(self) -> tuple[Alias, ...]:
        return tuple(self.aliases[name] for name in sorted(self.aliases))


class MemoryLimits:
    """A store of rate limits in memory."""

    def __init__(self) -> None:
        self.limits: dict[str, ScopedLimits] = {}

    async def put(self, scoped: ScopedLimits) -> None:
        self.limits[scoped.scope] = scoped

    async def remove(self, scope: str) -> bool:
        return self.limits.pop(scope, None) is not None

    async def list(self) -> tuple[ScopedLimits, ...]:
        return tuple(self.limits[scope] for scope in sorted(self.limits))


class StagedWeights:
    """Weights whose pulls wait until a test lets them go on."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.pulled: list[str] = []
        self.reports: list[Callable[[Progress], None]] = []
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()

    def path(self, file: WeightsFile) -> Path | None:
        return Path(file.name) if file.sha256 in self.here else None

    async def pull(self, file: WeightsFile, report: Callable[[Progress], None]) -> Path:
        self.pulled.append(file.name)
        self.reports.append(report)
        report(Progress(file.name, 10, file.size_bytes, "bytes"))
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.here.add(file.sha256)
        return Path(file.name)

    async def remove(self, file: WeightsFile) -> int:
        if file.sha256 not in self.here:
            return 0
        self.here.remove(file.sha256)
        return file.size_bytes


class OneReplica:
    """A compute driver that observes one replica, or those that a test gives, and starts nothing."""

    scales_itself = False

    def __init__(self) -> None:
        self.replicas = [Replica("tiny-1", "tiny", ReplicaState.READY, "http://127.0.0.1:1", 4242, NOON_MICROS)]
        self.standings: dict[str, Standing] = {}
        self.lines: dict[str, list[str]] = {}
        self.engines: dict[str, dict[str, dict[str, float]]] = {}

    async def apply(self, spec: DeploymentSpec) -> None:
        raise EngineFailed(f"{spec.id} is not started here")

    async def scale(self, deployment: str, replicas: int) -> None:
        raise EngineFailed(f"{deployment} is not scaled to {replicas} here")

    def observe(self) -> Sequence[Replica]:
        return self.replicas

    def standing(self, deployment: str) -> Standing | None:
        return self.standings.get(deployment)

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        return [ReadyReplica(each.id, 0) for each in self.replicas if each.deployment == deployment]

    def lease(self, deployment: str, replica: str) -> Lease | None:
        return None

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        return None

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        return self.engines.get(deployment, {})

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        return {name: kept[-lines:] for name, kept in self.lines.items() if replica in (None, name)}

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        raise EngineFailed(f"{deployment} did not start in {wait_seconds} s")

    async def remove(self, deployment: str) -> None:
        raise EngineFailed(f"{deployment} is not stopped here")

    async def close(self) -> None:
        return None


class KeptEvents:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.requests: list[RequestEnd] = []
        self.attempts: list[AttemptEnd] = []

    def request_ended(self, end: RequestEnd) -> None:
        self.requests.append(end)

    def attempt_ended(self, end: AttemptEnd) -> None:
        self.attempts.append(end)


@dataclass(slots=True)
class World:
    """Everything that a test of the control plane looks at; tokens are plain texts as a client sends them."""

    given: dict[str, str] = field(default_factory=dict[str, str])
    files: MemoryCatalog = field(default_factory=MemoryCatalog)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    credentials: MemoryCredentials = field(default_factory=MemoryCredentials)
    aliases: MemoryAliases = field(default_factory=MemoryAliases)
    written_aliases: WrittenAliases | None = None
    limits: MemoryLimits = field(default_factory=MemoryLimits)
    routers: MemoryRouters = field(default_factory=MemoryRouters)
    deployments: MemoryDeploymentStore = field(default_factory=MemoryDeploymentStore)
    runs: MemoryRuns = field(default_factory=MemoryRuns)
    hardware: Hardware = field(default_factory=Hardware)
    compute: OneReplica = field(default_factory=OneReplica)
    authority: bytes | None = None
    woken: list[int] = field(default_factory=list[int])
    decisions: MemoryDecisions = field(default_factory=MemoryDecisions)
    blobs: MemoryBlobs | None = None
    shadows: MemoryShadows = field(default_factory=MemoryShadows)
    presets: GivenPresets = field(default_factory=GivenPresets)
    scorer: NamingScorer = field(default_factory=NamingScorer)
    money: MemoryMoney = field(default_factory=MemoryMoney)
    alerting: MemoryAlerting = field(default_factory=MemoryAlerting)
    sender: MemorySender = field(default_factory=MemorySender)
    teams: MemoryTeamStore = field(default_factory=MemoryTeamStore)
    receipts: MemoryReceipts = field(default_factory=MemoryReceipts)
    accelerators: MemoryAccelerators = field(default_factory=MemoryAccelerators)
    usage: MemoryUsageHours = field(default_factory=MemoryUsageHours)
    reports: MemoryUsageReports = field(default_factory=MemoryUsageReports)
    booked: MemoryBookedUsage = field(default_factory=MemoryBookedUsage)
    reconciled: MemoryReconciliations = field(default_factory=MemoryReconciliations)
    weights: StagedWeights = field(default_factory=StagedWeights)
    observer: KeptEvents = field(default_factory=KeptEvents)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON_MICROS))
    health: TargetHealth = field(default_factory=TargetHealth)
    checks: dict[str, Callable[[], str | None]] = field(default_factory=lambda: {"store": lambda: None})
    events: dict[str, tuple[DeploymentEvent, ...]] = field(default_factory=dict[str, tuple[DeploymentEvent, ...]])
    failed_tasks: list[BaseException] = field(default_factory=list[BaseException])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    ids: dict[str, str] = field(default_factory=dict[str, str])

    async def build(self, *, metrics_public: bool = False) -> ControlParts:
        """Mint the credentials, read the first snapshot and return the parts."""
        identity = Identity(Secret("p" * 32), FakeRandom())
        await self._mint(identity)
        self.receipts.receipts += [make_receipt(f"req_{who}", self.ids[owner]) for who, owner in RECEIPTS]
        blobs = self.blobs = MemoryBlobs(self.clock)
        blobs.kept[self.ids["key"], "response", "resp_own"] = (KEPT_RESPONSE, NOON_MICROS + 1_000_000)
        secrets, budgets, accounts = ContextSecrets(), MemoryBudgetStore(self.money), MemoryAccounts(self.money)
        snapshots = self._snapshots(secrets, budgets)
        await snapshots.reload()
        tasks = Tasks(lambda _, error: self.failed_tasks.append(error))
        limits = LimitChanges(self.limits, snapshots, self.clock)
        receivers, names = MemoryWebhookStore(self.alerting), asyncio.Lock()
        alerts = Alerts(MemoryAlertStore(self.alerting), receivers, snapshots, self.clock, FakeIds())
        return ControlParts(
            door=DoorParts(snapshots, identity, EdgeLimits(frozenset({"gate"})), FakeIds(), self.clock, self.observer),
            keys=Keys(self.keys, identity, snapshots, self.clock, (limits.carry_key, alerts.carry_key)),
            credentials=ProviderCredentials(self.credentials, secrets, snapshots, self.clock, self.health),
            aliases=Aliases(self.aliases, snapshots, self.clock, names),
            routers=Routers(self.routers, snapshots, self.clock, FakeIds(), names),
            deployments=self._deployments(identity, snapshots, secrets, names),
            deployment_events=lambda deployment_id: self.events.get(deployment_id, ()),
            deployment_costs=DeploymentCostReader(self.runs, NothingServed(), snapshots, self.clock),
            fit=FitQuestions(snapshots, self.hardware.fitting(), InPlace()),
            corrections=Corrections(self.decisions, self.routers, snapshots, self.clock, names),
            replays=Replays(ReplayParts(self.decisions, self.scorer, RouteFigures(), snapshots, InPlace())),
            savings=SavingsReader(self.decisions, self.shadows, snapshots, InPlace()),
            shadows=ShadowBook(self.shadows, blobs, snapshots, self.clock, 30),
            questions=RouteQuestions(self._planner()),
            rates=self._rates(snapshots),
            alerts=alerts,
            webhooks=Webhooks(receivers, self.sender, secrets, self.clock, FakeIds(), FakeRandom()),
            limits=limits,
            teams=Teams(self.teams, accounts, snapshots, self.clock, FakeIds()),
            budgets=BudgetBook(budgets, accounts, snapshots, self.clock, FakeIds()),
            responses=Responses(blobs, self.clock, 30),
            pulls=Pulls(self.weights, snapshots, tasks),
            receipts=ReceiptReader(self.receipts),
            reconciliations=self._reconciliations(snapshots),
            usage=UsageReader(self.reports),
            breakeven=Breakeven(snapshots, self.accelerators, self.usage, self.clock, InPlace()),
            weights=self.weights,
            compute=self.compute,
            about=About("0.1.0", "abc1234", "3.11.9", "0001", "full", "3.53.0"),
            reload=snapshots.reload,
            checks=self.checks,
            render_metrics=lambda: ("text/plain; version=0.0.4", b"headrace_up 1\n"),
            metrics_public=metrics_public,
            authority=lambda: self.authority,
        )

    def _reconciliations(self, snapshots: Snapshots) -> Reconciliations:
        return Reconciliations(self.reconciled, self.booked, snapshots, (self.clock, FakeIds(), InPlace()))

    def _deployments(
        self, identity: Identity, snapshots: Snapshots, secrets: ContextSecrets, names: asyncio.Lock
    ) -> Deployments:
        return Deployments(
            DeploymentParts(
                store=self.deployments,
                snapshots=snapshots,
                trial=self.hardware.trial(self.clock),
                tokens=DeploymentTokens(self.keys, identity, snapshots, self.clock),
                secrets=secrets,
                clock=self.clock,
                ids=FakeIds(),
                turn=names,
                wake=lambda: self.woken.append(self.clock.unix_micros()),
            )
        )

    def _planner(self) -> Planner:
        affinity = Affinity(self.clock, lambda content: content.hex())
        return Planner(Knowledge(self.scorer, affinity, self.health, RouteFigures(), self.clock))

    def _rates(self, snapshots: Snapshots) -> Limits:
        rates = Limits(self.clock)
        rates.follow(snapshots.current())
        snapshots.watch(rates.follow)
        return rates

    def _snapshots(self, secrets: ContextSecrets, budgets: MemoryBudgetStore) -> Snapshots:
        return Snapshots(
            SnapshotSources(
                catalog=self.files,
                keys=self.keys,
                credentials=self.credentials,
                secrets=secrets,
                clock=self.clock,
                has_weights=lambda file: self.weights.path(file) is not None,
                given=self.find_given,
                aliases=self.aliases,
                written_aliases=self.written_aliases,
                budgets=budgets,
                teams=self.teams,
                limits=self.limits,
                routers=self.routers,
                deployments=self.deployments,
                presets=self.presets,
            )
        )

    async def _mint(self, identity: Identity) -> None:
        for name, role in (("admin", Role.ADMIN), ("key", Role.KEY), ("foreign", Role.KEY), ("gone", Role.KEY)):
            scope = frozenset({"acme/chat:large"}) if name == "foreign" else None
            minted = identity.mint(NewKey(name, role, "shop", scope), self.clock.unix_micros())
            self.tokens[name], self.ids[name] = minted.text.reveal(), minted.key.public_id
            await self.keys.add(minted.key)
        await self.keys.revoke(self.ids["gone"], NOON_MICROS)

    def find_given(self, provider: Provider) -> tuple[Credential, ...]:
        return given_credentials({}, self.given)(provider)

    def bearer(self, name: str) -> dict[str, str]:
        """Return the headers of a caller by the name of its credential."""
        return {"authorization": f"Bearer {self.tokens[name]}"}


@asynccontextmanager
async def client_of(app: AsgiApp) -> AsyncGenerator[httpx2.AsyncClient]:
    """Call the application in this process."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        yield client


@asynccontextmanager
async def open_world(world: World) -> AsyncGenerator[httpx2.AsyncClient]:
    """Build the world's application and call it."""
    async with client_of(control_app(await world.build())) as client:
        yield client


@dataclass(slots=True)
class Plane:
    """A running world with its client."""

    world: World
    parts: ControlParts
    client: httpx2.AsyncClient

    async def call(self, caller: str, method: str, path: str, body: JsonObject | None = None) -> httpx2.Response:
        return await self.client.request(method, path, headers=self.world.bearer(caller), json=body)


@asynccontextmanager
async def open_plane(world: World) -> AsyncGenerator[Plane]:
    """Build the world's application and call it, with its parts at hand."""
    parts = await world.build()
    async with client_of(control_app(parts)) as client:
        yield Plane(world, parts, client)


def body_of(response: httpx2.Response) -> JsonObject:
    """Return a reply's JSON object."""
    return cast("JsonObject", response.json())


def make_receipt(request_id: str, key_id: str) -> Receipt:
    """Return a receipt of one settled attempt after one that was voided."""
    first = make_attempt(0)
    voided = replace(
        first,
        attempt_id="att_0",
        state="voided",
        usage=None,
        lines=(),
        ending=None,
        error_code="upstream_rate_limited",
        upstream_status=429,
        first_event_at_micros=None,
        possible_spend=True,
    )
    return Receipt(
        request_id=request_id,
        operation="chat",
        account="shop",
        key_id=key_id,
        key_name="web",
        requested_model="tiny",
        stream=True,
        route=None,
        status=200,
        received_at_micros=NOON_MICROS,
        attempts=(voided, make_attempt(1)),
    )


def make_attempt(index: int) -> AttemptRecord:
    """Return a settled attempt with two ledger lines."""
    return AttemptRecord(
        attempt_id=f"att_{index}",
        turn_index=0,
        attempt_index=index,
        state="settled",
        model_id="tiny",
        provider="here",
        deployment="tiny",
        identity=f"sha256:{SHA}",
        price_version="here/tiny@2026-11-01#0a1b2c3d",
        price_source="x",
        rates_pico={"input_fresh": 20_000, "output_text": 60_500},
        bound_nano=2_147_483_648_000,
        usage=Usage(input_fresh=142, output_text=61),
        lines=(
            Line("input_fresh", 142, 20_000, 2_840, 2_840),
            Line("output_text", 61, 60_500, 3_690, 3_700),
        ),
        ending="complete",
        error_code=None,
        upstream_status=200,
        upstream_request_id="up-1",
        possible_spend=False,
        delivered_bytes=4096,
        held_at_micros=NOON_MICROS + 1_500,
        first_event_at_micros=NOON_MICROS + 191_500,
        ended_at_micros=NOON_MICROS + 1_311_500,
        scopes=("platform", "key:k1"),
        parent_attempt_id=None,
    )
