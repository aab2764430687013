"""From a deployment to the declarative configuration of its Ray Serve application, and back to its name; pure.

Source of the fields: https://docs.ray.io/en/latest/serve/api/doc/ray.serve.schema.ServeDeploySchema.html
(read 2026-11-28; version 2.60).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from headrace.domain.dedicated import ScalingMetric
from headrace.domain.deployment import DeploymentSpec
from headrace.domain.errors import EngineFailed
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.secret import Secret
from headrace.drivers.compute.ray.cluster import Cluster
from headrace.drivers.compute.ray.order import order_of
from headrace.wire.json_strict import decode_trusted

IMPORT_PATH = "headrace.app.ray_node:application"
# The name of the one Serve deployment within each application.
DEPLOYMENT = "replica"
# What Ray's dashboard shows in the place of values that it hides.
REDACTED = "<redacted>"
NEVER_SECONDS = 10 * 365 * 24 * 3600
# How Ray calls the accelerators that it finds on a node. Source: ray/util/accelerators/accelerators.py and
# ray/_private/accelerators/nvidia_gpu.py of version 2.60 (read 2026-11-28).
ACCELERATOR_TYPES: Mapping[str, str] = {
    "b300": "B300",
    "h100": "H100",
    "h200": "H200",
    "l40s": "L40S",
    "mi300x": "AMD-Instinct-MI300X-OAM",
    "mi325x": "AMD-Instinct-MI325X-OAM",
    "mi350x": "AMD-Instinct-MI350X-OAM",
    "mi355x": "AMD-Instinct-MI355X-OAM",
    "rtx-4000-ada": "RTX-4000",
    "rtx-6000-ada": "RTX-6000",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class ServePolicy:
    """How deployments are run by Ray Serve; times in seconds.

    `http_host` and `http_port` are where its proxies listen when this driver is the first to start Serve. A replica
    reserves `cpus` beside its accelerators. A replica that ends has `drain_seconds` for its requests. More replicas are
    asked for after `up_seconds` above the target, fewer after `down_seconds` below it.
    """

    http_host: str = "0.0.0.0"  # noqa: S104 - gateways on other machines reach the proxies; requests need a secret
    http_port: int = 8000
    cpus: float = 1.0
    drain_seconds: float = 600.0
    health_period_seconds: float = 5.0
    health_timeout_seconds: float = 35.0
    up_seconds: float = 2.0
    down_seconds: float = 60.0
    look_back_seconds: float = 11.0


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of this installation's applications in a cluster that others use too."""

    prefix: str

    def application(self, deployment: str) -> str:
        """Return the name of a deployment's application; raises EngineFailed for an id that cannot be part of one."""
        if _NAME.fullmatch(deployment) is None:
            raise EngineFailed(f'"{deployment}" cannot be part of the name of a Ray Serve application.')
        return f"{self.prefix}-{deployment}"

    def route(self, deployment: str) -> str:
        """Return the route prefix of a deployment's application."""
        return f"/{self.application(deployment)}"

    def deployment(self, application: str) -> str | None:
        """Return which deployment an application runs, None for one of somebody else."""
        lead = f"{self.prefix}-"
        return application.removeprefix(lead) if application.startswith(lead) else None


def application_config(
    spec: DeploymentSpec, secret: Secret, naming: Naming, policy: ServePolicy, *, is_ending: bool = False
) -> JsonObject:
    """Return the configuration of one application; one that is ending loses its replicas as soon as they are idle.

    Only a change of `args` replaces replicas; every other change leaves them running.
    """
    replica: JsonObject = {
        "name": DEPLOYMENT,
        "max_ongoing_requests": max(1, spec.slots),
        "autoscaling_config": _autoscaling(spec, policy, is_ending=is_ending),
        "graceful_shutdown_timeout_s": policy.drain_seconds,
        "graceful_shutdown_wait_loop_s": 1.0,
        "health_check_period_s": policy.health_period_seconds,
        "health_check_timeout_s": policy.health_timeout_seconds,
        "max_surge_percent": 1,
        "ray_actor_options": _resources(spec, policy),
    }
    # By way of its bytes: the dashboard answers with lists, which tuples do not equal.
    order = decode_trusted(msgspec.json.encode(order_of(spec, secret)))
    return {
        "name": naming.application(spec.id),
        "route_prefix": naming.route(spec.id),
        "import_path": IMPORT_PATH,
        "args": order,
        "deployments": [replica],
    }


def _resources(spec: DeploymentSpec, policy: ServePolicy) -> JsonObject:
    resources: JsonObject = {"num_cpus": policy.cpus, "num_gpus": spec.gpus}
    if spec.memory_bytes:
        resources["memory"] = spec.memory_bytes
    kind = ACCELERATOR_TYPES.get(spec.accelerator)
    if spec.gpus and kind is not None:
        resources["accelerator_type"] = kind
    return resources


def _autoscaling(spec: DeploymentSpec, policy: ServePolicy, *, is_ending: bool) -> JsonObject:
    target = spec.wanted.target if spec.wanted is not None else None
    ongoing = target.value if target is not None and target.metric is ScalingMetric.QUEUE_DEPTH else spec.slots
    return {
        "min_replicas": 0 if is_ending else spec.min_replicas,
        "max_replicas": max(1, spec.max_replicas),
        "target_ongoing_requests": max(1, ongoing),
        "upscale_delay_s": policy.up_seconds,
        "downscale_delay_s": 0.0 if is_ending else policy.down_seconds,
        "downscale_to_zero_delay_s": 0.0 if is_ending else float(spec.idle_seconds or NEVER_SECONDS),
        "look_back_period_s": policy.look_back_seconds,
    }


def is_within(wanted: JsonValue, found: JsonValue) -> bool:
    """Whether everything that is wanted stands in what was found, which may say more."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and is_within(value, found[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(is_within(one, other) for one, other in zip(wanted, found, strict=True))
        )
    return wanted == found


def serve_config(cluster: Cluster, applications: Sequence[JsonObject], policy: ServePolicy) -> JsonObject:
    """Return the whole declarative configuration: Serve removes what was in the last one and is not in this one.

    How Serve runs in the cluster already is kept as it is. Raises EngineFailed where the dashboard hides parts of
    others' configurations, which would be lost.
    """
    if REDACTED in str(applications):
        raise EngineFailed(
            "Ray's dashboard hides environment variables of applications in this cluster, so that they cannot be kept"
            " as they are. Set RAY_DASHBOARD_REDACT_RUNTIME_ENV=0 on the head."
        )
    started: JsonObject = {
        "proxy_location": "EveryNode",
        "http_options": {"host": policy.http_host, "port": policy.http_port},
    }
    return {**started, **cluster.options, "applications": list(applications)}
