"""Deployments in the composition root: compute drivers, what is offered of them, metering, scaling, reconciling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from headrace.app.adapters import CHAT_ENGINE
from headrace.app.foundation import Foundation
from headrace.domain.deployment import Replica
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.errors import DriverUnusable, HeadraceError
from headrace.domain.secret import Secret
from headrace.domain.settings import DriverSettings, ServeOptions
from headrace.drivers.catalogs.accelerators import FILE_NAME as ACCELERATORS
from headrace.drivers.catalogs.accelerators import AcceleratorFiles
from headrace.drivers.catalogs.architectures import FILE_NAME as ARCHITECTURES
from headrace.drivers.catalogs.architectures import ArchitectureFiles
from headrace.drivers.catalogs.engines import EngineFiles
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts
from headrace.drivers.compute.devices import DeviceBook, VendorTools
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.ray.client import ServeApi
from headrace.drivers.compute.ray.compute import RayCompute
from headrace.drivers.compute.ray.config import Naming
from headrace.drivers.compute.ray.parts import RayParts
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.engines.command import CommandEngine
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.drivers.observability.logs import Logger
from headrace.drivers.stores.restored import objection_to_ending
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Compute, Engine, Weights
from headrace.services.autoscaling import Autoscaling
from headrace.services.budgets import Budgets
from headrace.services.computes import Computes
from headrace.services.deployment_choice import DriverOffer, EngineOffer, Offers
from headrace.services.deployment_costs import DeploymentCostReader
from headrace.services.deployment_means import DeploymentMeans
from headrace.services.deployment_specs import DeploymentSpecs
from headrace.services.deployment_tokens import DeploymentTokens
from headrace.services.deployment_trial import DeploymentTrial
from headrace.services.deployments import DeploymentParts, Deployments, model_token_context
from headrace.services.first_tokens import FirstTokens
from headrace.services.fitting import Fitting
from headrace.services.overflowing import Overflowing
from headrace.services.reconciler import Reconciler, ReconcilerParts
from headrace.services.replica_metering import MeteringParts, ReplicaMetering
from headrace.services.replica_prices import ReplicaPrices
from headrace.services.snapshots import Snapshots
from headrace.services.tasks import Tasks
from headrace.services.unknown_replicas import guarded
from headrace.services.waking import Waking

LOCAL, RAY, CLOUD = "local", "ray", "cloud"
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
MIB = 1024 * 1024
INSTALLATION_CHARS = 8


@dataclass(frozen=True, slots=True)
class Books:
    """The files about hardware and models, the shipped ones with the operator's own."""

    accelerators: AcceleratorFiles
    architectures: ArchitectureFiles
    engines: EngineFiles


