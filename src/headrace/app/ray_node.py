"""The composition root of one replica on a node of a Ray cluster; the only module that knows Ray.

Ray Serve imports it on the node by the path that the gateway's `ray` driver writes.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import msgspec

from headrace.cli.environment import Environment, snapshot
from headrace.cli.options import home_of
from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import EngineFailed
from headrace.drivers.ambient import OsRandomness, SystemClock, ThreadOffload
from headrace.drivers.catalogs.engines import EngineFiles
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.compute.ray.config import DEPLOYMENT
from headrace.drivers.compute.ray.node_replica import NodeParts, NodeReplica
from headrace.drivers.compute.ray.order import LOG_FOLDER, ReplicaOrder, WeightsOrder, read_order, replica_name
from headrace.drivers.compute.ray.relay import Relay
from headrace.drivers.compute.replica_file import read_states
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.engines.command import CommandEngine
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Engine, Progress
from headrace.services.catalog import build_catalog

ENGINE_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME")
SERVE_LOG = "ray.serve"
# What the engine still said is passed on first.
LAST_WORDS_SECONDS = 0.25


class _Deployment(Protocol):
    def bind(self, order: object) -> object: ...


class _Context(Protocol):
    replica_tag: str


class _Serve(Protocol):
    """The part of `ray.serve` that is used here; it is imported on nodes only."""

    def ingress(self) -> Callable[[type], type]: ...

    def deployment(self, *, name: str) -> Callable[[type], _Deployment]: ...

    def get_replica_context(self) -> _Context: ...


class _Runtime(Protocol):
    def get_accelerator_ids(self) -> Mapping[str, list[str]]: ...


class _Ray(Protocol):
    def get_runtime_context(self) -> _Runtime: ...


class ServeReplica:
    """The class that Ray Serve makes replicas of: each owns one engine and is the relay to it."""

    async def __init__(self, order: object) -> None:
        """Start the engine and return when it answers; Ray Serve awaits this."""
        read = read_order(order)
        home = home_of(None, Environment(snapshot()))
        self._replica = NodeReplica(read, _node_parts(home, _serve().get_replica_context().replica_tag))
        await self._replica.start()
        self._ending = asyncio.get_running_loop().create_task(self._end_with_engine())

    async def _end_with_engine(self) -> None:
        """End this process when its engine has ended.

        Ray keeps requests for a new replica as soon as the process is gone; a failed health check it believes only the
        third time, and gives requests to the replica until then.
        """
        how = await self._replica.ended()
        logging.getLogger(SERVE_LOG).error("The engine has ended, and this replica with it: %s", how)
        await asyncio.sleep(LAST_WORDS_SECONDS)
        os._exit(1)

    def __serve_build_asgi_app__(self) -> Relay:
        """Return what answers requests."""
        return self._replica.relay

    async def check_health(self) -> None:
        """Raise when the replica must be replaced; Ray Serve calls it periodically."""
        await self._replica.check()

    async def __del__(self) -> None:
        """End the engine; Ray Serve awaits this when a replica has drained."""
        await self._replica.stop()


def application(args: dict[str, object]) -> object:
    """Return the application of one deployment: what Ray Serve calls with the arguments of its configuration."""
    order = read_order(args)
    serve = _serve()
    return serve.deployment(name=DEPLOYMENT)(serve.ingress()(ServeReplica)).bind(msgspec.to_builtins(order))


def _node_parts(home: Path, tag: str) -> NodeParts:
    clock, environment, name = SystemClock(), snapshot(), replica_name(tag)
    logs, run = _ray_logs() / LOG_FOLDER, home / "ray" / name
    _sweep(run.parent)
    logs.mkdir(parents=True, exist_ok=True)
    run.mkdir(mode=0o700, parents=True)
    (run / "logs").symlink_to(logs)
    kept = {key: environment[key] for key in ENGINE_VARIABLES if key in environment}
    offload = ThreadOffload(1)
    sources = (HttpSource(clock), PackageSource(sys.executable, environment, clock))
    store = WeightsStore(home, sources, clock, offload)
    return NodeParts(
        name=name,
        engines=_engines(home, environment),
        supervisor=ProcessSupervisor(run, clock, OsRandomness(), kept),
        weights=NodeWeights(home, store).of,
        clock=clock,
        facts=logs / f"{name}.json",
        devices=_devices(),
    )


class NodeWeights:
    """Finds an order's weights on this node, or fetches them by their sha256."""

    def __init__(self, home: Path, store: WeightsStore) -> None:
        self._home = home
        self._store = store

    async def of(self, order: ReplicaOrder) -> tuple[Path, ...]:
        """Return where each file lies; raises EngineFailed naming what is missing, UpstreamUnavailable."""
        return tuple([await self._one(each) for each in order.weights])

    async def _one(self, order: WeightsOrder) -> Path:
        places = [Path(order.path)]
        if order.sha256:
            places.insert(0, self._home / "weights" / "sha256" / order.sha256[:2] / order.sha256)
        for place in places:
            if place.is_file():
                return place
        file = self._known(order.sha256) if order.sha256 else None
        if file is None:
            raise EngineFailed(
                f"The weights {order.path} are not on this node, and its catalog has none of this sha256. Put them"
                f" there, or add the model to {self._home / 'catalog'} on every node."
            )
        return await self._store.pull(file, _ignore)

    def _known(self, sha256: str) -> WeightsFile | None:
        catalog = build_catalog(CatalogFiles(self._home / "catalog").read())
        files = (
            file
            for models in catalog.models.values()
            for model in models
            if model.local is not None
            for file in model.local.weights
            if file.sha256 == sha256
        )
        return next(files, None)


def _engines(home: Path, environment: Mapping[str, str]) -> Mapping[str, Engine]:
    commands = EngineFiles(home / "catalog").read()
    engines: tuple[Engine, ...] = (LlamaCpp(), *(CommandEngine(each, environment) for each in commands))
    return {each.name: each for each in engines}


def _devices() -> tuple[int, ...]:
    """Return the numbers of the accelerators that the cluster gave to this replica."""
    ray = cast("_Ray", importlib.import_module("ray"))
    given = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return tuple(int(each) for each in given if each.isdecimal())


def _ray_logs() -> Path:
    """Return the folder of Ray's logs on this node, which the cluster's dashboard reads: that of Serve's own log."""
    for handler in logging.getLogger(SERVE_LOG).handlers:
        file = getattr(getattr(handler, "target", handler), "baseFilename", None)
        if isinstance(file, str):
            return Path(file).parent.parent
    raise EngineFailed("Ray Serve keeps no log file in this process; logs of engines could not be shown.")


def _sweep(folder: Path) -> None:
    """Remove what replicas left that were killed together with the process above their engine."""
    for each in folder.glob("ray-*"):
        states = [state for _, state in read_states(each)]
        if states and not any(state is not None and (state.warden.alive or state.engine.alive) for state in states):
            shutil.rmtree(each, ignore_errors=True)


def _serve() -> _Serve:
    return cast("_Serve", importlib.import_module("ray.serve"))


def _ignore(_progress: Progress) -> None:
    return None
