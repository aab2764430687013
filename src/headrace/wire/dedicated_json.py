"""Deployments, their tokens, machines and fits as the public contract shows them; reading one is dedicated_body's.

Source: https://github.com/digitalocean/openapi, folder `dedicated_inferences`, by pydo 0.44.0 (read 2026-11-28): names
of fields that exist there are theirs, the other ones stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.accelerator import Machine
from headrace.domain.access import AccessKey
from headrace.domain.dedicated import Deployment, DeploymentStatus, ScaleTarget, Standing, Wanted
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.fit import Fit, FitConfig
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import NANO_PER_USD
from headrace.domain.secret import Secret
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.json_strict import decode_trusted
from headrace.wire.money_json import amount

SPEC_VERSION = 1
CURRENCY = "USD"
_STARTING = frozenset({DeploymentStatus.NEW, DeploymentStatus.PROVISIONING})
_ACCELERATOR_STATUS: Mapping[DeploymentStatus, str] = {
    DeploymentStatus.NEW: "new",
    DeploymentStatus.PROVISIONING: "provisioning",
    DeploymentStatus.ERROR: "provisioning",
}
_REPLICA_STATUS: Mapping[ReplicaState, str] = {
    ReplicaState.STARTING: "provisioning",
    ReplicaState.READY: "active",
    ReplicaState.STOPPING: "deleting",
    ReplicaState.FAILED: "error",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is reached: the server's own host and port, with its path prefix, and by which scheme."""

    scheme: str
    host: str


def deployment_object(deployment: Deployment, slugs: Mapping[str, str], place: Place) -> JsonObject:
    """Return a deployment; `slugs` are the public names of models, where they have one."""
    wanted, status = deployment.wanted, deployment.status
    return {
        "id": deployment.id,
        "name": deployment.name,
        "region": wanted.region,
        "vpc_uuid": wanted.vpc_uuid,
        "status": status.value,
        "reason": deployment.reason or None,
        "retry_at": iso_time_or_none(deployment.retry_at_micros),
        "created_at": iso_time(deployment.created_at_micros),
        "updated_at": iso_time(deployment.updated_at_micros),
        "team": deployment.account,
        "endpoints": _endpoints(deployment, place),
        "spec": spec_object(deployment, wanted, slugs),
        "pending_deployment_spec": _pending(deployment, slugs),
        "price": price_object(deployment.nano_per_hour, deployment.price_source),
    }


def spec_object(deployment: Deployment, wanted: Wanted, slugs: Mapping[str, str]) -> JsonObject:
    """Return a specification of a deployment: the one in force, or another one."""
    return {
        "version": SPEC_VERSION,
        "name": wanted.name,
        "region": wanted.region,
        "vpc": {"uuid": wanted.vpc_uuid},
        "enable_public_endpoint": wanted.enable_public_endpoint,
        "model_deployments": [_model_object(deployment, wanted, slugs)],
    }


def draft_object(wanted: Wanted, fit: Fit, price: tuple[int, str], slugs: Mapping[str, str]) -> JsonObject:
    """Return what a draft comes to: the specification with everything filled in, the fit, and the price of an hour."""
    nano_per_hour, source = price
    unmade = Deployment("", "", wanted, DeploymentStatus.NEW, 0, 0, "", nano_per_hour, source)
    return {
        "spec": spec_object(unmade, wanted, slugs),
        "fit": fit_object(fit),
        "price": price_object(nano_per_hour, source),
        **amount("least_per_hour", nano_per_hour * wanted.min_scale),
        **amount("most_per_hour", nano_per_hour * wanted.max_scale),
    }


def fit_object(fit: Fit) -> JsonObject:
    """Return how a model fits: what needs memory, what there is, and the sentence that says so."""
    return {
        "fits": fit.fits,
        "gpus": fit.gpus,
        "accelerator": fit.accelerator.slug,
        "weight_bytes": fit.weight_bytes,
        "cache_bytes": fit.cache_bytes,
        "overhead_bytes": fit.overhead_bytes,
        "usable_bytes_per_gpu": fit.usable_bytes_per_gpu,
        "context_length": fit.context_length,
        "slots": fit.slots,
        "sentence": fit.sentence,
    }


def price_object(nano_per_hour: int, source: str) -> JsonObject:
    """Return what one replica costs."""
    return {**amount("per_replica_hour", nano_per_hour), "source": source}


def standing_object(standing: Standing, engines: Mapping[str, Mapping[str, float]]) -> JsonObject:
    """Return how a deployment stands now, with what each replica's engine says of itself."""
    return {
        "wanted": standing.wanted,
        "ready": standing.ready,
        "starting": standing.starting,
        "in_flight": standing.in_flight,
        "waiting": standing.waiting,
        "idle_seconds": round(standing.idle_seconds, 3),
        "first_token_ms": standing.first_token_ms,
        "wake_seconds": standing.wake_seconds,
        "engines": [{"replica": name, "figures": {**figures}} for name, figures in engines.items()],
    }


def events_object(events: Iterable[DeploymentEvent]) -> JsonObject:
    """Return what became of a deployment, oldest first."""
    return {
        "events": [
            {
                "at": iso_time(each.at_micros),
                "status": each.status.value,
                "wanted": each.wanted,
                "ready": each.ready,
                "reason": each.reason or None,
            }
            for each in events
        ]
    }


