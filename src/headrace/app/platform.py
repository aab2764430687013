"""The running platform: every service and driver built, opened and closed in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace import __version__
from headrace.app.adapters import ADAPTERS, CHAT_ENGINE, ENCODER_ENGINE, make_adapters, make_encoders
from headrace.app.alerting import Doers, make_alerting, start_alerting
from headrace.app.control import make_control
from headrace.app.dedicated import Dedicated, Surroundings, manage, open_dedicated
from headrace.app.deployments import EmbeddedDeployments
from headrace.app.foundation import Foundation
from headrace.app.gauges import Counters, gauge_sources
from headrace.app.machine import Asked, Machine
from headrace.app.measuring import make_shadows
from headrace.app.scoring import make_scorer
from headrace.cli.config import AliasFile
from headrace.domain.errors import ConfigInvalid
from headrace.domain.health import BreakerRules
from headrace.domain.plan import Deadlines
from headrace.domain.settings import ServeOptions
from headrace.drivers.ambient import ThreadOffload
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.catalogs.presets import PresetFiles
from headrace.drivers.catalogs.strengths import StrengthFiles
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.observability.log_observer import LogObserver, Observers
from headrace.drivers.observability.logs import Logger
from headrace.drivers.observability.prometheus_observer import PrometheusObserver
from headrace.drivers.transports.egress import EgressSender
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.drivers.weights.file_source import FileSource
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from headrace.http.control.app import control_app
from headrace.http.cors import CrossOrigin
from headrace.http.dedicated import OwnEndpoints
from headrace.http.door import DoorParts
from headrace.http.edge import EdgeLimits
from headrace.http.gateway import AsgiApp, Gateway, InFlight
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.inference import InferenceEndpoint, InferenceParts
from headrace.ports.ambient import Clock
from headrace.ports.observer import Observer
from headrace.services.affinity import Affinity
from headrace.services.decision_sweep import DecisionSweep
from headrace.services.fleet import TargetFleet
from headrace.services.health import TargetHealth
from headrace.services.idempotency import Idempotency
from headrace.services.limits import Limits
from headrace.services.loop_watch import LoopWatch
from headrace.services.planning import Knowledge, Planner
from headrace.services.pulls import Pulls
from headrace.services.ready_scorer import ReadyScorer
from headrace.services.response_cache import ResponseCache
from headrace.services.responses import Responses
from headrace.services.retries import RetryBudget
from headrace.services.route_figures import RouteFigures
from headrace.services.route_preparing import RoutePreparing
from headrace.services.shadows import Shadows
from headrace.services.snapshots import Snapshots, SnapshotSources, given_credentials
from headrace.services.steadfast import SteadfastLedger
from headrace.services.tally import Tally
from headrace.services.tasks import Tasks
from headrace.services.turn_parts import TurnLimits, TurnParts

OFFLOAD_THREADS = 2
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


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
    preparing: RoutePreparing


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
        (FileSource(), HttpSource(ground.clock), PackageSource(sys.executable, environment, ground.clock)),
        ground.clock,
        offload,
    )
    async with AsyncExitStack() as stack:
        stack.callback(offload.close)
        transport = await stack.enter_async_context(Http1Transport(f"headrace/{__version__}"))
        egress = EgressSender(f"headrace/{__version__}", frozenset(options.webhook_hosts), tls=transport.tls)
        await stack.enter_async_context(egress)
        snapshots = _snapshots(ground, options, environment, weights)
        await snapshots.reload()
        around = Surroundings(options, environment, logger, snapshots, tasks, offload)
        dedicated = await open_dedicated(ground, around, stack)
        stack.push_async_callback(tasks.close)
        own_models = EmbeddedDeployments(dedicated.computes, weights, (CHAT_ENGINE,), tasks)
        await own_models.apply(snapshots.current())
        snapshots.watch(own_models.follow)
        alerting = make_alerting(ground, snapshots, egress)
        yield _assemble(ground, options, logger, Machine(weights, dedicated, around, transport, alerting))


def _assemble(ground: Foundation, options: ServeOptions, logger: Logger, machine: Machine) -> Platform:
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
    planner, preparing = _planner(ground, machine, encoders, (affinity, health, figures))
    counters = Counters(in_flight, health, retries, limits, snapshots, cache, affinity)
    metrics = PrometheusObserver(gauge_sources(ground, machine.dedicated.computes, watch, counters))
    heard = metrics, tally, limits, cache, affinity, figures, machine.dedicated.first_tokens, machine.alerting.errors
    turn = TurnParts(
        ledger=SteadfastLedger(ground.ledger, tasks),
        fleet=_fleet(machine.dedicated),
        transport=machine.transport,
        adapters=make_adapters(ground, encoders, machine.offload),
        observer=Observers((*heard, LogObserver(logger))),
        clock=ground.clock,
        ids=ground.ids,
        limits=_turn_limits(options),
        health=health,
        retries=retries,
        budgets=machine.dedicated.budgets,
    )
    edge = EdgeLimits(_hosts(options), options.limits.max_body_bytes)
    door = DoorParts(snapshots, ground.identity, edge, ground.ids, ground.clock, turn.observer)
    pulls = Pulls(machine.weights, snapshots, tasks)
    responses, idempotency = _kept(ground, options, tasks)
    shadows = make_shadows(ground, turn, snapshots, tasks, options.limits.keep_decisions_days)
    inference = InferenceParts(
        turn, snapshots, ground.identity, edge, machine.offload, responses, idempotency, limits, cache, planner, shadows
    )
    hot = {route.path: InferenceEndpoint(inference, route) for route in HOT_ROUTES}
    names = asyncio.Lock()
    managed = manage(ground, machine.around, machine.dedicated, names, machine.weights)
    asked = Asked(pulls, responses, health, planner, limits, managed)
    control = make_control(ground, options, machine, (door, metrics, names), asked)
    others = control_app(control)
    start_alerting(machine.alerting, ground, snapshots, tasks, logger, Doers(control.keys, control.aliases))
    own = OwnEndpoints(inference, managed.deployments.trial.known_slugs)
    gateway: AsgiApp = Gateway(hot, others, in_flight, own.find)
    if options.cors_origins:
        gateway = CrossOrigin(gateway, options.cors_origins)
    return Platform(
        gateway, turn.observer, in_flight, tally, snapshots, pulls, machine.weights, tasks, shadows, preparing
    )


def _fleet(dedicated: Dedicated) -> TargetFleet:
    in_process, means = frozenset({ENCODER_ENGINE}), dedicated.means
    hourly = dedicated.metering.nano_per_hour
    return TargetFleet(dedicated.computes, in_process, dedicated.waking.wake, objection=means.objection, hourly=hourly)


def _kept(ground: Foundation, options: ServeOptions, tasks: Tasks) -> tuple[Responses, Idempotency]:
    """Build what keeps things for a while, and begin to sweep away what is past its time."""
    responses = Responses(ground.blobs, ground.clock, options.limits.keep_responses_days)
    tasks.start("response sweep", responses.sweep_for_ever())
    idempotency = Idempotency(ground.outcomes, tasks, ground.clock, is_on=options.idempotency)
    tasks.start("outcome sweep", idempotency.sweep_for_ever())
    decisions = DecisionSweep(ground.decisions, ground.clock, options.limits.keep_decisions_days)
    tasks.start("decision sweep", decisions.sweep_for_ever())
    return responses, idempotency


def _planner(
    ground: Foundation,
    machine: Machine,
    encoders: Mapping[str, MiniLmEncoder],
    learnt: tuple[Affinity, TargetHealth, RouteFigures],
) -> tuple[Planner, RoutePreparing]:
    scorer = ReadyScorer(make_scorer(encoders, ground.home, machine.offload), machine.tasks)
    preparing = RoutePreparing(scorer)
    preparing.follow(machine.snapshots.current())
    machine.snapshots.watch(preparing.follow)
    return Planner(Knowledge(scorer, *learnt, ground.clock, machine.dedicated.overflowing)), preparing


def _limits(snapshots: Snapshots, clock: Clock) -> Limits:
    limits = Limits(clock)
    limits.follow(snapshots.current())
    snapshots.watch(limits.follow)
    return limits


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
            deployments=ground.deployments,
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


def _hosts(options: ServeOptions) -> frozenset[str]:
    host = f"[{options.host}]" if ":" in options.host else options.host
    names = {"127.0.0.1", "localhost", "[::1]", host, *options.allowed_hosts}
    return frozenset(name.lower() for name in names)


def _read_credential(provider: str, file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{file}: the key of {provider} cannot be read ({error.strerror}).") from error
