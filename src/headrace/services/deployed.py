"""Deployments as models: what a snapshot lists of each under its name, made of the catalog's entry for what it runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from headrace.domain.catalog import AVAILABLE, Availability, Listed, LocalRunning, Model, ModelKind, Provider, Quirks
from headrace.domain.dedicated import DEDICATED, Deployment, DeploymentStatus
from headrace.domain.price import PriceVersion
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import TEXT_CLASSES
from headrace.services.price_versions import rates_digest

NO_MODEL = "no_model"
PAID_BY_TIME = "paid by the replica-second"
DEFAULT_OUTPUT_TOKENS = 4_096
MICROS_PER_SECOND = 1_000_000

# Engines speak OpenAI's dialect; an engine with an adapter of its own is asked by that. Addresses come with each lease.
_PROVIDER = Provider(
    name=DEDICATED,
    display_name="Dedicated",
    adapter="openai",
    base_url="deployment:",
    auth="none",
    auth_header="",
    docs_url="",
    checked_on="",
    quirks=Quirks(cap_field="max_tokens"),
)


def with_deployments(snapshot: Snapshot, deployments: Sequence[Deployment]) -> Snapshot:
    """Return the snapshot with these deployments among its models, but for those that are being deleted.

    A name that is a catalog model's too means the deployment.
    """
    if not deployments:
        return snapshot
    callable_now = [each for each in deployments if each.status is not DeploymentStatus.DELETING]
    listed = {each.name: (list_deployment(each, snapshot.models.get(each.wanted.model, ())),) for each in callable_now}
    return replace(
        snapshot,
        models=MappingProxyType({**snapshot.models, **listed}),
        providers=MappingProxyType({**snapshot.providers, DEDICATED: _PROVIDER}),
        deployments=_by_id(deployments),
    )


def list_deployment(deployment: Deployment, entries: Iterable[Listed]) -> Listed:
    """Return a deployment as the model that it runs, in its own sizes, for nothing a token.

    `entries` are the catalog's of that model; what is in no catalog any more cannot be called.
    """
    models = [entry.model for entry in entries]
    local = next((each for each in models if _runs_on(each, deployment.wanted.engine)), None)
    model = local or next(iter(models), None)
    price = _price(deployment)
    listed = _deployed(model or _bare(deployment), deployment, price)
    return Listed(listed, price, _availability(deployment, model))


def _deployed(model: Model, deployment: Deployment, price: PriceVersion) -> Model:
    wanted = deployment.wanted
    context = wanted.context_length
    most = min(model.max_output_tokens or context, context)
    return replace(
        model,
        id=wanted.name,
        provider=DEDICATED,
        upstream_name=wanted.served_model or wanted.model,
        display_name=wanted.name,
        owned_by=deployment.account,
        context_length=context,
        max_output_tokens=most,
        default_output_tokens=min(model.default_output_tokens, most),
        released_on=_day(deployment),
        prices=(price,),
        description=f"The deployment of {wanted.model} on {_hardware(deployment)}.",
        local=_local(model, deployment),
        retired_on=None,
        refused_fields=frozenset(),
        deployment=deployment,
    )


def _local(model: Model, deployment: Deployment) -> LocalRunning | None:
    """Return how the engine runs it, which names the engine's own adapter and the weights' identity.

    What runs from a folder has neither.
    """
    wanted, local = deployment.wanted, model.local
    if local is None or local.engine != wanted.engine or not local.weights:
        return None
    return replace(local, slots=wanted.slots, idle_seconds=wanted.idle_seconds)


def _runs_on(model: Model, engine: str) -> bool:
    return model.local is not None and model.local.engine == engine


def _hardware(deployment: Deployment) -> str:
    wanted = deployment.wanted
    return f"{wanted.gpus} {wanted.accelerator}" if wanted.gpus else wanted.accelerator


def _availability(deployment: Deployment, model: Model | None) -> Availability:
    if model is None:
        reason = f'What it runs, "{deployment.wanted.model}", is in no catalog any more.'
        return Availability(False, NO_MODEL, reason, "Add that model again, or delete the deployment.")
    return AVAILABLE


def _price(deployment: Deployment) -> PriceVersion:
    price = PriceVersion(
        id="",
        provider=DEDICATED,
        model_id=deployment.name,
        effective=_day(deployment),
        source=PAID_BY_TIME,
        rates_pico=MappingProxyType(dict.fromkeys(TEXT_CLASSES, 0)),
    )
    return replace(price, id=f"{DEDICATED}/{price.model_id}@{price.effective}#{rates_digest(price)}")


def _bare(deployment: Deployment) -> Model:
    """Return a model of which nothing is known, to say of it that it cannot be called."""
    context = deployment.wanted.context_length
    return Model(
        id=deployment.wanted.model,
        provider=DEDICATED,
        upstream_name=deployment.wanted.model,
        display_name=deployment.name,
        owned_by=deployment.account,
        kind=ModelKind.CHAT,
        capabilities=frozenset(),
        context_length=context,
        max_output_tokens=context,
        default_output_tokens=min(DEFAULT_OUTPUT_TOKENS, context),
        released_on="",
        prices=(),
        source="",
        checked_on="",
    )


def _day(deployment: Deployment) -> str:
    seconds = deployment.created_at_micros // MICROS_PER_SECOND
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


def _by_id(deployments: Iterable[Deployment]) -> Mapping[str, Deployment]:
    return MappingProxyType({each.id: each for each in deployments})