@dataclass(frozen=True, slots=True)
class Dedicated:
    """What runs deployments, and what the request path asks of it."""

    books: Books
    local: LocalCompute
    cloud: CloudCompute
    ray: RayCompute | None
    computes: Computes
    offers: Offers
    metering: ReplicaMetering
    first_tokens: FirstTokens
    means: DeploymentMeans
    waking: Waking
    overflowing: Overflowing
    budgets: Budgets


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the drivers are built from beside the ground."""

    options: ServeOptions
    environment: Mapping[str, str]
    logger: Logger
    snapshots: Snapshots
    tasks: Tasks
    offload: Offload


async def open_dedicated(ground: Foundation, around: Surroundings, stack: AsyncExitStack) -> Dedicated:
    """Build and open every driver; metering is closed before them, and they before the store."""
    books = Books(
        AcceleratorFiles(ground.home / ACCELERATORS),
        ArchitectureFiles(ground.home / ARCHITECTURES),
        EngineFiles(ground.home / "catalog"),
    )
    told: list[Callable[[Replica], None]] = [_logged(around.logger)]

    def on_change(replica: Replica) -> None:
        for each in told:
            each(replica)

    kept = {name: around.environment[name] for name in PASSED_ON if name in around.environment}
    engines = await asyncio.to_thread(_engines, books, around.environment)
    offered = {name: EngineOffer(needs_files=name == CHAT_ENGINE) for name in engines}
    local = _local(ground, around.options, engines, kept, on_change)
    ray = _ray(ground, around.options.drivers, on_change)
    access = CloudAccess(around.options.drivers.cloud_address, around.options.drivers.cloud_token_file)
    cloud = _cloud(ground, around, access, on_change)
    first_tokens = FirstTokens(ground.clock)
    drivers: dict[str, Compute] = {LOCAL: local, CLOUD: cloud, **({RAY: ray} if ray is not None else {})}
    computes = Computes(drivers, first_tokens.first_token_ms)
    budgets = _budgets(around.snapshots)
    metering = _metering(ground, around, books, computes, budgets)
    told.append(metering.hear)
    stack.push_async_callback(computes.close)
    for each in (local, cloud, ray):
        if each is not None:
            await each.open()
    stack.push_async_callback(metering.close)
    # Replicas that went on have their prices before the first request; what fails here the metering tries again.
    with contextlib.suppress(HeadraceError):
        await metering.recover()
    means = DeploymentMeans(around.snapshots.current, ground.accounts, ground.clock)
    waking = Waking(computes, around.tasks, means.objection)
    return Dedicated(
        books=books,
        local=local,
        cloud=cloud,
        ray=ray,
        computes=computes,
        offers=Offers(_driver_offers(access, ray), offered, LOCAL),
        metering=metering,
        first_tokens=first_tokens,
        means=means,
        waking=waking,
        overflowing=Overflowing(computes.standing, waking.wake),
        budgets=budgets,
    )


@dataclass(frozen=True, slots=True)
class Managed:
    """What deployments are changed with, and what keeps them as they should be."""

    deployments: Deployments
    reconciler: Reconciler
    fitting: Fitting
    costs: DeploymentCostReader


def manage(
    ground: Foundation, around: Surroundings, dedicated: Dedicated, turn: asyncio.Lock, weights: Weights
) -> Managed:
    """Build what changes deployments, and begin to reconcile and to meter; `turn` is held by changes of any name."""
    snapshots, books = around.snapshots, dedicated.books
    fitting = Fitting(books.architectures, books.accelerators)
    deployments = Deployments(
        DeploymentParts(
            store=ground.deployments,
            snapshots=snapshots,
            trial=DeploymentTrial(
                fitting, (books.accelerators, books.architectures), dedicated.offers, ground.clock, around.offload
            ),
            tokens=DeploymentTokens(ground.keys, ground.identity, snapshots, ground.clock),
            secrets=ground.secrets,
            clock=ground.clock,
            ids=ground.ids,
            turn=turn,
            wake=lambda: reconciler.wake(),
        )
    )
    reconciler = _reconciler(ground, around, dedicated, deployments, weights)
    around.tasks.start("replica metering", dedicated.metering.run())
    around.tasks.start("prices of deployments", deployments.follow_prices())
    around.tasks.start("reconciler", _reconcile(deployments, reconciler, snapshots))
    costs = DeploymentCostReader(ground.replica_runs, ground.deployment_use, snapshots, ground.clock)
    return Managed(deployments, reconciler, fitting, costs)


async def _reconcile(deployments: Deployments, reconciler: Reconciler, snapshots: Snapshots) -> None:
    """Look up public names of models first: an engine that fetches its weights needs them from the first look on."""
    await deployments.trial.slugs(snapshots.current())
    await reconciler.run()


def _reconciler(
    ground: Foundation, around: Surroundings, dedicated: Dedicated, deployments: Deployments, weights: Weights
) -> Reconciler:
    computes, snapshots = dedicated.computes, around.snapshots
    far_away = [dedicated.cloud, *([] if dedicated.ray is None else [dedicated.ray])]
    objection = objection_to_ending(ground.home)
    if objection is not None:
        around.logger.warning("home restored", message=objection)
    return Reconciler(
        ReconcilerParts(
            deployments=deployments,
            compute=computes,
            specs=DeploymentSpecs(snapshots.current, weights, lambda model: deployments.trial.known_slugs().get(model)),
            autoscaling=Autoscaling(
                computes, ground.clock, lambda name: computes.driver(name).scales_itself, dedicated.means.objection
            ),
            tasks=around.tasks,
            clock=ground.clock,
            report=_reported(around.logger),
            end_unknown=[
                dedicated.local.end_unknown,
                *(guarded(each.end_unknown, lambda: objection_to_ending(ground.home)) for each in far_away),
            ],
        )
    )


def _engines(books: Books, environment: Mapping[str, str]) -> Mapping[str, Engine]:
    """Return every engine by its name; those of files pass on of the environment what their file names."""
    commands = [CommandEngine(each, environment) for each in books.engines.read()]
    return {CHAT_ENGINE: LlamaCpp(), **{each.name: each for each in commands}}


def _budgets(snapshots: Snapshots) -> Budgets:
    budgets = Budgets()
    budgets.follow(snapshots.current())
    snapshots.watch(budgets.follow)
    return budgets


def _local(
    ground: Foundation,
    options: ServeOptions,
    engines: Mapping[str, Engine],
    environment: Mapping[str, str],
    on_change: Callable[[Replica], None],
) -> LocalCompute:
    memory_mib = options.limits.engine_memory_mib
    policy = LocalPolicy(
        memory_bytes=None if memory_mib is None else memory_mib * MIB,
        devices=DeviceBook(VendorTools(environment.get("PATH")), options.drivers.local_devices),
    )
    supervisor = ProcessSupervisor(ground.home, ground.clock, ground.randomness, environment)
    return LocalCompute(engines, supervisor, ground.clock, policy, on_change)


def _ray(ground: Foundation, settings: DriverSettings, on_change: Callable[[Replica], None]) -> RayCompute | None:
    if settings.ray_address is None:
        return None
    parts = RayParts(
        serve=ServeApi(settings.ray_address, settings.ray_token_file),
        clock=ground.clock,
        naming=Naming(f"headrace-{_installation(ground)}"),
        secret_of=lambda deployment: Secret(ground.identity.fingerprint(f"ray/{deployment}".encode())),
        on_change=on_change,
    )
    return RayCompute(parts)


def _cloud(
    ground: Foundation, around: Surroundings, access: CloudAccess, on_change: Callable[[Replica], None]
) -> CloudCompute:
    def model_token(deployment_id: str) -> Secret | None:
        deployment = around.snapshots.current().deployments.get(deployment_id)
        if deployment is None or deployment.sealed_model_token is None:
            return None
        plain = ground.secrets.open(model_token_context(deployment_id), deployment.sealed_model_token)
        return Secret(plain.decode())

    parts = CloudParts(
        client=CloudClient(access, ground.clock),
        notes=CloudNotes(ground.blobs),
        clock=ground.clock,
        on_change=on_change,
        model_token=model_token,
    )
    return CloudCompute(parts, _installation(ground))


def _metering(
    ground: Foundation, around: Surroundings, books: Books, computes: Computes, budgets: Budgets
) -> ReplicaMetering:
    snapshots = around.snapshots
    return ReplicaMetering(
        MeteringParts(
            runs=ground.replica_runs,
            deployment=lambda deployment_id: snapshots.current().deployments.get(deployment_id),
            price=ReplicaPrices(books.accelerators, around.offload).price,
            scopes=budgets.paying,
            observe=computes.observe,
            clock=ground.clock,
            ids=ground.ids,
            on_failure=lambda name, error: around.logger.error("task failed", task=name, detail=repr(error)),
        )
    )


def _driver_offers(access: CloudAccess, ray: RayCompute | None) -> Mapping[str, DriverOffer]:
    return {
        LOCAL: DriverOffer(_nothing_missing),
        RAY: DriverOffer(_no_ray if ray is None else _nothing_missing, scales_by_first_token=False),
        CLOUD: DriverOffer(access.check, runs_engines=False),
    }


def _nothing_missing() -> None:
    """Find nothing missing."""


def _no_ray() -> None:
    raise DriverUnusable("There is no Ray cluster: set ray_address in [drivers] to its dashboard's, see docs/ray.md.")


def _installation(ground: Foundation) -> str:
    """Return what tells this home's deployments from those of others in one cluster or cloud."""
    return ground.identity.fingerprint(b"installation")[:INSTALLATION_CHARS]


def _logged(logger: Logger) -> Callable[[Replica], None]:
    return lambda replica: logger.info(
        "replica", replica=replica.id, deployment=replica.deployment, state=replica.state, reason=replica.reason
    )


def _reported(logger: Logger) -> Callable[[DeploymentEvent], None]:
    return lambda event: logger.info(
        "deployment",
        deployment=event.name,
        status=event.status,
        wanted=event.wanted,
        ready=event.ready,
        reason=event.reason,
    )
