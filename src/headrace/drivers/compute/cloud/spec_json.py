"""A deployment in the words of the public contract: what is sent to the cloud, and whether that changes anything; pure.

Source: https://github.com/digitalocean/openapi, specification/resources/dedicated_inferences (read 2026-11-28).
"""

from __future__ import annotations

from headrace.domain.dedicated import Wanted
from headrace.domain.deployment import DeploymentSpec
from headrace.domain.errors import EngineFailed
from headrace.domain.json_value import JsonObject
from headrace.drivers.compute.cloud.replies import CloudPlan
from headrace.wire.json_strict import decode_trusted, is_object

SPEC_VERSION = 1
DEFAULT_PROVIDER = "hugging_face"


def public_plan(spec: DeploymentSpec, replicas: int) -> CloudPlan:
    """Return what should run at the cloud; raises EngineFailed for what its contract has no words for."""
    wanted = _wanted(spec)
    if not wanted.enable_public_endpoint:
        raise EngineFailed(
            f'"{wanted.name}" has no public endpoint, by which alone the cloud driver reaches it. Set'
            " enable_public_endpoint to true."
        )
    slug = spec.source or wanted.model
    if slug.startswith(("/", ".", "~")):
        raise EngineFailed(
            f'"{slug}" is a folder of this machine; the cloud fetches models by their public name. Deploy a model of'
            " the catalog that has one."
        )
    return CloudPlan(
        model_slug=slug,
        model_provider=wanted.model_provider or DEFAULT_PROVIDER,
        provider_model_id=wanted.provider_model_id,
        workload_config=_workload(wanted),
        accelerator_slug=wanted.asked_accelerator or wanted.accelerator,
        accelerator_type=wanted.accelerator_type,
        scale=replicas,
        region=wanted.region,
    )


def public_spec(spec: DeploymentSpec, plan: CloudPlan, name: str, model_id: str = "") -> JsonObject:
    """Return the body's `spec`; `model_id` is the cloud's of a model that runs already, empty for a new one."""
    wanted = _wanted(spec)
    model: JsonObject = {
        "model_id": model_id,
        "model_slug": plan.model_slug,
        "model_provider": plan.model_provider,
        "workload_config": plan.workload_config,
        "accelerators": [
            {"accelerator_slug": plan.accelerator_slug, "scale": plan.scale, "type": plan.accelerator_type}
        ],
    }
    if plan.provider_model_id:
        model["provider_model_id"] = plan.provider_model_id
    body: JsonObject = {
        "version": SPEC_VERSION,
        "name": name,
        "region": plan.region,
        "enable_public_endpoint": True,
        "model_deployments": [model],
    }
    if wanted.vpc_uuid:
        body["vpc"] = {"uuid": wanted.vpc_uuid}
    return body


def changes_anything(there: CloudPlan, asked: CloudPlan) -> bool:
    """Whether the cloud has to be told; raises EngineFailed for what cannot change there."""
    if asked.region and there.region and asked.region != there.region:
        raise EngineFailed(
            f'The deployment runs in the region "{there.region}" and cannot move to "{asked.region}". Delete it and'
            " create another one."
        )
    return _comparable(there) != _comparable(asked)


def _comparable(plan: CloudPlan) -> tuple[object, ...]:
    return (
        plan.model_slug,
        plan.model_provider or DEFAULT_PROVIDER,
        plan.provider_model_id,
        plan.workload_config,
        plan.accelerator_slug,
        plan.accelerator_type,
        plan.scale,
    )


def _wanted(spec: DeploymentSpec) -> Wanted:
    if spec.wanted is None:
        raise EngineFailed(f'"{spec.id}" is a model of this machine, which the cloud driver cannot run.')
    return spec.wanted


def _workload(wanted: Wanted) -> JsonObject:
    value = decode_trusted(wanted.workload_config.encode())
    return value if is_object(value) else {}