def accelerator_object(replica: Replica, wanted: Wanted) -> JsonObject:
    """Return a replica as the accelerators that it has; what its own process is stands beside that."""
    return {
        "id": replica.id,
        "name": replica.id,
        "slug": wanted.asked_accelerator or wanted.accelerator,
        "role": wanted.accelerator_type,
        "status": _REPLICA_STATUS[replica.state],
        "created_at": iso_time(replica.started_at_micros),
        "ready_at": iso_time_or_none(replica.ready_at_micros),
        "ended_at": iso_time_or_none(replica.ended_at_micros),
        "gpus": wanted.gpus,
        "pid": replica.pid,
        "node": replica.node or None,
        "reason": replica.reason or None,
    }


def token_object(token: AccessKey, deployment: Deployment, secret: Secret | None = None) -> JsonObject:
    """Return a token; `secret` is given only in the reply that makes it. The first one came with the deployment."""
    shown: JsonObject = {
        "id": token.public_id,
        "name": token.name,
        "created_at": iso_time(token.created_at_micros),
        "is_managed": token.created_at_micros <= deployment.created_at_micros,
    }
    return shown if secret is None else {**shown, "value": secret.reveal()}


def logs_object(logs: Mapping[str, Sequence[str]]) -> JsonObject:
    """Return the last lines of each replica."""
    return {"logs": [{"replica": name, "lines": list[JsonValue](lines)} for name, lines in logs.items()]}


def sizes_object(machines: Iterable[Machine]) -> JsonObject:
    """Return the machines with their prices, one entry for each region that the price is known of."""
    sizes: list[JsonValue] = []
    regions: set[str] = set()
    for each in machines:
        named = [name.strip() for name in each.price.regions.split(",") if name.strip()]
        regions.update(named)
        sizes += [_size(each, region) for region in named or [""]]
    return {"enabled_regions": list[JsonValue](sorted(regions)), "sizes": sizes}


def configs_object(configs: Iterable[FitConfig]) -> JsonObject:
    """Return which machines hold which model."""
    return {"gpu_model_configs": [_config(each) for each in configs]}


def _size(machine: Machine, region: str) -> JsonObject:
    return {
        "gpu_slug": machine.name,
        "price_per_hour": _shortest_usd(machine.price.nano_per_hour),
        "region": region,
        "currency": CURRENCY,
        "accelerator": machine.accelerator.slug,
        "gpus": machine.gpus,
        "memory_gb": machine.accelerator.memory_gb,
        "billing": machine.price.billing.value,
        "effective": machine.price.effective,
        "source": machine.price.source,
    }


def _config(config: FitConfig) -> JsonObject:
    return {
        "model_slug": config.slug,
        "model_name": config.name,
        "gpu_slugs": list[JsonValue](config.machines),
        "is_gated_model": config.is_gated,
        "model": config.model,
    }


def _endpoints(deployment: Deployment, place: Place) -> JsonObject:
    """The path is part of the name: clients put a scheme before it and `/v1` behind."""
    own = f"{place.host}/dedicated/{deployment.id}"
    return {
        "public_endpoint_fqdn": own if deployment.wanted.enable_public_endpoint else "",
        "private_endpoint_fqdn": own,
        "base_url": f"{place.scheme}://{own}/v1",
    }


def _pending(deployment: Deployment, slugs: Mapping[str, str]) -> JsonObject | None:
    """What is being rolled out: a change, or the whole of a deployment that is not up yet."""
    wanted, status = deployment.pending, "updating"
    if wanted is None and deployment.status in _STARTING:
        wanted, status = deployment.wanted, "provisioning"
    if wanted is None:
        return None
    return {
        **spec_object(deployment, wanted, slugs),
        "id": deployment.model_deployment_id,
        "status": status,
        "created_at": iso_time(deployment.created_at_micros),
        "updated_at": iso_time(deployment.updated_at_micros),
    }


def _model_object(deployment: Deployment, wanted: Wanted, slugs: Mapping[str, str]) -> JsonObject:
    overflow = wanted.overflow
    return {
        "model_id": deployment.model_deployment_id,
        "model_slug": (slugs.get(wanted.model) if wanted.model_provider else None) or wanted.model,
        "model": wanted.model,
        "model_provider": wanted.model_provider,
        "provider_model_id": wanted.provider_model_id,
        "workload_config": decode_trusted(wanted.workload_config.encode()),
        "accelerators": [_group(deployment, wanted)],
        "driver": wanted.driver,
        "engine": wanted.engine,
        "slots": wanted.slots,
        "context_length": wanted.context_length,
        "target": _target(wanted.target),
        "idle_seconds": wanted.idle_seconds,
        "overflow": None if overflow is None else {"model": overflow.model, "limit": overflow.limit},
        "when_asleep": wanted.when_asleep.value,
        "wait_seconds": wanted.wait_seconds,
    }


def _group(deployment: Deployment, wanted: Wanted) -> JsonObject:
    is_pending = wanted is deployment.pending
    status = "provisioning" if is_pending else _ACCELERATOR_STATUS.get(deployment.status, "active")
    return {
        "accelerator_slug": wanted.asked_accelerator or wanted.accelerator,
        "scale": wanted.max_scale,
        "type": wanted.accelerator_type,
        "status": status,
        "min_scale": wanted.min_scale,
        "max_scale": wanted.max_scale,
        "gpus": wanted.gpus,
    }


def _target(target: ScaleTarget | None) -> JsonObject | None:
    return None if target is None else {"metric": target.metric.value, "value": target.value}


def _shortest_usd(nano: int) -> str:
    whole, fraction = divmod(nano, NANO_PER_USD)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
