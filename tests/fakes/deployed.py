"""Deployments for tests, as they are stored and as a snapshot lists them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.domain.catalog import AVAILABLE, Listed
from headrace.domain.dedicated import DEDICATED, Deployment, DeploymentStatus, Overflow, Wanted, WhenAsleep
from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Target
from headrace.domain.snapshot import Snapshot
from headrace.services.deployed import with_deployments
from headrace.services.fitness import targets_of
from tests.fakes.nouns import PROVIDER, a_model, a_price

# 2026-11-24 12:00 UTC
CREATED_MICROS = 1_795_521_600_000_000
NANO_PER_HOUR = 3_600_000_000
WANTED = Wanted(
    name="prod-llm",
    model="one",
    driver="local",
    engine="vllm",
    accelerator="h100",
    gpus=2,
    min_scale=0,
    max_scale=2,
    slots=2,
    context_length=2048,
    idle_seconds=600,
    wait_seconds=9,
)
TINY: JsonObject = {"model_slug": "tiny", "accelerators": [{"accelerator_slug": "cpu", "min_scale": 0, "max_scale": 2}]}
SPEC = DeploymentSpec(
    id="small",
    model_id="small-model",
    engine="toy",
    driver="local",
    weights=(),
    memory_bytes=100,
    context_length=512,
    slots=2,
    min_replicas=0,
    max_replicas=1,
    idle_seconds=60,
    on_owner_loss=OwnerLoss.KEEP,
)


def a_wanted(
    overflow: str | None = None, limit: int = 4, when_asleep: WhenAsleep = WhenAsleep.WAIT, **fields: Any
) -> Wanted:
    help_ = None if overflow is None else Overflow(overflow, limit)
    return replace(WANTED, overflow=help_, when_asleep=when_asleep, **fields)


def a_deployment(wanted: Wanted = WANTED, deployment_id: str = "dep_1", **fields: Any) -> Deployment:
    deployment = Deployment(
        id=deployment_id,
        account="shop",
        wanted=wanted,
        status=DeploymentStatus.ACTIVE,
        created_at_micros=CREATED_MICROS,
        updated_at_micros=CREATED_MICROS,
        model_deployment_id="md_1",
        nano_per_hour=NANO_PER_HOUR,
        price_source="https://example.com/prices",
    )
    return replace(deployment, **fields)


def catalog_snapshot(*names: str, **fields: Any) -> Snapshot:
    """A snapshot of a catalog with these models, priced by the token."""
    listed = {name: (Listed(a_model(name), a_price(), AVAILABLE),) for name in names}
    return replace(Snapshot(1, listed, {"acme": PROVIDER}, {}), **fields)


def a_deployed_snapshot(*deployments: Deployment, models: tuple[str, ...] = ("one", "two", "three")) -> Snapshot:
    """A snapshot with these deployments beside a catalog."""
    return with_deployments(catalog_snapshot(*models), deployments)


def a_deployed_target(deployment: Deployment | None = None) -> Target:
    """The target that a deployment is under its name."""
    deployment = deployment or a_deployment()
    snapshot = a_deployed_snapshot(deployment)
    [target] = targets_of(snapshot.models[deployment.name][0], snapshot, "named by the caller")
    assert target.provider.name == DEDICATED
    return target


def deployment_body(model: JsonObject = TINY, name: str = "prod", **fields: JsonValue) -> JsonObject:
    """A body that asks the control plane for a deployment; `fields` stand beside its model."""
    return {"spec": {"name": name, "model_deployments": [model], **fields}}


def a_spec(**fields: Any) -> DeploymentSpec:
    """What a driver is told to run; without fields, a small embedded model. As a deployment has it: `spec_of`."""
    return replace(SPEC, **fields)


def spec_of(deployment: Deployment, **fields: Any) -> DeploymentSpec:
    """What a driver is told to run of a deployment."""
    wanted = deployment.wanted
    told = a_spec(
        id=deployment.id,
        model_id=wanted.model,
        engine=wanted.engine,
        driver=wanted.driver,
        memory_bytes=1,
        context_length=wanted.context_length,
        slots=wanted.slots,
        min_replicas=wanted.min_scale,
        max_replicas=wanted.max_scale,
        idle_seconds=wanted.idle_seconds,
        name=wanted.name,
        wanted=wanted,
    )
    return replace(told, **fields)
