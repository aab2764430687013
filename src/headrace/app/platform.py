"""The running platform: every service and driver built, opened and closed in order."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace import __version__
from headrace.app.adapters import ADAPTERS, CHAT_ENGINE, ENCODER_ENGINE, make_adapters, make_encoders
from headrace.app.alerting import Alerting, Doers, make_alerting, start_alerting
from headrace.app.deployments import EmbeddedDeployments
from headrace.app.foundation import Foundation
from headrace.app.gauges import Counters, gauge_sources
from headrace.app.measuring import make_measuring, make_shadows
from headrace.app.scoring import make_scorer
from headrace.cli.config import AliasFile
from headrace.domain.errors import ConfigInvalid
from headrace.domain.health import BreakerRules
from headrace.domain.plan import Deadlines
from headrace.domain.settings import ServeOptions
from headrace.drivers.ambient import ThreadOffload
from headrace.drivers.catalogs.accelerators import FILE_NAME as ACCELERATORS
from headrace.drivers.catalogs.accelerators import AcceleratorFiles
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.catalogs.presets import PresetFiles
from headrace.drivers.catalogs.strengths import StrengthFiles
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.drivers.observability.log_observer import LogObserver, Observers
from headrace.drivers.observability.logs import Logger
from headrace.drivers.observability.prometheus_observer import PrometheusObserver
from headrace.drivers.stores.upgrade import REVISIONS
from headrace.drivers.transports.egress import EgressSender
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from headrace.http.control.app import control_app
from headrace.http.control.parts import About, ControlParts
from headrace.http.cors import CrossOrigin
from headrace.http.door import DoorParts
from headrace.http.edge import EdgeLimits
from headrace.http.gateway import AsgiApp, Gateway, InFlight
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.inference import InferenceEndpoint, InferenceParts
from headrace.ports.ambient import Clock
from headrace.ports.observer import Observer
from headrace.services.affinity import Affinity
from headrace.services.aliases import Aliases
from headrace.services.breakeven import Breakeven
from headrace.services.budget_book import BudgetBook
from headrace.services.budgets import Budgets
from headrace.services.corrections import Corrections
from headrace.services.decision_sweep import DecisionSweep
from headrace.services.fleet import TargetFleet
from headrace.services.health import TargetHealth
from headrace.services.idempotency import Idempotency
from headrace.services.keys import Keys
from headrace.services.limit_changes import LimitChanges
from headrace.services.limits import Limits
from headrace.services.loop_watch import LoopWatch
from headrace.services.planning import Knowledge, Planner
from headrace.services.provider_credentials import ProviderCredentials
from headrace.services.pulls import Pulls
from headrace.services.ready_scorer import ReadyScorer
from headrace.services.receipts import ReceiptReader
from headrace.services.reconciliation import Reconciliations
from headrace.services.response_cache import ResponseCache
from headrace.services.responses import Responses
from headrace.services.retries import RetryBudget
from headrace.services.route_figures import RouteFigures
from headrace.services.route_preparing import RoutePreparing
from headrace.services.route_questions import RouteQuestions
from headrace.services.routers import Routers
from headrace.services.shadows import Shadows
from headrace.services.snapshots import Snapshots, SnapshotSources, given_credentials
from headrace.services.steadfast import SteadfastLedger
from headrace.services.tally import Tally
from headrace.services.tasks import Tasks
from headrace.services.teams import Teams
from headrace.services.turn_parts import TurnLimits, TurnParts
from headrace.services.usage import UsageReader

OFFLOAD_THREADS = 2
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Platform:
    """What the server and the command line need of the running platform."""

    gateway: AsgiApp
    observer: Observer
    in_flight: InFlight
    tally: Tally
    snapshots: Snapshots
    pulls: Pulls
    weights: WeightsStore
    tasks: Tasks
    shadows: Shadows


@asynccontextmanager
async def open_platform(
    ground: Foundation, options: ServeOptions, environment: Mapping[str, str], logger: Logger
) -> AsyncGenerator[Platform, None]:
    """Build everything, recover the books, load the catalog; close all of it at the end."""
    await ground.ledger.recover()
    tasks = Tasks(lambda name, error: logger.error("task failed", task=name, detail=repr(error)))
    offload = ThreadOffload(OFFLOAD_THREADS)
    weights = WeightsStore(
        ground.home,
        (HttpSource(ground.clock), PackageSource(sys.executable, environment, ground.clock)),
        ground.clock,
        offload,
    )
    compute = _compute(ground, options, environment, logger)
    async with AsyncExitStack() as stack:
        stack.callback(offload.close)
        stack.push_async_callback(compute.close)
        stack.push_async_callback(tasks.close)
        transport = await stack.enter_async_context(Http1Transport(f"headrace/{__version__}"))
        egress = EgressSender(f"headrace/{__version__}", frozenset(options.webhook_hosts), tls=transport.tls)
        await stack.enter_async_context(egress)
        snapshots = _snapshots(ground, options, environment, weights)
        await snapshots.reload()
        await compute.open()
        deployments = EmbeddedDeployments(compute, weights, (CHAT_ENGINE,), tasks)
        await deployments.apply(snapshots.current())
        snapshots.watch(deployments.follow)
        alerting = make_alerting(ground, snapshots, egress)
        machine = _Machine(weights, compute, tasks, offload, transport, snapshots, alerting)
        yield _assemble(ground, options, logger, machine)


@dataclass(frozen=True, slots=True)
class _Machine:
    """The open drivers and what was loaded through them."""

    weights: WeightsStore
    compute: LocalCompute
    tasks: Tasks
    offload: ThreadOffload
    transport: Http1Transport
    snapshots: Snapshots
    alerting: Alerting


@dataclass(frozen=True, slots=True)
class _Asked:
    """Services that both planes are asked for."""

    pulls: Pulls
    responses: Responses
    health: TargetHealth
    planner: Planner
    rates: Limits


def _assemble(ground: Foundation, options: ServeOptions, logger: Logger, machine: _Machine) -> Platform:
    snapshots, tasks = machine.snapshots, machine.tasks
    in_flight, tally = InFlight(), Tally()
    watch = LoopWatch(ground.clock, lambda lag: logger.warning("event loop blocked", seconds=round(lag, 3)))
    tasks.start("loop watch", watch.run())
    health, retries = TargetHealth(BreakerRules(options.limits.breaker_failures)), RetryBudget()
    limits = _limits(snapshots, ground.clock)
    cache = ResponseCache(ground.blobs, ground.identity.fingerprint, ground.clock, is_on=options.response_cache)
    affinity = Affinity(ground.clock, ground.identity.fingerprint)
    figures = RouteFigures()
    encoders = make_encoders(ground, snapshots, machine.weights, machine.offload)
    planner = _planner(ground, machine, encoders, (affinity, health, figures))
    counters = Counters(in_flight, health, retries, limits, snapshots, cache, affinity)
    metrics = PrometheusObserver(gauge_sources(ground, machine.compute, watch, counters))
    turn = TurnParts(
        ledger=SteadfastLedger(ground.ledger, tasks),
        fleet=TargetFleet(machine.compute, frozenset({ENCODER_ENGINE})),
        transport=machine.transport,
        adapters=make_adapters(ground, encoders, machine.offload),
        observer=Observers(
            (metrics, tally, limits, cache, affinity, figures, machine.alerting.errors, LogObserver(logger))
        ),
        clock=ground.clock,
        ids=ground.ids,
        limits=_turn_limits(options),
        health=health,
        retries=retries,
        budgets=_budgets(snapshots),
    )
    edge = EdgeLimits(_hosts(options), options.limits.max_body_bytes)
    door = DoorParts(snapshots, ground.identity, edge, ground.ids, ground.clock, turn.observer)
    pulls = Pulls(machine.weights, snapshots, tasks)
    responses = Responses(ground.blobs, ground.clock, options.limits.keep_responses_days)
    tasks.start("response sweep", responses.sweep_for_ever())
    idempotency = Idempotency(ground.outcomes, tasks, ground.clock, is_on=options.idempotency)
    tasks.start("outcome sweep", idempotency.sweep_for_ever())
    decisions = DecisionSweep(ground.decisions, ground.clock, options.limits.keep_decisions_days)
    tasks.start("decision sweep", decisions.sweep_for_ever())
    shadows = make_shadows(ground, turn, snapshots, tasks, options.limits.keep_decisions_days)
    inference = InferenceParts(
        turn, snapshots, ground.identity, edge, machine.offload, responses, idempotency, limits, cache, planner, shadows
    )
    hot = {route.path: InferenceEndpoint(inference, route) for route in HOT_ROUTES}
    control = _control(ground, options, machine, door, metrics, _Asked(pulls, responses, health, planner, limits))
    others = control_app(control)
    start_alerting(machine.alerting, ground, snapshots, tasks, logger, Doers(control.keys, control.aliases))
    gateway: AsgiApp = Gateway(hot, others, in_flight)
    if options.cors_origins:
        gateway = CrossOrigin(gateway, options.cors_origins)
    return Platform(gateway, turn.observer, in_flight, tally, snapshots, pulls, machine.weights, tasks, shadows)


def _planner(
    ground: Foundation,
    machine: _Machine,
    encoders: Mapping[str, MiniLmEncoder],
    learnt: tuple[Affinity, TargetHealth, RouteFigures],
) -> Planner:
    scorer = ReadyScorer(make_scorer(encoders, ground.home, machine.offload), machine.tasks)
    preparing = RoutePreparing(scorer)
    preparing.follow(machine.snapshots.current())
    machine.snapshots.watch(preparing.follow)
    machine.tasks.start("routers ahead", preparing.run())
    return Planner(Knowledge(scorer, *learnt, ground.clock))


def _limits(snapshots: Snapshots, clock: Clock) -> Limits:
    limits = Limits(clock)
    limits.follow(snapshots.current())
    snapshots.watch(limits.follow)
    return limits


def _budgets(snapshots: Snapshots) -> Budgets:
    budgets = Budgets()
    budgets.follow(snapshots.current())
    snapshots.watch(budgets.follow)
    return budgets


def _control(
    ground: Foundation,
    options: ServeOptions,
    machine: _Machine,
    door: DoorParts,
    metrics: PrometheusObserver,
    asked: _Asked,
) -> ControlParts:
    snapshots = machine.snapshots
    limits = LimitChanges(ground.limits, snapshots, ground.clock)
    heirs = (limits.carry_key, machine.alerting.alerts.carry_key)
    accelerators = AcceleratorFiles(ground.home / ACCELERATORS)
    names, keep_days = asyncio.Lock(), options.limits.keep_decisions_days
    measuring = make_measuring(ground, asked.planner.knowledge, snapshots, machine.offload, keep_days)
    machine.tasks.start("shadow sweep", measuring.shadows.sweep_for_ever())
    return ControlParts(
        door=door,
        keys=Keys(ground.keys, ground.identity, snapshots, ground.clock, heirs),
        credentials=ProviderCredentials(ground.credentials, ground.secrets, snapshots, ground.clock, asked.health),
        aliases=Aliases(ground.aliases, snapshots, ground.clock, names),
        routers=Routers(ground.routers, snapshots, ground.clock, ground.ids, names),
        corrections=Corrections(ground.decisions, ground.routers, snapshots, ground.clock, names),
        replays=measuring.replays,
        savings=measuring.savings,
        shadows=measuring.shadows,
        questions=RouteQuestions(asked.planner),
        rates=asked.rates,
        alerts=machine.alerting.alerts,
        webhooks=machine.alerting.webhooks,
        limits=limits,
        teams=Teams(ground.teams, ground.accounts, snapshots, ground.clock, ground.ids),
        budgets=BudgetBook(ground.budgets, ground.accounts, snapshots, ground.clock, ground.ids),
        responses=asked.responses,
        pulls=asked.pulls,
        receipts=ReceiptReader(ground.receipts),
        reconciliations=Reconciliations(
            ground.reconciliations, ground.booked_usage, snapshots, (ground.clock, ground.ids, machine.offload)
        ),
        usage=UsageReader(ground.usage_reports),
        breakeven=Breakeven(snapshots, accelerators, ground.usage_hours, ground.clock, machine.offload),
        weights=machine.weights,
        compute=machine.compute,
        about=_about(ground),
        reload=snapshots.reload,
        checks={"store": lambda: ground.database.writer.last_error},
        render_metrics=metrics.render,
        metrics_public=options.host in LOOPBACK,
        offload=machine.offload,
    )


def _compute(ground: Foundation, options: ServeOptions, environment: Mapping[str, str], logger: Logger) -> LocalCompute:
    kept = {name: environment[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in environment}
    supervisor = ProcessSupervisor(ground.home, ground.clock, ground.randomness, kept)
    memory_mib = options.limits.engine_memory_mib
    policy = LocalPolicy(memory_bytes=None if memory_mib is None else memory_mib * MIB)
    return LocalCompute(
        {CHAT_ENGINE: LlamaCpp()},
        supervisor,
        ground.clock,
        policy,
        lambda replica: logger.info(
            "replica", replica=replica.id, deployment=replica.deployment, state=replica.state, reason=replica.reason
        ),
    )


def _snapshots(
    ground: Foundation, options: ServeOptions, environment: Mapping[str, str], weights: WeightsStore
) -> Snapshots:
    by_provider = {name: _read_credential(name, file) for name, file in options.credential_files.items()}
    folder = ground.home / "catalog"
    return Snapshots(
        SnapshotSources(
            catalog=CatalogFiles(folder),
            keys=ground.keys,
            credentials=ground.credentials,
            secrets=ground.secrets,
            clock=ground.clock,
            has_weights=lambda file: weights.path(file) is not None,
            given=given_credentials(by_provider, environment),
            catalog_folder=str(folder),
            adapters=ADAPTERS,
            aliases=ground.aliases,
            written_aliases=None if options.config is None else AliasFile(options.config),
            budgets=ground.budgets,
            teams=ground.teams,
            limits=ground.limits,
            routers=ground.routers,
            presets=PresetFiles(folder),
            strengths=StrengthFiles(folder),
        )
    )


def _turn_limits(options: ServeOptions) -> TurnLimits:
    limits = options.limits
    deadlines = Deadlines(
        limits.connect_seconds, limits.first_event_seconds, limits.between_events_seconds, limits.total_seconds
    )
    return TurnLimits(deadlines, limits.engine_wait_seconds, limits.keepalive_seconds)


def _about(ground: Foundation) -> About:
    return About(
        version=__version__,
        commit=None,
        python=platform.python_version(),
        store_schema=REVISIONS[-1],
        store_synchronous=ground.database.writer.synchronous,
        store_library=ground.database.library,
    )


def _hosts(options: ServeOptions) -> frozenset[str]:
    host = f"[{options.host}]" if ":" in options.host else options.host
    names = {"127.0.0.1", "localhost", "[::1]", host, *options.allowed_hosts}
    return frozenset(name.lower() for name in names)


def _read_credential(provider: str, file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{file}: the key of {provider} cannot be read ({error.strerror}).") from error
